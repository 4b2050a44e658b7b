import type { CommandSpec, GroupSpec } from '../arguments.ts';

/**
 * `portolan bundle …`, in the order of help. To add a command: write `bundle-NAME.ts` that exports `spec`, and name it
 * here. A command file imports no use case at its top (its `run` does), so that help and completion stay quick.
 */
const COMMANDS: readonly (() => Promise<{ readonly spec: CommandSpec }>)[] = [
  () => import('./bundle-init.ts'),
  () => import('./bundle-lock.ts'),
  () => import('./bundle-build.ts'),
  () => import('./bundle-list.ts'),
  () => import('./bundle-inspect.ts'),
  () => import('./bundle-verify.ts'),
  () => import('./bundle-unpack.ts'),
  () => import('./bundle-copy.ts'),
  () => import('./bundle-sign.ts'),
  () => import('./bundle-import.ts'),
  () => import('./bundle-status.ts'),
  () => import('./bundle-rollback.ts'),
  () => import('./bundle-remove.ts'),
  () => import('./bundle-gc.ts'),
];

export async function bundleGroup(): Promise<GroupSpec> {
  const modules = await Promise.all(COMMANDS.map((load) => load()));
  return {
    name: 'bundle',
    summary: 'pack, sign, check, open and import bundles',
    description: 'Bundles carry an application across an air gap: sealed with age, signed with a cosign key.',
    commands: modules.map((module) => module.spec),
  };
}

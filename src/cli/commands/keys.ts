import type { CommandSpec, GroupSpec } from '../arguments.ts';

/** `portolan keys …`, in the order of help. */
const COMMANDS: readonly (() => Promise<{ readonly spec: CommandSpec }>)[] = [
  () => import('./keys-generate.ts'),
  () => import('./keys-init.ts'),
  () => import('./keys-list.ts'),
  () => import('./keys-verify.ts'),
  () => import('./keys-enroll.ts'),
  () => import('./keys-approve.ts'),
  () => import('./keys-revoke.ts'),
  () => import('./keys-rewrap.ts'),
  () => import('./keys-export.ts'),
];

export async function keysGroup(): Promise<GroupSpec> {
  const modules = await Promise.all(COMMANDS.map((load) => load()));
  return {
    name: 'keys',
    summary: 'say who may read, write, prune and verify backups',
    description:
      'The roster of a repository says who may read, write, prune, verify and approve. It is never changed: an approver ' +
      'signs the next epoch.',
    commands: modules.map((module) => module.spec),
  };
}

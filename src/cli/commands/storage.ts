import type { CommandSpec, GroupSpec } from '../arguments.ts';

/** `portolan storage …`, in the order of help. */
const COMMANDS: readonly (() => Promise<{ readonly spec: CommandSpec }>)[] = [
  () => import('./storage-policy.ts'),
  () => import('./storage-check.ts'),
];

export async function storageGroup(): Promise<GroupSpec> {
  const modules = await Promise.all(COMMANDS.map((load) => load()));
  return {
    name: 'storage',
    summary: 'say and check who may do what with a bucket',
    description:
      'Who holds a bucket can keep a role to what it needs: a writer that cannot delete, a reader that cannot write. These ' +
      'commands print the policies for that, and try with the real credentials whether they hold.',
    commands: modules.map((module) => module.spec),
  };
}

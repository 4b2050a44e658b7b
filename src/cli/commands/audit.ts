import type { CommandSpec, GroupSpec } from '../arguments.ts';

/** `portolan audit …`, in the order of help. */
const COMMANDS: readonly (() => Promise<{ readonly spec: CommandSpec }>)[] = [
  () => import('./audit-list.ts'),
  () => import('./audit-verify.ts'),
];

export async function auditGroup(): Promise<GroupSpec> {
  const modules = await Promise.all(COMMANDS.map((load) => load()));
  return {
    name: 'audit',
    summary: 'show and check who restored what',
    description:
      'Every restore and every drill is recorded on the machine that does it, before anything is decrypted and when it ends. ' +
      'The records are signed and each has the digest of the one before.',
    commands: modules.map((module) => module.spec),
  };
}

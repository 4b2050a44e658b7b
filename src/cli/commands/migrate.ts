import type { CommandSpec, GroupSpec } from '../arguments.ts';

/** `portolan migrate …`, in the order of help; see bundle.ts. */
const COMMANDS: readonly (() => Promise<{ readonly spec: CommandSpec }>)[] = [
  () => import('./migrate-plan.ts'),
  () => import('./migrate-up.ts'),
  () => import('./migrate-status.ts'),
  () => import('./migrate-baseline.ts'),
];

export async function migrateGroup(): Promise<GroupSpec> {
  const modules = await Promise.all(COMMANDS.map((load) => load()));
  return {
    name: 'migrate',
    summary: 'bring a PostgreSQL database to the state of its modules',
    description:
      'Applies the SQL files of modules in order, once each, with a ledger in the database. What drops or narrows ' +
      '(contract files) waits until no program of the release before is left. See docs/migrations.md.',
    commands: modules.map((module) => module.spec),
  };
}

import type { CommandSpec, GroupSpec } from '../arguments.ts';

/** `portolan config …`, in the order of help; see bundle.ts. */
const COMMANDS: readonly (() => Promise<{ readonly spec: CommandSpec }>)[] = [
  () => import('./config-export.ts'),
  () => import('./config-import.ts'),
];

export async function configGroup(): Promise<GroupSpec> {
  const modules = await Promise.all(COMMANDS.map((load) => load()));
  return {
    name: 'config',
    summary: 'carry the configuration of a running application',
    description:
      'Reads ConfigMaps, Secrets, the values of Helm releases and declared tables into one document, and makes another ' +
      'cluster the same. See docs/format-configuration.md.',
    commands: modules.map((module) => module.spec),
  };
}

import type { CommandSpec, GroupSpec } from './arguments.ts';

/** The whole tree as data, for parsing, help, completion and the configuration file. */
export interface CommandTree {
  readonly groups: readonly GroupSpec[];
  /** Commands without a group. */
  readonly commands: readonly CommandSpec[];
}

/** A command with the words that lead to it, such as `['bundle', 'build']`. */
export interface PlacedCommand {
  readonly words: readonly string[];
  readonly spec: CommandSpec;
}

export function placedCommands(tree: CommandTree): readonly PlacedCommand[] {
  return [
    ...tree.groups.flatMap((group) => group.commands.map((spec) => ({ words: [group.name, spec.name], spec }))),
    ...tree.commands.map((spec) => ({ words: [spec.name], spec })),
  ];
}

import { type CommandSpec, defineCommand } from '../arguments.ts';
import type { CommandTree } from '../command-tree.ts';

/** `portolan help`: a command's help, a topic, or the explanation of an error code. */
export function helpSpec(tree: () => CommandTree, commandHelp: (words: readonly string[]) => string): CommandSpec {
  return defineCommand({
    name: 'help',
    summary: 'explain an error code, a topic or a command',
    arguments: {
      topic: {
        description: 'an error code, "codes", "exit-statuses", "configuration", or a command',
        optional: true,
        variadic: true,
        complete: 'topic',
      },
    },
    options: {},
    examples: [
      { command: 'portolan help PIECE_DAMAGED', note: 'What a code means and what to do' },
      { command: 'portolan help codes', note: 'All codes' },
      { command: 'portolan help configuration', note: 'Options in the environment and in portolan.yaml' },
    ],
    async run(context, { topic }) {
      const { helpFor } = await import('../help.ts');
      const answer = helpFor(topic, tree(), commandHelp);
      context.output.result(answer.fields, () => answer.text);
    },
  });
}

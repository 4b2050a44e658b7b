import { setTimeout as sleep } from 'node:timers/promises';
import { AdapterError } from '../../src/adapters/errors.ts';
import { defineCommand, flag, integer, list, path, pathList, text } from '../../src/cli/arguments.ts';
import type { CommandTree } from '../../src/cli/command-tree.ts';
import { completionSpec } from '../../src/cli/commands/completion.ts';
import { helpSpec } from '../../src/cli/commands/help-code.ts';
import { commandHelpText } from '../../src/cli/program.ts';

/** Every kind of option and argument, under the words `crate pack`. */
const packSpec = defineCommand({
  name: 'pack',
  summary: 'pack a crate',
  arguments: {
    source: { description: 'what to pack', complete: 'folder' },
    extras: { description: 'more of it', optional: true, variadic: true, complete: 'file' },
  },
  options: {
    out: path({ short: 'o', value: 'DIR', description: 'where to', required: true, complete: 'folder' }),
    recipient: list({ short: 'r', value: 'RECIPIENT', description: 'for whom' }),
    identity: pathList({ short: 'i', value: 'FILE', description: 'by whom' }),
    shape: text({ value: 'SHAPE', description: 'its shape', choices: ['round', 'square'], defaultValue: 'square' }),
    label: text({ value: 'TEXT', description: "it's what is written: on it" }),
    workers: integer({ value: 'N', description: 'how many hands', minimum: 1, maximum: 64, defaultValue: 2 }),
    frozen: flag({ description: 'keep it cold' }),
    noReuse: flag({ description: 'take new wood' }),
  },
  examples: [{ command: 'portolan crate pack fish --out /quay', note: 'Fish' }],
  async run(context, args, options) {
    context.output.result({ args, options }, () => JSON.stringify({ args, options }));
  },
});

/** What the tests of a whole process need: waiting, failing, printing much, asking. */
const probeSpec = defineCommand({
  name: 'probe',
  summary: 'do one thing',
  arguments: { what: { description: 'wait, stubborn, fail, crash, many, secret or progress' } },
  options: {},
  examples: [{ command: 'portolan crate probe wait', note: 'Wait' }],
  async run(context, { what }) {
    if (what === 'wait') {
      context.output.event('ready', {});
      context.progress.warn('ready');
      await sleep(60_000, undefined, { signal: context.signal });
    } else if (what === 'stubborn') {
      context.progress.warn('ready');
      await sleep(60_000);
    } else if (what === 'fail') {
      const others = [new AdapterError('FILE_MISSING', 'the second\u001b[31m problem', { at: { file: 'b' } })];
      throw new AdapterError('PIECE_DAMAGED', 'the first problem', { at: { file: 'a' }, others });
    } else if (what === 'crash') {
      throw new TypeError('unforeseen');
    } else if (what === 'many') {
      for (let index = 0; index < 20_000; index += 1) context.output.result({ index }, () => `line ${index}`);
      context.progress.warn('done');
    } else if (what === 'secret') {
      const secret = await context.askSecret('Password: ');
      context.output.result({ length: secret.length }, () => `got ${secret.length} characters`);
    } else {
      const task = context.progress.task('loading', 100);
      context.progress.note('a note');
      task.advance(100);
      task.done();
    }
  },
});

export async function loadSampleTree(): Promise<CommandTree> {
  const tree: CommandTree = {
    groups: [
      { name: 'crate', summary: 'crates', description: 'Crates: made of wood.', commands: [packSpec, probeSpec] },
    ],
    commands: [
      helpSpec(
        () => tree,
        (words) => commandHelpText(tree, words),
      ),
      completionSpec(() => tree),
    ],
  };
  return tree;
}

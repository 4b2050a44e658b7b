import { describe, expect, test } from 'vitest';
import { longNameOf } from '../../../src/cli/arguments.ts';
import { GLOBAL_OPTIONS } from '../../../src/cli/arguments-commander.ts';
import { placedCommands } from '../../../src/cli/command-tree.ts';
import { ERROR_CATALOGUE } from '../../../src/cli/error-catalogue.ts';
import { EXIT_STATUSES, helpFor } from '../../../src/cli/help.ts';
import { commandHelpText, loadCommandTree } from '../../../src/cli/program.ts';

const tree = await loadCommandTree();
const commands = placedCommands(tree);
const help = (...words: string[]) => helpFor(words, tree, (path) => commandHelpText(tree, path));

describe('portolan help', () => {
  test.each(Object.keys(ERROR_CATALOGUE))('explains %s', (code) => {
    const answer = help(code.toLowerCase());
    expect(answer.fields).toMatchObject({ code, status: ERROR_CATALOGUE[code as keyof typeof ERROR_CATALOGUE].status });
    expect(answer.text).toContain(code);
  });

  test('an unknown code is answered by the nearest one', () => {
    expect(() => help('PIECE_DAMAGD')).toThrow(
      expect.objectContaining({ code: 'HELP_TOPIC_UNKNOWN', hint: expect.stringContaining('PIECE_DAMAGED') }),
    );
    expect(() => help('zzzzzzzzzzzz')).toThrow(expect.objectContaining({ code: 'HELP_TOPIC_UNKNOWN' }));
    expect(() => help('constructor')).toThrow(expect.objectContaining({ code: 'HELP_TOPIC_UNKNOWN' }));
  });

  test('shows a command, the program, and the topics', () => {
    expect(help('completion').text).toBe(commandHelpText(tree, ['completion']));
    expect(help().text).toBe(commandHelpText(tree, []));
    for (const code of Object.keys(ERROR_CATALOGUE)) expect(help('codes').text).toContain(code);
    for (const status of Object.keys(EXIT_STATUSES)) expect(help('exit-statuses').text).toContain(status);
    expect(help('configuration').text).toContain('PORTOLAN_SIGN_KEY');
  });
});

test.each(commands.map(({ words, spec }) => [words.join(' '), spec] as const))('%s is described', (name, spec) => {
  const text = commandHelpText(tree, name.split(' '));
  expect(spec.summary).toMatch(/^[a-z].*[^.]$/);
  expect(spec.examples.length).toBeGreaterThan(0);
  for (const { command, note } of spec.examples) {
    expect(command).toContain(`portolan ${name}`);
    expect(text).toContain(note);
  }
  const options = Object.entries(spec.options);
  for (const [key] of options) expect(text).toContain(`--${longNameOf(key)}`);
  const shorts = options.flatMap(([, option]) => option.short ?? []);
  expect(new Set([...shorts, 'h', 'V']).size).toBe(shorts.length + 2);
  const longs = [...Object.keys(spec.options), ...Object.keys(GLOBAL_OPTIONS), 'help', 'version'];
  expect(new Set(longs).size).toBe(longs.length);
});

test('the exit statuses of the catalogue are explained', () => {
  for (const { status } of Object.values(ERROR_CATALOGUE)) expect(EXIT_STATUSES[status]).toBeDefined();
});

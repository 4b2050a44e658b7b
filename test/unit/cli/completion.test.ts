import { spawnSync } from 'node:child_process';
import { describe, expect, test } from 'vitest';
import { completionScript } from '../../../src/cli/completion.ts';
import { ERROR_CATALOGUE } from '../../../src/cli/error-catalogue.ts';
import { loadCommandTree } from '../../../src/cli/program.ts';
import { loadSampleTree } from '../../support/sample-tree.ts';

const bash = completionScript('bash', await loadSampleTree());

/** What a real bash offers after `words`; the last one is under the cursor. */
function offered(...words: string[]): string[] {
  const script = `${bash}
compopt() { :; }
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
_portolan
printf '%s\\n' "\${COMPREPLY[@]}"`;
  const { stdout, stderr, status } = spawnSync('bash', ['--norc', '-uc', script, 'bash', 'portolan', ...words], {
    encoding: 'utf8',
    cwd: '/',
  });
  expect({ status, stderr }).toEqual({ status: 0, stderr: '' });
  return stdout.split('\n').filter((line) => line !== '');
}

describe('in a real bash', () => {
  test('commands, then their subcommands', () => {
    expect(offered('')).toEqual(['crate', 'help', 'completion']);
    expect(offered('c')).toEqual(['crate', 'completion']);
    expect(offered('crate', '')).toEqual(['pack', 'probe']);
    expect(offered('--json', 'crate', 'pr')).toEqual(['probe']);
  });

  test('options of the command, long and short', () => {
    expect(offered('crate', 'pack', '--no')).toEqual(['--no-reuse']);
    const all = offered('crate', 'pack', '-');
    for (const word of ['--out', '-o', '--shape', '--json', '--config', '--help', '-h']) expect(all).toContain(word);
    expect(offered('crate', 'probe', '--o')).toEqual([]);
    expect(offered('--v')).toEqual(['--version']);
  });

  test('values of options', () => {
    expect(offered('crate', 'pack', '--shape', '')).toEqual(['round', 'square']);
    expect(offered('crate', 'pack', '--shape', '=', 'r')).toEqual(['round']);
    expect(offered('crate', 'pack', '--out', '/et')).toEqual(['/etc']);
    expect(offered('crate', 'pack', '-o', '/etc/passw')).toEqual([]);
    expect(offered('crate', 'pack', '-i', '/etc/passw')).toContain('/etc/passwd');
    expect(offered('crate', 'pack', '--label', '')).toEqual([]);
  });

  test('arguments by position, past the values of options', () => {
    expect(offered('crate', 'pack', '--shape', 'pack', '/et')).toEqual(['/etc']);
    expect(offered('crate', 'pack', '/etc', '/etc/passw')).toContain('/etc/passwd');
    expect(offered('completion', '')).toEqual(['bash', 'zsh', 'fish']);
    expect(offered('completion', 'bash', '')).toEqual([]);
  });

  test('help offers codes', () => {
    expect(offered('help', 'PIECE_D')).toEqual(['PIECE_DAMAGED']);
    expect(offered('help', '')).toEqual(expect.arrayContaining(Object.keys(ERROR_CATALOGUE)));
  });
});

test.each(['bash', 'zsh', 'fish'] as const)('the script for %s names every command and option', async (shell) => {
  const tree = await loadCommandTree();
  const script = completionScript(shell, tree);
  for (const group of tree.groups) {
    expect(script).toContain(group.name);
    for (const { name } of group.commands) expect(script).toContain(`${group.name} ${name}`);
  }
  for (const { name } of tree.commands) expect(script).toContain(name);
});

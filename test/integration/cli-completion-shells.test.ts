import { spawnSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { completionScript, type Shell } from '../../src/cli/completion.ts';
import { loadSampleTree } from '../support/sample-tree.ts';

let folder = '';
beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'portolan-completion-'));
  const tree = await loadSampleTree();
  for (const shell of ['bash', 'zsh', 'fish'] as const) {
    writeFileSync(join(folder, shell === 'zsh' ? '_portolan' : `portolan.${shell}`), completionScript(shell, tree));
  }
});
afterAll(() => rmSync(folder, { recursive: true }));

/** The words that each shell offers for a line that was typed. */
const ASK: Readonly<Record<Shell, (line: string) => string[]>> = {
  // An interactive bash with the line's words, its own compgen and compopt.
  bash: (line) =>
    run('bash', [
      '--norc',
      '-ic',
      `source '${folder}/portolan.bash'; complete -p portolan >/dev/null || exit 1
       COMP_WORDS=(${line.replace(/ $/, " ''")}); COMP_CWORD=$((\${#COMP_WORDS[@]} - 1)); COMPREPLY=()
       compopt() { :; }; _portolan; printf '%s\\n' "\${COMPREPLY[@]}"`,
    ]),
  // zsh's completion runs only inside its line editor: on a pseudo-terminal, with compadd telling what it was given.
  // On a busy machine the editor may not be ready for the first key: a line that got no offer at all is typed again.
  zsh: (line) =>
    firstAnswer(() =>
      run('zsh', [
        '-fc',
        `zmodload zsh/zpty
       zpty shell zsh -fi
       zpty -w shell 'PS1=; fpath=(${folder} $fpath); autoload -Uz compinit; compinit -u -d ${folder}/dump; setopt no_always_last_prompt'
       zpty -w shell 'compadd() { local -a got; builtin compadd -O got "$@"; print -r -- "OFFER \${(j: :)got} REFFO" >>${folder}/offers; builtin compadd "$@" }'
       : >${folder}/offers
       zpty -w shell 'print -r RE""ADY'
       zpty -r shell out '*READY*'
       zpty -w -n shell ${JSON.stringify(line)}$'\\t'
       # Keys are taken in their order: when the next line is answered, the completion is done.
       zpty -w -n shell $'\\x15'
       zpty -w shell 'print -r RE""ADY2'
       zpty -r shell out '*READY2*'
       zpty -d shell
       cat ${folder}/offers`,
      ]).flatMap((text) => /^OFFER (.*) REFFO$/.exec(text)?.[1]?.split(' ') ?? []),
    ),
  fish: (line) =>
    run('fish', ['--no-config', '-c', `source ${folder}/portolan.fish; complete -C ${JSON.stringify(line)}`]).map(
      (text) => text.split('\t')[0] ?? '',
    ),
};

function firstAnswer(ask: () => string[]): string[] {
  for (let attempt = 0; attempt < 5; attempt++) {
    const answer = ask();
    if (answer.length > 0) return answer;
  }
  return [];
}

function run(program: string, args: readonly string[]): string[] {
  const { stdout } = spawnSync(program, args, { encoding: 'utf8', cwd: folder, env: { ...process.env, TERM: 'dumb' } });
  return stdout.split('\n').filter((text) => text !== '');
}

const present = (['bash', 'zsh', 'fish'] as const).filter(
  (shell) => spawnSync(shell, ['--version']).error === undefined,
);

test('bash is among the shells that are here', () => expect(present).toContain('bash'));

describe.each(present)('in %s', (shell) => {
  const offered = (line: string) => ASK[shell](line);

  test('commands and subcommands', () => {
    expect(offered('portolan cr')).toContain('crate');
    expect(offered('portolan crate ')).toEqual(expect.arrayContaining(['pack', 'probe']));
    expect(offered('portolan crate ')).not.toContain('crate');
  });

  test('options, their values, and what follows a value', () => {
    expect(offered('portolan crate pack --no')).toContain('--no-reuse');
    expect(offered('portolan crate probe --no')).not.toContain('--no-reuse');
    expect(offered('portolan crate pack --shape ')).toEqual(expect.arrayContaining(['round', 'square']));
    expect(offered('portolan crate pack --shape round --fro')).toContain('--frozen');
  });

  test('arguments', () => {
    expect(offered('portolan completion ')).toEqual(expect.arrayContaining(['bash', 'zsh', 'fish']));
    expect(offered('portolan help PIECE_D')).toContain('PIECE_DAMAGED');
  });
});

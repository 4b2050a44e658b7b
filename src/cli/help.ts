/** What `portolan help …` prints. */

import { type CommandTree, placedCommands } from './command-tree.ts';
import { ERROR_CATALOGUE } from './error-catalogue.ts';
import { UsageError } from './errors.ts';
import type { EventFields } from './output.ts';
import { explanationOf } from './output-errors.ts';
import { closestTo } from './suggestion.ts';

export interface HelpAnswer {
  readonly fields: EventFields;
  readonly text: string;
}

export const EXIT_STATUSES: Readonly<Record<number, string>> = {
  0: 'done',
  1: 'failed',
  2: 'used wrongly: an option, a file of yours or a variable must be corrected first',
  3: 'the thing that was checked is not right: a bad signature, damage, drift',
  130: 'interrupted by Ctrl-C, SIGTERM or SIGHUP',
};

/** @throws UsageError HELP_TOPIC_UNKNOWN with the nearest name. */
export function helpFor(
  words: readonly string[],
  tree: CommandTree,
  commandHelp: (words: readonly string[]) => string,
): HelpAnswer {
  const [first] = words;
  if (first === undefined) return { fields: { text: commandHelp([]) }, text: commandHelp([]) };
  if (words.length === 1) {
    const topic = topicHelp(first) ?? codeHelp(first);
    if (topic !== undefined) return topic;
  }
  const known = placedCommands(tree).flatMap(({ words: path }) => [path.join(' '), path[0] ?? '']);
  if (known.includes(words.join(' '))) {
    const text = commandHelp(words);
    return { fields: { command: words.join(' '), text }, text };
  }
  const candidates = [...known, ...HELP_TOPICS, ...Object.keys(ERROR_CATALOGUE)];
  const close = closestTo(words.join(' '), candidates);
  throw new UsageError('HELP_TOPIC_UNKNOWN', `no help is called ${JSON.stringify(words.join(' '))}`, {
    hint: close === undefined ? 'Run `portolan help codes` for all codes.' : `Did you mean \`portolan help ${close}\`?`,
  });
}

function codeHelp(word: string): HelpAnswer | undefined {
  const code = word.toUpperCase().replaceAll('-', '_');
  const explanation = explanationOf(code);
  if (explanation === undefined) return undefined;
  const { status, meaning, remedy } = explanation;
  return {
    fields: { code, status, meaning, remedy },
    text: `${code}\n\n${meaning}\n\nWhat to do: ${remedy}\n\nExit status: ${status} (${EXIT_STATUSES[status]}).`,
  };
}

export const HELP_TOPICS = ['codes', 'exit-statuses', 'configuration'];

function topicHelp(word: string): HelpAnswer | undefined {
  if (word === 'codes') {
    const codes = Object.entries(ERROR_CATALOGUE).map(([code, { status, meaning }]) => ({ code, status, meaning }));
    codes.sort((a, b) => (a.code < b.code ? -1 : 1));
    return { fields: { codes }, text: codes.map(({ code, meaning }) => `${code}\n    ${meaning}`).join('\n') };
  }
  if (word === 'exit-statuses') {
    const lines = Object.entries(EXIT_STATUSES).map(([status, meaning]) => `${status.padStart(3)}  ${meaning}`);
    return { fields: { statuses: EXIT_STATUSES }, text: lines.join('\n') };
  }
  return word === 'configuration' ? { fields: { text: CONFIGURATION_HELP }, text: CONFIGURATION_HELP } : undefined;
}

const CONFIGURATION_HELP = `An option is looked for in this order; the first that is found counts:

  1. the command line             --sign-key keys/cosign.key
  2. an environment variable      PORTOLAN_SIGN_KEY=keys/cosign.key
  3. portolan.yaml, the command's own section, then its top level
  4. the default

The variable is PORTOLAN_ and the option's long name in capitals, with _ for -. A list stands in lines
or between commas; a switch is true or false. An empty variable counts as not set.

portolan.yaml holds long names without the dashes. Paths in it are relative to its own folder.

  sign-key: keys/cosign.key         # for every command that has the option
  bundle:
    build:                          # for one command
      recipient: [age1..., age1...]

The file is the one named by --config or PORTOLAN_CONFIG, else ~/.config/portolan/portolan.yaml
(or $XDG_CONFIG_HOME/portolan/portolan.yaml). It is never taken from the current folder: that may be a
medium that somebody else wrote, and the file says whom to trust.

Secrets (passwords, passphrases) are never options: they come from a file, from a variable that the
command's help names, or from the terminal.`;

/** The command tree, and one run of it from the arguments to an exit status. */
import { Command, CommanderError } from 'commander';
import type { CommandSpec } from './arguments.ts';
import { commandOf, GLOBAL_OPTIONS, optionOf, type Typed, typedOptions } from './arguments-commander.ts';
import { resolveOptions } from './arguments-resolution.ts';
import { type CommandTree, placedCommands } from './command-tree.ts';
import { auditGroup } from './commands/audit.ts';
import { backupGroup } from './commands/backup.ts';
import { bundleGroup } from './commands/bundle.ts';
import { completionSpec } from './commands/completion.ts';
import { configGroup } from './commands/config.ts';
import { helpSpec } from './commands/help-code.ts';
import { keysGroup } from './commands/keys.ts';
import { loginSpec } from './commands/login.ts';
import { logoutSpec } from './commands/logout.ts';
import { migrateGroup } from './commands/migrate.ts';
import { relaySpec } from './commands/relay.ts';
import { restoreSpec } from './commands/restore.ts';
import { storageGroup } from './commands/storage.ts';
import { type Telemetry, telemetryOf } from './commands/telemetry-options.ts';
import { whoamiSpec } from './commands/whoami.ts';
import { locateConfiguration, readConfiguration } from './configuration.ts';
import type { CommandContext } from './context.ts';
import { UsageError } from './errors.ts';
import { VERSION } from './version.ts';

export async function loadCommandTree(): Promise<CommandTree> {
  const groups = await Promise.all([
    bundleGroup(),
    migrateGroup(),
    configGroup(),
    backupGroup(),
    keysGroup(),
    storageGroup(),
    auditGroup(),
  ]);
  const tree: CommandTree = {
    groups,
    commands: [
      restoreSpec,
      relaySpec,
      loginSpec,
      logoutSpec,
      whoamiSpec,
      helpSpec(
        () => tree,
        (words) => commandHelpText(tree, words),
      ),
      completionSpec(() => tree),
    ],
  };
  return tree;
}

/** What `--help` of a command, a group or (no words) the program prints. */
export function commandHelpText(tree: CommandTree, words: readonly string[]): string {
  let text = '';
  const host: ProgramHost = {
    env: {},
    cwd: '/',
    write: (part) => {
      text += part;
    },
    writeError: () => {},
    context: () => {
      throw new UsageError('INTERNAL', 'a command was run where only its help is wanted');
    },
  };
  let command = createProgram(tree, host);
  for (const word of words) command = command.commands.find((candidate) => candidate.name() === word) ?? command;
  command.outputHelp();
  return text;
}

export interface ProgramHost {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  /** Text that commander prints: help and the version. */
  readonly write: (text: string) => void;
  /** The same, where no command was given. */
  readonly writeError: (text: string) => void;
  /** Made once the options are known. */
  readonly context: (settings: ContextSettings) => Promise<CommandContext>;
}

export interface ContextSettings {
  readonly json: boolean;
  /** The words of the command. */
  readonly command: string;
  /** Where what it tells is sent as well. */
  readonly telemetry: Telemetry | undefined;
}

/** Columns of help text: fixed, so that the README holds exactly what is printed. */
const HELP_COLUMNS = 100;

/** Commander's tree for parsing and for help. */
export function createProgram(tree: CommandTree, host: ProgramHost): Command {
  const root = configured(new Command('portolan'), host)
    .description('Packs an application for a closed network: signed, age-encrypted bundles of charts, images and data.')
    .version(VERSION, '-V, --version', 'print the version')
    .addHelpText('after', `\n${ROOT_HELP}`);
  for (const [key, option] of Object.entries(GLOBAL_OPTIONS)) root.addOption(optionOf(key, option));
  const attach = (parent: Command, spec: CommandSpec, words: readonly string[]) => {
    const command = commandOf(spec, (args, typed) => runCommand(spec, words, args, typed, root, tree, host));
    parent.addCommand(configured(command, host));
  };
  for (const group of tree.groups) {
    const parent = configured(new Command(group.name), host).summary(group.summary).description(group.description);
    for (const spec of group.commands) attach(parent, spec, [group.name, spec.name]);
    root.addCommand(parent);
  }
  for (const spec of tree.commands) attach(root, spec, [spec.name]);
  return root;
}

const ROOT_HELP = `Every option can also stand in an environment variable or in portolan.yaml:
see portolan help configuration. An error names a code: portolan help CODE explains it.

Examples:
  # The commands for bundles
  $ portolan bundle --help

  # What an error code means and what to do
  $ portolan help PIECE_DAMAGED`;

function configured(command: Command, host: ProgramHost): Command {
  return command
    .exitOverride()
    .helpCommand(false)
    .helpOption('-h, --help', 'print this help')
    .configureHelp({ helpWidth: HELP_COLUMNS, showGlobalOptions: true, sortSubcommands: false })
    .configureOutput({ writeOut: host.write, writeErr: host.writeError, outputError: () => {} });
}

async function runCommand(
  spec: CommandSpec,
  words: readonly string[],
  args: Readonly<Record<string, unknown>>,
  typed: Typed,
  root: Command,
  tree: CommandTree,
  host: ProgramHost,
): Promise<void> {
  const typedGlobals = typedOptions(root, GLOBAL_OPTIONS);
  const file = locateConfiguration(typedGlobals.config as string | undefined, host.env, host.cwd);
  const configuration =
    file === undefined ? undefined : await readConfiguration(file, placedCommands(tree), GLOBAL_OPTIONS);
  const globals = resolveOptions(GLOBAL_OPTIONS, {
    typed: typedGlobals,
    env: host.env,
    cwd: host.cwd,
    configuration,
    words,
  });
  const options = resolveOptions(spec.options, { typed, env: host.env, cwd: host.cwd, configuration, words });
  const telemetry = telemetryOf(options);
  await spec.run(
    await host.context({ json: globals.json === true, command: words.join(' '), telemetry }),
    args,
    options,
  );
}

/** Parses and runs. Help and the version end quietly; wrong use is a UsageError. */
export async function runProgram(program: Command, args: readonly string[]): Promise<void> {
  try {
    await program.parseAsync(args, { from: 'user' });
  } catch (error) {
    if (!(error instanceof CommanderError)) throw error;
    if (error.code === 'commander.helpDisplayed' || error.code === 'commander.version') return;
    const at = helpCommandFor(program, args);
    if (error.code === 'commander.help') {
      throw new UsageError('USAGE', 'no command was given', { hint: `Run \`${at} --help\` for the list of commands.` });
    }
    const [message = '', suggestion] = error.message.replace(/^error: /, '').split('\n');
    const hint = suggestion?.replace(/^\((.*)\)$/, '$1 ') ?? '';
    throw new UsageError('USAGE', message, { hint: `${hint}Run \`${at} --help\`.` });
  }
}

/** The command whose help fits what was typed. */
function helpCommandFor(program: Command, args: readonly string[]): string {
  let command = program;
  const words = [program.name()];
  for (const word of args) {
    if (word.startsWith('-')) continue;
    const next = command.commands.find((candidate) => candidate.name() === word);
    if (next === undefined) break;
    command = next;
    words.push(word);
  }
  return words.join(' ');
}

/** Turns the plain data of a command into a commander Command. */
import { Command, Option } from 'commander';
import { type ArgumentSpec, type CommandSpec, longNameOf, type OptionSpec } from './arguments.ts';

/** Options of every command. */
export const GLOBAL_OPTIONS = {
  json: {
    kind: 'flag',
    description: 'print results, progress and errors as JSON, one event a line',
    defaultValue: false,
    complete: 'none',
  },
  config: {
    kind: 'path',
    value: 'FILE',
    description: 'read options from FILE instead of the usual portolan.yaml',
    complete: 'file',
  },
} as const satisfies Record<string, OptionSpec>;

/** What was typed, by camel-case key; an option that was not typed is absent. */
export type Typed = Readonly<Record<string, unknown>>;

export type Action = (args: Readonly<Record<string, unknown>>, typed: Typed) => Promise<void>;

export function commandOf(spec: CommandSpec, action: Action): Command {
  const command = new Command(spec.name)
    .summary(spec.summary)
    .description(spec.description ?? `${capitalised(spec.summary)}.`);
  const names = Object.keys(spec.arguments);
  for (const [name, argument] of Object.entries(spec.arguments))
    command.argument(argumentText(name, argument), argument.description);
  for (const [key, option] of Object.entries(spec.options)) command.addOption(optionOf(key, option));
  if (spec.examples.length > 0) command.addHelpText('after', examplesText(spec));
  return command.action(async (...received: unknown[]) => {
    const args = Object.fromEntries(names.map((name, index) => [name, received[index]]));
    await action(args, typedOptions(command, spec.options));
  });
}

/** The options that were typed, without commander's own defaults. */
export function typedOptions(command: Command, options: Readonly<Record<string, OptionSpec>>): Typed {
  const typed: Record<string, unknown> = {};
  for (const key of Object.keys(options)) {
    const attribute = attributeOf(key);
    if (command.getOptionValueSource(attribute) !== 'cli') continue;
    const value: unknown = command.getOptionValue(attribute);
    // commander stores `--no-reuse` as reuse: false.
    typed[key] = attribute === key ? value : value === false;
  }
  return typed;
}

/** `noReuse` → `reuse`, commander's attribute for `--no-reuse`. */
function attributeOf(key: string): string {
  return /^no[A-Z]/.test(key) ? `${key.charAt(2).toLowerCase()}${key.slice(3)}` : key;
}

export function optionOf(key: string, option: OptionSpec): Option {
  const flags = `${option.short === undefined ? '' : `-${option.short}, `}--${longNameOf(key)}`;
  const result = new Option(
    option.kind === 'flag' ? flags : `${flags} <${option.value ?? 'VALUE'}>`,
    descriptionOf(option),
  );
  if (option.kind === 'list' || option.kind === 'path-list') {
    result.argParser((value: string, before: readonly string[] | undefined) => [...(before ?? []), value]);
  }
  return result;
}

/** Help shows what the reader must know: whether it is required, its choices, its default. */
function descriptionOf(option: OptionSpec): string {
  const notes: string[] = [];
  if (option.required === true) notes.push('required');
  if (option.choices !== undefined) notes.push(`one of: ${option.choices.join(', ')}`);
  const value = option.defaultValue;
  if (typeof value === 'string' || typeof value === 'number') notes.push(`default: ${value}`);
  return notes.length === 0 ? option.description : `${option.description} (${notes.join('; ')})`;
}

function argumentText(name: string, argument: ArgumentSpec): string {
  const shown = `${longNameOf(name).toUpperCase()}${argument.variadic === true ? '...' : ''}`;
  return argument.optional === true ? `[${shown}]` : `<${shown}>`;
}

function examplesText(spec: CommandSpec): string {
  const lines = spec.examples.flatMap((example) => [`  # ${example.note}`, `  $ ${example.command}`, '']);
  return ['', 'Examples:', ...lines.slice(0, -1)].join('\n');
}

function capitalised(sentence: string): string {
  return `${sentence.charAt(0).toUpperCase()}${sentence.slice(1)}`;
}

/**
 * What a command is, as plain data: its name, arguments, options and examples. Help, completion, the environment
 * (PORTOLAN_…), the configuration file and the parser are all derived from it, so a command file imports nothing heavy:
 * its `run` loads the use case with a dynamic import.
 */
import type { CommandContext } from './context.ts';

/** What a shell offers for a value. */
export type Completion = 'file' | 'folder' | 'topic' | 'none' | readonly string[];

export type OptionKind = 'flag' | 'text' | 'path' | 'program' | 'integer' | 'list' | 'path-list';

export interface OptionSpec<Value = unknown> {
  readonly kind: OptionKind;
  readonly description: string;
  /** One letter, without the dash. */
  readonly short?: string;
  /** The word for the value in help, such as `FILE`. */
  readonly value?: string;
  readonly choices?: readonly string[];
  readonly defaultValue?: Value;
  readonly required?: boolean;
  readonly minimum?: number;
  readonly maximum?: number;
  readonly complete?: Completion;
}

interface Details {
  readonly description: string;
  readonly short?: string;
  readonly required?: boolean;
}

interface ValueDetails<Value> extends Details {
  readonly value: string;
  readonly defaultValue?: Value;
  readonly complete?: Completion;
}

type Always<Value> = { readonly required: true } | { readonly defaultValue: Value };

/** `--frozen`: false unless given. */
export function flag(details: Omit<Details, 'required'>): OptionSpec<boolean> {
  return { kind: 'flag', defaultValue: false, complete: 'none', ...details };
}

type TextDetails = ValueDetails<string> & { readonly choices?: readonly string[] };

/** `--provider NAME`. Undefined unless given, required or with a default. */
export function text(details: TextDetails & Always<string>): OptionSpec<string>;
export function text(details: TextDetails): OptionSpec<string | undefined>;
export function text(details: TextDetails): OptionSpec<string | undefined> {
  return { kind: 'text', complete: details.choices ?? 'none', ...details };
}

/** `--out DIR`: a local path. In a configuration file it is relative to that file's folder. */
export function path(details: ValueDetails<string> & Always<string>): OptionSpec<string>;
export function path(details: ValueDetails<string>): OptionSpec<string | undefined>;
export function path(details: ValueDetails<string>): OptionSpec<string | undefined> {
  return { kind: 'path', complete: 'file', ...details };
}

/** `--helm PROGRAM`: a name that is looked for on PATH or, with a slash in it, a local path, which becomes absolute. */
export function program(details: ValueDetails<string> & Always<string>): OptionSpec<string>;
export function program(details: ValueDetails<string>): OptionSpec<string | undefined>;
export function program(details: ValueDetails<string>): OptionSpec<string | undefined> {
  return { kind: 'program', complete: 'file', ...details };
}

type IntegerDetails = ValueDetails<number> & { readonly minimum?: number; readonly maximum?: number };

/** `--workers N`: a whole number in decimal digits. */
export function integer(details: IntegerDetails & Always<number>): OptionSpec<number>;
export function integer(details: IntegerDetails): OptionSpec<number | undefined>;
export function integer(details: IntegerDetails): OptionSpec<number | undefined> {
  return { kind: 'integer', complete: 'none', minimum: 0, maximum: Number.MAX_SAFE_INTEGER, ...details };
}

/** `-r RECIPIENT`, repeatable; an empty list unless given. */
export function list(details: ValueDetails<readonly string[]>): OptionSpec<readonly string[]> {
  return { kind: 'list', defaultValue: [], complete: 'none', ...details };
}

/** `-i FILE`, repeatable local paths. */
export function pathList(details: ValueDetails<readonly string[]>): OptionSpec<readonly string[]> {
  return { kind: 'path-list', defaultValue: [], complete: 'file', ...details };
}

export interface ArgumentSpec {
  readonly description: string;
  readonly optional?: boolean;
  /** Takes all the rest; only the last argument may. */
  readonly variadic?: boolean;
  readonly complete?: Completion;
}

export interface Example {
  /** Without the leading `$`. */
  readonly command: string;
  readonly note: string;
}

export type ArgumentSpecs = Readonly<Record<string, ArgumentSpec>>;
export type OptionSpecs = Readonly<Record<string, OptionSpec>>;

export type ArgumentValues<A extends ArgumentSpecs> = {
  readonly [K in keyof A]: A[K] extends { readonly variadic: true }
    ? readonly string[]
    : A[K] extends { readonly optional: true }
      ? string | undefined
      : string;
};

export type OptionValues<O extends OptionSpecs> = {
  readonly [K in keyof O]: O[K] extends OptionSpec<infer Value> ? Value : never;
};

interface CommandFacts<A extends ArgumentSpecs, O extends OptionSpecs> {
  readonly name: string;
  /** One line for the list of commands. */
  readonly summary: string;
  /** What `--help` says below the usage line; the summary unless given. */
  readonly description?: string;
  /** In the order in which they are typed. Help shows the names in capitals. */
  readonly arguments: A;
  /** By camel-case name: `signKey` is `--sign-key`, PORTOLAN_SIGN_KEY and `sign-key:` in portolan.yaml. */
  readonly options: O;
  readonly examples: readonly Example[];
}

/** A command as the frame sees it. */
export interface CommandSpec extends CommandFacts<ArgumentSpecs, OptionSpecs> {
  readonly run: (
    context: CommandContext,
    args: Readonly<Record<string, unknown>>,
    options: Readonly<Record<string, unknown>>,
  ) => Promise<void>;
}

/**
 * Declares a command; `run` gets its arguments and options typed as they were declared. It parses what is left to parse,
 * calls one use case and renders the result through `context.output`. It throws what goes wrong.
 */
export function defineCommand<const A extends ArgumentSpecs, const O extends OptionSpecs>(
  command: CommandFacts<A, O> & {
    readonly run: (context: CommandContext, args: ArgumentValues<A>, options: OptionValues<O>) => Promise<void>;
  },
): CommandSpec {
  return {
    ...command,
    run: (context, args, options) => command.run(context, args as ArgumentValues<A>, options as OptionValues<O>),
  };
}

/** A group of commands, such as `bundle`. */
export interface GroupSpec {
  readonly name: string;
  readonly summary: string;
  readonly description: string;
  readonly commands: readonly CommandSpec[];
}

/** `signKey` → `sign-key`: the long option without its dashes, and the key in portolan.yaml. */
export function longNameOf(key: string): string {
  return key.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`);
}

/** `signKey` → `PORTOLAN_SIGN_KEY`. */
export function variableNameOf(key: string): string {
  return `PORTOLAN_${longNameOf(key).replaceAll('-', '_').toUpperCase()}`;
}

/** What an option is worth: the command line, else PORTOLAN_…, else portolan.yaml, else its default. */
import { dirname, resolve } from 'node:path';
import type { Place } from '../core/errors.ts';
import { longNameOf, type OptionSpec, type OptionSpecs, variableNameOf } from './arguments.ts';
import type { Configuration } from './configuration.ts';
import { UsageError, type UsageErrorCode } from './errors.ts';
import { closestTo } from './suggestion.ts';

export interface ResolutionSources {
  /** By camel-case key: what was typed; strings, lists of strings, or true for a flag. */
  readonly typed: Readonly<Record<string, unknown>>;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What a program's relative path is relative to: it is started from other folders. */
  readonly cwd: string;
  readonly configuration: Configuration | undefined;
  /** The words that lead to the command. */
  readonly words: readonly string[];
}

/** @throws UsageError USAGE for a missing or wrong option, CONFIGURATION_INVALID when a variable or the file holds it. */
export function resolveOptions(options: OptionSpecs, sources: ResolutionSources): Record<string, unknown> {
  const values: Record<string, unknown> = {};
  for (const [key, option] of Object.entries(options)) values[key] = resolveOption(key, option, sources);
  return values;
}

function resolveOption(key: string, option: OptionSpec, sources: ResolutionSources): unknown {
  const typed = sources.typed[key];
  const here = (value: unknown) => (option.kind === 'program' ? relativeTo(sources.cwd, option, value) : value);
  if (typed !== undefined) return here(valueFrom(option, typed, { name: `--${longNameOf(key)}`, code: 'USAGE' }));

  const variable = variableNameOf(key);
  const fromEnvironment = sources.env[variable];
  // An empty variable counts as not set: that is how a wrapper script clears one.
  if (fromEnvironment !== undefined && fromEnvironment !== '') {
    const from = { name: variable, code: 'CONFIGURATION_INVALID' } as const;
    return here(valueFrom(option, splitVariable(option, fromEnvironment), from));
  }

  const configured = sources.configuration?.lookup(sources.words, key);
  if (sources.configuration !== undefined && configured !== undefined) {
    const from = { name: `${longNameOf(key)}`, code: 'CONFIGURATION_INVALID', at: configured.at } as const;
    return relativeTo(
      dirname(sources.configuration.file),
      option,
      valueFrom(option, fromYaml(option, configured.value, from), from),
    );
  }

  if (option.required === true) {
    throw new UsageError('USAGE', `the option --${longNameOf(key)} is missing`, {
      hint: `Give --${longNameOf(key)} ${option.value ?? ''}`
        .trimEnd()
        .concat(`, or set ${variable} or ${longNameOf(key)} in portolan.yaml.`),
    });
  }
  return option.defaultValue;
}

interface Source {
  readonly name: string;
  readonly code: UsageErrorCode;
  readonly at?: Place;
}

function wrong(
  source: Source,
  message: string,
  details: { expected?: string; found?: string; hint?: string },
): UsageError {
  return new UsageError(source.code, `${source.name}: ${message}`, {
    ...details,
    ...(source.at === undefined ? {} : { at: source.at }),
  });
}

const TRUE = ['true', '1', 'yes', 'on'];
const FALSE = ['false', '0', 'no', 'off'];

function valueFrom(option: OptionSpec, given: unknown, source: Source): unknown {
  switch (option.kind) {
    case 'flag':
      if (typeof given === 'boolean') return given;
      if (TRUE.includes(String(given).toLowerCase())) return true;
      if (FALSE.includes(String(given).toLowerCase())) return false;
      throw wrong(source, 'not a yes or a no', { expected: 'true or false', found: String(given) });
    case 'integer':
      return integerOf(option, String(given), source);
    case 'list':
    case 'path-list': {
      const values = (given as readonly string[]).map((value) => textOf(option, value, source));
      if (option.required === true && values.length === 0) throw wrong(source, 'the list is empty', {});
      return values;
    }
    default:
      return textOf(option, String(given), source);
  }
}

function integerOf(option: OptionSpec, given: string, source: Source): number {
  const { minimum = 0, maximum = Number.MAX_SAFE_INTEGER } = option;
  const value = /^-?\d+$/.test(given) ? Number(given) : Number.NaN;
  if (Number.isSafeInteger(value) && value >= minimum && value <= maximum) return value;
  const upTo = maximum === Number.MAX_SAFE_INTEGER ? `of at least ${minimum}` : `from ${minimum} to ${maximum}`;
  throw wrong(source, 'not a whole number in range', { expected: `a whole number ${upTo}`, found: given });
}

function textOf(option: OptionSpec, given: string, source: Source): string {
  if (given === '') throw wrong(source, 'the value is empty', {});
  if (option.choices === undefined || option.choices.includes(given)) return given;
  const close = closestTo(given, option.choices);
  throw wrong(source, 'not one of the values that it takes', {
    expected: option.choices.join(', '),
    found: given,
    ...(close === undefined ? {} : { hint: `Did you mean ${close}?` }),
  });
}

/** A list in a variable stands in lines or, in a single line, between commas. */
function splitVariable(option: OptionSpec, value: string): unknown {
  if (option.kind !== 'list' && option.kind !== 'path-list') return value;
  const parts = value.includes('\n') ? value.split('\n') : value.split(',');
  return parts.map((part) => part.trim()).filter((part) => part !== '');
}

function fromYaml(option: OptionSpec, value: unknown, source: Source): unknown {
  const scalar = (part: unknown): string => {
    if (typeof part === 'string' || typeof part === 'number' || typeof part === 'boolean') return String(part);
    throw wrong(source, 'not a plain value', { expected: 'text, a number, true or false', found: kindOf(part) });
  };
  if (option.kind === 'list' || option.kind === 'path-list') {
    return Array.isArray(value) ? value.map(scalar) : [scalar(value)];
  }
  return scalar(value);
}

function kindOf(value: unknown): string {
  if (value === null || value === undefined) return 'nothing';
  return Array.isArray(value) ? 'a list' : 'a mapping';
}

function relativeTo(folder: string, option: OptionSpec, value: unknown): unknown {
  if (option.kind === 'path') return resolve(folder, value as string);
  if (option.kind === 'program') return String(value).includes('/') ? resolve(folder, String(value)) : value;
  if (option.kind === 'path-list') return (value as readonly string[]).map((part) => resolve(folder, part));
  return value;
}

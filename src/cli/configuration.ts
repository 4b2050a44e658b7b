/**
 * portolan.yaml: options that need not be typed.
 *
 *     sign-key: keys/cosign.key        # for every command that has the option
 *     bundle:
 *       build:                         # for one command; wins over the line above
 *         recipient: [age1…, age1…]
 *
 * It is read from `--config FILE`, else PORTOLAN_CONFIG, else portolan.yaml in the user's configuration folder. It is never
 * looked for in the current folder: that may be a medium somebody else wrote, and the file says whom to trust.
 */
import { readFileSync, statSync } from 'node:fs';
import { join, resolve } from 'node:path';
import type { Document, LineCounter, Node, Pair, YAMLMap } from 'yaml';
import type { Place } from '../core/errors.ts';
import { longNameOf, type OptionSpec } from './arguments.ts';
import type { PlacedCommand } from './command-tree.ts';
import { UsageError } from './errors.ts';
import { closestTo } from './suggestion.ts';

const MAXIMUM_BYTES = 1024 * 1024;

export interface ConfiguredValue {
  /** Strings, numbers, booleans and lists of strings, as YAML gives them. */
  readonly value: unknown;
  readonly at: Place;
}

export interface Configuration {
  /** Absolute; paths in the file are relative to its folder. */
  readonly file: string;
  /** The value for an option of a command; the command's own section wins over the top level. */
  lookup(words: readonly string[], key: string): ConfiguredValue | undefined;
}

/** Where portolan.yaml is, or undefined when there is none. A file that was named must exist. */
export function locateConfiguration(
  named: string | undefined,
  env: Readonly<Record<string, string | undefined>>,
  cwd: string,
): string | undefined {
  const chosen = named ?? (env.PORTOLAN_CONFIG || undefined);
  if (chosen !== undefined) return resolve(cwd, chosen);
  const home = env.XDG_CONFIG_HOME || (env.HOME ? join(env.HOME, '.config') : undefined);
  const usual = home === undefined ? undefined : join(home, 'portolan', 'portolan.yaml');
  return usual !== undefined && statSync(usual, { throwIfNoEntry: false }) !== undefined ? usual : undefined;
}

/** @throws UsageError CONFIGURATION_INVALID with file, line, column and key. */
export async function readConfiguration(
  file: string,
  commands: readonly PlacedCommand[],
  globals: Readonly<Record<string, OptionSpec>>,
): Promise<Configuration> {
  const yaml = await import('yaml');
  const lines = new yaml.LineCounter();
  const document = yaml.parseDocument(readText(file), { lineCounter: lines, uniqueKeys: true });
  const [problem] = document.errors;
  if (problem !== undefined) {
    const { line, col } = lines.linePos(problem.pos[0]);
    throw new UsageError(
      'CONFIGURATION_INVALID',
      `not well-formed YAML: ${problem.code.toLowerCase().replaceAll('_', ' ')}`,
      {
        at: { file, line, column: col },
      },
    );
  }
  const values = new Map<string, ConfiguredValue>();
  if (document.contents !== null) {
    collect(
      { document, lines, file, isMap: yaml.isMap, isPair: yaml.isPair, isNode: yaml.isNode },
      commands,
      globals,
      values,
    );
  }
  return {
    file,
    lookup: (words, key) => values.get(pathOf([...words, longNameOf(key)])) ?? values.get(longNameOf(key)),
  };
}

function readText(file: string): string {
  try {
    const { size } = statSync(file);
    if (size > MAXIMUM_BYTES) {
      throw new UsageError('CONFIGURATION_INVALID', 'the configuration file is too large', {
        at: { file },
        expected: `at most ${MAXIMUM_BYTES} bytes`,
        found: size,
      });
    }
    return readFileSync(file, 'utf8');
  } catch (cause) {
    if (cause instanceof UsageError) throw cause;
    throw new UsageError('CONFIGURATION_INVALID', 'the configuration file cannot be read', { cause, at: { file } });
  }
}

interface Reading {
  readonly document: Document;
  readonly lines: LineCounter;
  readonly file: string;
  readonly isMap: (node: unknown) => node is YAMLMap;
  readonly isPair: (node: unknown) => node is Pair;
  readonly isNode: (node: unknown) => node is Node;
}

/** Walks the sections: a key is an option's long name, or the next word towards a command. */
function collect(
  reading: Reading,
  commands: readonly PlacedCommand[],
  globals: Readonly<Record<string, OptionSpec>>,
  values: Map<string, ConfiguredValue>,
): void {
  const problems: UsageError[] = [];
  const walk = (node: unknown, words: readonly string[]) => {
    if (!reading.isMap(node)) {
      problems.push(
        invalid(
          reading,
          node,
          words,
          words.length === 0 ? 'the file must be a mapping' : 'a section must be a mapping',
        ),
      );
      return;
    }
    const below = commands.filter((command) => words.every((word, index) => command.words[index] === word));
    const sections = new Set(below.flatMap((command) => command.words[words.length] ?? []));
    const own = words.length === 0 ? below : below.filter((command) => command.words.length === words.length);
    const options = new Set(own.flatMap((command) => Object.keys(command.spec.options).map(longNameOf)));
    if (words.length === 0) for (const key of Object.keys(globals)) if (key !== 'config') options.add(longNameOf(key));
    for (const pair of node.items) {
      const name = String(reading.isNode(pair.key) ? pair.key.toJSON() : pair.key);
      const keys = [...words, name];
      // At the top an option wins over a section of the same name; commands are named so that this does not happen.
      if (options.has(name)) {
        const value = plainValue(reading, pair.value);
        if (value === ALIASED) problems.push(invalid(reading, pair.value, keys, 'an alias cannot stand here'));
        else values.set(pathOf(keys), { value, at: placeOf(reading, pair.key, keys) });
      } else if (sections.has(name)) {
        walk(pair.value, keys);
      } else {
        const close = closestTo(name, [...options, ...sections]);
        problems.push(
          invalid(reading, pair.key, keys, `no option or command is called ${JSON.stringify(name)}`, close),
        );
      }
    }
  };
  walk(reading.document.contents, []);
  const [first, ...rest] = problems;
  if (first !== undefined) throw rest.length === 0 ? first : withOthers(first, rest);
}

const ALIASED = Symbol('aliased');

/** No option needs an alias, and a few nested ones make a bomb: the library is told to resolve none. */
function plainValue(reading: Reading, node: unknown): unknown {
  if (!reading.isNode(node)) return node;
  try {
    return node.toJS(reading.document, { maxAliasCount: 0 });
  } catch (error) {
    if (error instanceof ReferenceError) return ALIASED;
    throw error;
  }
}

function invalid(
  reading: Reading,
  node: unknown,
  keys: readonly string[],
  message: string,
  close?: string,
): UsageError {
  return new UsageError('CONFIGURATION_INVALID', message, {
    at: placeOf(reading, node, keys),
    ...(close === undefined ? {} : { hint: `Did you mean ${JSON.stringify(close)}?` }),
  });
}

function withOthers(first: UsageError, others: readonly UsageError[]): UsageError {
  return new UsageError(first.code, first.message, {
    ...(first.at === undefined ? {} : { at: first.at }),
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    others,
  });
}

function placeOf(reading: Reading, node: unknown, keys: readonly string[]): Place {
  const place: { file: string; key?: string; line?: number; column?: number } = { file: reading.file };
  if (keys.length > 0) place.key = pathOf(keys);
  if (reading.isNode(node) && node.range) {
    const { line, col } = reading.lines.linePos(node.range[0]);
    place.line = line;
    place.column = col;
  }
  return place;
}

function pathOf(keys: readonly string[]): string {
  return keys.join('.');
}

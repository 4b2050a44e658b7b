import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  flag,
  integer,
  list,
  longNameOf,
  path,
  pathList,
  program,
  text,
  variableNameOf,
} from '../../../src/cli/arguments.ts';
import { type ResolutionSources, resolveOptions } from '../../../src/cli/arguments-resolution.ts';
import type { Configuration } from '../../../src/cli/configuration.ts';
import { UsageError } from '../../../src/cli/errors.ts';

const OPTIONS = {
  out: path({ value: 'DIR', description: '', required: true }),
  signKey: path({ value: 'FILE', description: '' }),
  recipient: list({ value: 'R', description: '' }),
  identity: pathList({ value: 'F', description: '' }),
  shape: text({ value: 'S', description: '', choices: ['round', 'square'], defaultValue: 'square' }),
  workers: integer({ value: 'N', description: '', minimum: 1, maximum: 8, defaultValue: 2 }),
  frozen: flag({ description: '' }),
  helm: program({ value: 'P', description: '', defaultValue: 'helm' }),
};

function configurationOf(values: Record<string, unknown>): Configuration {
  return {
    file: '/etc/somewhere/portolan.yaml',
    lookup: (_, key) => (key in values ? { value: values[key], at: { file: 'f', line: 1, column: 1 } } : undefined),
  };
}

function resolve(sources: Partial<ResolutionSources>): Record<string, unknown> {
  return resolveOptions(OPTIONS, {
    typed: {},
    env: {},
    cwd: '/here',
    configuration: undefined,
    words: ['x'],
    ...sources,
  });
}

function codeOf(work: () => unknown): string {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(UsageError);
    return (error as UsageError).code;
  }
  return 'no error';
}

describe('precedence', () => {
  const configuration = configurationOf({ out: 'file' });

  test('the command line wins over the environment', () => {
    expect(resolve({ typed: { out: 'typed' }, env: { PORTOLAN_OUT: 'env' }, configuration }).out).toBe('typed');
  });

  test('the environment wins over the file', () => {
    expect(resolve({ env: { PORTOLAN_OUT: 'env' }, configuration }).out).toBe('env');
  });

  test('the file wins over the default, and its paths are relative to its folder', () => {
    const values = resolve({ configuration: configurationOf({ out: 'a/b', shape: 'round', identity: ['k', '/abs'] }) });
    expect(values.out).toBe('/etc/somewhere/a/b');
    expect(values.identity).toEqual(['/etc/somewhere/k', '/abs']);
    expect(values.shape).toBe('round');
  });

  test("a program's name is looked for on PATH, its path does not depend on where it is started", () => {
    const given = { out: 'o' };
    expect(resolve({ typed: given }).helm).toBe('helm');
    expect(resolve({ typed: { ...given, helm: 'helm4' } }).helm).toBe('helm4');
    expect(resolve({ typed: { ...given, helm: './helm' } }).helm).toBe('/here/helm');
    expect(resolve({ typed: given, env: { PORTOLAN_HELM: 'bin/helm' } }).helm).toBe('/here/bin/helm');
    expect(resolve({ configuration: configurationOf({ ...given, helm: 'bin/helm' }) }).helm).toBe(
      '/etc/somewhere/bin/helm',
    );
    expect(resolve({ configuration: configurationOf({ ...given, helm: 'helm4' }) }).helm).toBe('helm4');
  });

  test('an empty variable counts as not set', () => {
    expect(resolve({ env: { PORTOLAN_OUT: '' }, configuration }).out).toBe('/etc/somewhere/file');
  });

  test('defaults fill the rest', () => {
    expect(resolve({ typed: { out: 'o' } })).toEqual({
      out: 'o',
      signKey: undefined,
      recipient: [],
      identity: [],
      shape: 'square',
      workers: 2,
      helm: 'helm',
      frozen: false,
    });
  });
});

describe('values', () => {
  test('a required option that is nowhere is wrong use', () => {
    expect(codeOf(() => resolve({}))).toBe('USAGE');
  });

  test.each(['1', 'true', 'YES', 'on'])('a variable turns a switch on: %s', (value) => {
    expect(resolve({ env: { PORTOLAN_OUT: 'o', PORTOLAN_FROZEN: value } }).frozen).toBe(true);
  });

  test.each(['0', 'false', 'No', 'off'])('a variable turns a switch off: %s', (value) => {
    expect(resolve({ env: { PORTOLAN_OUT: 'o', PORTOLAN_FROZEN: value } }).frozen).toBe(false);
  });

  test.each([
    ['PORTOLAN_FROZEN', 'perhaps'],
    ['PORTOLAN_WORKERS', '0'],
    ['PORTOLAN_WORKERS', '9'],
    ['PORTOLAN_WORKERS', '2.5'],
    ['PORTOLAN_WORKERS', '0x2'],
    ['PORTOLAN_SHAPE', 'oval'],
  ])('%s=%s is refused', (name, value) => {
    expect(codeOf(() => resolve({ env: { PORTOLAN_OUT: 'o', [name]: value } }))).toBe('CONFIGURATION_INVALID');
  });

  test.each([
    ['out', { a: 1 }],
    ['out', null],
    ['out', ''],
    ['recipient', [['a']]],
    ['workers', 'many'],
    ['frozen', 'perhaps'],
  ])('in the file, %s: %j is refused', (key, value) => {
    const values = { out: 'o', [key]: value };
    expect(codeOf(() => resolve({ configuration: configurationOf(values) }))).toBe('CONFIGURATION_INVALID');
  });

  test('a single value in the file makes a list of one', () => {
    expect(resolve({ configuration: configurationOf({ out: 'o', recipient: 'age1x' }) }).recipient).toEqual(['age1x']);
  });

  test('a list in a variable survives in lines, whatever its parts hold but line ends', () => {
    const part = fc.string({ minLength: 1 }).filter((value) => value.trim() === value && !/[\n\r]/.test(value));
    fc.assert(
      fc.property(fc.array(part, { minLength: 1 }), (parts) => {
        const env = { PORTOLAN_OUT: 'o', PORTOLAN_RECIPIENT: `${parts.join('\n')}\n` };
        expect(resolve({ env }).recipient).toEqual(parts);
      }),
    );
  });

  test('a list in one line stands between commas', () => {
    expect(resolve({ env: { PORTOLAN_OUT: 'o', PORTOLAN_RECIPIENT: 'a, b,c,' } }).recipient).toEqual(['a', 'b', 'c']);
  });
});

test('names are derived from the key', () => {
  expect(longNameOf('signKey')).toBe('sign-key');
  expect(variableNameOf('signKey')).toBe('PORTOLAN_SIGN_KEY');
  expect(variableNameOf('noReuse')).toBe('PORTOLAN_NO_REUSE');
});

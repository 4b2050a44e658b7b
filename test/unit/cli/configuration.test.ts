import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { mkdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { GLOBAL_OPTIONS } from '../../../src/cli/arguments-commander.ts';
import { placedCommands } from '../../../src/cli/command-tree.ts';
import { type Configuration, locateConfiguration, readConfiguration } from '../../../src/cli/configuration.ts';
import { UsageError } from '../../../src/cli/errors.ts';
import { loadSampleTree } from '../../support/sample-tree.ts';

let folder = '';
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), 'portolan-configuration-'));
});
afterAll(() => rmSync(folder, { recursive: true }));

async function read(content: string): Promise<Configuration> {
  const file = join(folder, 'portolan.yaml');
  writeFileSync(file, content);
  return readConfiguration(file, placedCommands(await loadSampleTree()), GLOBAL_OPTIONS);
}

async function failure(content: string): Promise<UsageError> {
  const error = await read(content).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toBeInstanceOf(UsageError);
  expect((error as UsageError).code).toBe('CONFIGURATION_INVALID');
  return error as UsageError;
}

describe('reading', () => {
  test('the section of a command wins over the top level', async () => {
    const configuration = await read('out: top\nlabel: both\ncrate:\n  pack:\n    out: own\n');
    expect(configuration.lookup(['crate', 'pack'], 'out')?.value).toBe('own');
    expect(configuration.lookup(['crate', 'pack'], 'label')?.value).toBe('both');
    expect(configuration.lookup(['crate', 'probe'], 'out')?.value).toBe('top');
    expect(configuration.lookup(['crate', 'pack'], 'shape')).toBeUndefined();
  });

  test('an empty file configures nothing', async () => {
    expect((await read('# nothing\n')).lookup(['crate', 'pack'], 'out')).toBeUndefined();
  });

  test('a value knows where it stands', async () => {
    const found = (await read('crate:\n  pack:\n    no-reuse: true\n')).lookup(['crate', 'pack'], 'noReuse');
    expect(found).toMatchObject({ value: true, at: { line: 3, column: 5, key: 'crate.pack.no-reuse' } });
  });
});

describe('refusal', () => {
  test('a misspelt option is named with its place and the nearest name', async () => {
    const error = await failure('shape: round\nrecipent: [a]\n');
    expect(error.at).toMatchObject({ line: 2, column: 1, key: 'recipent' });
    expect(error.hint).toContain('recipient');
  });

  test('every problem is reported', async () => {
    expect((await failure('outt: a\ncrate:\n  pak: {}\n  pack:\n    shpe: x\n')).others).toHaveLength(2);
  });

  test.each([
    ['a list', '- a\n'],
    ['a section that is no mapping', 'crate: yes\n'],
    ['malformed YAML', 'crate: [\n'],
    ['a key twice', 'out: a\nout: b\n'],
    ['the file naming another file', 'config: other.yaml\n'],
    ['a secret', 'password: hunter2\n'],
    ['an alias', `label: &a [x]\nout: [${'*a,'.repeat(50)}]\n`],
  ])('%s', async (_, content) => {
    await failure(content);
  });

  test('a file that is not there, or is a folder, or is too large', async () => {
    const commands = placedCommands(await loadSampleTree());
    writeFileSync(join(folder, 'large.yaml'), `# ${'x'.repeat(1024 * 1024)}\n`);
    for (const name of ['absent.yaml', '.', 'large.yaml']) {
      const reading = readConfiguration(join(folder, name), commands, GLOBAL_OPTIONS);
      await expect(reading).rejects.toMatchObject({ code: 'CONFIGURATION_INVALID' });
    }
  });
});

describe('location', () => {
  test('named, then the variable, then the folder of the user; never the current folder', async () => {
    await read('out: a\n');
    await mkdir(join(folder, 'home', '.config', 'portolan'), { recursive: true });
    const usual = join(folder, 'home', '.config', 'portolan', 'portolan.yaml');
    const env = { HOME: join(folder, 'home') };
    expect(locateConfiguration(undefined, env, folder)).toBeUndefined();
    writeFileSync(usual, '');
    expect(locateConfiguration(undefined, env, folder)).toBe(usual);
    expect(locateConfiguration(undefined, { ...env, PORTOLAN_CONFIG: 'v.yaml' }, '/x')).toBe('/x/v.yaml');
    expect(locateConfiguration('n.yaml', { ...env, PORTOLAN_CONFIG: 'v.yaml' }, '/x')).toBe('/x/n.yaml');
    expect(locateConfiguration(undefined, { XDG_CONFIG_HOME: join(folder, 'none') }, folder)).toBeUndefined();
  });
});

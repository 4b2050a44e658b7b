/** `portolan migrate …` as a person types it: folders, archives, statuses, events. */
import { mkdir, rename, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { writeModules } from '../support/migration-modules.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { portolan, portolanText, succeed } from '../support/program.ts';
import { temporaryFolder } from '../support/temporary.ts';

const CMS = resolve(import.meta.dirname, '../../bundles/cms/migrations');
let server: PostgresServer;
let databases = 0;
let database: readonly string[];
let name: string;

beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server?.stop());
beforeEach(async () => {
  databases += 1;
  name = `c_${databases}`;
  await server.query(`create database ${name}`);
  database = ['--database', server.url(name)];
});

const MODULES = {
  core: { files: { '1_a.sql': 'create table a (id int);', '2_c.contract.sql': 'drop table a;' } },
  blog: { requires: ['core'], files: { '1_p.sql': 'alter table a add p int;' } },
};

describe('bundles/cms', () => {
  test('plan, up, status, up --contract; both forms of output', async () => {
    const dir = ['--dir', CMS, ...database];
    expect(await portolan(['migrate', 'plan', ...dir])).toMatchObject({ status: 0, result: { problems: 0 } });
    const applied = await portolan(['migrate', 'up', ...dir]);
    expect(applied).toMatchObject({ status: 0, result: { skipped: 0 } });
    expect(applied.result?.applied).toHaveLength(9);
    expect(applied.result?.deferred).toHaveLength(3);
    const told = applied.events.filter(({ event }) => event === 'migration');
    expect(told.map(({ number }) => number)).toEqual(told.map((_, index) => index + 1));
    expect(await portolan(['migrate', 'status', ...dir])).toMatchObject({
      status: 0,
      result: { pending: [], problems: 0 },
    });
    const text = await portolanText(['migrate', 'up', ...dir, '--contract']);
    expect(text.status).toBe(0);
    expect(text.stdout).toContain('core/20260301080000_drop_page_intro.contract.sql');
    expect(await portolan(['migrate', 'up', ...dir, '--contract'])).toMatchObject({
      result: { applied: [], skipped: 12 },
    });
  });

  test('chosen modules, with what they require', async () => {
    const some = (...modules: string[]) => [
      ...['migrate', 'up', '--dir', CMS, ...database],
      ...modules.flatMap((module) => ['--module', module]),
    ];
    expect(await portolan(some('blog'))).toMatchObject({ status: 2, error: { code: 'DEPENDENCY_MISSING' } });
    expect(await portolan(some('zoo'))).toMatchObject({ status: 2, error: { code: 'USAGE' } });
    const applied = await portolan(some('blog', 'core'));
    const ran = (applied.result?.applied ?? []) as { module: string }[];
    expect(new Set(ran.map(({ module }) => module))).toEqual(new Set(['core', 'blog']));
  });
});

describe('where modules come from', () => {
  test('an archive, whole, in parts, compressed or not, gives what the folder gives', async () => {
    const folder = await temporaryFolder();
    const dir = await writeModules(join(folder, 'modules'), MODULES);
    const plan = async (source: readonly string[]) =>
      (await portolan(['migrate', 'plan', ...source, ...database])).result;
    const expected = await plan(['--dir', dir]);
    expect(expected).toMatchObject({ problems: 0 });
    await succeed('tar', ['-cf', join(folder, 'plain.tar'), '-C', dir, '.']);
    await succeed('tar', ['-czf', join(folder, 'm.tar.gz'), '-C', dir, '.']);
    await succeed('split', ['-b', '100', '-d', join(folder, 'm.tar.gz'), join(folder, 'part.')]);
    expect(await plan(['--archive', join(folder, 'plain.tar')])).toEqual(expected);
    expect(await plan(['--archive', join(folder, 'm.tar.gz')])).toEqual(expected);
    const parts = (await succeed('ls', [folder])).split('\n').filter((file) => file.startsWith('part.'));
    expect(parts.length).toBeGreaterThan(2);
    expect(await plan(parts.flatMap((part) => ['--archive', join(folder, part)]))).toEqual(expected);
    const short = parts.slice(0, -1).flatMap((part) => ['--archive', join(folder, part)]);
    expect(await portolan(['migrate', 'plan', ...short, ...database])).toMatchObject({
      status: 2,
      error: { code: 'ARCHIVE_INVALID' },
    });
  });

  test.each([
    ['a path that leads out', ['../out/1_a.sql']],
    ['a link', ['link']],
    ['nothing', []],
  ])('an archive with %s is refused', async (_, members) => {
    const folder = await temporaryFolder();
    await mkdir(join(folder, 'in'));
    await mkdir(join(folder, 'out'));
    await writeFile(join(folder, 'out', '1_a.sql'), 'select 1;');
    await succeed('ln', ['-s', '/etc/passwd', join(folder, 'in', 'link')]);
    const archive = join(folder, 'm.tar');
    await succeed('tar', [
      '-cPf',
      archive,
      '-C',
      join(folder, 'in'),
      ...(members.length === 0 ? ['-T', '/dev/null'] : members),
    ]);
    const ended = await portolan(['migrate', 'plan', '--archive', archive, ...database]);
    expect(ended).toMatchObject({ status: 2, error: { code: 'ARCHIVE_INVALID' } });
  });

  test('what is no archive at all', async () => {
    const file = join(await temporaryFolder(), 'x');
    await writeFile(file, 'hello '.repeat(1000));
    expect(await portolan(['migrate', 'plan', '--archive', file, ...database])).toMatchObject({
      status: 2,
      error: { code: 'ARCHIVE_INVALID' },
    });
    expect(await portolan(['migrate', 'plan', '--archive', `${file}-absent`, ...database])).toMatchObject({
      error: { code: 'FILE_MISSING' },
    });
  });

  test('a folder that does not say what belongs together', async () => {
    const dir = await writeModules(await temporaryFolder(), MODULES);
    const plan = () => portolan(['migrate', 'plan', '--dir', dir, ...database]);
    await mkdir(join(dir, 'extra'));
    expect(await plan()).toMatchObject({ status: 2, error: { code: 'MODULES_INVALID' } });
    await rename(join(dir, 'modules.json'), join(dir, 'other.json'));
    expect(await plan()).toMatchObject({ status: 2, error: { code: 'MODULES_INVALID' } });
    const module = join(dir, 'core');
    expect(await portolan(['migrate', 'plan', '--dir', module, ...database])).toMatchObject({
      status: 2,
      error: { code: 'MODULES_INVALID' },
    });
    await rename(join(dir, 'other.json'), join(dir, 'modules.json'));
    await writeFile(join(dir, 'core', 'notes.txt'), '');
    await rename(join(dir, 'extra'), join(await temporaryFolder(), 'extra'));
    expect(await plan()).toMatchObject({ status: 2, error: { code: 'MODULE_INVALID' } });
  });

  test('neither, or both', async () => {
    for (const source of [[], ['--dir', CMS, '--archive', 'x']]) {
      expect(await portolan(['migrate', 'up', ...source, ...database])).toMatchObject({
        status: 2,
        error: { code: 'USAGE' },
      });
    }
  });
});

describe('statuses', () => {
  test('drift is 3, a failing file is 1 and names its place', async () => {
    const folder = await temporaryFolder();
    const dir = ['--dir', await writeModules(folder, MODULES), ...database];
    expect(await portolan(['migrate', 'up', ...dir])).toMatchObject({ status: 0 });
    await writeFile(join(folder, 'core', '1_a.sql'), 'create table changed ();');
    await writeFile(join(folder, 'blog', '2_bad.sql'), 'select\n  nothing;');
    for (const command of ['plan', 'status', 'up']) {
      expect(await portolan(['migrate', command, ...dir])).toMatchObject({
        status: 3,
        error: { code: 'MIGRATION_CHANGED' },
      });
    }
    await writeFile(join(folder, 'core', '1_a.sql'), MODULES.core.files['1_a.sql']);
    const failed = await portolan(['migrate', 'up', ...dir]);
    expect(failed).toMatchObject({
      status: 1,
      error: { code: 'MIGRATION_FAILED', at: { file: 'blog/2_bad.sql', line: 2, column: 3 } },
    });
    const text = await portolanText(['migrate', 'up', ...dir]);
    expect(text).toMatchObject({ status: 1, stdout: '' });
    expect(text.stderr).toContain('blog/2_bad.sql:2:3');
  });

  test('a release is recorded, and half of its name is refused', async () => {
    const dir = ['--dir', await writeModules(await temporaryFolder(), MODULES), ...database];
    const bundle = ['--bundle', 'cms', '--bundle-version', '1.0.0', '--bundle-sequence', '4'];
    expect(await portolan(['migrate', 'up', ...dir, ...bundle])).toMatchObject({ status: 2, error: { code: 'USAGE' } });
    expect(await portolan(['migrate', 'up', ...dir, ...bundle, '--bundle-root', 'r'])).toMatchObject({ status: 0 });
    const { result } = await portolan(['migrate', 'status', ...database]);
    const seenIn = { name: 'cms', version: '1.0.0', sequence: 4, root: 'r' };
    expect(result?.ledger).toContainEqual(
      expect.objectContaining({ module: 'core', number: '2', state: 'deferred', kind: 'contract', seenIn }),
    );
  });

  test('baseline adopts', async () => {
    const dir = ['--dir', await writeModules(await temporaryFolder(), MODULES), ...database];
    await server.query('create table a (id int)', { database: name });
    expect(await portolan(['migrate', 'baseline', ...dir, '--to', 'core/1'])).toMatchObject({
      status: 0,
      result: { recorded: [{ module: 'core', file: '1_a.sql' }] },
    });
    expect(await portolan(['migrate', 'up', ...dir])).toMatchObject({
      result: { applied: [{ module: 'blog' }], skipped: 1 },
    });
    expect(await portolan(['migrate', 'baseline', ...dir])).toMatchObject({ status: 2, error: { code: 'USAGE' } });
    expect(await portolan(['migrate', 'baseline', ...dir, '--to', 'core'])).toMatchObject({ error: { code: 'USAGE' } });
  });
});

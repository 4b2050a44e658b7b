/** The rules of docs/migrations.md on a real PostgreSQL: what runs, what waits, what is refused. */
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { createDatabase } from '../../src/adapters/postgres/database.ts';
import { parseDatabaseUrl } from '../../src/adapters/postgres/database-url.ts';
import type { Database } from '../../src/ports/database.ts';
import { applyMigrations } from '../../src/usecases/migrate/apply.ts';
import { baselineMigrations } from '../../src/usecases/migrate/baseline.ts';
import { contractsUnknownTo, planMigrations, readLedger } from '../../src/usecases/migrate/plan.ts';
import type { MigrationEvent, MigrationModule, MigrationRequest } from '../../src/usecases/migrate/types.ts';
import { type ModuleFiles, moduleOf, release } from '../support/migration-modules.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { raised, raisedCodes } from '../support/raised.ts';

let server: PostgresServer;
let databases = 0;
let name: string;
let database: Database;

beforeAll(async () => {
  server = await startPostgres();
});
afterAll(() => server?.stop());
beforeEach(async () => {
  databases += 1;
  name = `m_${databases}`;
  await server.query(`create database ${name}`);
  database = databaseOf(server.url(name));
});

function databaseOf(
  url: string,
  settings: { readonly lockTimeoutMs?: number; readonly statementTimeoutMs?: number } = {},
) {
  return createDatabase({ address: parseDatabaseUrl(url), password: {}, applicationName: 'test', ...settings });
}

const sql = (text: string) => server.query(text, { database: name });
const up = (modules: readonly MigrationModule[], rest: Partial<MigrationRequest> = {}) =>
  applyMigrations({ modules, mode: 'expand', ...rest }, { database });
const core = (files: ModuleFiles) => moduleOf('core', files);
const states = async () =>
  Object.fromEntries((await readLedger({ database })).map((entry) => [`${entry.module}/${entry.name}`, entry.state]));
const names = (list: readonly { readonly module: string; readonly file: string }[]) =>
  list.map(({ module, file }) => `${module}/${file}`);

const A = 'create table a (id int);';
const B = 'alter table a add b int;';
const C = 'alter table a drop column id;';

describe('order and kinds', () => {
  test('modules after what they require, files by number, once each', async () => {
    const modules = [
      moduleOf('blog', { '1_p.sql': 'create table p (a int references a_key (id));' }, ['core']),
      core({ '10_key.sql': 'create table a_key (id int primary key);', '9_a.sql': A }),
    ];
    const first = await up(modules);
    expect(names(first.applied)).toEqual(['core/9_a.sql', 'core/10_key.sql', 'blog/1_p.sql']);
    expect(await up(modules)).toMatchObject({ applied: [], skipped: 3 });
  });

  test('a plan changes nothing, not even on a database that never saw Portolan', async () => {
    const request = { modules: [core({ '1_a.sql': A, '2_c.contract.sql': C })], mode: 'expand' } as const;
    const plan = await planMigrations(request, { database });
    expect(plan.files.map(({ action }) => action)).toEqual(['apply', 'defer']);
    expect(plan.problems).toEqual([]);
    expect(await sql("select count(*) from pg_namespace where nspname = 'portolan'")).toBe('0');
  });

  test('a contract file waits for the import after the one that brought it, and runs in its numeric place', async () => {
    const one = [core({ '1_a.sql': A, '2_c.contract.sql': C })];
    const imported = (modules: readonly MigrationModule[], sequence: number, completedSequence: number) =>
      up(modules, { mode: 'import', bundle: release(sequence), completedSequence });
    expect(await imported(one, 1, 0)).toMatchObject({ deferred: [{ file: '2_c.contract.sql' }] });
    expect(await imported(one, 1, 1)).toMatchObject({ applied: [], deferred: [{}] });
    const two = [core({ '1_a.sql': A, '2_c.contract.sql': C, '3_b.sql': B, '4_d.contract.sql': 'drop table a;' })];
    const upgraded = await imported(two, 2, 1);
    expect(names(upgraded.applied)).toEqual(['core/2_c.contract.sql', 'core/3_b.sql']);
    expect(names(upgraded.deferred)).toEqual(['core/4_d.contract.sql']);
    expect(await states()).toMatchObject({ 'core/2_c.contract.sql': 'applied', 'core/4_d.contract.sql': 'deferred' });
  });

  test('a release whose import was never completed makes nothing due', async () => {
    await up([core({ '1_a.sql': A, '2_c.contract.sql': C })], {
      mode: 'import',
      bundle: release(1),
      completedSequence: 0,
    });
    const second = await up([core({ '1_a.sql': A, '2_c.contract.sql': C })], {
      mode: 'import',
      bundle: release(2),
      completedSequence: 0,
    });
    expect(second.applied).toEqual([]);
    // Without word of what was completed, the release before counts as such.
    const third = await up([core({ '1_a.sql': A, '2_c.contract.sql': C })], { mode: 'import', bundle: release(3) });
    expect(names(third.applied)).toEqual(['core/2_c.contract.sql']);
  });

  test("another bundle's release makes nothing due, and what was recorded by hand waits for the import after", async () => {
    const modules = [core({ '1_a.sql': A, '2_c.contract.sql': C })];
    await up(modules);
    expect((await up(modules, { mode: 'import', bundle: release(5) })).applied).toEqual([]);
    expect((await up(modules, { mode: 'import', bundle: release(9, 'other') })).applied).toEqual([]);
    expect((await up(modules, { mode: 'import', bundle: release(6) })).applied).toHaveLength(1);
  });

  test('a contract file that changed while it waited waits again', async () => {
    await up([core({ '1_a.sql': A, '2_c.contract.sql': C })], { mode: 'import', bundle: release(1) });
    const mended = [core({ '1_a.sql': A, '2_c.contract.sql': `${C} -- mended` })];
    expect((await up(mended, { mode: 'import', bundle: release(2) })).deferred).toHaveLength(1);
    expect((await up(mended, { mode: 'import', bundle: release(3) })).applied).toHaveLength(1);
  });

  test('contract runs all of them at once', async () => {
    const modules = [core({ '1_a.sql': A, '2_c.contract.sql': C, '3_b.sql': B })];
    const report = await up(modules, { mode: 'contract' });
    expect(names(report.applied)).toEqual(['core/1_a.sql', 'core/2_c.contract.sql', 'core/3_b.sql']);
  });

  test('modules that are not carried are left alone and told', async () => {
    await up([core({ '1_a.sql': A }), moduleOf('blog', { '1_p.sql': 'create table p ();' })]);
    expect((await up([core({ '1_a.sql': A })])).orphans).toEqual([
      { module: 'blog', applied: 1, deferred: 0, dirty: 0 },
    ]);
  });
});

describe('what does not fit is refused before anything runs', () => {
  test('all problems at once: changed, renamed, missing, out of order, and files that cannot run', async () => {
    await up([core({ '1_a.sql': A, '3_b.sql': B, '4_x.sql': 'select 1', '5_y.sql': 'select 1' })]);
    const codes = await raisedCodes(() =>
      up([
        core({
          '1_a.sql': `${A} -- changed`,
          '2_late.sql': 'select 1',
          '3_b.sql': B,
          '4_renamed.sql': 'select 1',
          '6_bad.sql': 'begin; select 1; commit;',
          '7_new.sql': 'create table never ();',
        }),
      ]),
    );
    expect(codes.sort()).toEqual([
      'FormatError SCRIPT_INVALID',
      'UseCaseError MIGRATION_CHANGED',
      'UseCaseError MIGRATION_CHANGED',
      'UseCaseError MIGRATION_MISSING',
      'UseCaseError MIGRATION_OUT_OF_ORDER',
    ]);
    expect(await sql("select to_regclass('never')")).toBe('');
  });

  test('a changed file is named with both digests', async () => {
    await up([core({ '1_a.sql': A })]);
    const changed = core({ '1_a.sql': `${A} ` });
    const error = await raised(() => up([changed]));
    expect(error).toMatchObject({
      code: 'MIGRATION_CHANGED',
      at: { file: 'core/1_a.sql' },
      expected: core({ '1_a.sql': A }).files[0]?.digest,
      found: changed.files[0]?.digest,
    });
  });

  test('out of order is allowed when told so', async () => {
    await up([core({ '2_a.sql': A })]);
    const report = await up([core({ '1_z.sql': 'create table z ();', '2_a.sql': A })], { allowOutOfOrder: true });
    expect(names(report.applied)).toEqual(['core/1_z.sql']);
  });

  test('an earlier release goes in again, unless a contract file of a later one ran', async () => {
    const first = core({ '1_a.sql': A });
    const second = core({ '1_a.sql': A, '2_b.sql': B, '3_c.contract.sql': C });
    await up([first], { mode: 'import', bundle: release(1) });
    await up([second], { mode: 'import', bundle: release(2) });
    const back = { modules: [first], mode: 'import', bundle: release(1) } as const;
    expect((await planMigrations(back, { database })).ahead).toEqual([{ module: 'core', file: '2_b.sql' }]);
    expect(await applyMigrations(back, { database })).toMatchObject({ applied: [], skipped: 1 });
    await up([second], { mode: 'contract', bundle: release(2) });
    expect(await raisedCodes(() => applyMigrations(back, { database }))).toEqual([
      'UseCaseError MIGRATION_CONTRACT_RAN',
    ]);
    const former = { bundle: { name: 'cms' }, modules: [{ name: 'core', files: [{ name: '1_a.sql' }] }] };
    const ledger = await readLedger({ database });
    expect(contractsUnknownTo(former, ledger).map((entry) => entry.name)).toEqual(['3_c.contract.sql']);
    expect(contractsUnknownTo({ ...former, modules: [second] }, ledger)).toEqual([]);
    expect(contractsUnknownTo({ ...former, bundle: { name: 'other' } }, ledger)).toEqual([]);
  });

  test('a ledger of an unknown form is not touched', async () => {
    await sql('create schema portolan; create table portolan.migrations (id int)');
    expect(await raisedCodes(() => up([core({ '1_a.sql': A })]))).toEqual(['UseCaseError MIGRATION_LEDGER_UNKNOWN']);
    expect(await raisedCodes(() => readLedger({ database }))).toEqual(['UseCaseError MIGRATION_LEDGER_UNKNOWN']);
  });

  test('a user that may not create a schema is told what is missing', async () => {
    await server.query('create role poor login');
    database = databaseOf(server.url(name).replace('postgres@', 'poor@'));
    const error = await raised(() => up([core({ '1_a.sql': A })]));
    expect(error.code).toBe('DATABASE_STATEMENT_FAILED');
    expect(error.found).toMatch(/^42501/);
    await server.query('drop role poor');
  });
});

describe('a file that fails', () => {
  test('leaves nothing behind, names line and column, and the next run goes on with it', async () => {
    const broken = {
      '1_a.sql': A,
      '2_b.sql': `create table b ();\n\n  select ä, wrong_column\n  from a;`,
      '3_c.sql': B,
    };
    const error = await raised(() => up([core(broken)]));
    expect(error).toMatchObject({
      code: 'MIGRATION_FAILED',
      at: { file: 'core/2_b.sql', line: 3, column: 10 },
      found: expect.stringMatching(/^42703/),
    });
    expect(await states()).toEqual({ 'core/1_a.sql': 'applied' });
    expect(await sql("select to_regclass('b')")).toBe('');
    const report = await up([core({ ...broken, '2_b.sql': 'create table b ();' })]);
    expect(names(report.applied)).toEqual(['core/2_b.sql', 'core/3_c.sql']);
  });

  test('what fails while it runs is placed at its statement, with the words of the server', async () => {
    const error = await raised(() =>
      up([
        core({
          '1_a.sql':
            "create table u (id int unique);\ninsert into u values (1);\n-- twice\ninsert into u values (1);\nselect 'never';",
        }),
      ]),
    );
    expect(error).toMatchObject({ code: 'MIGRATION_FAILED', at: { line: 4, column: 1 } });
    expect(error.found).toContain('23505');
    expect(error.found).toContain('(1)');
  });

  test('at its commit counts as failed too', async () => {
    const files = {
      '1_a.sql':
        'create table p (id int primary key); create table f (p int references p deferrable initially deferred); insert into f values (1);',
    };
    expect(await raised(() => up([core(files)]))).toMatchObject({
      code: 'MIGRATION_FAILED',
      found: expect.stringMatching(/^23503/),
    });
    expect(await states()).toEqual({});
  });

  test.each([
    ['copy from stdin', 'create table a (id int); copy a from stdin;'],
    ['a statement for outside of transactions', 'vacuum;'],
  ])('%s', async (_, text) => {
    expect(await raisedCodes(() => up([core({ '1_a.sql': text })]))).toEqual(['UseCaseError MIGRATION_FAILED']);
    expect(await states()).toEqual({});
  });

  test('a statement that waits for a lock gives up, tries again, and names who has the lock', async () => {
    await sql('create table held (id int)');
    const other = await database.open();
    await other.query('begin');
    await other.query('lock table held');
    const retries: MigrationEvent[] = [];
    const impatient = databaseOf(server.url(name), { lockTimeoutMs: 50 });
    const error = await raised(() =>
      applyMigrations(
        { modules: [core({ '1_a.sql': 'alter table held add x int;' })], mode: 'expand' },
        { database: impatient },
        { onEvent: (event) => event.kind === 'retry' && retries.push(event) },
      ),
    );
    expect(error).toMatchObject({ code: 'MIGRATION_FAILED', found: expect.stringMatching(/^55P03/) });
    expect(error.hint).toContain('test');
    expect(retries).toHaveLength(4);
    await other[Symbol.asyncDispose]();
    expect((await up([core({ '1_a.sql': 'alter table held add x int;' })])).applied).toHaveLength(1);
  });

  test('a statement that takes too long is ended where a limit was given', async () => {
    database = databaseOf(server.url(name), { statementTimeoutMs: 100 });
    expect(await raised(() => up([core({ '1_a.sql': 'select pg_sleep(60);' })]))).toMatchObject({
      code: 'MIGRATION_FAILED',
      found: expect.stringMatching(/^57014/),
    });
  });
});

describe('what a file sets does not reach the next one, or the ledger', () => {
  test('roles, settings, temporary tables, time limits', async () => {
    await server.query('create role humble');
    const report = await up([
      core({
        '1_a.sql':
          'create schema s; grant usage, create on schema s to humble; set search_path = s; set role humble; create table x ();',
        '2_b.sql': "set statement_timeout = '1h'; create temp table t (id int); set standard_conforming_strings = off;",
        '3_c.sql':
          "create temp table t (id int); create table y as select '\\' as backslash, current_setting('statement_timeout') as statement_timeout;",
      }),
    ]);
    expect(report.applied).toHaveLength(3);
    expect(await sql("select tableowner from pg_tables where schemaname = 's'")).toBe('humble');
    expect(await sql('select backslash, statement_timeout from public.y')).toBe('\\|0');
    await sql('drop owned by humble; drop schema s cascade');
    await server.query('drop role humble');
  });

  test('a file that gives up the lock, or calls for a commit in disguise, harms nothing', async () => {
    const files = {
      '1_a.sql': 'select pg_advisory_unlock_all();',
      '2_b.sql':
        'create table t (id int); create procedure p() language plpgsql as $$ begin insert into t values (1); commit; end $$;',
      '3_c.sql':
        'create function f() returns int language sql begin atomic select 1; select case when true then 2 end; end; select f();',
    };
    expect((await up([core(files)])).applied).toHaveLength(3);
    expect(await raised(() => up([core({ ...files, '4_d.sql': 'call p();' })]))).toMatchObject({
      code: 'MIGRATION_FAILED',
      found: expect.stringMatching(/^2D000/),
    });
    expect(await sql('select count(*) from t')).toBe('0');
  });

  test('notices are told', async () => {
    const events: MigrationEvent[] = [];
    await applyMigrations(
      { modules: [core({ '1_a.sql': "do $$ begin raise notice 'hello %', 1; end $$;" })], mode: 'expand' },
      { database },
      { onEvent: (event) => events.push(event) },
    );
    expect(events).toContainEqual({ kind: 'notice', message: 'hello 1' });
  });
});

describe('outside of a transaction', () => {
  const index = '-- portolan: no-transaction\ncreate unique index concurrently a_id on a (id);';

  test('one statement runs', async () => {
    expect((await up([core({ '1_a.sql': A, '2_i.sql': index })])).applied).toHaveLength(2);
    expect(await sql("select indisvalid from pg_index where indexrelid = 'a_id'::regclass")).toBe('t');
  });

  test('a failure is dirty, stops everything, and is mended by --retry', async () => {
    const modules = [core({ '1_a.sql': `${A} insert into a values (1), (1);`, '2_i.sql': index, '3_b.sql': B })];
    const failed = await raised(() => up(modules));
    expect(failed).toMatchObject({ code: 'MIGRATION_FAILED', at: { file: 'core/2_i.sql', line: 2 } });
    expect(failed.hint).toContain('drop index concurrently public.a_id;');
    expect(await states()).toMatchObject({ 'core/2_i.sql': 'dirty' });
    const again = await raised(() => up(modules));
    expect(again.code).toBe('MIGRATION_DIRTY');
    expect(again.hint).toContain('drop index concurrently public.a_id;');
    await sql('drop index a_id; delete from a;');
    const mended = await up(modules, { retry: ['core/2_i.sql'] });
    expect(names(mended.applied)).toEqual(['core/2_i.sql', 'core/3_b.sql']);
  });

  test('or by --repaired, and neither is taken for a file that is not dirty', async () => {
    const modules = [core({ '1_a.sql': `${A} insert into a values (1), (1);`, '2_i.sql': index })];
    await raised(() => up(modules));
    await sql('drop index a_id; delete from a; create unique index a_id on a (id);');
    expect(await raisedCodes(() => up(modules, { repaired: ['core/1_a.sql', 'core/2_i.sql'] }))).toEqual([
      'UseCaseError MIGRATION_UNKNOWN',
    ]);
    const report = await up(modules, { repaired: ['core/2_i.sql'] });
    expect(report).toMatchObject({ applied: [], repaired: [{ file: '2_i.sql' }] });
    expect(await states()).toMatchObject({ 'core/2_i.sql': 'applied' });
  });
});

describe('baseline', () => {
  const modules = [
    core({ '1_a.sql': A, '2_c.contract.sql': C, '3_b.sql': B }),
    moduleOf('blog', { '7_p.sql': 'create table p ();' }),
  ];
  const baseline = (...to: readonly (readonly [string, bigint])[]) =>
    baselineMigrations({ modules, to: to.map(([module, number]) => ({ module, number })) }, { database });

  test('adopts what stands, runs nothing, and up goes on behind it', async () => {
    await sql(`${A} ${C}`);
    expect(names((await baseline(['core', 2n])).recorded)).toEqual(['core/1_a.sql', 'core/2_c.contract.sql']);
    expect((await baseline(['core', 2n])).recorded).toEqual([]);
    expect(names((await up(modules)).applied)).toEqual(['core/3_b.sql', 'blog/7_p.sql']);
    expect(await states()).toMatchObject({ 'core/1_a.sql': 'baseline', 'core/3_b.sql': 'applied' });
  });

  test('is refused once something was applied, or where a number means no file', async () => {
    await up(modules);
    expect(await raisedCodes(() => baseline(['core', 3n]))).toEqual([
      'UseCaseError MIGRATION_BASELINE_CONFLICT',
      'UseCaseError MIGRATION_BASELINE_CONFLICT',
    ]);
    expect(await raisedCodes(() => baseline(['core', 4n], ['zoo', 1n]))).toEqual([
      'UseCaseError MIGRATION_UNKNOWN',
      'UseCaseError MIGRATION_UNKNOWN',
    ]);
  });
});

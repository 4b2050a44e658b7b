/** Restores of a server that is shaped as a self-hosted Supabase: whole, and into an initialised one. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Allowance } from '../../src/usecases/restore/postgres/needs.ts';
import { type BackupRepository, createBackupRepository } from '../support/backup-repository.ts';
import { postgresSource } from '../support/dump-fixture.ts';
import type { PostgresServer } from '../support/postgres-server.ts';
import { dumpAll, firstDifference, type RestoreOptions, restoreInto } from '../support/restore-fixture.ts';
import { ADMIN, ANN, addApplication, BEN, startEmptySupabase, startSupabase } from '../support/supabase-shape.ts';

const MAJOR = 15;
const OWN_SCHEMAS = { schemas: ['public', 'app'] };
const NOBODY = '00000000-0000-4000-8000-0000000000ff';

let source: PostgresServer;
let initialised: PostgresServer;
let repository: BackupRepository;

beforeAll(async () => {
  [source, initialised, repository] = await Promise.all([
    startSupabase(MAJOR),
    startSupabase(MAJOR),
    createBackupRepository(),
  ]);
  await addApplication(source);
  await initialised.query(
    `insert into auth.users values ('${NOBODY}', 'somebody@example.org', '{}');
     create table auth.of_a_newer_version (id int)`,
  );
  await repository.run([postgresSource(source, 'postgres', { user: ADMIN, profile: 'supabase' })]);
});
afterAll(async () => {
  await Promise.all([source?.stop(), initialised?.stop()]);
  await repository?.[Symbol.asyncDispose]();
});

/** As the API asks: the authenticator becomes a role, with the claims of a token. */
function ask(server: PostgresServer, role: string, sub: string, sql: string): Promise<string> {
  const claims = JSON.stringify({ sub, role });
  return server.query(`begin; set local role ${role}; set local request.jwt.claims = '${claims}'; ${sql}; commit`, {
    role: 'authenticator',
  });
}

/** What the policies promise, asked as those whom they are about. */
async function expectPolicies(server: PostgresServer): Promise<void> {
  const count = (role: string, sub: string) => ask(server, role, sub, 'select count(*) from public.messages');
  expect(await count('authenticated', ANN)).toBe('100');
  expect(await count('authenticated', BEN)).toBe('200');
  expect(await count('authenticated', NOBODY)).toBe('0');
  expect(await count('anon', ANN)).toBe('0');
  expect(await count('service_role', NOBODY)).toBe('300');
  expect(await ask(server, 'authenticated', ANN, 'select count(*) from public.my_messages')).toBe('100');
  const write = (author: string) =>
    ask(server, 'authenticated', ANN, `insert into public.messages (author, body) values ('${author}', 'x')`);
  await expect(write(BEN)).rejects.toThrow('row-level security');
  await write(ANN);
  expect(await count('authenticated', ANN)).toBe('101');
  await server.query(`delete from public.messages where body = 'x'`);
  expect(await ask(server, 'service_role', NOBODY, 'select value from app.settings')).toBe('"dark"');
  await expect(ask(server, 'authenticated', ANN, 'select * from app.settings')).rejects.toThrow('permission denied');
}

/** Default rights of whoever restores give these to everybody; the snapshot gives them to nobody but their owner. */
async function expectKept(server: PostgresServer): Promise<void> {
  expect(
    await server.query(
      `select has_function_privilege('anon', 'public.keep_out()', 'execute'),
         has_sequence_privilege('anon', 'public.kept_numbers', 'usage'), has_table_privilege('anon', 'public.kept', 'select')`,
    ),
  ).toBe('f|f|f');
}

test('a whole one comes back on an empty server of its own kind, with everything that hangs together across schemas', async () => {
  const empty = await startEmptySupabase(MAJOR);
  try {
    const refused = await restoreInto(repository, empty, { user: ADMIN, allow: new Set<Allowance>() });
    expect(refused.problems.map(({ code }) => code)).toEqual(['RESTORE_NOT_ALLOWED']);
    expect(refused.needs.map(({ allowance, name }) => `${allowance} ${name}`)).toEqual([
      'superuser "supabase_admin"',
      'untrusted-extensions "pg_stat_statements"',
      'event-triggers "tell_of_change"',
      'event-triggers "tell_of_drop"',
    ]);
    expect(refused.notes).toContainEqual(expect.stringContaining('keep pgsodium_root.key'));

    const allow = new Set<Allowance>(['superuser', 'untrusted-extensions', 'event-triggers']);
    const report = await restoreInto(repository, empty, { user: ADMIN, allow });
    expect(report.problems).toEqual([]);
    expect(report.notes).toContainEqual(
      expect.stringMatching(/^role "supabase_admin" was there before and was left as it is: settings/),
    );
    await empty.query('alter role supabase_admin set search_path = "$user", public, auth, extensions');
    // Default rights stand in the order of the numbers of roles.
    const [before, after] = [await dumpAll(source), await dumpAll(empty)];
    expect(firstDifference(before.toSorted(), after.toSorted())).toBeUndefined();
    await expectPolicies(empty);
    const folder = `select count(*) from storage.objects`;
    expect(await ask(empty, 'authenticated', ANN, folder)).toBe('1');
    expect(await ask(empty, 'authenticated', BEN, folder)).toBe('0');
    await empty.query(`insert into auth.users values ('${NOBODY}', 'new@example.org', '{"name": "New"}')`, {
      role: 'supabase_auth_admin',
    });
    expect(await empty.query(`select name from public.profiles where id = '${NOBODY}'`)).toBe('New');
    await empty.query(`delete from auth.users where id = '${NOBODY}'`);
    expect(await empty.query(`select count(*) from public.profiles`)).toBe('2');
  } finally {
    await empty.stop();
  }
});

test('schemas of the user go into an initialised one that has other users, and what hangs on its own tables is named', async () => {
  const part: RestoreOptions = { intoExisting: true, selection: OWN_SCHEMAS, allow: new Set<Allowance>() };
  const before = await dumpAll(initialised);
  const lacking = await restoreInto(repository, initialised, { ...part, user: 'postgres' });
  expect(lacking.problems).toMatchObject([
    {
      code: 'RESTORE_RIGHTS_MISSING',
      found: 'to make things in the name of "supabase_admin"',
      hint: 'Restore as a superuser, such as "supabase_admin".',
    },
  ]);
  const whole = await restoreInto(repository, initialised, { user: ADMIN, intoExisting: true });
  expect(whole.problems.map(({ code }) => code)).toEqual(['RESTORE_TARGET_NOT_EMPTY']);
  expect(String(whole.problems[0]?.found)).toContain('table auth.users');
  expect(firstDifference(before, await dumpAll(initialised))).toBeUndefined();

  const report = await restoreInto(repository, initialised, {
    ...part,
    user: ADMIN,
    allow: new Set<Allowance>(['superuser']),
  });
  expect(report.problems).toEqual([]);
  expect(report.notes.filter((note) => note.includes('left out')).sort()).toEqual([
    '"postgres": fk constraint profiles profiles_id_fkey is left out: it needs a table that is not restored',
    '"postgres": trigger users on_user_made is left out: it needs a table that is not restored',
  ]);
  await expectPolicies(initialised);
  expect(await initialised.query('select count(*) from auth.users')).toBe('1');
  const published = `select string_agg(tablename, ',') from pg_publication_tables where pubname = 'supabase_realtime'`;
  expect(await initialised.query(published)).toBe('messages');
  await expectKept(initialised);
});

test('the role postgres, which is no superuser there, backs up and restores what is its own', async () => {
  await using own = await createBackupRepository();
  const target = await startSupabase(MAJOR);
  try {
    const exclude = { tables: ['public.made_in_dashboard'] };
    await own.run([postgresSource(source, 'postgres', { user: 'postgres', profile: 'supabase', exclude })]);
    const report = await restoreInto(own, target, {
      ...{ user: 'postgres', intoExisting: true, selection: OWN_SCHEMAS, allow: new Set<Allowance>() },
    });
    expect(report.problems).toEqual([]);
    await expectPolicies(target);
    await expectKept(target);
    const elsewhere = await restoreInto(own, target, { user: 'postgres', into: 'copy', plan: true });
    expect(elsewhere.problems.map(({ code }) => code)).toEqual(['RESTORE_RIGHTS_MISSING']);
    expect(String(elsewhere.problems[0]?.found)).toContain('event-triggers: "tell_of_change"');
  } finally {
    await target.stop();
  }
});

/** How the database is reached: every sslmode, passwords from every place, poolers, standbys, servers that come up late. */
import { execFileSync } from 'node:child_process';
import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { composeDatabase, type DatabaseRequest } from '../../src/compose/migrate.ts';
import { freePort } from '../support/free-port.ts';
import { startPooler } from '../support/postgres-pooler.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { portolan } from '../support/program.ts';
import { raised } from '../support/raised.ts';

const PASSWORD = 'correct horse: battery \\staple';
let folder: string;
let secure: PostgresServer;
let plain: PostgresServer;
const at = (name: string) => join(folder, name);

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-tls-'));
  certificate('server', '/CN=localhost', 'DNS:localhost');
  certificate('other', '/CN=other', 'DNS:other.example');
  await writeFile(at('not-a-certificate'), 'hello');
  secure = await startPostgres({
    tcpPort: await freePort(),
    tls: { certificate: at('server.crt'), key: at('server.key') },
    rules: [
      'host all clear 127.0.0.1/32 scram-sha-256',
      'hostnossl all onlyplain 127.0.0.1/32 trust',
      'hostssl all onlytls 127.0.0.1/32 trust',
      'host all onlyplain 127.0.0.1/32 reject',
      'host all onlytls 127.0.0.1/32 reject',
    ],
  });
  plain = await startPostgres({ tcpPort: await freePort() });
  for (const role of ['onlyplain', 'onlytls']) await secure.query(`create role ${role} login`);
  await secure.query(`create role clear login password '${PASSWORD}'`);
});
afterAll(async () => {
  await secure?.stop();
  await plain?.stop();
  await rm(folder, { recursive: true, force: true });
});

function certificate(name: string, subject: string, alternative: string): void {
  execFileSync(
    'openssl',
    [
      ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:P-256', '-nodes', '-days', '36500'],
      ...[
        '-keyout',
        at(`${name}.key`),
        '-out',
        at(`${name}.crt`),
        '-subj',
        subject,
        '-addext',
        `subjectAltName=${alternative}`,
      ],
    ],
    { stdio: 'ignore' },
  );
}

/** Whether the connection is encrypted, as the server sees it. */
async function reach(url: string, rest: Partial<DatabaseRequest> = {}): Promise<string> {
  const database = composeDatabase({
    url,
    env: {},
    applicationName: 'test',
    limits: { connectWaitMs: 0 },
    ...rest,
  });
  await using session = await database.open({ readOnly: true });
  const [row] = await session.query('select ssl::text as ssl from pg_stat_ssl where pid = pg_backend_pid()');
  return row?.ssl === 'true' ? 'encrypted' : 'clear';
}

const address = (server: PostgresServer, parameters: string, host = 'localhost', user = 'postgres') =>
  `postgres://${user}@${host}:${server.port}/postgres?${parameters}`;

describe('sslmode', () => {
  test.each([
    ['disable', 'clear'],
    ['prefer', 'encrypted'],
    ['require', 'encrypted'],
  ])('%s', async (mode, expected) => {
    expect(await reach(address(secure, `sslmode=${mode}`))).toBe(expected);
  });

  test('prefer is the default, and falls back where the server offers no TLS or its rules forbid it', async () => {
    expect(await reach(address(secure, ''))).toBe('encrypted');
    expect(await reach(address(plain, ''))).toBe('clear');
    expect(await reach(address(secure, 'sslmode=prefer', '127.0.0.1', 'onlyplain'))).toBe('clear');
  });

  test('require never falls back', async () => {
    const error = await raised(() => reach(address(plain, 'sslmode=require')));
    expect(error.code).toBe('DATABASE_UNTRUSTED');
    const refused = await raised(() => reach(address(secure, 'sslmode=require', '127.0.0.1', 'onlyplain')));
    expect(refused.code).toBe('DATABASE_UNAUTHORIZED');
    const clear = await raised(() => reach(address(secure, 'sslmode=disable', '127.0.0.1', 'onlytls')));
    expect(clear.code).toBe('DATABASE_UNAUTHORIZED');
  });

  test('verify-full takes the right authority with the right name, and nothing else', async () => {
    const full = (host: string, ca: string) =>
      reach(address(secure, `sslmode=verify-full&sslrootcert=${at(ca)}`, host));
    expect(await full('localhost', 'server.crt')).toBe('encrypted');
    expect(await raised(() => full('127.0.0.1', 'server.crt'))).toMatchObject({
      code: 'DATABASE_UNTRUSTED',
      found: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
    expect((await raised(() => full('localhost', 'other.crt'))).code).toBe('DATABASE_UNTRUSTED');
    expect((await raised(() => reach(address(secure, 'sslmode=verify-full')))).code).toBe('DATABASE_UNTRUSTED');
  });

  test('a server that is reached by an address is known by the name that is meant', async () => {
    const byAddress = (host: string) =>
      reach(address(secure, `sslmode=verify-full&hostaddr=127.0.0.1&sslrootcert=${at('server.crt')}`, host));
    expect(await byAddress('localhost')).toBe('encrypted');
    expect(await raised(() => byAddress('db.nowhere.example'))).toMatchObject({
      code: 'DATABASE_UNTRUSTED',
      found: 'ERR_TLS_CERT_ALTNAME_INVALID',
    });
    expect(await reach(address(secure, 'hostaddr=127.0.0.1', 'db.nowhere.example'))).toBe('encrypted');
    expect(await reach(address(plain, 'hostaddr=127.0.0.1', 'db.nowhere.example'))).toBe('clear');
  });

  test('verify-ca compares no name; require with an authority checks it, as libpq does', async () => {
    expect(await reach(address(secure, 'sslmode=verify-ca', '127.0.0.1'), { caFile: at('server.crt') })).toBe(
      'encrypted',
    );
    expect(await reach(address(secure, 'sslmode=require', '127.0.0.1'), { caFile: at('server.crt') })).toBe(
      'encrypted',
    );
    for (const mode of ['verify-ca', 'require']) {
      const error = await raised(() => reach(address(secure, `sslmode=${mode}`), { caFile: at('other.crt') }));
      expect(error.code).toBe('DATABASE_UNTRUSTED');
    }
  });

  test('a file that holds no certificate is named', async () => {
    const file = at('not-a-certificate');
    expect(await raised(() => reach(address(secure, 'sslmode=verify-full'), { caFile: file }))).toMatchObject({
      code: 'CA_FILE_INVALID',
      at: { file },
    });
  });
});

describe('the password', () => {
  const url = () => address(secure, 'sslmode=require', '127.0.0.1', 'clear');
  const refused = async (rest: Partial<DatabaseRequest>) => (await raised(() => reach(url(), rest))).code;

  test('from a file, from PGPASSWORD, from PGPASSFILE, from ~/.pgpass', async () => {
    await writeFile(at('password'), `${PASSWORD}\n`);
    expect(await reach(url(), { passwordFile: at('password') })).toBe('encrypted');
    expect(await reach(url(), { env: { PGPASSWORD: PASSWORD } })).toBe('encrypted');
    const escaped = PASSWORD.replaceAll('\\', '\\\\').replaceAll(':', '\\:');
    await writeFile(at('.pgpass'), `other:*:*:*:x\n# a note\n127.0.0.1:*:postgres:clear:${escaped}\n`, { mode: 0o600 });
    expect(await reach(url(), { env: { PGPASSFILE: at('.pgpass') } })).toBe('encrypted');
    expect(await reach(url(), { env: { HOME: folder } })).toBe('encrypted');
  });

  test('none, a wrong one, or a file that others can read', async () => {
    expect(await refused({})).toBe('DATABASE_PASSWORD_MISSING');
    expect(await refused({ env: { PGPASSWORD: 'wrong' } })).toBe('DATABASE_UNAUTHORIZED');
    expect(await refused({ env: { PGPASSFILE: at('absent') } })).toBe('FILE_MISSING');
    await writeFile(at('open'), `*:*:*:*:${PASSWORD}\n`);
    await chmod(at('open'), 0o644);
    expect(await refused({ env: { PGPASSFILE: at('open') } })).toBe('FILE_UNREADABLE');
  });

  test('in the address it is refused, and is in no message; the environment of libpq changes nothing else', async () => {
    const ended = await portolan([
      'migrate',
      'status',
      '--database',
      `postgres://postgres:${encodeURIComponent('s3cret')}@h/d`,
    ]);
    expect(ended).toMatchObject({ status: 2, error: { code: 'DATABASE_URL_INVALID' } });
    expect(ended.stdout + ended.stderr).not.toContain('s3cret');
    const env = {
      PGHOST: 'nowhere',
      PGSSLMODE: 'disable',
      PGOPTIONS: '-c search_path=nowhere',
      PGREPLICATION: 'database',
      PGUSER: 'nobody',
    };
    const url = address(secure, 'sslmode=require');
    expect(await portolan(['migrate', 'status', '--database', url], { env })).toMatchObject({ status: 0 });
  });
});

describe('servers', () => {
  test.each(['session', 'transaction'] as const)('behind a pooler in mode %s: refused', async (mode) => {
    await using pooler = await startPooler(plain, mode);
    const url = `postgres://postgres@/postgres?host=${pooler.folder}&port=6432`;
    expect((await raised(() => reach(url, { limits: { connectWaitMs: 5000 } }))).code).toBe('DATABASE_POOLED');
  });

  test('that do not exist, do not know the user or the database', async () => {
    expect((await raised(() => reach('postgres://a@127.0.0.1:1/a'))).code).toBe('DATABASE_UNREACHABLE');
    expect((await raised(() => reach('postgres://a@db.invalid/a'))).code).toBe('DATABASE_UNREACHABLE');
    expect((await raised(() => reach(plain.url('absent')))).code).toBe('DATABASE_UNAUTHORIZED');
    expect((await raised(() => reach(address(plain, '', 'localhost', 'nobody')))).code).toBe('DATABASE_UNAUTHORIZED');
  });

  test('that come up while they are waited for', async () => {
    const late = await startPostgres();
    await late.crash();
    const waiting = reach(late.url(), { limits: { connectWaitMs: 60_000 } });
    await late.start();
    expect(await waiting).toBe('clear');
    await late.stop();
  });
});

import { spawn } from 'node:child_process';
import { existsSync, realpathSync } from 'node:fs';
import { appendFile, chmod, chown, copyFile, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { join } from 'node:path';

/** Of 14 and 16 there is the server alone: its client programs are those of 15 and 17. */
export type PostgresMajor = 14 | 15 | 16 | 17 | 18;

/** The folder of all programs of one major version, which scripts/peers fetched: a path that every account reaches. */
export function postgresPrograms(major: PostgresMajor): string {
  const cache = process.env.XDG_CACHE_HOME ?? join(homedir(), '.cache');
  const folder = join(process.env.PORTOLAN_PEERS ?? join(cache, 'portolan/peers'), `postgres/${major}/bin`);
  if (!existsSync(join(folder, 'initdb'))) {
    throw new Error(`missing: the programs of PostgreSQL ${major}. Run scripts/test, which fetches them.`);
  }
  return realpathSync(folder);
}

export interface PostgresServer {
  /** Runs SQL with psql as a role and returns the rows, one a line, columns parted by `|`. Rejects with what psql said. */
  query(sql: string, options?: { readonly role?: string; readonly database?: string }): Promise<string>;
  /** Runs a file as the superuser, as psql does. */
  runFile(path: string, options?: { readonly database?: string }): Promise<void>;
  readonly major: PostgresMajor;
  /** Whom initdb made. */
  readonly superuser: string;
  /** The folder of psql, pg_dump, pg_restore, pg_dumpall and the others of this version. */
  readonly programs: string;
  /** Of the socket. */
  readonly folder: string;
  readonly port: number;
  /** For programs, over the socket, as the superuser. */
  url(database?: string): string;
  /** As after a crash: nothing is told to the clients. */
  crash(): Promise<void>;
  start(): Promise<void>;
  stop(): Promise<void>;
}

export interface PostgresOptions {
  /** 15 unless given. */
  readonly major?: PostgresMajor;
  /** Of postgresql.conf, for example `{ wal_level: 'minimal', max_wal_senders: 0 }`. */
  readonly settings?: Readonly<Record<string, string | number>>;
  /** Keeps all its files in memory (/dev/shm), for amounts of data that would wear the disk. */
  readonly inMemory?: boolean;
  /** Listens on loopback at this port as well. */
  readonly tcpPort?: number;
  /** With TLS there; paths of PEM files. */
  readonly tls?: { readonly certificate: string; readonly key: string };
  /** Lines of pg_hba.conf before those that trust. */
  readonly rules?: readonly string[];
  /** Whom initdb makes; `postgres` unless given. */
  readonly superuser?: string;
  /** Of the server's process: `{ LOCPATH: folder }` gives it locales of its own. */
  readonly environment?: Readonly<Record<string, string>>;
}

/**
 * A server of its own on a socket in a new folder below /tmp or /dev/shm (a socket's path must be short). It trusts who
 * reaches the socket. Where the tests run as root, it runs as nobody.
 */
export async function startPostgres(options: PostgresOptions = {}): Promise<PostgresServer> {
  const { major = 15, superuser = 'postgres', environment = {} } = options;
  const programs = postgresPrograms(major);
  const folder = await mkdtemp(options.inMemory === true ? '/dev/shm/portolan-pg-' : '/tmp/portolan-pg-');
  // PostgreSQL does not run as root.
  const owner = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  if ('uid' in owner) await chown(folder, owner.uid as number, owner.gid as number);
  const data = join(folder, 'data');
  await mkdir(data, { mode: 0o700 });
  if ('uid' in owner) await chown(data, owner.uid as number, owner.gid as number);
  const run = (program: string, args: readonly string[], stdio: 'pipe' | 'ignore' = 'pipe') =>
    output(join(programs, program), args, { ...owner, cwd: folder, environment }, stdio);
  const port = options.tcpPort ?? 5432;
  const listen = options.tcpPort === undefined ? '' : '127.0.0.1';
  const settings = [
    ...[`listen_addresses='${listen}'`, `port=${port}`, `unix_socket_directories='${folder}'`, 'fsync=off'],
    ...(options.tls === undefined ? [] : ['ssl=on', `ssl_cert_file='${folder}/cert'`, `ssl_key_file='${folder}/key'`]),
  ]
    .map((setting) => `-c ${setting}`)
    .join(' ');
  // Nothing may wait for the server's end by its output: it inherits these descriptors.
  const start = () =>
    run('pg_ctl', ['-D', data, '-w', '-t', '120', '-l', join(folder, 'log'), '-o', settings, 'start'], 'ignore');
  try {
    await run('initdb', [
      '-D',
      data,
      '-U',
      superuser,
      '--auth=trust',
      '--encoding=UTF8',
      '--locale=C.UTF-8',
      '--no-sync',
    ]);
    for (const [name, source] of Object.entries({ cert: options.tls?.certificate, key: options.tls?.key })) {
      if (source === undefined) continue;
      const own = join(folder, name);
      await copyFile(source, own);
      await chmod(own, 0o600);
      if ('uid' in owner) await chown(own, owner.uid as number, owner.gid as number);
    }
    if (options.rules !== undefined) {
      const rules = [...options.rules, 'local all all trust', 'host all all 127.0.0.1/32 trust', ''];
      await writeFile(join(data, 'pg_hba.conf'), rules.join('\n'));
    }
    const settingLines = Object.entries(options.settings ?? {}).map(
      ([name, value]) => `${name} = '${String(value).replaceAll("'", "''")}'\n`,
    );
    await appendFile(join(data, 'postgresql.conf'), settingLines.join(''));
    await start();
  } catch (cause) {
    await rm(folder, { recursive: true, force: true });
    throw cause;
  }
  const psql = (args: readonly string[], role = superuser, database = 'postgres') =>
    run('psql', [
      ...['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose'],
      ...['-h', folder, '-p', String(port), '-U', role, '-d', database, ...args],
    ]);
  return {
    query: (sql, { role, database } = {}) => psql(['-c', sql], role, database),
    runFile: async (path, { database } = {}) => {
      await psql(['-f', path], superuser, database);
    },
    major,
    superuser,
    programs,
    folder,
    port,
    url: (database = 'postgres') => `postgres://${superuser}@/${database}?host=${folder}&port=${port}`,
    async crash() {
      await run('pg_ctl', ['-D', data, '-w', '-m', 'immediate', 'stop'], 'ignore');
    },
    async start() {
      await start();
    },
    async stop() {
      await run('pg_ctl', ['-D', data, '-m', 'immediate', 'stop'], 'ignore').catch(() => {});
      await rm(folder, { recursive: true, force: true });
    },
  };
}

function output(
  program: string,
  args: readonly string[],
  {
    environment,
    ...options
  }: {
    readonly uid?: number;
    readonly gid?: number;
    readonly cwd: string;
    readonly environment: Readonly<Record<string, string>>;
  },
  stdio: 'pipe' | 'ignore',
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      ...options,
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8', ...environment },
      stdio: ['ignore', stdio, stdio],
    });
    let text = '';
    let errors = '';
    child.stdout?.setEncoding('utf8').on('data', (part: string) => {
      text += part;
    });
    child.stderr?.setEncoding('utf8').on('data', (part: string) => {
      errors += part;
    });
    child.once('error', reject);
    child.once('close', (status) => {
      if (status === 0) resolve(text.trimEnd());
      else reject(new Error(`${program} ended with status ${status}: ${errors.trim()}`));
    });
  });
}

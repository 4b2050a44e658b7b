import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chown, mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';

/** The server programs of PostgreSQL, as Debian lays them out. */
function postgresPrograms(): string {
  for (let major = 18; major >= 14; major -= 1) {
    const folder = `/usr/lib/postgresql/${major}/bin`;
    if (existsSync(join(folder, 'initdb')) && existsSync(join(folder, 'pg_ctl'))) return folder;
  }
  throw new Error('missing: the server programs of PostgreSQL 14 or later. Run scripts/test, which fetches them.');
}

export interface PostgresServer {
  /** Runs SQL with psql as a role and returns the rows, one a line, columns parted by `|`. Rejects with what psql said. */
  query(sql: string, options?: { readonly role?: string; readonly database?: string }): Promise<string>;
  /** Runs a file as the superuser, as psql does. */
  runFile(path: string, options?: { readonly database?: string }): Promise<void>;
  stop(): Promise<void>;
}

/** A server of its own on a socket in a new folder below /tmp (a socket's path must be short). It trusts who reaches the socket. */
export async function startPostgres(): Promise<PostgresServer> {
  const programs = postgresPrograms();
  const folder = await mkdtemp('/tmp/portolan-pg-');
  // PostgreSQL does not run as root.
  const owner = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  if ('uid' in owner) await chown(folder, owner.uid as number, owner.gid as number);
  const data = join(folder, 'data');
  await mkdir(data, { mode: 0o700 });
  if ('uid' in owner) await chown(data, owner.uid as number, owner.gid as number);
  const run = (program: string, args: readonly string[], stdio: 'pipe' | 'ignore' = 'pipe') =>
    output(join(programs, program), args, { ...owner, cwd: folder }, stdio);
  const settings = `-c listen_addresses='' -c unix_socket_directories='${folder}' -c fsync=off`;
  try {
    await run('initdb', [
      '-D',
      data,
      '-U',
      'postgres',
      '--auth=trust',
      '--encoding=UTF8',
      '--locale=C.UTF-8',
      '--no-sync',
    ]);
    // Nothing may wait for the server's end by its output: it inherits these descriptors.
    await run('pg_ctl', ['-D', data, '-w', '-t', '120', '-l', join(folder, 'log'), '-o', settings, 'start'], 'ignore');
  } catch (cause) {
    await rm(folder, { recursive: true, force: true });
    throw cause;
  }
  const psql = (args: readonly string[], role = 'postgres', database = 'postgres') =>
    run('psql', [
      ...['-X', '-q', '-A', '-t', '-v', 'ON_ERROR_STOP=1', '-v', 'VERBOSITY=verbose'],
      ...['-h', folder, '-U', role, '-d', database, ...args],
    ]);
  return {
    query: (sql, { role, database } = {}) => psql(['-c', sql], role, database),
    runFile: async (path, { database } = {}) => {
      await psql(['-f', path], 'postgres', database);
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
  options: { readonly uid?: number; readonly gid?: number; readonly cwd: string },
  stdio: 'pipe' | 'ignore',
): Promise<string> {
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      ...options,
      env: { PATH: '/usr/bin:/bin', LC_ALL: 'C.UTF-8' },
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

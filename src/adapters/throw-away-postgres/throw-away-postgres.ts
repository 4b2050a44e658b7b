import { randomBytes } from 'node:crypto';
import { chmod, chown, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { PostgresPrograms } from '../../ports/postgres-programs.ts';
import type { ThrowAwayPostgres } from '../../ports/throw-away-postgres.ts';
import { AdapterError } from '../errors.ts';
import { fileError } from '../files/file-error.ts';
import { freeBytes } from '../files/free-bytes.ts';
import type { DatabaseSettings } from '../postgres/database.ts';
import { urlOfDatabase } from '../postgres/database-url.ts';
import { createDatabaseServer } from '../postgres/server.ts';
import { createWorkFolder } from '../work-folder/work-folder.ts';
import { type ServerAccount, serverAccount } from './server-account.ts';
import { makeCluster, runServer } from './server-process.ts';

export interface ThrowAwaySettings {
  readonly programs: PostgresPrograms;
  /** Absolute. It must have room for all that is restored, and a short name: a socket's path has at most 107 bytes. */
  readonly temporaryFolder: string;
  /** For `pg_stat_activity`. */
  readonly applicationName: string;
}

const PORT = 5432;
/** sun_path of unix(7), without the zero at its end. */
const SOCKET_PATH_MAX_BYTES = 107;
const CONNECT_WAIT_MS = 60_000;

/**
 * Servers that listen on a socket in a private folder alone. Who may come in is said by the kernel (peer authentication), and
 * not by a password: a restore sets the passwords of all roles.
 */
export function createThrowAwayPostgres({
  programs,
  temporaryFolder,
  applicationName,
}: ThrowAwaySettings): ThrowAwayPostgres {
  return {
    freeBytes: () => freeBytes(temporaryFolder),
    async start({ major, superuser }, { signal }) {
      const set = await programs.find(major, { programs: ['postgres', 'initdb'], signal });
      if (set.major !== major) throw otherMajor(major, set);
      const account = await serverAccount();
      const work = await createWorkFolder(temporaryFolder);
      try {
        const folder = await serverFolder(work.path, account);
        const data = join(folder, 'data');
        await makeCluster({ programs: set.folder, data, superuser, account, signal });
        const checker = `portolan_checker_${randomBytes(8).toString('hex')}`;
        await writeRules(data, [superuser, checker], account);
        const running = runServer({ programs: set.folder, folder, data, port: PORT, account });
        const connection = {
          address: { host: folder, port: PORT, user: superuser, name: 'postgres', sslMode: 'disable' },
          password: {},
          applicationName,
          connectWaitMs: CONNECT_WAIT_MS,
        } as const satisfies DatabaseSettings;
        const server = createDatabaseServer(connection);
        try {
          const { database } = await server.database('postgres');
          await running.untilEnd(async (ended) => {
            const session = await database.open({ signal: AbortSignal.any([signal, ended]) });
            await session[Symbol.asyncDispose]();
          });
        } catch (cause) {
          await running.end();
          throw cause;
        }
        return {
          server,
          url: urlOfDatabase(connection.address),
          checker: createDatabaseServer({ ...connection, address: { ...connection.address, user: checker } }),
          programs: set.folder,
          version: set.version,
          async [Symbol.asyncDispose]() {
            await running.end();
            await work[Symbol.asyncDispose]();
          },
        };
      } catch (cause) {
        await work[Symbol.asyncDispose]();
        throw cause;
      }
    },
  };
}

/** The work folder is this account's, so that it is removed by a later run whatever becomes of this one; the server has its own in it. */
async function serverFolder(workFolder: string, { ids }: ServerAccount): Promise<string> {
  const folder = join(workFolder, 'pg');
  const socketBytes = Buffer.byteLength(join(folder, `.s.PGSQL.${PORT}`));
  // libpq takes what has a comma in it for several servers.
  if (socketBytes > SOCKET_PATH_MAX_BYTES || folder.includes(',')) {
    throw new AdapterError('POSTGRES_NOT_STARTED', 'The temporary folder has no name for the socket of a server', {
      expected: `at most ${SOCKET_PATH_MAX_BYTES} bytes, and no comma`,
      found: `${socketBytes} bytes`,
      at: { file: folder },
      hint: 'Name another folder: --work-dir DIR.',
    });
  }
  try {
    await mkdir(folder, { mode: 0o700 });
    if ('uid' in ids) {
      await chown(folder, ids.uid, ids.gid);
      await chmod(workFolder, 0o711);
    }
  } catch (cause) {
    throw fileError(cause, folder, 'write');
  }
  return folder;
}

/** Nobody but this process's account, and only as one of the two roles: no role that is restored can come in. */
async function writeRules(data: string, roles: readonly string[], { clientName }: ServerAccount): Promise<void> {
  const quoted = (name: string) => `"${name.replaceAll('"', '""')}"`;
  const users = roles.map((role) => `drill ${quoted(clientName)} ${quoted(role)}\n`);
  try {
    await writeFile(join(data, 'pg_hba.conf'), 'local all all peer map=drill\n');
    await writeFile(join(data, 'pg_ident.conf'), users.join(''));
  } catch (cause) {
    throw fileError(cause, data, 'write');
  }
}

function otherMajor(major: number, found: { readonly version: string; readonly folder: string }): AdapterError {
  return new AdapterError('POSTGRES_PROGRAMS_MISSING', `There is no server of PostgreSQL ${major} on this machine`, {
    expected: `postgres and initdb ${major}`,
    found: `${found.version} in ${found.folder}`,
    hint: `Install PostgreSQL ${major} (Debian: postgresql-${major}), or name the folder of its programs by --pg-bin.`,
  });
}

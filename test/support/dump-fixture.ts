import { tmpdir } from 'node:os';
import { createDatabaseServer } from '../../src/adapters/postgres/server.ts';
import { createPostgresPrograms } from '../../src/adapters/postgres-programs/programs.ts';
import { createPostgresSource, type PostgresSourceSettings } from '../../src/usecases/backup/postgres/source.ts';
import type { PostgresServer } from './postgres-server.ts';

export interface DumpRequest extends Partial<PostgresSourceSettings> {
  readonly user?: string;
  /** Instead of the server's own socket: a proxy's. */
  readonly folder?: string;
}

/** A source over the socket of a server of the tests, with its own client programs. */
export function postgresSource(server: PostgresServer, database: string, request: DumpRequest = {}) {
  const { user = 'postgres', folder = server.folder, ...rest } = request;
  return createPostgresSource({
    name: 'main',
    place: 'the test server',
    server: createDatabaseServer({
      address: { host: folder, port: server.port, user, name: database, sslMode: 'prefer' },
      password: {},
      applicationName: 'portolan test',
      connectWaitMs: 0,
    }),
    programs: createPostgresPrograms({ folder: server.programs, temporaryFolder: tmpdir() }),
    ...rest,
  });
}

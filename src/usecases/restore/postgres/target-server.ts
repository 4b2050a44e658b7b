import type { Fact } from '../../../formats/repository/database-record.ts';
import type { DatabaseServer, DatabaseSession, ReachableDatabase } from '../../../ports/database.ts';
import { readServerFacts } from '../../backup/postgres/facts.ts';
import { readServerState } from '../../backup/postgres/leader.ts';
import { readSettings } from '../../backup/postgres/settings.ts';
import { isCode } from '../../repository/objects.ts';

/** The server that is restored to, as it is found. */
export interface TargetServer {
  /** The database that every server has, for what belongs to the server. */
  readonly own: ReachableDatabase;
  readonly user: string;
  readonly versionNumber: number;
  readonly version: string;
  readonly isSuperuser: boolean;
  readonly createsRoles: boolean;
  readonly createsDatabases: boolean;
  readonly roles: ReadonlyMap<string, Fact>;
  /** In whose names things can be made. */
  readonly mayBecome: ReadonlySet<string>;
  readonly tablespaces: ReadonlySet<string>;
  readonly databases: ReadonlySet<string>;
  /** By name, the version that is made unless another one is asked for. */
  readonly extensions: ReadonlyMap<string, AvailableExtension>;
  /** That a new database has by itself. */
  readonly collations: ReadonlySet<string>;
}

export interface AvailableExtension {
  readonly version: string;
  /** By the target's own files: it takes no superuser to make it. */
  readonly isTrusted: boolean;
}

/** Databases that take connections on nearly every server, then the one that is restored into. */
const OWN_DATABASES = ['postgres', 'template1'];

/** Since then a member of a role may not do everything in its name. */
const SET_RIGHT_MAJOR = 16;

export async function inspectServer(server: DatabaseServer, signal: AbortSignal): Promise<TargetServer> {
  const { own, session } = await openOwn(server, signal);
  await using _ = session;
  const state = await readServerState(session);
  for (const setting of readSettings(state)) await session.query(setting);
  const [role] = await session.query(
    `select r.rolname::text as name, r.rolcreaterole::text as roles, r.rolcreatedb::text as databases
     from pg_catalog.pg_roles r where r.rolname = current_user`,
  );
  const roles = new Map<string, Fact>();
  const tablespaces = new Set<string>();
  await session.query('begin transaction isolation level repeatable read, read only');
  for await (const fact of readServerFacts(session)) {
    const [name = ''] = fact.name;
    if (fact.kind === 'role') roles.set(name, fact);
    else if (fact.kind === 'tablespace') tablespaces.add(name);
  }
  await session.query('commit');
  const right = majorOf(state.versionNumber) >= SET_RIGHT_MAJOR ? 'SET' : 'MEMBER';
  const mayBecome = await session.query(
    `select r.rolname::text as name from pg_catalog.pg_roles r where pg_catalog.pg_has_role(r.oid, '${right}')`,
  );
  const databases = await session.query('select d.datname::text as name from pg_catalog.pg_database d');
  return {
    own,
    user: role?.name ?? server.user,
    versionNumber: state.versionNumber,
    version: state.version,
    isSuperuser: state.isSuperuser,
    createsRoles: state.isSuperuser || role?.roles === 'true',
    createsDatabases: state.isSuperuser || role?.databases === 'true',
    roles,
    tablespaces,
    mayBecome: new Set(mayBecome.map(({ name }) => name ?? '')),
    databases: new Set(databases.map(({ name }) => name ?? '')),
    extensions: await availableExtensions(session),
    collations: await ownCollations(session),
  };
}

async function openOwn(
  server: DatabaseServer,
  signal: AbortSignal,
): Promise<{ readonly own: ReachableDatabase; readonly session: DatabaseSession }> {
  for (const name of OWN_DATABASES) {
    try {
      const own = await server.database(name);
      return { own, session: await own.database.open({ signal }) };
    } catch (cause) {
      if (!isCode(cause, 'DATABASE_UNAUTHORIZED')) throw cause;
    }
  }
  const own = await server.database(server.name);
  return { own, session: await own.database.open({ signal }) };
}

/** One file of an extension that is not well formed fails the whole view. */
async function availableExtensions(session: DatabaseSession): Promise<ReadonlyMap<string, AvailableExtension>> {
  const rows = await session.query(
    `select e.name::text as name, coalesce(e.default_version, '') as version, (v.trusted or not v.superuser)::text as trusted
     from pg_catalog.pg_available_extensions() e
     left join pg_catalog.pg_available_extension_versions() v on v.name = e.name and v.version = e.default_version`,
  );
  return new Map(
    rows.map(({ name, version, trusted }) => [name ?? '', { version: version ?? '', isTrusted: trusted === 'true' }]),
  );
}

export async function ownCollations(session: DatabaseSession): Promise<ReadonlySet<string>> {
  const rows = await session.query(
    `select c.collname::text as name from pg_catalog.pg_collation c where c.collnamespace = 'pg_catalog'::pg_catalog.regnamespace`,
  );
  return new Set(rows.map(({ name }) => name ?? ''));
}

/** `170004` and `15` alike: 17. */
export function majorOf(versionNumber: number): number {
  return Math.floor(versionNumber / 10_000);
}

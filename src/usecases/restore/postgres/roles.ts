import { type GlobalStatement, parseGlobals, withoutSuperuserWords } from '../../../formats/postgres/globals.ts';
import { NAME_IN_SQL, nameFromSql, quoteName } from '../../../formats/postgres/names.ts';
import type { ChunkReader } from '../../../ports/chunks.ts';
import type { DatabaseSession } from '../../../ports/database.ts';
import { type PostgresSnapshot, streamOf } from './snapshot-source.ts';
import { majorOf, type TargetServer } from './target-server.ts';

/** What of the server's own things is made. What is there already is left as it is. */
export interface ServerPlan {
  readonly roles: readonly string[];
  readonly tablespaces: readonly string[];
  /** Memberships that make a role as good as a superuser: `"ROLE" to "MEMBER"`. */
  readonly powers: readonly string[];
  /** In one transaction. */
  readonly statements: readonly string[];
  /** Each by itself: a tablespace cannot be made in a transaction. */
  readonly tablespaceStatements: readonly string[];
}

/** Where grantors are checked, and grants have options of their own. */
const STRICT_MEMBERSHIP_MAJOR = 16;

/** Roles are those that are wanted, or all. */
export async function planServer(
  snapshot: PostgresSnapshot,
  wanted: ReadonlySet<string> | 'all',
  options: {
    readonly target: TargetServer;
    readonly reader: ChunkReader;
    readonly tablespaces: ReadonlySet<string> | 'all';
    readonly signal: AbortSignal;
  },
): Promise<ServerPlan> {
  const { target, reader, signal } = options;
  const parts: Buffer[] = [];
  for await (const bytes of reader.stream(streamOf(snapshot, snapshot.end.globals).chunks, { signal })) {
    parts.push(Buffer.from(bytes));
  }
  const statements = parseGlobals(Buffer.concat(parts).toString());
  const named = new Set(statements.flatMap((one) => (one.kind === 'role' ? [one.role] : [])));
  const roles = [...named].filter((role) => (wanted === 'all' || wanted.has(role)) && !target.roles.has(role));
  const made = new Set(roles);
  const isWanted = (name: string) => options.tablespaces === 'all' || options.tablespaces.has(name);
  const tablespaces = new Set(
    statements.flatMap((one) =>
      one.kind === 'tablespace' && isWanted(one.tablespace) && !target.tablespaces.has(one.tablespace)
        ? [one.tablespace]
        : [],
    ),
  );
  const run: string[] = [];
  const powers: string[] = [];
  for (const statement of statements) {
    if (statement.kind === 'role' && made.has(statement.role)) {
      run.push(target.isSuperuser ? statement.sql : withoutSuperuserWords(statement.sql));
    } else if (statement.kind === 'membership' && isNew(statement, made, target)) {
      const { role, member } = statement;
      if (isPowerful(role, target)) powers.push(`${quoteName(role)} to ${quoteName(member)}`);
      run.push(withGrantor(statement.sql, snapshot, made, target));
    } else if (wanted === 'all' && target.isSuperuser && /^grant [a-z, ]+ on parameter /i.test(statement.sql)) {
      run.push(statement.sql);
    }
  }
  return {
    roles,
    tablespaces: [...tablespaces],
    powers,
    statements: run,
    tablespaceStatements: statements.flatMap((one) =>
      one.kind === 'tablespace' && tablespaces.has(one.tablespace) ? [one.sql] : [],
    ),
  };
}

/** Of the server's own roles, those by which one becomes whoever runs the server. */
const POWERFUL = new Set(['pg_execute_server_program', 'pg_read_server_files', 'pg_write_server_files']);

function isPowerful(role: string, { roles }: TargetServer): boolean {
  return POWERFUL.has(role) || roles.get(role)?.value.isSuperuser === true;
}

function isNew(
  { role, member }: Extract<GlobalStatement, { kind: 'membership' }>,
  made: ReadonlySet<string>,
  target: TargetServer,
): boolean {
  const isKnown = (name: string) => made.has(name) || target.roles.has(name) || name.startsWith('pg_');
  return (made.has(role) || made.has(member)) && isKnown(role) && isKnown(member);
}

/** Who granted it, where that role is there and may have done so. */
function withGrantor(
  sql: string,
  { server }: PostgresSnapshot,
  made: ReadonlySet<string>,
  target: TargetServer,
): string {
  const grantor = new RegExp(` granted by (${NAME_IN_SQL});$`, 'i').exec(sql);
  if (grantor === null) return sql;
  const name = nameFromSql(grantor[1] as string);
  const isStricter =
    majorOf(target.versionNumber) >= STRICT_MEMBERSHIP_MAJOR &&
    majorOf(server.serverVersionNumber) < STRICT_MEMBERSHIP_MAJOR;
  const mayStay = target.isSuperuser && !isStricter && (made.has(name) || target.roles.has(name));
  return mayStay ? sql : sql.replace(grantor[0], ';');
}

/** Hashes of passwords are in the statements: the server is asked not to write them into its log. */
const QUIETLY = [
  "set local log_statement = 'none'",
  'set local log_min_duration_statement = -1',
  "set local log_min_error_statement = 'panic'",
];

export async function makeServerObjects(
  session: DatabaseSession,
  plan: ServerPlan,
  target: TargetServer,
): Promise<void> {
  if (plan.statements.length > 0) {
    const own = target.isSuperuser ? QUIETLY : plan.roles.map((role) => `grant ${quoteName(role)} to current_user`);
    const [before, after] = target.isSuperuser ? [own, []] : [[], own];
    for (const sql of ['begin', ...before, ...plan.statements, ...after, 'commit']) await session.query(sql);
  }
  for (const sql of plan.tablespaceStatements) await session.query(sql);
}

/** What this role gave itself so as to make things in the name of others. */
export async function takeBackOwnMemberships(session: DatabaseSession, target: TargetServer): Promise<void> {
  if (target.isSuperuser) return;
  const rows = await session.query(
    `select pg_catalog.quote_ident(pg_catalog.pg_get_userbyid(m.roleid)) as role from pg_catalog.pg_auth_members m
     where m.member = m.grantor and m.member = (select r.oid from pg_catalog.pg_roles r where r.rolname = current_user)`,
  );
  for (const { role } of rows) await session.query(`revoke ${role} from current_user`);
}

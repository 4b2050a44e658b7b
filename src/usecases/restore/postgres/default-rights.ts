/**
 * Default rights of a database that is restored into (ALTER DEFAULT PRIVILEGES) go to whatever this role makes there, and an
 * archive does not know of them. Without this, somebody would have rights that the snapshot gives to nobody.
 */
import { quoteName, quoteRelation } from '../../../formats/postgres/names.ts';
import type { Fact } from '../../../formats/repository/database-record.ts';
import type { DatabaseSession, ReachableDatabase } from '../../../ports/database.ts';
import { presentFacts } from './proof.ts';

export interface RightsWork {
  readonly session: DatabaseSession;
  readonly reachable: ReachableDatabase;
  /** Those of the snapshot. */
  readonly recorded: () => AsyncIterable<Fact>;
  /** What this restore has made. */
  readonly isMade: (fact: Fact) => boolean;
  readonly signal: AbortSignal;
}

export async function undoDefaultRights({ session, reachable, recorded, isMade, signal }: RightsWork): Promise<void> {
  const own = await session.query(
    `select from pg_catalog.pg_default_acl d where pg_catalog.pg_get_userbyid(d.defaclrole) = current_user`,
  );
  if (own.length === 0) return;
  const expected = new Map<string, ReadonlySet<string>>();
  for await (const fact of recorded()) {
    if (objectOf(fact) !== undefined && isMade(fact)) expected.set(keyOf(fact), rightsOf(fact));
  }
  const statements: string[] = [];
  for await (const fact of presentFacts({ reachable, signal })) {
    const wanted = expected.get(keyOf(fact));
    const object = objectOf(fact);
    if (wanted === undefined || object === undefined) continue;
    const found = rightsOf(fact);
    statements.push(
      ...[...found].filter((right) => !wanted.has(right)).map((right) => changeSql('revoke', right, object)),
      ...[...wanted].filter((right) => !found.has(right)).map((right) => changeSql('grant', right, object)),
    );
  }
  for (const sql of ['begin', ...statements, 'commit']) await session.query(sql);
}

function keyOf({ kind, name }: Fact): string {
  return JSON.stringify([kind, ...name]);
}

/** As GRANT names it; undefined where default rights do not reach. */
function objectOf({ kind, name: [schema = '', name = '', argumentTypes = ''] }: Fact): string | undefined {
  const qualified = quoteRelation({ schema, name });
  if (kind === 'relation') return `table ${qualified}`;
  if (kind === 'sequence') return `sequence ${qualified}`;
  if (kind === 'function') return `routine ${qualified}(${argumentTypes})`;
  if (kind === 'type') return `type ${qualified}`;
  return kind === 'schema' ? `schema ${quoteName(schema)}` : undefined;
}

/** What everybody may where nobody said anything else. */
const INITIAL: Readonly<Record<string, readonly string[]>> = { function: ['=EXECUTE'], type: ['=USAGE'] };

/** `ROLE=RIGHT`, without those of the owner. */
function rightsOf({ kind, value: { rights, owner } }: Fact): ReadonlySet<string> {
  if (!Array.isArray(rights)) return new Set(INITIAL[kind] ?? []);
  return new Set((rights as string[]).filter((right) => right.slice(0, right.lastIndexOf('=')) !== owner));
}

function changeSql(verb: 'grant' | 'revoke', right: string, object: string): string {
  const at = right.lastIndexOf('=');
  const role = at === 0 ? 'public' : quoteName(right.slice(0, at));
  const what = right.slice(at + 1).replace(/\*$/, '');
  if (verb === 'revoke') return `revoke ${what} on ${object} from ${role}`;
  return `grant ${what} on ${object} to ${role}${right.endsWith('*') ? ' with grant option' : ''}`;
}

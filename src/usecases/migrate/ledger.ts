/**
 * The ledger: the table portolan.migrations of the database itself (docs/migrations.md, "The ledger"). It is made by the
 * first run that changes something. Its comment names its form.
 */
import type { DatabaseSession, Row } from '../../ports/database.ts';
import { UseCaseError } from '../errors.ts';
import type { LedgerEntry, LedgerState, MigrationBundle, MigrationKind } from './types.ts';

const FORM = 'portolan ledger 1';

const CREATE = [
  'create schema if not exists portolan',
  `create table if not exists portolan.migrations (
    module text not null,
    number numeric(20) not null,
    name text not null,
    digest text not null,
    kind text not null check (kind in ('expand', 'contract')),
    state text not null check (state in ('deferred', 'applied', 'dirty', 'baseline')),
    seen_bundle text, seen_version text, seen_sequence bigint, seen_root text,
    seen_at timestamptz not null default clock_timestamp(),
    applied_bundle text, applied_version text, applied_sequence bigint, applied_root text,
    applied_at timestamptz,
    applied_by text,
    primary key (module, number)
  )`,
  `comment on table portolan.migrations is '${FORM}'`,
];

const TABLE_FORM = `select pg_catalog.obj_description(c.oid, 'pg_class') as form
  from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
  where n.nspname = 'portolan' and c.relname = 'migrations'`;

/** Under the lock. */
export async function prepareLedger(session: DatabaseSession): Promise<void> {
  if (await ledgerExists(session)) return;
  await session.query('begin');
  for (const statement of CREATE) await session.query(statement);
  await session.query('commit');
}

/** Empty when there is none. @throws UseCaseError MIGRATION_LEDGER_UNKNOWN */
export async function readEntries(session: DatabaseSession): Promise<readonly LedgerEntry[]> {
  if (!(await ledgerExists(session))) return [];
  const rows = await session.query(
    `select module, number::text as number, name, digest, kind, state,
       seen_bundle, seen_version, seen_sequence::text as seen_sequence, seen_root, seen_at::text as seen_at,
       applied_bundle, applied_version, applied_sequence::text as applied_sequence, applied_root, applied_at::text as applied_at
     from portolan.migrations order by module, migrations.number`,
  );
  return rows.map(entryOf);
}

async function ledgerExists(session: DatabaseSession): Promise<boolean> {
  const [found] = await session.query(TABLE_FORM);
  if (found === undefined) return false;
  if (found.form === FORM) return true;
  throw new UseCaseError('MIGRATION_LEDGER_UNKNOWN', 'The table portolan.migrations has an unknown form', {
    expected: FORM,
    found: found.form ?? 'a table without a comment',
    hint: 'Use the Portolan that made it, or a newer one.',
  });
}

/** Of the row of the table. */
export function entryOf(row: Row): LedgerEntry {
  const seenIn = bundleOf(row, 'seen');
  const appliedIn = bundleOf(row, 'applied');
  return {
    module: row.module as string,
    number: BigInt(row.number as string),
    name: row.name as string,
    digest: row.digest as string,
    kind: row.kind as MigrationKind,
    state: row.state as LedgerState,
    seenAt: row.seen_at as string,
    ...(seenIn === undefined ? {} : { seenIn }),
    ...(appliedIn === undefined ? {} : { appliedIn }),
    ...(row.applied_at == null ? {} : { appliedAt: row.applied_at }),
  };
}

function bundleOf(row: Row, prefix: 'seen' | 'applied'): MigrationBundle | undefined {
  const name = row[`${prefix}_bundle`];
  if (name == null) return undefined;
  return {
    name,
    version: row[`${prefix}_version`] ?? '',
    sequence: Number(row[`${prefix}_sequence`]),
    root: row[`${prefix}_root`] ?? '',
  };
}

/** What identifies a file in the ledger. */
export interface LedgerKey {
  readonly module: string;
  readonly number: bigint;
  readonly name: string;
  readonly digest: string;
  readonly kind: MigrationKind;
}

/**
 * Records a file in a state. A line that is there already keeps who brought it first, unless it waits or is dirty and its
 * content is another one now. A line that is applied is never touched: false then.
 */
export async function recordState(
  session: DatabaseSession,
  key: LedgerKey,
  state: LedgerState,
  bundle: MigrationBundle | undefined,
): Promise<boolean> {
  const seen = [bundle?.name, bundle?.version, bundle?.sequence.toString(), bundle?.root].map((value) => value ?? null);
  const isDone = state === 'applied' || state === 'baseline';
  const rows = await session.query(
    `insert into portolan.migrations as m
       (module, number, name, digest, kind, state, seen_bundle, seen_version, seen_sequence, seen_root,
        applied_bundle, applied_version, applied_sequence, applied_root, applied_at, applied_by)
     values ($1, $2::numeric, $3, $4, $5, $6, $7, $8, $9::bigint, $10,
        ${isDone ? '$7, $8, $9::bigint, $10, clock_timestamp(), session_user' : 'null, null, null, null, null, null'})
     on conflict (module, number) do update set
       name = excluded.name, digest = excluded.digest, kind = excluded.kind, state = excluded.state,
       seen_bundle = case when m.digest = excluded.digest and m.seen_bundle is not null then m.seen_bundle else excluded.seen_bundle end,
       seen_version = case when m.digest = excluded.digest and m.seen_bundle is not null then m.seen_version else excluded.seen_version end,
       seen_sequence = case when m.digest = excluded.digest and m.seen_bundle is not null then m.seen_sequence else excluded.seen_sequence end,
       seen_root = case when m.digest = excluded.digest and m.seen_bundle is not null then m.seen_root else excluded.seen_root end,
       seen_at = case when m.digest = excluded.digest then m.seen_at else excluded.seen_at end,
       applied_bundle = excluded.applied_bundle, applied_version = excluded.applied_version,
       applied_sequence = excluded.applied_sequence, applied_root = excluded.applied_root,
       applied_at = excluded.applied_at, applied_by = excluded.applied_by
     where m.state in ('deferred', 'dirty')
     returning 1 as written`,
    [key.module, key.number.toString(), key.name, key.digest, key.kind, state, ...seen],
  );
  return rows.length === 1;
}

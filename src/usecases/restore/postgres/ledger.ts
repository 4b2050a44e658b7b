/**
 * What a restore has done to a database, in that database: the schema portolan_restore. Steps and rows commit together with
 * their line, so that whoever is killed goes on where the last line is. The schema goes when everything is done.
 */
import { quoteText } from '../../../formats/postgres/names.ts';
import type { DatabaseSession } from '../../../ports/database.ts';

export const LEDGER_SCHEMA = 'portolan_restore';

export interface LedgerHead {
  /** Snapshot and options: only the same ones go on. */
  readonly restore: string;
  /** For people. */
  readonly what: string;
}

export interface Ledger {
  has(step: string): boolean;
  /** What was noted when a step began or ended. */
  note(step: string): string | undefined;
  add(step: string, note?: string): Promise<void>;
}

/** A statement that notes a step, for the transaction that does it. */
export function ledgerLine(step: string, note = ''): string {
  return `insert into ${LEDGER_SCHEMA}.step (name, note) values (${quoteText(step)}, ${quoteText(note)})`;
}

/** Undefined where no restore is under way. */
export async function readLedgerHead(session: DatabaseSession): Promise<LedgerHead | undefined> {
  const [there] = await session.query(
    `select pg_catalog.to_regclass('${LEDGER_SCHEMA}.head')::text as head, pg_catalog.to_regclass('${LEDGER_SCHEMA}.step')::text as step`,
  );
  if (there?.head == null || there.step === null) return undefined;
  const [row] = await session.query(`select restore, what from ${LEDGER_SCHEMA}.head`);
  return { restore: row?.restore ?? '', what: row?.what ?? '' };
}

/** The ledger that is there, or a new one. */
export async function openLedger(session: DatabaseSession, head: LedgerHead): Promise<Ledger> {
  if ((await readLedgerHead(session)) === undefined) {
    await session.query('begin');
    for (const statement of [
      `create schema ${LEDGER_SCHEMA}`,
      `comment on schema ${LEDGER_SCHEMA} is 'A restore by Portolan is under way. It removes this schema when it is done.'`,
      `create table ${LEDGER_SCHEMA}.head (restore text not null, what text not null)`,
      `create table ${LEDGER_SCHEMA}.step (name text primary key, note text not null)`,
      `insert into ${LEDGER_SCHEMA}.head values (${quoteText(head.restore)}, ${quoteText(head.what)})`,
      'commit',
    ]) {
      await session.query(statement);
    }
  }
  const steps = await openedSteps(session);
  return {
    has: (step) => steps.has(step),
    note: (step) => steps.get(step),
    async add(step, note = '') {
      await session.query(ledgerLine(step, note));
      steps.set(step, note);
    },
  };
}

/** Steps of a ledger that is there, with their notes. */
export async function openedSteps(session: DatabaseSession): Promise<Map<string, string>> {
  const rows = await session.query(`select name, note from ${LEDGER_SCHEMA}.step`);
  return new Map(rows.map(({ name, note }) => [name ?? '', note ?? '']));
}

export async function removeLedger(session: DatabaseSession): Promise<void> {
  await session.query(`drop schema if exists ${LEDGER_SCHEMA} cascade`);
}

/** "port", "rest": of the session, which the server frees when the session ends, however it ends. */
const LOCK = '1886351988, 1919251316';

/** False when another restore into this database holds it. */
export async function takeRestoreLock(session: DatabaseSession): Promise<boolean> {
  const [row] = await session.query(`select pg_catalog.pg_try_advisory_lock(${LOCK})::text as taken`);
  return row?.taken === 'true';
}

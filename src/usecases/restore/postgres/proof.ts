import { createHash } from 'node:crypto';
import { canonicalJson, type Json } from '../../../core/canonical-json.ts';
import { quoteRelation } from '../../../formats/postgres/names.ts';
import type { TableEntry } from '../../../formats/repository/contents.ts';
import type { Fact } from '../../../formats/repository/database-record.ts';
import type { ReachableDatabase } from '../../../ports/database.ts';
import { readDatabaseFacts, readSequenceFacts, sqlName } from '../../backup/postgres/facts.ts';
import { runLanes } from '../../backup/postgres/lanes.ts';
import { readServerState } from '../../backup/postgres/leader.ts';
import { readSettings } from '../../backup/postgres/settings.ts';
import { LEDGER_SCHEMA } from './ledger.ts';

/** What is not as the snapshot says. */
export interface Difference {
  readonly kind: string;
  /** As SQL names it. */
  readonly name: string;
  readonly what: string;
}

const NO_TABLES = { schemas: [LEDGER_SCHEMA], tables: [] };

export interface FactsRequest {
  readonly reachable: ReachableDatabase;
  /** Those of the snapshot; asked for again when something differs. */
  readonly recorded: () => AsyncIterable<Fact>;
  readonly isWanted: (fact: Fact) => boolean;
  readonly comparable: (fact: Fact) => Fact['value'];
  /** What the target has beside them is no difference. */
  readonly mayHaveMore: boolean;
  readonly signal: AbortSignal;
}

/** Reads the facts of the restored database and holds them against those of the snapshot. Of each a digest is in memory. */
export async function proveFacts(request: FactsRequest): Promise<readonly Difference[]> {
  const { recorded, isWanted, comparable } = request;
  const expected = new Map<string, string>();
  for await (const fact of recorded()) if (isWanted(fact)) expected.set(keyOf(fact), digestOf(comparable(fact)));
  const other = new Map<string, Fact>();
  const more: Difference[] = [];
  for await (const fact of presentFacts(request)) {
    if (!isWanted(fact)) continue;
    const key = keyOf(fact);
    const digest = expected.get(key);
    if (digest === digestOf(comparable(fact))) expected.delete(key);
    else if (digest !== undefined) other.set(key, fact);
    else if (!request.mayHaveMore) more.push(difference(fact, 'is there, and is not in the snapshot'));
  }
  if (expected.size === 0) return more;
  const differences: Difference[] = [];
  for await (const fact of recorded()) {
    const key = keyOf(fact);
    if (!expected.has(key)) continue;
    const found = other.get(key);
    const what = found === undefined ? 'is missing' : changeOf(comparable(fact), comparable(found));
    if (what !== '') differences.push(difference(fact, what));
  }
  return [...differences, ...more];
}

/** The facts of a database as it is now. */
export async function* presentFacts({
  reachable,
  signal,
}: Pick<FactsRequest, 'reachable' | 'signal'>): AsyncGenerator<Fact> {
  await using session = await reachable.database.open({ readOnly: true, signal });
  const state = await readServerState(session);
  for (const setting of readSettings(state)) await session.query(setting);
  await session.query('begin transaction isolation level repeatable read, read only');
  yield* readDatabaseFacts(session, NO_TABLES);
  yield* await readSequenceFacts(session, NO_TABLES);
  await session.query('commit');
}

function keyOf({ kind, name }: Fact): string {
  return canonicalJson([kind, ...name]);
}

function digestOf(value: Fact['value']): string {
  return createHash('sha256').update(canonicalJson(value)).digest('base64');
}

function difference({ kind, name }: Fact, what: string): Difference {
  return { kind, name: sqlName(name), what };
}

const SHOWN_CHARACTERS = 200;

/** The members that differ; empty when none does. What the record does not tell, as those of older programs, is no difference. */
export function changeOf(expected: Fact['value'], found: Fact['value']): string {
  const show = (value: Json | undefined) =>
    value === undefined ? 'nothing' : canonicalJson(value).slice(0, SHOWN_CHARACTERS);
  return Object.keys(expected)
    .filter((member) => canonicalJson(expected[member] ?? null) !== canonicalJson(found[member] ?? null))
    .map((member) => `${member}: expected ${show(expected[member])}, found ${show(found[member])}`)
    .join('; ');
}

export interface RowsProof {
  readonly reachable: ReachableDatabase;
  readonly tables: readonly TableEntry[];
  readonly jobs: number;
  readonly signal: AbortSignal;
}

/** Counts the rows of every table. */
export async function proveRows({ reachable, tables, jobs, signal }: RowsProof): Promise<readonly Difference[]> {
  const differences: Difference[] = [];
  const waiting = [...tables];
  const stop = new AbortController();
  const either = AbortSignal.any([signal, stop.signal]);
  const lane = async (): Promise<void> => {
    if (waiting.length === 0) return;
    await using session = await reachable.database.open({ readOnly: true, signal: either });
    await session.query('set row_security = off');
    for (let table = waiting.shift(); table !== undefined; table = waiting.shift()) {
      const name = quoteRelation({ schema: table.schema, name: table.table });
      const [row] = await session.query(`select pg_catalog.count(*)::text as count from only ${name}`);
      if (Number(row?.count) === table.rows) continue;
      differences.push({ kind: 'rows', name, what: `expected ${table.rows}, found ${row?.count}` });
    }
  };
  await runLanes(
    Array.from({ length: jobs }, () => lane),
    jobs,
    { signal: either, onFailure: (cause) => stop.abort(cause) },
  );
  return differences;
}

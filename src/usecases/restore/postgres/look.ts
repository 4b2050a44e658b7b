import type { DatabaseServer, DatabaseSession } from '../../../ports/database.ts';
import type { ChosenDatabase } from './choose.ts';
import { type LedgerHead, openedSteps, readLedgerHead } from './ledger.ts';
import type { DatabaseSurvey } from './survey.ts';
import { inspectDatabase, type TargetObjects } from './target-database.ts';
import { ownCollations, type TargetServer } from './target-server.ts';
import type { DatabaseReport, DatabaseTask } from './types.ts';

/** What a database of the target is found to be. */
export interface Found extends ChosenDatabase {
  readonly reachable: DatabaseTask['reachable'];
  readonly state: DatabaseReport['state'];
  readonly objects: TargetObjects | undefined;
  readonly ledger: LedgerHead | undefined;
  /** Entries that a run before had chosen. */
  readonly begun: ReadonlySet<number> | undefined;
  readonly isFinished: boolean;
  readonly isOther: boolean;
  readonly extensions: DatabaseReport['extensions'];
  /** In pg_catalog: those of the database, or of a new one. */
  readonly collations: ReadonlySet<string>;
}

/** Looks at a database of the target, and changes nothing. */
export async function lookAt(
  one: ChosenDatabase,
  { record }: DatabaseSurvey,
  head: LedgerHead,
  {
    server,
    target,
    signal,
  }: { readonly server: DatabaseServer; readonly target: TargetServer; readonly signal: AbortSignal },
): Promise<Found> {
  const reachable = await server.database(one.target);
  const extensions = record.extensions.map(({ name, version }) => ({
    name,
    version,
    available: target.extensions.get(name)?.version,
  }));
  const fresh = {
    ...{ ...one, reachable, extensions, begun: undefined, isFinished: false, isOther: false },
    collations: target.collations,
  };
  if (!target.databases.has(one.target)) return { ...fresh, state: 'new', objects: undefined, ledger: undefined };
  await using session = await reachable.database.open({ readOnly: true, signal });
  const objects = await inspectDatabase(session);
  const ledger = await readLedgerHead(session);
  const there = { ...fresh, objects, ledger, collations: await ownCollations(session) };
  if (ledger === undefined) return { ...there, state: objects.isEmpty ? 'empty' : 'existing' };
  if (ledger.restore !== head.restore) return { ...there, state: 'begun', isOther: true };
  return { ...there, state: 'begun', ...(await begunOf(session)) };
}

async function begunOf(session: DatabaseSession): Promise<Pick<Found, 'begun' | 'isFinished'>> {
  const steps = await openedSteps(session);
  const begun = steps.get('begun');
  return {
    begun: begun === undefined ? undefined : new Set(JSON.parse(begun) as number[]),
    isFinished: steps.has('finished'),
  };
}

import { expect } from 'vitest';
import { PortolanError } from '../../src/core/errors.ts';
import { KEY_PREFIXES } from '../../src/formats/repository/keys.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { type Fault, type FaultPlan, type FaultyStore, faultyStore, type StoreCall } from './faulty-store.ts';

/**
 * What goes wrong at one call:
 *
 * - `refused`: nothing was done; each position has another of the codes
 * - `dies`: no call does anything from this one on, as if the process or the network were gone
 * - `answer-lost`, `dies-after`: the call is done, and nobody is told
 * - `short`, `damaged`: as the faulty store has them
 */
export type PositionFault = 'refused' | 'answer-lost' | 'short' | 'damaged' | 'dies' | 'dies-after';

const REFUSALS: readonly Fault[] = ['STORE_BUSY', 'STORE_TIMEOUT', 'STORE_FULL', 'STORE_UNREACHABLE', 'STORE_DENIED'];
const CHANGES = new Set(['put', 'remove']);
const READS = new Set(['put', 'get', 'getRange', 'stat', 'list']);

/** Whether a fault is one of its own there: a read whose answer is lost is a read that is refused. */
function isOfUse(fault: PositionFault, { method, key }: StoreCall): boolean {
  if (fault === 'answer-lost' || fault === 'dies-after') return CHANGES.has(method);
  // Of other lists nobody asks for sizes.
  if (fault === 'damaged' && method === 'list') return key === '' || key === KEY_PREFIXES.pack;
  return fault === 'short' || fault === 'damaged' ? READS.has(method) : true;
}

function plansOf(fault: PositionFault, call: number): readonly FaultPlan[] {
  const gone = { fault: 'STORE_UNREACHABLE', times: Number.POSITIVE_INFINITY } as const;
  if (fault === 'dies') return [{ ...gone, call }];
  const first: FaultPlan = { call, fault: 'answer-lost' };
  if (fault === 'dies-after') return [first, { ...gone, call: call + 1 }];
  return [{ call, fault: fault === 'refused' ? (REFUSALS[call % REFUSALS.length] as Fault) : fault }];
}

export interface Position {
  /** For messages. */
  readonly name: string;
  readonly call: StoreCall;
  /** The storage said that it had stored the whole, and did not. */
  readonly isLyingPut: boolean;
  /** What the work rejected with; `undefined` when it went well in spite of the fault. */
  readonly failure: PortolanError | undefined;
}

export interface FaultyWork<Place> {
  /** A place of its own for each position. */
  readonly prepare: () => Place;
  readonly storeOf: (place: Place) => ObjectStore;
  /** Two places of which this is the same are the same: after a work that failed there is nothing to look at. */
  readonly stateOf?: (place: Place) => string;
  readonly work: (place: Place, store: FaultyStore) => Promise<unknown>;
  /** What must hold afterwards. */
  readonly look: (place: Place, position: Position) => Promise<void>;
}

/**
 * Does a work once for each call that it makes of a store, with a fault there.
 *
 * @returns how many positions there were, and how many of them were looked at
 */
export async function atEveryCall<Place>(
  fault: PositionFault,
  { prepare, storeOf, stateOf, work, look }: FaultyWork<Place>,
): Promise<{ readonly positions: number; readonly looked: number }> {
  const quiet = prepare();
  const before = stateOf?.(quiet);
  const counting = faultyStore(storeOf(quiet));
  await work(quiet, counting);
  let looked = 0;
  let positions = 0;
  for (const [index, expected] of counting.calls.entries()) {
    if (!isOfUse(fault, expected)) continue;
    const place = prepare();
    const store = faultyStore(storeOf(place), ...plansOf(fault, index + 1));
    const failure = await failureOf(() => work(place, store));
    expect(store.faults, `${fault} at call ${index + 1}`).toBeGreaterThan(0);
    positions += 1;
    if (failure !== undefined && before !== undefined && stateOf?.(place) === before) continue;
    looked += 1;
    const call = store.calls[index] as StoreCall;
    await look(place, {
      ...{ call, failure, isLyingPut: (fault === 'short' || fault === 'damaged') && call.method === 'put' },
      name: `${fault} at call ${index + 1}, ${call.method} ${call.key}${failure === undefined ? '' : `: ${failure.code}`}`,
    });
  }
  return { positions, looked };
}

/** A work fails loudly: with an error of ours, that has something to say. Anything else fails the test. */
export async function failureOf(work: () => Promise<unknown>): Promise<PortolanError | undefined> {
  try {
    await work();
    return undefined;
  } catch (error) {
    if (error instanceof PortolanError && error.message !== '') return error;
    throw error;
  }
}

/**
 * `count` numbers of `from` to `to`, one of each share; all of them when there are no more.
 *
 * @param at - where in its share: 0 is its beginning, 1 the next one
 */
export function spread(count: number, from: number, to: number, at = 0.5): readonly number[] {
  const all = to - from + 1;
  if (all <= count) return Array.from({ length: Math.max(0, all) }, (_, index) => from + index);
  return Array.from({ length: count }, (_, index) => from + Math.floor(((index + at) * all) / count));
}

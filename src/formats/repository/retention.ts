/**
 * Which snapshots are kept, and why (docs/format-repository.md, "Retention"). Pure: times and verifications come in, a plan
 * comes out. Each writer's snapshots are looked at alone; hours, days, weeks (ISO 8601), months and years are those of UTC.
 *
 * A writer may be hostile, and so may nothing that it says take a good snapshot away:
 * - slots are filled by the storage's time, not by the writer's;
 * - where there are verifiers, only snapshots that one of them found good fill a slot, and what is newer than the newest
 *   such one is kept;
 * - nothing younger than the floor is forgotten, nor is the newest;
 * - a chain with more snapshots than scheduled, with clocks that disagree, or that suddenly holds far less than before, is
 *   held as it is until a person looked and accepts it.
 */
import type { Digest } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import type { WriterName } from './keys.ts';

export interface RetentionPolicy {
  readonly last?: number;
  readonly hourly?: number;
  readonly daily?: number;
  readonly weekly?: number;
  readonly monthly?: number;
  readonly yearly?: number;
  /** Everything that is not older. */
  readonly withinMs?: number;
  /** Everything with one of these tags. */
  readonly tags?: readonly string[];
  /** Nothing younger is forgotten; RETENTION_FLOOR_MS unless said. */
  readonly floorMs?: number;
  /** How many snapshots a writer makes in 24 hours by its schedule. More: its chain is held. */
  readonly perDay?: number;
}

export const RETENTION_FLOOR_MS = 24 * 3600 * 1000;
/** How far the writer's clock may be from the storage's. */
export const CLOCK_TOLERANCE_MS = 15 * 60 * 1000;
/**
 * A snapshot that names under this part of the bytes of the one before has collapsed. Below COMPACTION_RATIO: packs that are
 * used by just that quarter, all written anew by a full run, are no collapse.
 */
export const COLLAPSE_RATIO = 0.2;

export interface RetentionSnapshot {
  readonly writer: WriterName;
  readonly sequence: number;
  readonly digest: Digest;
  /** By the writer's clock: `finished` of the snapshot. */
  readonly writerTime: Date;
  /** By the storage's clock: when the object was created; of a copied repository, `storageTime` of the snapshot. */
  readonly storageTime: Date;
  readonly tags: readonly string[];
  readonly hold: boolean;
  /** A verifier of the roster found it good, and none found it bad later. */
  readonly verified: boolean;
  /** Of all packs that it names. */
  readonly storedBytes: number;
  /** The writer itself said so. */
  readonly collapsed: boolean;
}

export interface RetentionOptions {
  /** By the storage's clock. */
  readonly now: Date;
  /** Whether the roster has verifiers. */
  readonly verifiers: boolean;
  /** Reasons for holding a chain that a person looked at and accepts. */
  readonly accept?: readonly HoldReason[];
}

export type KeepReason =
  | 'last'
  | 'hourly'
  | 'daily'
  | 'weekly'
  | 'monthly'
  | 'yearly'
  | 'within'
  | 'tag'
  | 'hold'
  | 'floor'
  | 'newest'
  | 'unverified'
  | 'held';

export const HOLD_REASONS = ['more-than-scheduled', 'clocks-disagree', 'collapsed'] as const;
export type HoldReason = (typeof HOLD_REASONS)[number];

export interface RetentionPlan {
  /** In the order of writers and sequences. */
  readonly kept: readonly { readonly snapshot: RetentionSnapshot; readonly reasons: readonly KeepReason[] }[];
  readonly forgotten: readonly RetentionSnapshot[];
  /** Chains that are left as they are. */
  readonly held: readonly HeldChain[];
}

export interface HeldChain {
  readonly writer: WriterName;
  readonly reason: HoldReason;
  /** The snapshots that it is about. */
  readonly sequences: readonly number[];
}

const SLOTS = ['last', 'hourly', 'daily', 'weekly', 'monthly', 'yearly'] as const;
type Slot = (typeof SLOTS)[number];

const SLOT_OF: Readonly<Record<Slot, (snapshot: RetentionSnapshot) => string>> = {
  last: ({ sequence }) => String(sequence),
  hourly: ({ storageTime }) => storageTime.toISOString().slice(0, 13),
  daily: ({ storageTime }) => storageTime.toISOString().slice(0, 10),
  weekly: ({ storageTime }) => weekOf(storageTime),
  monthly: ({ storageTime }) => storageTime.toISOString().slice(0, 7),
  yearly: ({ storageTime }) => storageTime.toISOString().slice(0, 4),
};

/** @throws FormatError RETENTION_INVALID for a policy that keeps nothing, or has numbers that are none */
export function planRetention(
  snapshots: readonly RetentionSnapshot[],
  policy: RetentionPolicy,
  options: RetentionOptions,
): RetentionPlan {
  checkPolicy(policy);
  const chains = new Map<WriterName, RetentionSnapshot[]>();
  for (const snapshot of snapshots) {
    const chain = chains.get(snapshot.writer);
    if (chain === undefined) chains.set(snapshot.writer, [snapshot]);
    else chain.push(snapshot);
  }
  const kept: { snapshot: RetentionSnapshot; reasons: readonly KeepReason[] }[] = [];
  const forgotten: RetentionSnapshot[] = [];
  const held: HeldChain[] = [];
  for (const writer of [...chains.keys()].sort()) {
    const chain = (chains.get(writer) as RetentionSnapshot[]).sort((a, b) => a.sequence - b.sequence);
    const reasons = reasonsOf(chain, policy, options);
    const holds = findHolds(writer, chain, policy, options);
    held.push(...holds);
    for (const snapshot of chain) {
      const why = reasons.get(snapshot) ?? [];
      if (holds.length > 0 && why.length === 0) why.push('held');
      if (why.length > 0) kept.push({ snapshot, reasons: why });
      else forgotten.push(snapshot);
    }
  }
  return { kept, forgotten, held };
}

function reasonsOf(
  chain: readonly RetentionSnapshot[],
  policy: RetentionPolicy,
  { now, verifiers }: RetentionOptions,
): Map<RetentionSnapshot, KeepReason[]> {
  const reasons = new Map<RetentionSnapshot, KeepReason[]>(chain.map((snapshot) => [snapshot, []]));
  const keep = (snapshot: RetentionSnapshot, reason: KeepReason) => reasons.get(snapshot)?.push(reason);
  const newestFirst = chain.toReversed();
  const candidates = verifiers ? newestFirst.filter(({ verified }) => verified) : newestFirst;
  for (const slot of SLOTS) fillSlots(candidates, slot, policy[slot] ?? 0, (snapshot) => keep(snapshot, slot));
  const newest = newestFirst[0];
  const newestGood = candidates[0]?.sequence ?? 0;
  for (const snapshot of chain) {
    const ageMs = now.getTime() - snapshot.storageTime.getTime();
    if (ageMs <= (policy.withinMs ?? -1)) keep(snapshot, 'within');
    if (snapshot.tags.some((tag) => policy.tags?.includes(tag))) keep(snapshot, 'tag');
    if (snapshot.hold) keep(snapshot, 'hold');
    if (ageMs < (policy.floorMs ?? RETENTION_FLOOR_MS)) keep(snapshot, 'floor');
    if (snapshot === newest || (verifiers && snapshot.sequence === newestGood)) keep(snapshot, 'newest');
    else if (verifiers && snapshot.sequence > newestGood) keep(snapshot, 'unverified');
  }
  return reasons;
}

/** The newest snapshot of each of the `count` newest slots that have one. */
function fillSlots(
  newestFirst: readonly RetentionSnapshot[],
  slot: Slot,
  count: number,
  keep: (snapshot: RetentionSnapshot) => void,
): void {
  let filled = 0;
  let before: string | undefined;
  for (const snapshot of newestFirst) {
    const name = SLOT_OF[slot](snapshot);
    if (name === before) continue;
    if (filled >= count) return;
    before = name;
    filled += 1;
    keep(snapshot);
  }
}

/** Why a writer's chain, ascending, is left as it is. */
export function findHolds(
  writer: WriterName,
  chain: readonly RetentionSnapshot[],
  policy: Pick<RetentionPolicy, 'perDay'>,
  { now, accept = [] }: Pick<RetentionOptions, 'now' | 'accept'>,
): HeldChain[] {
  const found: Readonly<Record<HoldReason, readonly RetentionSnapshot[]>> = {
    'more-than-scheduled': policy.perDay === undefined ? [] : beyondSchedule(chain, policy.perDay),
    'clocks-disagree': chain.filter((snapshot, index) => clocksDisagree(snapshot, chain[index - 1], now)),
    collapsed: chain.filter((snapshot, index) => hasCollapsed(snapshot, chain[index - 1])),
  };
  return (Object.keys(found) as HoldReason[])
    .filter((reason) => found[reason].length > 0 && !accept.includes(reason))
    .map((reason) => ({ writer, reason, sequences: found[reason].map(({ sequence }) => sequence) }));
}

/** Snapshots that come within 24 hours of the one that is `perDay` before them. */
function beyondSchedule(chain: readonly RetentionSnapshot[], perDay: number): readonly RetentionSnapshot[] {
  return chain.filter((snapshot, index) => {
    const before = chain[index - perDay];
    // A schedule is kept by the minute, not by the second: a run takes as long as it takes.
    const dayMs = 24 * 3600 * 1000 - CLOCK_TOLERANCE_MS;
    return before !== undefined && snapshot.storageTime.getTime() - before.storageTime.getTime() < dayMs;
  });
}

function clocksDisagree(snapshot: RetentionSnapshot, before: RetentionSnapshot | undefined, now: Date): boolean {
  const { writerTime, storageTime } = snapshot;
  if (Math.abs(writerTime.getTime() - storageTime.getTime()) > CLOCK_TOLERANCE_MS) return true;
  // Later in the chain and earlier by the storage's clock: one of them was written again, or the clock was put back.
  if (before !== undefined && storageTime.getTime() < before.storageTime.getTime() - CLOCK_TOLERANCE_MS) return true;
  return storageTime.getTime() > now.getTime() + CLOCK_TOLERANCE_MS;
}

function hasCollapsed(snapshot: RetentionSnapshot, before: RetentionSnapshot | undefined): boolean {
  if (before === undefined) return false;
  return snapshot.collapsed || snapshot.storedBytes < before.storedBytes * COLLAPSE_RATIO;
}

/** `2026-W01`: the week of ISO 8601, which belongs to the year of its Thursday. */
function weekOf(time: Date): string {
  const dayMs = 24 * 3600 * 1000;
  const thursday = new Date(time.getTime() + (4 - (time.getUTCDay() || 7)) * dayMs);
  const year = thursday.getUTCFullYear();
  const week = Math.floor((thursday.getTime() - Date.UTC(year, 0, 1)) / (7 * dayMs)) + 1;
  return `${year}-W${String(week).padStart(2, '0')}`;
}

function checkPolicy(policy: RetentionPolicy): void {
  const counts = SLOTS.map((slot) => policy[slot] ?? 0);
  const lengths = [policy.withinMs ?? 0, policy.floorMs ?? 0];
  if (!counts.every((count) => Number.isSafeInteger(count) && count >= 0) || !lengths.every((ms) => ms >= 0))
    throw invalid('a number of the retention policy is not one');
  if (policy.perDay !== undefined && !(Number.isSafeInteger(policy.perDay) && policy.perDay >= 1))
    throw invalid('a schedule has at least one snapshot in a day');
  if (counts.every((count) => count === 0) && policy.withinMs === undefined && policy.tags === undefined) {
    throw invalid('the retention policy keeps nothing');
  }
}

function invalid(problem: string): FormatError {
  return new FormatError('RETENTION_INVALID', problem, {
    hint: 'Say what is kept, such as 7 daily, 4 weekly and 12 monthly snapshots.',
  });
}

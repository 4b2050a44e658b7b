import type { PortolanError } from '../../core/errors.ts';
import type { WriterName } from '../../formats/repository/keys.ts';
import { findHolds, HOLD_REASONS, type HoldReason } from '../../formats/repository/retention.ts';
import type { Snapshot } from '../../formats/repository/snapshot.ts';
import type { Verification } from '../../formats/repository/verification.ts';
import type { RepositoryMetrics, WriterMetrics } from '../../formats/telemetry/repository-metrics.ts';
import type { ReadChain, SnapshotInfo } from './chains.ts';
import { type RepositoryMemory, rememberSeen } from './checkpoints.ts';
import { liveOf, retentionSnapshot } from './forget.ts';
import { headsOf, lookAtChains } from './list.ts';
import { isCode } from './objects.ts';
import type { OpenedRepository } from './open.ts';
import type { ReadVerifications } from './verifications.ts';

/** What `forget` is told as well: else a chain is called held that it does not hold, or the reverse. */
export interface MetricsRequest {
  /** How many snapshots a writer makes in a day by its schedule. */
  readonly perDay?: number | undefined;
  /** Reasons that a person looked at. */
  readonly accept: readonly HoldReason[];
  /** The repository is a copy: its objects are younger than its snapshots. */
  readonly copied: boolean;
}

export interface MetricsReport {
  readonly metrics: RepositoryMetrics;
  readonly problems: readonly PortolanError[];
  /** Why this machine could not remember what it saw: a repository that is rolled back later is then not noticed by it. */
  readonly forgetful?: PortolanError;
}

/** What a disk says that takes nothing. */
const UNWRITABLE = ['FILE_UNWRITABLE', 'READ_ONLY', 'NO_SPACE'] as const;

/**
 * What there is to tell of a repository without any key, by what `list` goes by. What is wrong is counted; only what keeps it from
 * being read is thrown.
 */
export async function repositoryMetrics(
  repository: OpenedRepository,
  request: MetricsRequest,
  { memory, now }: { readonly memory: RepositoryMemory; readonly now: () => number },
  options: { readonly signal: AbortSignal },
): Promise<MetricsReport> {
  const storageNow = await repository.store.now(options);
  const added = new Map<WriterName, number>();
  const { chains, verifications, problems } = await lookAtChains(repository, {
    ...options,
    // The newest comes first.
    visit: (snapshot, isForgotten) => {
      if (!isForgotten && !added.has(snapshot.writer)) added.set(snapshot.writer, addedBytes(snapshot));
    },
  });
  const forgetful = problems.length > 0 ? undefined : await remember(memory, repository, chains, options);
  const { epoch, writers } = repository.roster.document;
  const active = new Set(writers.map(({ name }) => name));
  // Of others there is no right snapshot: whoever may create objects could else make up as many series as he likes.
  const known = new Set(repository.rosters.flatMap(({ document }) => document.writers.map(({ name }) => name)));
  const without = [...active].filter((name) => !chains.some(({ writer }) => writer === name));
  const all = [...chains.filter(({ writer }) => known.has(writer)), ...without.map(emptyChain)];
  const looking = { repository, request, verifications, storageNow };
  return {
    metrics: {
      writers: all
        .map((chain) => writerMetrics(chain, added.get(chain.writer) ?? 0, active.has(chain.writer), looking))
        .sort((a, b) => (a.writer < b.writer ? -1 : 1)),
      problems: problems.length,
      epoch,
      readAt: new Date(now()),
    },
    problems,
    ...(forgetful === undefined ? {} : { forgetful }),
  };
}

/** Of a pack the snapshot tells which run wrote it. */
function addedBytes({ packs, runs, run }: Snapshot): number {
  return packs.reduce((sum, { runIndex, sizeBytes }) => sum + (runs[runIndex]?.run === run ? sizeBytes : 0), 0);
}

/** A monitor may have no disk of its own: that keeps it from noticing a roll-back, and from nothing else. */
async function remember(
  memory: RepositoryMemory,
  repository: OpenedRepository,
  chains: readonly ReadChain[],
  options: { readonly signal: AbortSignal },
): Promise<PortolanError | undefined> {
  try {
    await rememberSeen(memory, repository, headsOf(chains), options);
    return undefined;
  } catch (error) {
    if (isCode(error, ...UNWRITABLE)) return error;
    throw error;
  }
}

function emptyChain(writer: WriterName): ReadChain {
  return { writer, snapshots: [], forgotten: [], unreadable: [], head: undefined, findings: [] };
}

interface Looking {
  readonly repository: OpenedRepository;
  readonly request: MetricsRequest;
  readonly verifications: ReadVerifications;
  /** By the storage's clock. */
  readonly storageNow: Date;
}

function writerMetrics(
  chain: ReadChain,
  added: number,
  active: boolean,
  { repository, request, verifications, storageNow }: Looking,
): WriterMetrics {
  const { writer } = chain;
  const live = liveOf(chain);
  const newest = live.at(-1);
  const hasVerifiers = repository.roster.document.verifiers.length > 0;
  const good = live.findLast((info) => verifications.of(info) === true);
  const answered = live.findLast(({ identityProvider }) => hasAnswered(identityProvider))?.identityProvider?.at;
  const isAsked = newest?.identityProvider !== undefined;
  const held = new Set(holdsOf(writer, live, request, verifications, storageNow));
  return {
    writer,
    active,
    snapshots: live.length,
    ...(newest === undefined ? {} : { newest: newestOf(newest, added) }),
    ...(hasVerifiers ? { verified: good === undefined ? 'never' : new Date(good.storageTime) } : {}),
    bad: live.filter((info) => verifications.of(info) === false).length,
    verifications: newestWords(verifications.words.filter((word) => word.writer === writer)),
    ...(answered !== undefined ? { answered: new Date(answered) } : isAsked ? { answered: 'never' } : {}),
    holds: Object.fromEntries(HOLD_REASONS.map((reason) => [reason, held.has(reason)])) as WriterMetrics['holds'],
  };
}

function newestOf(info: SnapshotInfo, added: number): NonNullable<WriterMetrics['newest']> {
  const { storageTime, started, finished, storedBytes, collapsed, full, identityProvider } = info;
  return {
    time: new Date(storageTime),
    durationMs: Math.max(0, new Date(finished).getTime() - new Date(started).getTime()),
    ...{ storedBytes, addedBytes: added, collapsed, full },
    ...(identityProvider === undefined ? {} : { answer: identityProvider.state }),
  };
}

/** It was overruled by what would have been left, and it had answered. */
function hasAnswered(asked: SnapshotInfo['identityProvider']): boolean {
  return asked?.state === 'answered' || asked?.state === 'overruled';
}

/** As `forget` finds them. */
function holdsOf(
  writer: WriterName,
  live: readonly SnapshotInfo[],
  { perDay, ...request }: MetricsRequest,
  verifications: ReadVerifications,
  now: Date,
): readonly HoldReason[] {
  const chain = live.map((info) => retentionSnapshot(info, verifications, request));
  const holds = findHolds(writer, chain, perDay === undefined ? {} : { perDay }, { now, accept: request.accept });
  return holds.map(({ reason }) => reason);
}

function newestWords(words: readonly Verification[]): WriterMetrics['verifications'] {
  const newest: Partial<Record<Verification['kind'], Date>> = {};
  for (const { kind, time } of words) {
    const at = new Date(time);
    if ((newest[kind]?.getTime() ?? 0) < at.getTime()) newest[kind] = at;
  }
  return newest;
}

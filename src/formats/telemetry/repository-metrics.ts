/**
 * What a monitor is told of a repository, by its clear and signed parts alone, as families of gauges (docs/telemetry.md, "Metrics").
 * Names and labels are kept: alert rules elsewhere go by them.
 */
import type { WriterName } from '../repository/keys.ts';
import type { HoldReason } from '../repository/retention.ts';
import type { AskedIdentityProvider } from '../repository/snapshot.ts';
import type { Verification } from '../repository/verification.ts';
import type { Gauge, Sample } from './prometheus-text.ts';

export interface RepositoryMetrics {
  readonly writers: readonly WriterMetrics[];
  /** What is wrong with rosters, chains and results of verifiers. */
  readonly problems: number;
  readonly epoch: number;
  /** When it was read, by the clock of this machine. */
  readonly readAt: Date;
}

export interface WriterMetrics {
  readonly writer: WriterName;
  /** Whether the newest roster has this writer. */
  readonly active: boolean;
  /** Live ones, whose signatures are right. */
  readonly snapshots: number;
  readonly newest?: NewestSnapshot;
  /** Storage time of the newest that a verifier found good; `never` where the roster has verifiers and there is none. */
  readonly verified?: Date | 'never';
  /** Live snapshots that a verifier found bad. */
  readonly bad: number;
  /** When each kind was last done with a snapshot of this writer, by the verifier's clock. */
  readonly verifications: Readonly<Partial<Record<Verification['kind'], Date>>>;
  /** When the identity provider last answered a run; `never` where the newest run asked and none that is left had an answer. */
  readonly answered?: Date | 'never';
  /** Why `forget` would leave the chain as it is. */
  readonly holds: Readonly<Record<HoldReason, boolean>>;
}

interface NewestSnapshot {
  /** By the storage's clock. */
  readonly time: Date;
  readonly durationMs: number;
  /** Of all packs that it names. */
  readonly storedBytes: number;
  /** Of the packs that its own run wrote. */
  readonly addedBytes: number;
  readonly collapsed: boolean;
  readonly full: boolean;
  /** Absent when it was not asked. */
  readonly answer?: AskedIdentityProvider['state'];
}

/** What came of the last reading. */
export interface LastReading {
  /** Whether the storage answered to the end. */
  readonly isReachable: boolean;
  /** The repository did not hold what it must: nothing of it was believed, and what is told is of an earlier reading. */
  readonly isBroken: boolean;
}

const ANSWERS = ['answered', 'overruled', 'unreachable', 'refused'] as const satisfies AskedIdentityProvider['state'][];

/** `metrics` of the last reading that came to its end; `undefined` when there was none. */
export function repositoryGauges(metrics: RepositoryMetrics | undefined, last: LastReading): readonly Gauge[] {
  const { writers = [], problems = 0, epoch, readAt } = metrics ?? {};
  const ofWriters = (samplesOf: (metrics: WriterMetrics) => readonly Sample[]): readonly Sample[] =>
    writers.flatMap((one) =>
      samplesOf(one).map((sample) => ({ ...sample, labels: { writer: one.writer, ...sample.labels } })),
    );
  const ofNewest = (numberOf: (newest: NewestSnapshot) => number) =>
    ofWriters(({ newest }) => (newest === undefined ? [] : [{ value: numberOf(newest) }]));
  return [
    {
      name: 'portolan_repository_reachable',
      help: 'Whether the storage answered the last reading to its end.',
      samples: [{ value: last.isReachable ? 1 : 0 }],
    },
    {
      name: 'portolan_metrics_read_timestamp_seconds',
      help: 'When all that is told here was read; a reading that fails leaves the values of the one before.',
      samples: readAt === undefined ? [] : [{ value: seconds(readAt) }],
    },
    {
      name: 'portolan_repository_problems',
      help: 'What is wrong with rosters, chains, signatures and results of verifiers.',
      samples: metrics === undefined && !last.isBroken ? [] : [{ value: Math.max(problems, last.isBroken ? 1 : 0) }],
    },
    {
      name: 'portolan_roster_epoch',
      help: 'Epoch of the newest roster.',
      samples: epoch === undefined ? [] : [{ value: epoch }],
    },
    {
      name: 'portolan_writer_active',
      help: 'Whether the newest roster has the writer.',
      samples: ofWriters(({ active }) => [{ value: active ? 1 : 0 }]),
    },
    {
      name: 'portolan_snapshots',
      help: 'Live snapshots of the writer.',
      samples: ofWriters(({ snapshots }) => [{ value: snapshots }]),
    },
    {
      name: 'portolan_snapshot_newest_timestamp_seconds',
      help: 'When the newest snapshot was written, by the clock of the storage; 0 when there is none.',
      samples: ofWriters(({ newest }) => [{ value: newest === undefined ? 0 : seconds(newest.time) }]),
    },
    {
      name: 'portolan_snapshot_duration_seconds',
      help: 'How long the run of the newest snapshot took, by the clock of the writer.',
      samples: ofNewest(({ durationMs }) => durationMs / 1000),
    },
    {
      name: 'portolan_snapshot_stored_bytes',
      help: 'Bytes of all packs that the newest snapshot names, sealed.',
      samples: ofNewest(({ storedBytes }) => storedBytes),
    },
    {
      name: 'portolan_snapshot_added_bytes',
      help: 'Bytes of the packs that the run of the newest snapshot wrote, sealed.',
      samples: ofNewest(({ addedBytes }) => addedBytes),
    },
    {
      name: 'portolan_snapshot_collapsed',
      help: 'Whether the writer saw far less to back up for the newest snapshot than for the one before.',
      samples: ofNewest(({ collapsed }) => (collapsed ? 1 : 0)),
    },
    {
      name: 'portolan_snapshot_full',
      help: 'Whether the newest snapshot was written afresh, without packs of former runs.',
      samples: ofNewest(({ full }) => (full ? 1 : 0)),
    },
    {
      name: 'portolan_snapshot_verified_timestamp_seconds',
      help: 'When the newest snapshot that a verifier found good was written; 0 when there is none, absent without verifiers.',
      samples: ofWriters(({ verified }) => momentSample(verified)),
    },
    {
      name: 'portolan_snapshots_bad',
      help: 'Live snapshots that a verifier found bad.',
      samples: ofWriters(({ bad }) => [{ value: bad }]),
    },
    {
      name: 'portolan_verification_timestamp_seconds',
      help: 'When a verifier last signed a result of this kind, good or bad, of a snapshot of the writer.',
      samples: ofWriters(({ verifications }) =>
        Object.entries(verifications).map(([kind, at]) => ({ labels: { kind }, value: seconds(at) })),
      ),
    },
    {
      name: 'portolan_snapshot_identity_provider',
      help: 'What asking the identity provider came to for the newest snapshot: 1 for that answer; absent when it was not asked.',
      samples: ofWriters(({ newest }) =>
        newest?.answer === undefined
          ? []
          : ANSWERS.map((answer) => ({ labels: { answer }, value: answer === newest.answer ? 1 : 0 })),
      ),
    },
    {
      name: 'portolan_identity_provider_answered_timestamp_seconds',
      help: 'When the identity provider last answered a run of the writer; 0 when the newest asked and none had an answer.',
      samples: ofWriters(({ answered }) => momentSample(answered)),
    },
    {
      name: 'portolan_chain_held',
      help: 'Whether forget would leave the chain of the writer as it is, for this reason.',
      samples: ofWriters(({ holds }) =>
        Object.entries(holds).map(([reason, isHeld]) => ({ labels: { reason }, value: isHeld ? 1 : 0 })),
      ),
    },
  ];
}

/**
 * What was told before, by `repositoryGauges`, with what says that the last reading failed. `undefined` when it is something else.
 */
export function unreadableText(before: string, last: LastReading): string | undefined {
  const reachable = /^portolan_repository_reachable [01]$/m;
  if (!reachable.test(before)) return undefined;
  const text = before.replace(reachable, `portolan_repository_reachable ${last.isReachable ? 1 : 0}`);
  return last.isBroken ? text.replace(/^portolan_repository_problems 0$/m, 'portolan_repository_problems 1') : text;
}

function momentSample(moment: Date | 'never' | undefined): readonly Sample[] {
  return moment === undefined ? [] : [{ value: moment === 'never' ? 0 : seconds(moment) }];
}

function seconds(time: Date): number {
  return time.getTime() / 1000;
}

import { randomBytes } from 'node:crypto';
import { recipientOf } from '../../formats/age/identity-file.ts';
import { createIdentity } from '../../formats/age/new-identity.ts';
import { sealBytes } from '../../formats/age/sealed-bytes.ts';
import { type RunId, runIdOf, runKeyKey, type WriterName } from '../../formats/repository/keys.ts';
import { COLLAPSE_RATIO } from '../../formats/repository/retention.ts';
import type { ReusePlan } from '../../formats/repository/reusable-packs.ts';
import { encodeRunKey } from '../../formats/repository/run-key.ts';
import type { Snapshot, SnapshotHead, SnapshotPack, SnapshotRun } from '../../formats/repository/snapshot.ts';
import { chainError, type SeenHead } from '../../formats/repository/snapshot-chain.ts';
import { encodeSnapshotDetails } from '../../formats/repository/snapshot-details.ts';
import { trustOfWriter, type WriterKey } from '../../formats/repository/writer-key.ts';
import type { SigningKey } from '../../formats/sigstore/cosign-key.ts';
import type { BackupSource, Expected, SourceSummary } from '../../ports/backup-source.ts';
import type { ChunkWriter, ChunkWriterSettings } from '../../ports/chunks.ts';
import type { ObjectStore } from '../../ports/object-store.ts';
import type { Progress } from '../../ports/progress.ts';
import { UseCaseError } from '../errors.ts';
import { type ReadChain, readChain } from '../repository/chains.ts';
import { type RepositoryMemory, readCheckpoint, rememberSeen } from '../repository/checkpoints.ts';
import { readHeads } from '../repository/heads.ts';
import { LONGEST_RUN_MS } from '../repository/limits.ts';
import { type ListedChain, listChains } from '../repository/listing.ts';
import { putOnce } from '../repository/objects.ts';
import { type OpenedRepository, type OpenRequest, openForWriting } from '../repository/open.ts';
import { requireWriter } from '../repository/roles.ts';
import { commitSnapshot } from './commit.ts';
import { type RunRecipients, recipientsOfRun } from './present-recipients.ts';
import type { RolesDependencies } from './reader-roles.ts';
import { createFormerRuns, type FormerRuns, planReuse, type Reuse } from './reuse.ts';
import { createRunOutput, type WrittenRun } from './run-output.ts';

export interface RunRequest {
  readonly writerKey: WriterKey;
  readonly signer: SigningKey;
  readonly sources: readonly BackupSource[];
  readonly tags: readonly string[];
  /** Never forgotten. */
  readonly hold: boolean;
  /** Reuse nothing of former runs. */
  readonly full: boolean;
  /** Reuse nothing when the last full run is so long ago. */
  readonly fullEveryMs?: number | undefined;
  /** Where this runs, and the version of the program: only readers see it. */
  readonly host: string;
  readonly program: string;
  /** How long another run of the same writer on this machine is waited for. */
  readonly lockWaitMs: number;
  /** How old the identity provider's last word about roles may be before that is warned of; a week. */
  readonly rolesMaxAgeMs?: number | undefined;
  /** No roster before it is believed, also where this machine saw none. */
  readonly minimumEpoch?: number | undefined;
}

export interface RunDependencies extends Pick<RolesDependencies, 'askRoles' | 'rolesLimitMs'> {
  readonly store: ObjectStore;
  readonly memory: RepositoryMemory;
  readonly createChunkWriter: (settings: ChunkWriterSettings) => Promise<ChunkWriter>;
  readonly progress: Progress;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** For tests; LONGEST_RUN_MS. */
  readonly longestRunMs?: number;
}

export interface RunReport extends RunRecipients {
  readonly writer: WriterName;
  readonly sequence: number;
  readonly run: RunId;
  readonly snapshot: string;
  readonly full: boolean;
  readonly fullReason?: Exclude<ReusePlan['full'], false>;
  readonly collapsed: boolean;
  readonly sources: readonly SourceSummary[];
  /** Of all streams. */
  readonly sizeBytes: number;
  /** Of them, what was written and what was there already. */
  readonly newBytes: number;
  readonly reusedBytes: number;
  /** What the storage got: packs, sealed. */
  readonly storedBytes: number;
  readonly packs: number;
  readonly newPacks: number;
  readonly durationMs: number;
}

/**
 * Backs up all sources as one snapshot: key of the run, packs, contents, index, and the snapshot last, which commits. Until then a reader
 * sees nothing of it; killed anywhere, the next run goes on from the last snapshot.
 *
 * @throws UseCaseError ROLE_MISSING, RUN_TOO_LONG, PACKS_MARKED, WRITER_FORKED; AdapterError TARGET_LOCKED; FormatError
 *   SNAPSHOTS_ROLLED_BACK, SNAPSHOTS_FORKED, ROSTER_…
 */
export async function runBackup(
  request: RunRequest,
  dependencies: RunDependencies,
  options: { readonly signal: AbortSignal },
): Promise<RunReport> {
  const { writerKey, sources } = request;
  const { store, memory, progress } = dependencies;
  if (sources.length === 0) {
    throw new UseCaseError('NOTHING_TO_BACK_UP', 'nothing was named that is to be backed up', {
      hint: 'Give --database URL or --files DIR.',
    });
  }
  const state = memory.ofWriter(writerKey.repository, writerKey.writer);
  await using lock = await state.lock(memory.holder, {
    waitMs: request.lockWaitMs,
    signal: options.signal,
    onWait: (holder) => progress.note(`waiting for ${holder}`),
  });
  const signal = AbortSignal.any([options.signal, lock.signal]);
  const { minimumEpoch } = request;
  const trust = { ...trustOfWriter(writerKey), minimumEpoch };
  const checkpointOf: OpenRequest['checkpointOf'] = (id) => readCheckpoint(memory, id, { signal });
  const repository = await openForWriting(store, { trust, checkpointOf }, { signal });
  warnOfRollback(repository, progress);
  return await backUp(request, dependencies, repository, signal);
}

/** A storage that shows an older roster brings back whoever was taken off it: who never saw a later one cannot tell. */
function warnOfRollback({ checkpoint, trust, roster }: OpenedRepository, progress: Progress): void {
  const { epoch } = roster.document;
  if (checkpoint !== undefined || (trust.minimumEpoch ?? 0) >= epoch) return;
  progress.warn(
    `this machine never saw this repository: it cannot tell whether the roster of epoch ${epoch} is the newest, or an older one, ` +
      'with readers who were revoked since. Compare with `portolan keys list` elsewhere; then keep the state folder (--state), ' +
      `or give --minimum-epoch ${epoch}`,
  );
}

async function backUp(
  request: RunRequest,
  dependencies: RunDependencies,
  repository: OpenedRepository,
  signal: AbortSignal,
): Promise<RunReport> {
  const { progress, memory } = dependencies;
  const begun = await begin(request, dependencies, repository, signal);
  const expected = await prepare(request.sources, signal);
  const keys = await writeRunKey(request, repository, begun, signal);
  const done = await writeSources(request, dependencies, { repository, begun, keys, expected }, signal);
  const finished = new Date(dependencies.now());
  const snapshot = await snapshotOf(request, repository, { begun, keys, done, finished });
  const head = await commitSnapshot({
    ...{ repository, signer: request.signer, snapshot, storageStarted: begun.storageStarted, signal },
    longestRunMs: dependencies.longestRunMs ?? LONGEST_RUN_MS,
  });
  if (snapshot.collapsed) {
    progress.warn('there was far less to back up than in the run before: nothing is forgotten until that is accepted');
  }
  // The snapshot is there: that it was seen is remembered even if Ctrl-C comes now.
  const { sequence, digest } = head;
  await rememberSeen(memory, repository, { ...begun.heads, [snapshot.writer]: { sequence, digest } });
  return reportOf(snapshot, head, { begun, done, durationMs: dependencies.now() - begun.startedMs });
}

/** What a run goes by; all of it is known before anything is written. */
interface Begun {
  readonly startedMs: number;
  readonly storageStarted: Date;
  readonly indexRecipient: string;
  readonly sealing: RunRecipients;
  /** The writer's newest snapshot, and those of the others. */
  readonly before: SnapshotHead | undefined;
  readonly heads: Readonly<Record<string, SnapshotHead>>;
  readonly former: FormerRuns;
  readonly reuse: Reuse;
}

async function begin(
  { writerKey, signer, fullEveryMs, full, rolesMaxAgeMs }: RunRequest,
  { store, memory, progress, now, askRoles, rolesLimitMs }: RunDependencies,
  repository: OpenedRepository,
  signal: AbortSignal,
): Promise<Begun> {
  const { writer, root } = writerKey;
  const startedMs = now();
  const storageStarted = await store.now({ signal });
  const roster = repository.roster.document;
  const indexRecipient = await recipientOf(writerKey.indexIdentity);
  requireWriter(roster, writer, signer, indexRecipient);
  const sealing = await recipientsOfRun(
    { roster, issuer: root?.issuer, storageTime: storageStarted, now: new Date(startedMs), rolesMaxAgeMs },
    { state: memory.ofWriter(repository.id, writer), progress, askRoles, rolesLimitMs },
    { signal },
  );
  const { recipients } = sealing;
  const former = createFormerRuns();
  const { head: before, heads } = await readHistory(repository, writer, { progress, signal, visit: former.add });
  const reuse = await planReuse(
    { repository, writerKey, former, recipients, now: storageStarted, fullEveryMs, fresh: full },
    { progress, signal },
  );
  return { startedMs, storageStarted, indexRecipient, sealing, before, heads, former, reuse };
}

interface RunKeys {
  /** The run's, which nobody keeps. */
  readonly recipient: string;
  /** What the snapshot says of this run. */
  readonly own: SnapshotRun;
}

async function writeRunKey(
  { writerKey }: RunRequest,
  { store, id, roster }: OpenedRepository,
  { startedMs, sealing: { recipients } }: Begun,
  signal: AbortSignal,
): Promise<RunKeys> {
  const { epoch } = roster.document;
  const run = runIdOf(new Date(startedMs), randomBytes(8));
  const { identity, recipient } = await createIdentity('post-quantum');
  const key = encodeRunKey({ version: 1, repository: id, run, identity, idKey: writerKey.idKey });
  const sealed = await sealBytes(key, recipients);
  await putOnce(store, runKeyKey(run, epoch), sealed, { signal });
  return { recipient, own: { run, recipient, epoch, recipients, sealed: Buffer.from(sealed).toString('base64') } };
}

interface WrittenSources {
  readonly summaries: readonly SourceSummary[];
  readonly totals: Awaited<ReturnType<ChunkWriter['finish']>>;
  readonly written: WrittenRun;
}

/** Packs, contents and indexes. */
async function writeSources(
  { writerKey, sources }: RunRequest,
  { store, progress, createChunkWriter }: RunDependencies,
  run: {
    readonly repository: OpenedRepository;
    readonly begun: Begun;
    readonly keys: RunKeys;
    readonly expected: Required<Expected>;
  },
  signal: AbortSignal,
): Promise<WrittenSources> {
  const { begun, keys, expected } = run;
  const { reuse, indexRecipient } = begun;
  const of = { repository: run.repository.id, recipient: keys.recipient, signal };
  const output = createRunOutput({ ...of, store, writer: writerKey.writer, run: keys.own.run, indexRecipient });
  const task = progress.task('backing up', expected.expectedBytes);
  const chunks = await createChunkWriter({
    ...of,
    idKey: writerKey.idKey,
    known: reuse.known(),
    knownCount: reuse.knownCount,
    firstPack: begun.former.nextPack,
    ...expected,
    store: output.storePack,
    onPack: output.addPack,
    onBytes: (bytes) => task.advance(bytes),
  });
  const summaries: SourceSummary[] = [];
  let totals: WrittenSources['totals'];
  try {
    for (const source of sources) summaries.push(await source.backUp(output.sourceWriter(chunks), { signal }));
    totals = await chunks.finish();
  } finally {
    await chunks.close();
    task.done();
  }
  return { summaries, totals, written: await output.finish((number) => reuse.pack(number)) };
}

async function snapshotOf(
  request: RunRequest,
  repository: OpenedRepository,
  run: { readonly begun: Begun; readonly keys: RunKeys; readonly done: WrittenSources; readonly finished: Date },
): Promise<Omit<Snapshot, 'storageTime'>> {
  const { begun, keys, done, finished } = run;
  const { before, heads, reuse, sealing } = begun;
  const { summaries, written } = done;
  const roster = repository.roster.document;
  const of = { version: 1, repository: repository.id, run: keys.own.run } as const;
  const details = encodeSnapshotDetails({
    ...{ ...of, host: request.host, program: request.program },
    sources: summaries.map(({ collapses = [], ...source }) => ({ ...source, notes: [...source.notes, ...collapses] })),
  });
  const shrunk = reuse.lastUsedBytes !== undefined && written.usedBytes < reuse.lastUsedBytes * COLLAPSE_RATIO;
  const collapsed = shrunk || summaries.some(({ collapses = [] }) => collapses.length > 0);
  const dropped = sealing.dropped.map(({ recipient, reason }) => ({ recipient, reason }));
  return {
    ...of,
    writer: request.writerKey.writer,
    sequence: (before?.sequence ?? 0) + 1,
    previous: before?.digest ?? null,
    epoch: roster.epoch,
    roster: repository.roster.digest,
    started: new Date(begun.startedMs).toISOString(),
    finished: finished.toISOString(),
    tags: request.tags,
    ...(request.hold ? { hold: true } : {}),
    full: reuse.plan.full !== false,
    ...(collapsed ? { collapsed: true } : {}),
    ...namedBy(written, keys.own, reuse, begun.former.indexes),
    contents: written.contents,
    heads,
    ...(dropped.length > 0 ? { dropped } : {}),
    ...(sealing.identityProvider === undefined ? {} : { identityProvider: sealing.identityProvider }),
    sealed: Buffer.from(await sealBytes(details, [keys.recipient])).toString('base64'),
  };
}

function reportOf(
  { writer, run, full, collapsed }: Omit<Snapshot, 'storageTime'>,
  { sequence, digest }: SnapshotHead,
  working: { readonly begun: Begun; readonly done: WrittenSources; readonly durationMs: number },
): RunReport {
  const { begun, done, durationMs } = working;
  const { totals, written, summaries } = done;
  const { full: fullReason } = begun.reuse.plan;
  return {
    ...{ writer, sequence, run, snapshot: digest, full, collapsed: collapsed === true, durationMs },
    ...(fullReason === false ? {} : { fullReason }),
    sources: summaries,
    sizeBytes: totals.newBytes + totals.reusedBytes,
    newBytes: totals.newBytes,
    reusedBytes: totals.reusedBytes,
    storedBytes: totals.storedBytes,
    packs: written.packs.length,
    newPacks: totals.packs,
    ...begun.sealing,
  };
}

/** The writer's own chain, whole, and the heads of the others. */
async function readHistory(
  repository: OpenedRepository,
  writer: WriterName,
  {
    progress,
    signal,
    visit,
  }: { readonly progress: Progress; readonly signal: AbortSignal; readonly visit: (snapshot: Snapshot) => void },
): Promise<{ readonly head: SnapshotHead | undefined; readonly heads: Readonly<Record<string, SnapshotHead>> }> {
  const listed = await listChains(repository.store, { signal });
  const { heads, seen, problems } = await readHeads(repository, listed, writer, { signal });
  for (const problem of problems) progress.warn(`${problem.code}: ${problem.message}; run \`portolan backup check\``);
  const own = listed.find((chain) => chain.writer === writer) ?? { writer, snapshots: [], forgotten: [] };
  const claims: SeenHead[] = seen.get(writer) ?? [];
  const chain = await readChain(repository, own, { signal, visit, heads: claims });
  for (const { key, error } of chain.unreadable) progress.warn(`${key}: ${error.code}; run \`portolan backup check\``);
  for (const finding of chain.findings) {
    // To go on would make the fork deeper. A snapshot that is missing further back cannot be helped by stopping.
    if (finding.code !== 'SNAPSHOT_DROPPED') throw chainError(finding);
    progress.warn(`${chainError(finding).message}; run \`portolan backup check\``);
  }
  return { head: headOf(repository, own, chain), heads };
}

/** What the next snapshot follows. One that is damaged is followed where the checkpoint knows its digest. */
function headOf(
  { checkpoint }: OpenedRepository,
  own: ListedChain,
  { head, unreadable }: ReadChain,
): SnapshotHead | undefined {
  const seen = checkpoint?.writers[own.writer];
  const known = (seen?.sequence ?? 0) > (head?.sequence ?? 0) ? seen : head;
  // What lies further on was put there by somebody else: no snapshot of ours is ahead of the next one.
  const next = own.snapshots.find(({ sequence }) => sequence === (known?.sequence ?? 0) + 1);
  if (next === undefined) return known;
  throw unreadable.find(({ key }) => key === next.entry.key)?.error;
}

async function prepare(sources: readonly BackupSource[], signal: AbortSignal): Promise<Required<Expected>> {
  const expected = { expectedBytes: 0, expectedFiles: 0 };
  for (const source of sources) {
    const { expectedBytes, expectedFiles = 0 } = await source.prepare({ signal });
    expected.expectedBytes += expectedBytes;
    expected.expectedFiles += expectedFiles;
  }
  return expected;
}

/** Packs, runs and indexes that the snapshot names. */
function namedBy(
  written: WrittenRun,
  ownRun: SnapshotRun,
  reuse: Reuse,
  indexes: ReadonlyMap<RunId, Snapshot['indexes']>,
): Pick<Snapshot, 'runs' | 'packs' | 'indexes'> {
  const runs: SnapshotRun[] = [ownRun];
  const places = new Map<RunId, number>([[ownRun.run, 0]]);
  const packs: SnapshotPack[] = written.packs.map(({ number, digest, sizeBytes }) => {
    const former = reuse.pack(number);
    let runIndex = 0;
    if (former?.digest === digest) {
      const run = reuse.runOf(former);
      runIndex = places.get(run.run) ?? runs.push(run) - 1;
      places.set(run.run, runIndex);
    }
    return { number, digest, sizeBytes, runIndex };
  });
  const kept = runs.slice(1).flatMap(({ run }) => indexes.get(run) ?? []);
  return { runs, packs, indexes: [...written.indexes, ...kept] };
}

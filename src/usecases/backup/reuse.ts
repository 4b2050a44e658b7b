import type { Digest } from '../../core/digest.ts';
import { giveBack } from '../../core/give-back.ts';
import { openBytes } from '../../formats/age/sealed-bytes.ts';
import { CHUNK_RECORD_BYTES, type ChunkTable } from '../../formats/repository/chunk-table.ts';
import {
  decodeIndexPart,
  INDEX_PART_MAX_BYTES,
  INDEX_SEALED_MAX_BYTES,
  type IndexPart,
} from '../../formats/repository/index-table.ts';
import { KEY_PREFIXES, packKey, parseRepositoryKey, type RunId } from '../../formats/repository/keys.ts';
import {
  type ReusablePack,
  type ReusePlan,
  type ReuseSnapshot,
  reusablePacks,
} from '../../formats/repository/reusable-packs.ts';
import { freshEpoch } from '../../formats/repository/roster.ts';
import type { Snapshot, SnapshotIndex, SnapshotRun } from '../../formats/repository/snapshot.ts';
import type { WriterKey } from '../../formats/repository/writer-key.ts';
import type { Progress } from '../../ports/progress.ts';
import { isFinding } from '../repository/chains.ts';
import { markedKeys, readMarks } from '../repository/marks.ts';
import type { OpenedRepository } from '../repository/open.ts';
import { type ReadRewraps, readRewraps } from '../repository/rewraps.ts';

/** What the snapshots of a writer since its newest full run say of packs and indexes; each pack is held once. */
export interface FormerRuns {
  /** Fed with the writer's live snapshots, the newest first. */
  add(snapshot: Snapshot): void;
  readonly snapshots: readonly ReuseSnapshot[];
  readonly indexes: ReadonlyMap<RunId, readonly SnapshotIndex[]>;
  readonly packs: ReadonlySet<Digest>;
  /** The newest run. */
  readonly last: RunId | undefined;
  /** Higher than the number of any pack. */
  readonly nextPack: number;
}

export function createFormerRuns(): FormerRuns {
  const snapshots: ReuseSnapshot[] = [];
  const indexes = new Map<RunId, SnapshotIndex[]>();
  const packs = new Set<Digest>();
  let last: RunId | undefined;
  let nextPack = 0;
  // What is older than the newest full run is not built upon again: a full run is the end of rot, and of a false index.
  let isFullSeen = false;
  return {
    add(snapshot) {
      const { writer, sequence, epoch, storageTime, full, runs } = snapshot;
      last ??= snapshot.run;
      nextPack = Math.max(nextPack, (snapshot.packs.at(-1)?.number ?? -1) + 1);
      if (isFullSeen) return;
      isFullSeen = full;
      const fresh = snapshot.packs.filter(({ digest }) => !packs.has(digest));
      for (const { digest } of fresh) packs.add(digest);
      snapshots.push({ writer, sequence, epoch, storageTime, full, runs, packs: fresh });
      for (const index of snapshot.indexes) {
        const known = indexes.get(index.run) ?? [];
        indexes.set(index.run, known);
        if (!known.some(({ key }) => key === index.key)) known.push(index);
      }
    },
    snapshots,
    indexes,
    packs,
    get last() {
      return last;
    },
    get nextPack() {
      return nextPack;
    },
  };
}

/** What a run may use of former ones. */
export interface Reuse {
  readonly plan: ReusePlan;
  /** Chunks that may be used, with the numbers of their packs. */
  readonly known: () => AsyncGenerator<ChunkTable>;
  /** How many those are, at most. */
  readonly knownCount: number;
  readonly pack: (number: number) => ReusablePack | undefined;
  /** What the snapshot says of a run: with the key that is sealed to all present recipients. */
  readonly runOf: (pack: ReusablePack) => SnapshotRun;
  /** Bytes of frames that the last run used; `undefined` when that is not known. */
  readonly lastUsedBytes: number | undefined;
}

export interface ReuseRequest {
  readonly repository: OpenedRepository;
  readonly writerKey: WriterKey;
  readonly former: FormerRuns;
  readonly recipients: readonly string[];
  readonly now: Date;
  readonly fullEveryMs: number | undefined;
  readonly fresh: boolean;
}

/** An id has 32 bytes that do not compress, so an index of so many bytes has at most this part of them in chunks. */
const INDEX_BYTES_PER_CHUNK = 32;

export async function planReuse(
  request: ReuseRequest,
  { progress, signal }: { readonly progress: Progress; readonly signal: AbortSignal },
): Promise<Reuse> {
  const { repository, writerKey, former, recipients, now, fullEveryMs, fresh } = request;
  const runs = new Set(former.snapshots.flatMap((snapshot) => snapshot.runs.map(({ run }) => run)));
  const rewraps = await rewrapsFor(repository, runs, former, recipients, signal);
  const marked = markedKeys((await readMarks(repository, { signal })).marks);
  const listed = await listPacks(repository, former, signal);
  const readPart = (index: SnapshotIndex) => readIndexPart(repository, writerKey, index, { progress, signal });
  const used = await lastUsage(former, readPart);
  const plan = reusablePacks({
    writer: writerKey.writer,
    snapshots: former.snapshots,
    indexed: (run) => former.indexes.has(run),
    listedBytes: (pack) => listed.get(pack),
    isMarked: (pack) => marked.has(packKey(pack)),
    recipients,
    freshEpoch: freshEpoch(repository.rosters),
    rewrapped: (run) => rewraps.of(run).map((key) => key.recipients),
    lastUsedBytes: (pack) => used?.get(pack),
    now,
    fullEveryMs,
    fresh,
  });
  const byNumber = numbered(plan);
  const indexes = plan.packs.size === 0 ? [] : [...former.indexes.values()].flat();
  return {
    plan,
    async *known() {
      for (const index of indexes) {
        const part = await readPart(index);
        const table = part === undefined ? undefined : usableChunks(part, plan, byNumber);
        if (table !== undefined && table.length > 0) yield table;
      }
    },
    knownCount: indexes.reduce((sum, { sizeBytes }) => sum + Math.ceil(sizeBytes / INDEX_BYTES_PER_CHUNK), 0),
    pack: (number) => byNumber.get(number),
    runOf: ({ run }) => {
      const again = rewraps.of(run.run).find((key) => recipients.every((one) => key.recipients.includes(one)));
      const isSealedToAll = recipients.every((one) => run.recipients.includes(one));
      return isSealedToAll || again === undefined ? run : { ...run, ...again };
    },
    lastUsedBytes: used === undefined ? undefined : [...used.values()].reduce((sum, bytes) => sum + bytes, 0),
  };
}

/** Nothing is asked for while every key is sealed to all present recipients, as it is most of the time. */
async function rewrapsFor(
  repository: OpenedRepository,
  runs: ReadonlySet<RunId>,
  former: FormerRuns,
  recipients: readonly string[],
  signal: AbortSignal,
): Promise<ReadRewraps> {
  const all = former.snapshots.flatMap((snapshot) => snapshot.runs);
  const isNeeded = all.some((run) => !recipients.every((one) => run.recipients.includes(one)));
  return isNeeded ? await readRewraps(repository, runs, { signal }) : { of: () => [], unreadable: [] };
}

/** Sizes by the storage's listing, of the packs that may be used. */
async function listPacks(
  { store }: OpenedRepository,
  former: FormerRuns,
  signal: AbortSignal,
): Promise<ReadonlyMap<Digest, number>> {
  const sizes = new Map<Digest, number>();
  if (former.packs.size === 0) return sizes;
  for await (const { key, sizeBytes } of store.list(KEY_PREFIXES.pack, { signal })) {
    const parsed = parseRepositoryKey(key);
    if (parsed?.kind === 'pack' && former.packs.has(parsed.digest)) sizes.set(parsed.digest, sizeBytes);
  }
  return sizes;
}

type ReadPart = (index: SnapshotIndex) => Promise<IndexPart | undefined>;

async function lastUsage(former: FormerRuns, readPart: ReadPart): Promise<ReadonlyMap<Digest, number> | undefined> {
  if (former.last === undefined) return undefined;
  const used = new Map<Digest, number>();
  for (const index of former.indexes.get(former.last) ?? []) {
    const part = await readPart(index);
    // A part of the truth would look like a collapse.
    if (part === undefined) return undefined;
    for (const { digest, usedBytes } of part.packs) used.set(digest, usedBytes);
  }
  return used;
}

/** `undefined`, and a warning, when it cannot be used: then its chunks are written afresh. */
async function readIndexPart(
  { store, id }: OpenedRepository,
  writerKey: WriterKey,
  { key, run, digest, sizeBytes }: SnapshotIndex,
  { progress, signal }: { readonly progress: Progress; readonly signal: AbortSignal },
): Promise<IndexPart | undefined> {
  const parsed = parseRepositoryKey(key);
  if (parsed?.kind !== 'index') return undefined;
  try {
    const expected = { digest, sizeBytes };
    const sealed = await store.get(key, { maxBytes: INDEX_SEALED_MAX_BYTES, expected, signal });
    const bytes = await openBytes(sealed, [writerKey.indexIdentity], { maxBytes: INDEX_PART_MAX_BYTES });
    giveBack(sealed);
    const index = decodeIndexPart(bytes, { repository: id, run, part: parsed.part, at: key });
    giveBack(bytes);
    return index;
  } catch (error) {
    if (!isFinding(error)) throw error;
    progress.warn(`${key} cannot be used (${error.code}): what it names is written again`);
    return undefined;
  }
}

/** The records of an index whose packs may be used, with the numbers that those packs have in the plan. */
function usableChunks(
  part: IndexPart,
  plan: ReusePlan,
  byNumber: ReadonlyMap<number, ReusablePack>,
): ChunkTable | undefined {
  const numbers = new Map<number, number>();
  for (const { number, digest } of part.packs) {
    const pack = plan.packs.get(digest);
    if (pack?.number !== undefined && byNumber.get(pack.number) === pack) numbers.set(number, pack.number);
  }
  if (numbers.size === 0) return undefined;
  const usable = Buffer.alloc(part.chunks.length);
  const source = Buffer.from(part.chunks.buffer, part.chunks.byteOffset, part.chunks.length);
  let end = 0;
  for (let at = 0; at < source.length; at += CHUNK_RECORD_BYTES) {
    const number = numbers.get(source.readUInt32LE(at + PACK_OFFSET));
    if (number === undefined) continue;
    source.copy(usable, end, at, at + CHUNK_RECORD_BYTES);
    usable.writeUInt32LE(number, end + PACK_OFFSET);
    end += CHUNK_RECORD_BYTES;
  }
  return usable.subarray(0, end);
}

/** Where a record of 48 bytes has the number of its pack. */
const PACK_OFFSET = 32;

/** One number names one pack: of two that claim it, which no writer of ours makes, neither is worth a doubt. */
function numbered({ packs }: ReusePlan): ReadonlyMap<number, ReusablePack> {
  const byNumber = new Map<number, ReusablePack>();
  const twice = new Set<number>();
  for (const pack of packs.values()) {
    if (pack.number === undefined) continue;
    if (byNumber.has(pack.number)) twice.add(pack.number);
    byNumber.set(pack.number, pack);
  }
  for (const number of twice) byNumber.delete(number);
  return byNumber;
}

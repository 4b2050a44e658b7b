/**
 * The index of a run (docs/format-repository.md, "Index"): which chunks lie in which packs, for the writer's next runs. A
 * restore never reads it. The plaintext of index/WRITER/RUN.PART.age are zstd frames of at most 4 MiB; opened, end to end:
 *
 *     magic        8 bytes     "PTLNIDX" and 0x0A
 *     version      4 bytes     1
 *     part         4 bytes     as in the name of the object
 *     repository  16 bytes
 *     run         24 bytes     8 of the time in seconds since 1970, 8 zeros, 8 of chance
 *     packs        4 bytes     how many records follow
 *     chunks       4 bytes     how many chunk records follow those
 *     pack record 44 bytes     number (4), size of the sealed pack (4), bytes of its frames that the run uses (4), digest (32)
 *     chunk record 48 bytes    chunk-table.ts; its pack is the number of one of the pack records before it
 *
 * Numbers are little endian. Pack records are of all packs that the run's snapshot names, those of former runs too: how much
 * is used of them decides whether the next run uses them. Chunk records are of the packs that the run wrote. Both are spread
 * over the parts, and a chunk's pack is in the same part.
 */
import { type Digest, digestFromHex, hexOf } from '../../core/digest.ts';
import { giveBack } from '../../core/give-back.ts';
import { FormatError } from '../errors.ts';
import { CHUNK_RECORD_BYTES, type ChunkTable, checkChunkTable } from './chunk-table.ts';
import { formatTime, isRunId, type RepositoryId, type RunId, runTime } from './keys.ts';
import { PACK_SEALED_MAX_BYTES } from './pack.ts';
import { unsupportedVersion } from './version.ts';
import { compressFrame, openFrames } from './zstd-frames.ts';

/** Opened. */
export const INDEX_PART_MAX_BYTES = 16 * 1024 * 1024;
/** Compressed and sealed: tags, and the header. */
export const INDEX_SEALED_MAX_BYTES = INDEX_PART_MAX_BYTES + 256 * 1024;

const MAGIC = Buffer.from('PTLNIDX\n', 'latin1');
const HEADER_BYTES = 64;
const PACK_RECORD_BYTES = 44;
const FRAME_BYTES = 4 * 1024 * 1024;
const LEVEL = 1;
/** A writer closes a part once it has so many bytes: what is encoded and sealed is several times in memory. */
const PART_BYTES = 2 * 1024 * 1024;

export interface IndexPack {
  readonly number: number;
  readonly digest: Digest;
  /** Of the sealed pack. */
  readonly sizeBytes: number;
  /** Of its frames, how many bytes the run's snapshot uses. */
  readonly usedBytes: number;
}

export interface IndexPart {
  readonly repository: RepositoryId;
  readonly run: RunId;
  readonly part: number;
  readonly packs: readonly IndexPack[];
  readonly chunks: ChunkTable;
}

/** One part, compressed. @throws RangeError when it has more than INDEX_PART_MAX_BYTES: `splitIndex` cuts */
export function encodeIndexPart({ repository, run, part, packs, chunks }: IndexPart): Uint8Array {
  const packsEnd = HEADER_BYTES + packs.length * PACK_RECORD_BYTES;
  const bytes = Buffer.alloc(packsEnd + chunks.length);
  if (bytes.length > INDEX_PART_MAX_BYTES) throw new RangeError('the part of the index is too large');
  MAGIC.copy(bytes, 0);
  bytes.writeUInt32LE(1, 8);
  bytes.writeUInt32LE(part, 12);
  bytes.write(repository, 16, 16, 'hex');
  bytes.writeBigUInt64LE(BigInt(runTime(run).getTime() / 1000), 32);
  bytes.write(run.slice(-16), 48, 8, 'hex');
  bytes.writeUInt32LE(packs.length, 56);
  bytes.writeUInt32LE(chunks.length / CHUNK_RECORD_BYTES, 60);
  for (const [index, pack] of packs.entries()) {
    const at = HEADER_BYTES + index * PACK_RECORD_BYTES;
    bytes.writeUInt32LE(pack.number, at);
    bytes.writeUInt32LE(pack.sizeBytes, at + 4);
    bytes.writeUInt32LE(pack.usedBytes, at + 8);
    bytes.write(hexOf(pack.digest), at + 12, 32, 'hex');
  }
  bytes.set(chunks, packsEnd);
  const frames: Uint8Array[] = [];
  for (let at = 0; at < bytes.length; at += FRAME_BYTES) {
    frames.push(compressFrame(bytes.subarray(at, at + FRAME_BYTES), LEVEL));
  }
  giveBack(bytes);
  const encoded = Buffer.concat(frames);
  for (const frame of frames) giveBack(frame);
  return encoded;
}

/** Cuts what a run has to say into parts that can be encoded; at least one. `chunksOf` gives the chunks of a pack that the run wrote. */
export function* splitIndex(
  packs: Iterable<IndexPack>,
  chunksOf: (pack: IndexPack) => ChunkTable | undefined,
): Generator<Pick<IndexPart, 'part' | 'packs' | 'chunks'>> {
  let part = 0;
  let held: IndexPack[] = [];
  let tables: ChunkTable[] = [];
  let sizeBytes = HEADER_BYTES;
  const close = () => ({ part: part++, packs: held, chunks: joined(tables) });
  for (const pack of packs) {
    const table = chunksOf(pack) ?? new Uint8Array();
    if (held.length > 0 && sizeBytes + PACK_RECORD_BYTES + table.length > PART_BYTES) {
      yield close();
      held = [];
      tables = [];
      sizeBytes = HEADER_BYTES;
    }
    held.push(pack);
    tables.push(table);
    sizeBytes += PACK_RECORD_BYTES + table.length;
  }
  if (held.length > 0 || part === 0) yield close();
}

/** In memory of its own. */
function joined(tables: readonly ChunkTable[]): ChunkTable {
  const bytes = new Uint8Array(tables.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const table of tables) {
    bytes.set(table, at);
    at += table.length;
  }
  return bytes;
}

/**
 * One part, opened but compressed. Every chunk's pack is one of its packs.
 *
 * @throws FormatError INDEX_INVALID, CHUNK_TABLE_INVALID, REPOSITORY_VERSION_UNSUPPORTED, REPOSITORY_MISMATCH
 */
export function decodeIndexPart(
  bytes: Uint8Array,
  expected: { readonly repository: RepositoryId; readonly run: RunId; readonly part: number; readonly at?: string },
): IndexPart {
  const view = open(bytes, expected.at);
  if (view.length < HEADER_BYTES || !view.subarray(0, 8).equals(MAGIC))
    throw invalid('it does not begin as one', expected.at);
  const version = view.readUInt32LE(8);
  if (version !== 1) throw unsupportedVersion('the index', version, expected.at);
  const repository = view.toString('hex', 16, 32) as RepositoryId;
  if (repository !== expected.repository) {
    throw new FormatError('REPOSITORY_MISMATCH', 'the index belongs to another repository', {
      expected: expected.repository,
      found: repository,
    });
  }
  const run = readRun(view);
  const part = view.readUInt32LE(12);
  if (run !== expected.run || part !== expected.part)
    throw invalid('it is of another run, or another part', expected.at);
  const packCount = view.readUInt32LE(56);
  const packsEnd = HEADER_BYTES + packCount * PACK_RECORD_BYTES;
  if (packsEnd + view.readUInt32LE(60) * CHUNK_RECORD_BYTES !== view.length) throw invalid('it is cut', expected.at);
  const packs = readPacks(view, packCount, expected.at);
  const chunks = view.subarray(packsEnd);
  checkChunkTable(chunks);
  requireKnownPacks(chunks, packs, expected.at);
  return { repository, run, part, packs, chunks };
}

function open(bytes: Uint8Array, at: string | undefined): Buffer {
  const frames: Uint8Array[] = [];
  let sizeBytes = 0;
  for (const frame of openFrames(bytes, FRAME_BYTES)) {
    sizeBytes += frame?.length ?? 0;
    if (frame === undefined || sizeBytes > INDEX_PART_MAX_BYTES)
      throw invalid('a frame is cut, damaged or too large', at);
    frames.push(frame);
  }
  const view = Buffer.concat(frames);
  for (const frame of frames) giveBack(frame);
  return view;
}

function readRun(view: Buffer): RunId | undefined {
  const seconds = view.readBigUInt64LE(32);
  if (seconds > 253_402_300_799n || view.readBigUInt64LE(40) !== 0n) return undefined;
  const run = `${formatTime(new Date(Number(seconds) * 1000))}-${view.toString('hex', 48, 56)}`;
  return isRunId(run) ? run : undefined;
}

function readPacks(view: Buffer, count: number, at: string | undefined): IndexPack[] {
  const numbers = new Set<number>();
  const packs = Array.from({ length: count }, (_, index) => {
    const from = HEADER_BYTES + index * PACK_RECORD_BYTES;
    const pack = {
      number: view.readUInt32LE(from),
      sizeBytes: view.readUInt32LE(from + 4),
      usedBytes: view.readUInt32LE(from + 8),
      digest: digestFromHex(view.toString('hex', from + 12, from + PACK_RECORD_BYTES)),
    };
    if (pack.sizeBytes < 1 || pack.sizeBytes > PACK_SEALED_MAX_BYTES || pack.usedBytes > pack.sizeBytes)
      throw invalid('a pack has no possible size', at);
    numbers.add(pack.number);
    return pack;
  });
  if (numbers.size !== count) throw invalid('a pack stands twice', at);
  return packs;
}

function requireKnownPacks(chunks: Buffer, packs: readonly IndexPack[], at: string | undefined): void {
  const numbers = new Set(packs.map(({ number }) => number));
  for (let from = 32; from < chunks.length; from += CHUNK_RECORD_BYTES) {
    if (!numbers.has(chunks.readUInt32LE(from))) throw invalid('a chunk is in a pack that is not named', at);
  }
}

function invalid(problem: string, at: string | undefined): FormatError {
  return new FormatError('INDEX_INVALID', `the index of a run is not right: ${problem}`, {
    ...(at === undefined ? {} : { at: { file: at } }),
  });
}

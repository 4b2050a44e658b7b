/**
 * The plaintext of a pack (docs/format-repository.md, "Pack"); the pack itself is one age file of it, to the run's recipient.
 *
 *     zstd frames      one for each chunk, end to end
 *     table frame      a skippable frame (RFC 8878, section 3.1.2): 0x184D2A50, length of what follows, chunk records with pack 0
 *     padding frame    a skippable frame: 0x184D2A51, length of what follows, zeros, and 16 bytes:
 *                      offset of the table frame, number of records, 0x4B434150 ("PACK"), version 1
 *
 * Numbers have 4 bytes, little endian. `zstd -d` skips both frames. The whole has a size of `paddedPackBytes`, so that it
 * does not tell how long its chunks are.
 */
import { FormatError } from '../errors.ts';
import { CHUNK_RECORD_BYTES, type ChunkTable, checkChunkTable, PACK_BYTES, renumberPacks } from './chunk-table.ts';
import { unsupportedVersion } from './version.ts';

export { PACK_BYTES };
/** The most that a sealed pack has: tags of 16 bytes for each 64 KiB, and 64 KiB for the header. */
export const PACK_SEALED_MAX_BYTES = PACK_BYTES + (PACK_BYTES / 65_536) * 16 + 65_536;
export const PACK_STEP_BYTES = 256 * 1024;
const PACK_STEP_MIN_BYTES = 4096;

const TABLE_MAGIC = 0x184d2a50;
const PADDING_MAGIC = 0x184d2a51;
const FOOTER_MAGIC = 0x4b434150;
const FOOTER_VERSION = 1;
const FRAME_HEADER_BYTES = 8;
/** The last bytes of every pack's plaintext. */
export const PACK_FOOTER_BYTES = 16;

/**
 * The size that so many bytes are filled up to: Padmé (Nikitin et al., "Reducing Metadata Leakage from Encrypted Files
 * and Communication with PURBs", 2019), at most 12 % more, in steps of at least 4 KiB and at most 256 KiB.
 */
export function paddedPackBytes(bytes: number): number {
  const exponent = Math.floor(Math.log2(Math.max(bytes, 2)));
  const kept = Math.floor(Math.log2(exponent)) + 1;
  const step = Math.min(PACK_STEP_BYTES, Math.max(PACK_STEP_MIN_BYTES, 2 ** (exponent - kept)));
  return Math.ceil(bytes / step) * step;
}

/** The size of a whole pack with so many bytes of frames and so many chunks. */
export function packBytesOf(frameBytes: number, chunks: number): number {
  return paddedPackBytes(frameBytes + 2 * FRAME_HEADER_BYTES + chunks * CHUNK_RECORD_BYTES + PACK_FOOTER_BYTES);
}

/** Whether one more frame goes into a pack that holds `frameBytes` in `chunks` frames. */
export function fitsIntoPack(frameBytes: number, chunks: number, nextFrameBytes: number): boolean {
  return packBytesOf(frameBytes + nextFrameBytes, chunks + 1) <= PACK_BYTES;
}

/** What follows the frames of the chunks. The table's pack numbers are written as 0. */
export function encodePackTail(table: ChunkTable, frameBytes: number): Uint8Array {
  const total = packBytesOf(frameBytes, table.length / CHUNK_RECORD_BYTES);
  const tail = Buffer.alloc(total - frameBytes);
  tail.writeUInt32LE(TABLE_MAGIC, 0);
  tail.writeUInt32LE(table.length, 4);
  tail.set(
    renumberPacks(table, () => 0),
    FRAME_HEADER_BYTES,
  );
  const padding = FRAME_HEADER_BYTES + table.length;
  tail.writeUInt32LE(PADDING_MAGIC, padding);
  tail.writeUInt32LE(tail.length - padding - FRAME_HEADER_BYTES, padding + 4);
  const footer = tail.length - PACK_FOOTER_BYTES;
  tail.writeUInt32LE(frameBytes, footer);
  tail.writeUInt32LE(table.length / CHUNK_RECORD_BYTES, footer + 4);
  tail.writeUInt32LE(FOOTER_MAGIC, footer + 8);
  tail.writeUInt32LE(FOOTER_VERSION, footer + 12);
  return tail;
}

/**
 * Where the tail starts, by the last PACK_FOOTER_BYTES of a pack's plaintext: which bytes a reader must have for `decodePackTail`.
 *
 * @throws FormatError PACK_INVALID, REPOSITORY_VERSION_UNSUPPORTED
 */
export function readPackFooter(
  footer: Uint8Array,
  packBytes: number,
): { readonly tableOffset: number; readonly chunks: number } {
  if (footer.length !== PACK_FOOTER_BYTES) throw invalid('its last bytes are missing');
  const view = Buffer.from(footer.buffer, footer.byteOffset, footer.length);
  if (view.readUInt32LE(8) !== FOOTER_MAGIC) throw invalid('it does not end as a pack does');
  const version = view.readUInt32LE(12);
  if (version !== FOOTER_VERSION) throw unsupportedVersion('the pack', version, undefined);
  const tableOffset = view.readUInt32LE(0);
  const chunks = view.readUInt32LE(4);
  if (chunks * CHUNK_RECORD_BYTES > PACK_BYTES || packBytesOf(tableOffset, chunks) !== packBytes)
    throw invalid('its size is not the one that its table makes');
  return { tableOffset, chunks };
}

/**
 * The table in the tail of a pack: `tail` are the plaintext's bytes from `tableOffset` on, all of them.
 * Every frame of the table lies before the table, in order, without a gap; the padding is zero.
 *
 * @throws FormatError PACK_INVALID, CHUNK_TABLE_INVALID, REPOSITORY_VERSION_UNSUPPORTED
 */
export function decodePackTail(tail: Uint8Array, packBytes: number): ChunkTable {
  const { tableOffset, chunks } = readPackFooter(tail.subarray(-PACK_FOOTER_BYTES), packBytes);
  const view = Buffer.from(tail.buffer, tail.byteOffset, tail.length);
  const tableBytes = chunks * CHUNK_RECORD_BYTES;
  const padding = FRAME_HEADER_BYTES + tableBytes;
  if (tail.length !== packBytes - tableOffset) throw invalid('its tail is cut');
  if (view.readUInt32LE(0) !== TABLE_MAGIC || view.readUInt32LE(4) !== tableBytes)
    throw invalid('its table has no frame');
  if (
    view.readUInt32LE(padding) !== PADDING_MAGIC ||
    view.readUInt32LE(padding + 4) !== tail.length - padding - FRAME_HEADER_BYTES
  )
    throw invalid('its padding has no frame');
  if (!isZero(view.subarray(padding + FRAME_HEADER_BYTES, tail.length - PACK_FOOTER_BYTES)))
    throw invalid('its padding is not zero');
  const table = tail.slice(FRAME_HEADER_BYTES, padding);
  checkChunkTable(table, tableOffset);
  checkFrames(table, tableOffset);
  return table;
}

function checkFrames(table: ChunkTable, tableOffset: number): void {
  const view = Buffer.from(table.buffer, table.byteOffset, table.length);
  let next = 0;
  for (let at = 0; at < table.length; at += CHUNK_RECORD_BYTES) {
    if (view.readUInt32LE(at + 32) !== 0) throw invalid('its table names another pack');
    if (view.readUInt32LE(at + 36) !== next) throw invalid('the frames do not follow each other');
    next += view.readUInt32LE(at + 40);
  }
  if (next !== tableOffset) throw invalid('there is something between the frames and the table');
}

function isZero(bytes: Buffer): boolean {
  return bytes.equals(Buffer.alloc(bytes.length));
}

function invalid(problem: string): FormatError {
  return new FormatError('PACK_INVALID', `a pack is not right: ${problem}`);
}

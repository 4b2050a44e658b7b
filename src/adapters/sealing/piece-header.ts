import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
import { digestOf } from '../../core/digest.ts';
import { headerLengthBytes, MAX_HEADER_BYTES, openHeader } from '../../formats/age/header.ts';
import { FormatError } from '../../formats/errors.ts';
import { readFailure } from './local-files.ts';
import { type PieceFile, pieceReadFailure } from './piece-errors.ts';

/** What most headers fit in: read first, and only what is longer costs a second read. */
const FIRST_READ_BYTES = 8 * 1024;

export interface OpenedHeader {
  readonly header: Uint8Array;
  readonly fileKey: Uint8Array;
}

/** How many headers are remembered: a stream of blobs is in two or three pieces at a time. */
const REMEMBERED = 8;

export interface HeaderCache {
  /** On the calling thread. PIECE_MISSING, FILE_UNREADABLE, and what `openHeader` throws. */
  open(piece: PieceFile, identities: readonly string[]): Promise<OpenedHeader>;
  /**
   * The same without a look at the piece, where it was opened a moment ago: whoever reads on holds the header against the
   * one that the piece has then.
   */
  reopen(piece: PieceFile, identities: readonly string[]): Promise<OpenedHeader>;
  /** Forgets every key. */
  clear(): void;
}

/** A piece that is read in many runs has its file key unwrapped once: that costs more than opening a megabyte. */
export function createHeaderCache(): HeaderCache {
  const fileKeys = new Map<string, Promise<Uint8Array>>();
  const headers = new Map<string, Promise<OpenedHeader>>();
  const open = async (piece: PieceFile, identities: readonly string[]): Promise<OpenedHeader> => {
    // The header itself is read each time: what is on the medium counts, not what was there before.
    const header = await readHeader(piece);
    const name = [header, ...identities].map((part) => digestOf(part)).join();
    const fileKey = await remembered(fileKeys, name, () => openHeader(header, identities));
    // A copy: whoever is done with a key wipes it.
    return { header, fileKey: fileKey.slice() };
  };
  return {
    open,
    async reopen(piece, identities) {
      const name = [piece.path, piece.expected.digest, ...identities].map((part) => digestOf(part)).join();
      const { header, fileKey } = await remembered(headers, name, () => open(piece, identities));
      return { header, fileKey: fileKey.slice() };
    },
    clear() {
      fileKeys.clear();
      headers.clear();
    },
  };
}

/** The last few, and no failures. */
function remembered<T>(known: Map<string, Promise<T>>, name: string, make: () => Promise<T>): Promise<T> {
  const before = known.get(name);
  if (before !== undefined) return before;
  const made = make();
  made.catch(() => known.delete(name));
  known.set(name, made);
  const [oldest] = known.keys();
  if (known.size > REMEMBERED && oldest !== undefined) known.delete(oldest);
  return made;
}

/** Reads a bounded prefix of the piece and cuts the header out of it. */
async function readHeader(piece: PieceFile): Promise<Uint8Array> {
  try {
    // Without O_NONBLOCK a named pipe in the place of a piece would hang here.
    const file = await open(piece.path, constants.O_RDONLY | constants.O_NONBLOCK);
    try {
      if (!(await file.stat()).isFile()) throw new Error('it is not a regular file');
      for (const limit of [FIRST_READ_BYTES, MAX_HEADER_BYTES]) {
        const { bytesRead, buffer } = await file.read(new Uint8Array(limit), 0, limit, 0);
        const prefix = buffer.subarray(0, bytesRead);
        const length = headerLengthBytes(prefix);
        if (length !== undefined) return prefix.slice(0, length);
      }
    } finally {
      await file.close();
    }
  } catch (error) {
    throw error instanceof FormatError ? error : pieceReadFailure(piece, readFailure(piece.path, error));
  }
  throw new FormatError('AGE_MALFORMED', 'the age file is malformed: it is cut within its header', {
    at: { file: piece.path, digest: piece.expected.digest },
    hint: 'Take the file from its source again.',
  });
}

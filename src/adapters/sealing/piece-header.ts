import { constants } from 'node:fs';
import { open } from 'node:fs/promises';
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

/** Opens the header of a piece, on the calling thread. PIECE_MISSING, FILE_UNREADABLE, and what `openHeader` throws. */
export async function openPieceHeader(piece: PieceFile, identities: readonly string[]): Promise<OpenedHeader> {
  const header = await readHeader(piece);
  return { header, fileKey: await openHeader(header, identities) };
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

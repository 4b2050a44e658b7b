import type { PieceWrite } from '../../ports/sealing.ts';
import { closeWritten, openTarget, writeFully } from './local-files.ts';

/** Puts the plaintext of a piece, which comes in order, into files. */
export interface PieceWriter {
  write(plain: Uint8Array, pieceOffsetBytes: number): void;
  /** Closes what is open and tells if that fails. */
  end(): void;
  /** Closes what is open after another failure. */
  abandon(): void;
}

/** `writes` are in order of their offset in the piece. One file is open at a time, unless runs overlap. */
export function createPieceWriter(writes: readonly PieceWrite[]): PieceWriter {
  const openFiles = new Map<PieceWrite, number>();
  let next = 0;
  let active: PieceWrite[] = [];

  function leave(run: PieceWrite): void {
    const fd = openFiles.get(run);
    openFiles.delete(run);
    if (fd !== undefined) closeWritten(fd, run.path);
  }

  return {
    write(plain, pieceOffsetBytes) {
      const batchEnd = pieceOffsetBytes + plain.length;
      const still: PieceWrite[] = [];
      const handle = (run: PieceWrite) => {
        let fd = openFiles.get(run);
        if (fd === undefined) {
          fd = openTarget(run.path);
          openFiles.set(run, fd);
        }
        const start = Math.max(run.pieceOffsetBytes, pieceOffsetBytes);
        const end = Math.min(run.pieceOffsetBytes + run.lengthBytes, batchEnd);
        const bytes = plain.subarray(start - pieceOffsetBytes, end - pieceOffsetBytes);
        writeFully(fd, run.path, bytes, run.fileOffsetBytes + start - run.pieceOffsetBytes);
        if (end === run.pieceOffsetBytes + run.lengthBytes) leave(run);
        else still.push(run);
      };
      for (const run of active) handle(run);
      for (let run = writes[next]; run !== undefined && run.pieceOffsetBytes < batchEnd; run = writes[next]) {
        next += 1;
        handle(run);
      }
      active = still;
    },
    end() {
      for (const run of [...openFiles.keys()]) leave(run);
    },
    abandon() {
      for (const run of [...openFiles.keys()]) {
        try {
          leave(run);
        } catch {}
      }
    },
  };
}

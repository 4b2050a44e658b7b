import { constants } from 'node:fs';
import { AdapterError } from '../errors.ts';
import { assertUnchanged, closeSource, openSource, readFully } from '../sealing/local-files.ts';
import type { Chunker } from './chunker.ts';
import type { FileRead } from './messages.ts';

const READ_BYTES = 1024 * 1024;

/**
 * Feeds a file, or its extents end to end, to the chunker. SOURCE_CHANGED when it was written to meanwhile. `advance` is told
 * of every read, and may throw.
 */
export function feedFile({ path, extents }: FileRead, chunker: Chunker, advance: (bytes: number) => void): void {
  const source = openSource(path, constants.O_NOFOLLOW);
  try {
    for (const { offsetBytes, lengthBytes } of extents ?? [{ offsetBytes: 0, lengthBytes: source.sizeBytes }]) {
      if (offsetBytes < 0 || lengthBytes < 0) throw badExtent(source.path, offsetBytes, lengthBytes);
      for (let done = 0; done < lengthBytes; ) {
        const room = chunker.room();
        const target = room.subarray(0, Math.min(room.length, READ_BYTES, lengthBytes - done));
        readFully(source, target, offsetBytes + done);
        chunker.accept(target.length);
        done += target.length;
        advance(target.length);
      }
    }
    assertUnchanged(source);
  } finally {
    closeSource(source);
  }
}

function badExtent(path: string, offsetBytes: number, lengthBytes: number): AdapterError {
  return new AdapterError('FILE_UNREADABLE', 'A part of a file was asked for that no file has', {
    at: { file: path },
    found: `${lengthBytes} bytes at ${offsetBytes}`,
    hint: 'This is a fault in the program: report it.',
  });
}

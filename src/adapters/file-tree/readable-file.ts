import type { FileHandle } from 'node:fs/promises';
import type { FileFacts, ReadableFile } from '../../ports/file-tree.ts';
import { fileError } from '../files/file-error.ts';
import { findExtents } from './extents.ts';
import { lookAt } from './open-names.ts';

const READ_BYTES = 1024 * 1024;

export function readableFile(file: FileHandle, facts: FileFacts, place: string): ReadableFile {
  const reading = async <T>(act: () => Promise<T>): Promise<T> => {
    try {
      return await act();
    } catch (cause) {
      throw fileError(cause, place, 'read');
    }
  };
  return {
    facts,
    look: () => reading(() => lookAt(file)),
    extents: (options) => reading(async () => findExtents(file, await lookAt(file), options)),
    async *read({ offsetBytes, lengthBytes }, { signal }) {
      const buffer = Buffer.allocUnsafe(Math.min(READ_BYTES, lengthBytes));
      for (let done = 0; done < lengthBytes; ) {
        signal.throwIfAborted();
        const wanted = Math.min(buffer.length, lengthBytes - done);
        const { bytesRead } = await reading(() => file.read(buffer, 0, wanted, offsetBytes + done));
        if (bytesRead === 0) return;
        done += bytesRead;
        yield buffer.subarray(0, bytesRead);
      }
    },
    [Symbol.asyncDispose]: () => file.close(),
  };
}

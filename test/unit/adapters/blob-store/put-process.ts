import { createBlobStore } from '../../../../src/adapters/blob-store/blob-store.ts';
import { AdapterError } from '../../../../src/adapters/errors.ts';
import { digestOf } from '../../../../src/core/digest.ts';
import { pseudoRandom } from '../../../support/image-content.ts';

/** A process of its own for the blob store's tests: FOLDER SEED SIZE [STOP_AFTER]; it hangs at STOP_AFTER bytes and prints an error's code. */
const [folder = '', seed = '', size = '0', stopAfter] = process.argv.slice(2);
const bytes = pseudoRandom(seed, Number(size));
const opened: number[] = [];
const CHUNK_BYTES = 10_000;

async function* stream(from: number): AsyncGenerator<Uint8Array> {
  for (let at = from; at < bytes.length; at += CHUNK_BYTES) {
    if (stopAfter !== undefined && at >= Number(stopAfter)) {
      process.stdout.write('stopped\n');
      await new Promise((resolve) => setTimeout(resolve, 600_000));
    }
    yield bytes.subarray(at, at + CHUNK_BYTES);
    await new Promise((resolve) => setImmediate(resolve));
  }
}

try {
  await createBlobStore(folder).putStream({ digest: digestOf(bytes), sizeBytes: bytes.length }, async (from) => {
    opened.push(from);
    return stream(from);
  });
  process.stdout.write(`${JSON.stringify(opened)}\n`);
} catch (failure) {
  process.stdout.write(`${failure instanceof AdapterError ? failure.code : failure}\n`);
  process.exitCode = 1;
}

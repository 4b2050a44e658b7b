import { createHash } from 'node:crypto';
import { type Digest, digestFromHex } from '../../core/digest.ts';
import { JobAborted, type JobControl } from '../../core/worker-pool.ts';
import type { DigestJob } from '../../ports/sealing.ts';
import { AdapterError } from '../errors.ts';
import type { BatchBuffers } from './batches.ts';
import { assertUnchanged, closeSource, openSource, readFully } from './local-files.ts';

/** What fits the processor's cache: larger reads are slower. */
const READ_BYTES = 256 * 1024;

/** Hashes a file that must have exactly the size given. FILE_MISSING, FILE_SIZE_MISMATCH, SOURCE_CHANGED. */
export function digest(job: DigestJob, buffers: BatchBuffers, control: JobControl): Digest {
  const source = openSource(job.path);
  try {
    if (source.sizeBytes !== job.sizeBytes) {
      throw new AdapterError('FILE_SIZE_MISMATCH', 'a file has the wrong size', {
        at: { file: job.path },
        expected: job.sizeBytes,
        found: source.sizeBytes,
        hint: 'Take the file from its source again.',
      });
    }
    const hash = createHash('sha256');
    for (let read = 0; read < job.sizeBytes; ) {
      if (control.aborted()) throw new JobAborted();
      const run = buffers.plain.subarray(0, Math.min(READ_BYTES, job.sizeBytes - read));
      readFully(source, run, read);
      hash.update(run);
      read += run.length;
      control.advance(run.length);
    }
    assertUnchanged(source);
    return digestFromHex(hash.digest('hex'));
  } finally {
    closeSource(source);
  }
}

import type { BlobStream } from '../../ports/image-target.ts';
import { AdapterError } from '../errors.ts';
import { checkedBytes } from '../images/checked-bytes.ts';
import { asOneError } from './all-problems.ts';
import { createBlobFeed } from './blob-feed.ts';
import { uploadBlob } from './blob-upload.ts';
import { createBlockPool, createBudget } from './block-pool.ts';
import type { RegistryAccess } from './registry-access.ts';

/** Blobs at once. Most are small, and cost two round trips each. */
const PARALLEL_UPLOADS = 8;
/** What may be in memory of all blobs: read, and not yet acknowledged by the registry. */
const BYTES_IN_FLIGHT = 32 * 1024 * 1024;

export interface BlobUploads {
  /** Resolves when the blob was read to its end; its upload may still run. Rejects as soon as any upload has failed. */
  add(repository: string, blob: BlobStream): Promise<void>;
  /** Resolves when every upload is done. Raises AdapterError UPLOAD_LOST when the registry lost some; the others are there. */
  settle(): Promise<void>;
  /** Ends all uploads, because of `reason`. */
  stop(reason: unknown): Promise<void>;
}

/** Uploads that run beside the reading of the next blobs, in bounded number and memory. */
export function createBlobUploads(access: RegistryAccess, signal: AbortSignal): BlobUploads {
  const failed = new AbortController();
  const either = AbortSignal.any([signal, failed.signal]);
  const places = createBudget(PARALLEL_UPLOADS);
  const pool = createBlockPool(BYTES_IN_FLIGHT);
  const running = new Set<Promise<void>>();
  const lost: AdapterError[] = [];

  return {
    async add(repository, blob) {
      await places.take(either);
      const feed = createBlobFeed(pool);
      const upload = uploadBlob(access, repository, blob, feed, either)
        .catch((failure) => {
          // The others go on: the next run then has less to send.
          if (failure instanceof AdapterError && failure.code === 'UPLOAD_LOST' && !either.aborted) lost.push(failure);
          else failed.abort(failure);
        })
        .finally(() => {
          feed.discard();
          places.give();
          running.delete(upload);
        });
      running.add(upload);
      for await (const chunk of checkedBytes(blob, { hash: false, signal: either })) await feed.push(chunk, either);
      feed.finish();
    },
    async settle() {
      await Promise.all(running);
      either.throwIfAborted();
      const problem = asOneError(lost);
      if (problem !== undefined) throw problem;
    },
    async stop(reason) {
      failed.abort(reason);
      await Promise.all(running);
    },
  };
}

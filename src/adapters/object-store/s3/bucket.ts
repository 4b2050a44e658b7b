import type { Pace } from '../pace.ts';
import type { BucketClient } from './client.ts';

/** A store's bucket, for the parts of the store. */
export interface Bucket {
  readonly client: BucketClient;
  readonly name: string;
  /** Before each key: empty, or ending in a slash. */
  readonly root: string;
  readonly place: string;
  readonly pace: Pace | undefined;
}

import { randomBytes } from 'node:crypto';
import { digestOf } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import type { ObjectStore, StoreOptions } from '../../ports/object-store.ts';
import { UseCaseError } from '../errors.ts';

/** What the credentials at hand may do with a store, and what the store keeps. `undefined`: one may not see. */
export interface StoreProbe {
  readonly mayRead: boolean;
  readonly mayList: boolean;
  readonly mayRemove: boolean;
  /** Whether a removed object's versions stay. */
  readonly keepsVersions: boolean | undefined;
  /** The storage's clock less the clock of this machine, about. */
  readonly clockAheadMs: number | undefined;
}

/** Objects of probes lie here. They mean nothing; those that a bucket's lock holds stay until it ends. */
export const PROBES_PREFIX = 'probes/';
/** What `storage check` tries a role's rights with, in the folders where objects of that role lie. It means nothing either. */
export const PROBE_NAME = 'portolan-check';
const SIZE_BYTES = 4096;
/** Of writers that race for one key. */
const RACERS = 4;

/**
 * Tries on a store what a repository stands on: that an object is created only where there is none, also when several writers
 * race, and that it is there at once and as it was put. Then what these credentials may do besides.
 *
 * @param now milliseconds since 1970, by this machine's clock
 * @throws UseCaseError STORE_NOT_CREATE_ONLY, STORE_NOT_FAITHFUL; AdapterError when one may not even create
 */
export async function probeStore(
  store: ObjectStore,
  { now, signal }: StoreOptions & { readonly now: () => number },
): Promise<StoreProbe> {
  const options = signal === undefined ? {} : { signal };
  const key = `${PROBES_PREFIX}${randomBytes(16).toString('hex')}`;
  const content = await createOnce(store, key, options);
  try {
    const mayRead = await isAllowed(() => requireContent(store, key, content, options));
    const mayList = await isAllowed(() => requireListed(store, key, options));
    const theirs = await allowed(() => store.now(options));
    const mayRemove = await isAllowed(() => store.remove([key], options));
    const versions = mayRemove ? await allowed(() => store.versions(key, options)) : undefined;
    return {
      mayRead,
      mayList,
      mayRemove,
      keepsVersions: versions === undefined ? undefined : versions.length > 0,
      clockAheadMs: theirs === undefined ? undefined : theirs.getTime() - now(),
    };
  } catch (failure) {
    await allowed(() => store.remove([key], options)).catch(() => {});
    throw failure;
  }
}

/** Whether an object is what tried the storage out. */
export function isProbe(key: string): boolean {
  return key.startsWith(PROBES_PREFIX) || key.endsWith(PROBE_NAME);
}

/** @returns what lies under the key now */
async function createOnce(store: ObjectStore, key: string, options: StoreOptions): Promise<Uint8Array> {
  const contents = Array.from({ length: RACERS }, () => new Uint8Array(randomBytes(SIZE_BYTES)));
  const results = await Promise.all(contents.map((content) => store.put(key, content, options)));
  const created = contents.filter((_, index) => results[index] === 'created');
  const [content] = created;
  if (content === undefined || created.length > 1) throw notCreateOnly(store, created.length);
  if ((await store.put(key, new Uint8Array(randomBytes(SIZE_BYTES)), options)) === 'created') {
    throw notCreateOnly(store, 2);
  }
  return content;
}

async function requireContent(
  store: ObjectStore,
  key: string,
  content: Uint8Array,
  options: StoreOptions,
): Promise<void> {
  const found = await store.get(key, { ...options, maxBytes: SIZE_BYTES });
  const range = { offsetBytes: SIZE_BYTES / 4, lengthBytes: SIZE_BYTES / 2 };
  const part = await store.getRange(key, range, options);
  const wanted = content.subarray(range.offsetBytes, range.offsetBytes + range.lengthBytes);
  if (digestOf(found) !== digestOf(content) || digestOf(part) !== digestOf(wanted)) {
    throw notFaithful(store, 'gives back other bytes than were stored');
  }
}

async function requireListed(store: ObjectStore, key: string, options: StoreOptions): Promise<void> {
  for await (const entry of store.list(PROBES_PREFIX, options)) {
    if (entry.key === key && entry.sizeBytes === SIZE_BYTES) return;
  }
  throw notFaithful(store, 'does not list what was just stored');
}

async function isAllowed(work: () => Promise<void>): Promise<boolean> {
  return (await allowed(() => work().then(() => true))) === true;
}

/** `undefined` when these credentials may not. */
async function allowed<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (failure) {
    if (failure instanceof PortolanError && failure.code === 'STORE_DENIED') return undefined;
    throw failure;
  }
}

function notCreateOnly(store: ObjectStore, created: number): UseCaseError {
  return new UseCaseError('STORE_NOT_CREATE_ONLY', `${store.place} does not create an object once`, {
    expected: 'one of several writers creates it',
    found: `${created} did`,
    hint: 'Use a storage with conditional writes (If-None-Match), such as Amazon S3, MinIO or versitygw.',
  });
}

function notFaithful(store: ObjectStore, what: string): UseCaseError {
  return new UseCaseError('STORE_NOT_FAITHFUL', `${store.place} ${what}`, {
    hint: 'Check that nothing in between caches or alters its answers; else use another storage.',
  });
}

import { type Digest, digestOf } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import type { ObjectStore, StoreOptions } from '../../ports/object-store.ts';
import { UseCaseError } from '../errors.ts';

/**
 * Creates an object that nobody else may have made otherwise. An answer that was lost and then asked for again says `exists`:
 * what lies there decides.
 *
 * @returns `same` when the very bytes were there already
 * @throws UseCaseError OBJECT_CONFLICT when something else lies under the key
 */
export async function putOnce(
  store: ObjectStore,
  key: string,
  bytes: Uint8Array,
  options: StoreOptions = {},
): Promise<'created' | 'same'> {
  if ((await store.put(key, bytes, options)) === 'created') return 'created';
  const digest = digestOf(bytes);
  if ((await digestOfObject(store, key, bytes.length, options)) === digest) return 'same';
  throw objectConflict(store, key);
}

/** The digest of what lies under a key; `undefined` when it is larger than `maxBytes` or gone. */
async function digestOfObject(
  store: ObjectStore,
  key: string,
  maxBytes: number,
  options: StoreOptions,
): Promise<Digest | undefined> {
  try {
    return digestOf(await store.get(key, { ...options, maxBytes }));
  } catch (error) {
    if (isCode(error, 'OBJECT_TOO_LARGE', 'OBJECT_MISSING')) return undefined;
    throw error;
  }
}

/** The object, or `undefined` where there is none. */
export async function getIfThere(
  store: ObjectStore,
  key: string,
  maxBytes: number,
  options: StoreOptions = {},
): Promise<Uint8Array | undefined> {
  try {
    return await store.get(key, { ...options, maxBytes });
  } catch (error) {
    if (isCode(error, 'OBJECT_MISSING')) return undefined;
    throw error;
  }
}

/**
 * The version of an object that `accept` takes: the newest, else the one with the digest that is expected, else an older one
 * where the storage keeps them. So nothing is lost when somebody puts another object over the right one.
 *
 * @throws what `accept` throws for the newest
 */
export async function readAcceptable<T>(
  store: ObjectStore,
  key: string,
  maxBytes: number,
  { expected, ...options }: StoreOptions & { readonly expected?: Digest | undefined },
  accept: (bytes: Uint8Array) => T,
): Promise<T> {
  const take = (bytes: Uint8Array) => {
    if (expected === undefined || digestOf(bytes) === expected) return accept(bytes);
    throw new UseCaseError('OBJECT_CONFLICT', 'another object lies under the key', { expected, at: { file: key } });
  };
  let failure: unknown;
  try {
    return take(await store.get(key, { ...options, maxBytes }));
  } catch (error) {
    if (isCode(error, 'OBJECT_MISSING') || !(error instanceof PortolanError) || isStoreFailure(error)) throw error;
    failure = error;
  }
  for (const found of await store.versions(key, options)) {
    if (found.sizeBytes > maxBytes) continue;
    const range = { offsetBytes: 0, lengthBytes: found.sizeBytes };
    try {
      return take(await store.getRange(key, range, { ...options, version: found.version }));
    } catch (error) {
      if (!(error instanceof PortolanError) || isStoreFailure(error)) throw error;
    }
  }
  throw failure;
}

function isStoreFailure({ code }: PortolanError): boolean {
  return code.startsWith('STORE_');
}

/** Whether an error of any layer has one of these codes. */
export function isCode(error: unknown, ...codes: readonly string[]): error is PortolanError {
  return error instanceof PortolanError && codes.includes(error.code);
}

function objectConflict(store: ObjectStore, key: string): UseCaseError {
  return new UseCaseError('OBJECT_CONFLICT', 'another object lies where this run wanted to write', {
    at: { file: key },
    found: store.place,
    hint: 'Run the command again. If it happens again, somebody else writes there: run `portolan backup check`.',
  });
}

import type { Digest } from '../../core/digest.ts';
import type { RetryDecision } from '../../core/retry.ts';
import { AdapterError, type AdapterErrorCode } from '../errors.ts';

const RETRIED_CODES: ReadonlySet<AdapterErrorCode> = new Set<AdapterErrorCode>([
  'STORE_UNREACHABLE',
  'STORE_TIMEOUT',
  'STORE_BUSY',
]);

/** Failures of other codes that are worth another try, and how long the storage asked to wait. */
const advised = new WeakMap<object, { readonly delayMs?: number }>();

/** Marks a failure as worth another try, after `delayMs` at least. */
export function retryAdvised<T extends Error>(failure: T, delayMs?: number): T {
  advised.set(failure, delayMs === undefined ? {} : { delayMs });
  return failure;
}

export function decideStoreRetry(failure: unknown): RetryDecision {
  if (!(failure instanceof AdapterError)) return 'give-up';
  return advised.get(failure) ?? (RETRIED_CODES.has(failure.code) ? {} : 'give-up');
}

export function objectMissing(place: string, key: string, cause?: unknown): AdapterError {
  return new AdapterError('OBJECT_MISSING', `${key} is not in ${place}`, {
    ...(cause === undefined ? {} : { cause }),
    at: { key },
    hint: 'Check the address; if it is right, something was removed there: check the repository.',
  });
}

export function objectTooLarge(place: string, key: string, maxBytes: number, sizeBytes: number): AdapterError {
  return new AdapterError('OBJECT_TOO_LARGE', `${key} in ${place} is larger than such an object ever is`, {
    expected: `at most ${maxBytes} bytes`,
    found: `${sizeBytes} bytes`,
    at: { key },
    hint: 'It was damaged or replaced: check the repository.',
  });
}

/** It has another digest than the one that is looked for, in every version that the storage keeps. */
export function objectReplaced(
  place: string,
  key: string,
  digests: { readonly expected: Digest; readonly found: Digest | undefined },
  cause?: unknown,
): AdapterError {
  return new AdapterError('OBJECT_DAMAGED', `${key} in ${place} is not what was stored`, {
    ...(cause === undefined ? {} : { cause }),
    expected: digests.expected,
    found: digests.found ?? 'another size',
    at: { key, digest: digests.expected },
    hint: 'It was damaged or replaced, and the storage keeps no version that is right: check the repository.',
  });
}

export function objectShort(place: string, key: string, expectedBytes: number, foundBytes: number): AdapterError {
  return new AdapterError('OBJECT_DAMAGED', `${key} in ${place} ends too early`, {
    expected: `${expectedBytes} bytes from where it is read`,
    found: `${foundBytes} bytes`,
    at: { key },
    hint: 'It was cut or replaced: check the repository.',
  });
}

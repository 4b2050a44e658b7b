import { AdapterError } from '../errors.ts';

export const MAX_DOCUMENT_BYTES = 900 * 1024;
const MAX_NAME_LENGTH = 200;
const NAME = /^[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*$/;

/** Names come from our own code: a wrong one is a fault of the program. */
export function assertDocumentName(name: string): void {
  if (name.length > MAX_NAME_LENGTH || !NAME.test(name)) throw new TypeError(`not a name of a document: ${name}`);
}

export function assertDocumentSize(name: string, bytes: Uint8Array, place: string): void {
  if (bytes.length <= MAX_DOCUMENT_BYTES) return;
  throw new AdapterError('TARGET_STATE_TOO_LARGE', `${place}: the document ${name} is too large to be kept there`, {
    expected: `at most ${MAX_DOCUMENT_BYTES} bytes`,
    found: bytes.length,
    hint: 'Split the bundle: it has more parts than the state of a target can name.',
  });
}

export function lockedBy(place: string, holder: string, waitMs: number): AdapterError {
  return new AdapterError('TARGET_LOCKED', `${place} is locked by ${holder}`, {
    expected: waitMs === 0 ? 'no other run at the same time' : `the lock within ${Math.round(waitMs / 1000)} s`,
    found: holder,
    hint: 'Wait for that run to end, or raise --wait-lock.',
  });
}

export function lockLost(place: string, text: string, cause?: unknown): AdapterError {
  return new AdapterError('TARGET_LOCK_LOST', `The lock of ${place} was lost: ${text}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'Run the command again: it goes on where it stopped.',
  });
}

import { printable } from '../../core/printable.ts';
import { AdapterError } from '../errors.ts';

/** As src/ports/object-store.ts says; a segment that starts with a dot is the stores' own. */
const KEY = /^[A-Za-z0-9_-][A-Za-z0-9._-]*(?:\/[A-Za-z0-9_-][A-Za-z0-9._-]*)*$/;
const MAX_KEY_LENGTH = 512;

export function isObjectKey(text: string): boolean {
  return text.length <= MAX_KEY_LENGTH && KEY.test(text);
}

/** Keys come out of lists that others wrote: none of them leads out of a store. */
export function checkObjectKey(key: string): void {
  if (!isObjectKey(key)) throw invalidKey(key);
}

/** Empty, or whole segments and a slash. */
export function checkPrefix(prefix: string): void {
  if (prefix !== '' && !(prefix.endsWith('/') && isObjectKey(prefix.slice(0, -1)))) throw invalidKey(prefix);
}

/** The order of bytes; keys are ASCII, so that of code units is the same. */
export function compareKeys(left: string, right: string): number {
  return left < right ? -1 : left > right ? 1 : 0;
}

function invalidKey(key: string): AdapterError {
  return new AdapterError('OBJECT_KEY_INVALID', 'An object is named as none is', {
    expected: 'names of A-Z a-z 0-9 . _ - joined by /, none starting with a dot',
    found: printable(key, 100),
    hint: 'What names this object is damaged or forged: check the repository.',
  });
}

/**
 * Whom to believe: what `--trust FILE` reads. Either public keys in PEM (cosign.pub; several may stand one after the
 * other), or trust.json:
 *
 *   { "keys": [ { "name": "release 2026", "publicKey": "-----BEGIN PUBLIC KEY-----\n…" or its base64 alone } ],
 *     "minimumSequence": { "cms": 42 },      refuse this bundle below this sequence
 *     "audience": ["harbour-7"] }            the names by which bundles may call this target
 */
import { z } from 'zod';
import { FormatError } from '../errors.ts';
import { decodeBase64 } from './pem.ts';
import { keyHint, PUBLIC_KEY_FILE_MAX_BYTES, parsePublicKey, parsePublicKeys, parseSpki } from './public-key.ts';
import type { TrustedKey } from './signature-bundle.ts';

export const TRUST_MAX_BYTES = PUBLIC_KEY_FILE_MAX_BYTES;

export interface Trust {
  /** At least one; no key twice. */
  readonly keys: readonly TrustedKey[];
  /** By the bundle's name. */
  readonly minimumSequence: ReadonlyMap<string, number>;
  /** Names of this target. Empty: the file says nothing of it. */
  readonly audience: readonly string[];
}

const trustSchema = z.strictObject({
  keys: z
    .array(z.strictObject({ name: z.string().min(1).max(200).optional(), publicKey: z.string().min(1) }))
    .min(1, 'at least one key is needed'),
  minimumSequence: z.record(z.string(), z.number().int().nonnegative()).optional(),
  audience: z.array(z.string().min(1)).optional(),
});

/**
 * `file` names the file in errors, and a key that has no name of its own.
 * @throws FormatError TRUST_INVALID, PUBLIC_KEY_INVALID, PUBLIC_KEY_UNSUPPORTED, KEY_TOO_LARGE
 */
export function decodeTrust(bytes: Uint8Array, file = 'the trust file'): Trust {
  if (bytes.length > TRUST_MAX_BYTES) return decodePublicKeyFile(bytes, file);
  const text = new TextDecoder('utf-8').decode(bytes).trimStart();
  return text.startsWith('{') || text.startsWith('[') ? decodeTrustJson(text, file) : decodePublicKeyFile(bytes, file);
}

function decodePublicKeyFile(bytes: Uint8Array, file: string): Trust {
  const keys = new Map<string, TrustedKey>();
  for (const publicKey of parsePublicKeys(bytes, file)) {
    const hint = keyHint(publicKey);
    const name = keys.size === 0 ? file : `${file}, key ${keys.size + 1}`;
    if (!keys.has(hint)) keys.set(hint, { keyHint: hint, name, publicKey });
  }
  return { keys: [...keys.values()], minimumSequence: new Map(), audience: [] };
}

function decodeTrustJson(text: string, file: string): Trust {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw new FormatError('TRUST_INVALID', 'the trust file is not valid JSON', { cause, at: { file } });
  }
  const parsed = trustSchema.safeParse(value);
  if (!parsed.success) {
    const [first, ...rest] = parsed.error.issues.map((issue) => invalid(issue.message, issue.path, file));
    throw invalid(first?.message ?? 'not a trust file', first?.at?.key ?? [], file, rest);
  }
  const keys = new Map<string, TrustedKey>();
  parsed.data.keys.forEach((entry, index) => {
    const publicKey = entryKey(entry.publicKey, `${file}, keys[${index}].publicKey`);
    const hint = keyHint(publicKey);
    if (keys.has(hint)) throw invalid('the same key stands here twice', ['keys', index], file);
    keys.set(hint, { keyHint: hint, name: entry.name ?? `${file}, key ${index + 1}`, publicKey });
  });
  return {
    keys: [...keys.values()],
    minimumSequence: new Map(Object.entries(parsed.data.minimumSequence ?? {})),
    audience: parsed.data.audience ?? [],
  };
}

function entryKey(text: string, place: string) {
  const der = decodeBase64(text.trim());
  return der === undefined || der.length === 0 ? parsePublicKey(text, place) : parseSpki(der, place);
}

function invalid(
  message: string,
  path: readonly PropertyKey[] | string,
  file: string,
  others: readonly FormatError[] = [],
): FormatError {
  const key = typeof path === 'string' ? path : keyPath(path);
  return new FormatError('TRUST_INVALID', message, { at: { file, ...(key === '' ? {} : { key }) }, others });
}

function keyPath(path: readonly PropertyKey[]): string {
  return path
    .map((part, at) => (typeof part === 'number' ? `[${part}]` : `${at === 0 ? '' : '.'}${String(part)}`))
    .join('');
}

/**
 * The keys of an identity provider, from what it publishes (JSON Web Key Set, RFC 7517) to what the root pins
 * (docs/format-repository.md, "Trust").
 *
 * The history only grows. A key that is new counts from an hour before it was seen, since a rotation shows only when somebody looks;
 * one that is gone counts until then. What is pinned is never changed otherwise: a provider that shows another key under a known
 * name, or one that it had taken back, under whatever name, is a question for a person.
 */
import { createHash, createPublicKey, type JsonWebKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { canonicalJson } from '../../core/canonical-json.ts';
import { FormatError } from '../errors.ts';
import { issuerKeyOf, type PinnedIssuerKey } from '../identity/pinned-issuer.ts';
import { labelSchema } from './documents.ts';

/** A key with its certificates has a few kilobytes. */
export const KEY_SET_MAX_BYTES = 512 * 1024;

/** How long a key may have been in use before somebody saw it. */
const SEEN_LATE_MS = 3_600_000;

/** A key as a provider publishes it (src/ports/identity-provider.ts). */
interface PublishedKey {
  readonly kid: string;
  /** Base64 of SubjectPublicKeyInfo in DER. */
  readonly publicKey: string;
  readonly algorithm: string;
}

/** One that ID tokens may be signed with. */
export type IssuerKey = Pick<PinnedIssuerKey, 'kid' | 'publicKey' | 'algorithm'>;

const keySetSchema = z.object({ keys: z.array(z.record(z.string(), z.unknown())).max(1000) });
const signingSchema = z.object({
  kid: labelSchema,
  use: z.literal('sig').optional(),
  alg: z.string().optional(),
});

/** A key set that was saved. @throws FormatError KEY_SET_INVALID */
export function decodeKeySet(bytes: Uint8Array, file: string): readonly IssuerKey[] {
  let value: unknown;
  try {
    if (bytes.length > KEY_SET_MAX_BYTES) throw new Error('larger than any sane one');
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid('the key set is not JSON', file, { cause });
  }
  const parsed = keySetSchema.safeParse(value);
  if (!parsed.success) throw invalid('the file is not a key set', file, { expected: '{ "keys": [ … ] }' });
  return usableKeys(
    parsed.data.keys.map(published).filter((key) => key !== undefined),
    file,
  );
}

/**
 * The keys with which ID tokens may be signed; those of a kind that is not known, or too short, are left out.
 *
 * @throws FormatError KEY_SET_INVALID when there is none, or a name stands twice
 */
export function usableKeys(keys: readonly PublishedKey[], from: string): readonly IssuerKey[] {
  const usable = keys.filter(isUsable);
  const twice = usable.find(({ kid }, at) => usable.findIndex((other) => other.kid === kid) !== at);
  if (twice !== undefined) throw invalid('two keys of the identity provider have one kid', from, { found: twice.kid });
  if (usable.length > 0) return usable;
  throw invalid('the identity provider has no key that ID tokens can be signed with', from, {
    expected: 'RSA of 2048 bits or more, P-256, P-384, P-521 or Ed25519, each with a kid',
    found: `${keys.length} other keys`,
  });
}

function isUsable(key: PublishedKey): key is IssuerKey {
  return issuerKeyOf(key as IssuerKey) !== undefined;
}

/** Of a key that signs; `undefined` for one without a name, or of which nothing can be read. */
function published(jwk: Readonly<Record<string, unknown>>): PublishedKey | undefined {
  const { data } = signingSchema.safeParse(jwk);
  if (data === undefined) return undefined;
  try {
    const key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
    const publicKey = key.export({ type: 'spki', format: 'der' }).toString('base64');
    return { kid: data.kid, publicKey, algorithm: data.alg ?? usualAlgorithm(key) };
  } catch {
    return undefined;
  }
}

/** For a key set that leaves `alg` out, as RFC 7517 lets it. */
function usualAlgorithm(key: KeyObject): string {
  if (key.asymmetricKeyType === 'rsa') return 'RS256';
  if (key.asymmetricKeyType === 'ed25519') return 'EdDSA';
  const curves: Readonly<Record<string, string>> = { prime256v1: 'ES256', secp384r1: 'ES384', secp521r1: 'ES512' };
  return curves[key.asymmetricKeyDetails?.namedCurve ?? ''] ?? 'unknown';
}

const THUMBPRINT_MEMBERS: Readonly<Record<string, readonly string[]>> = {
  RSA: ['e', 'kty', 'n'],
  EC: ['crv', 'kty', 'x', 'y'],
  OKP: ['crv', 'kty', 'x'],
};

/** The thumbprint of RFC 7638 with SHA-256, in base64url: what two people compare. `publicKey` is one that was decoded before. */
export function keyThumbprint(publicKey: string): string {
  const jwk = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' }).export({
    format: 'jwk',
  });
  const members = THUMBPRINT_MEMBERS[String(jwk.kty)] ?? [];
  const required = Object.fromEntries(members.map((name) => [name, jwk[name]]));
  return createHash('sha256').update(canonicalJson(required)).digest('base64url');
}

/** What became of a key: it is new, it is gone (its time ends now), or it is shown again after its time had ended. */
export type IssuerKeyChange = 'new' | 'gone' | 'back';

export interface UpdatedIssuerKeys {
  readonly keys: readonly PinnedIssuerKey[];
  /** By kid; keys that stay as they are have none. */
  readonly changes: ReadonlyMap<string, IssuerKeyChange>;
}

/** @throws FormatError ISSUER_KEY_CHANGED */
export function updateIssuerKeys(
  pinned: readonly PinnedIssuerKey[],
  shown: readonly IssuerKey[],
  now: Date,
): UpdatedIssuerKeys {
  const changes = new Map<string, IssuerKeyChange>();
  const byKid = new Map(shown.map((key) => [key.kid, key]));
  const kept = pinned.map((key) => {
    const found = byKid.get(key.kid);
    if (found !== undefined) requireSameKey(key, found);
    if (found !== undefined && key.until !== undefined) changes.set(key.kid, 'back');
    if (found !== undefined || key.until !== undefined) return key;
    changes.set(key.kid, 'gone');
    return { ...key, until: later(key.from, now) };
  });
  const known = new Set(pinned.map(({ kid }) => kid));
  const added = shown.filter(({ kid }) => !known.has(kid));
  for (const key of added) requireNotEnded(key, pinned);
  for (const { kid } of added) changes.set(kid, 'new');
  const from = new Date(now.getTime() - SEEN_LATE_MS).toISOString();
  return { keys: [...kept, ...added.map((key) => ({ ...key, from }))], changes };
}

/** A clock that went back ends no key before it began. */
function later(from: string, now: Date): string {
  return new Date(Math.max(Date.parse(from), now.getTime())).toISOString();
}

function requireSameKey(pinned: PinnedIssuerKey, shown: IssuerKey): void {
  if (pinned.publicKey === shown.publicKey && pinned.algorithm === shown.algorithm) return;
  throw new FormatError('ISSUER_KEY_CHANGED', `the identity provider shows another key under the name ${pinned.kid}`, {
    expected: `${pinned.algorithm} ${keyThumbprint(pinned.publicKey)}`,
    found: `${shown.algorithm} ${keyThumbprint(shown.publicKey)}`,
    hint: 'Nothing was changed. Ask the administrator of the identity provider, by another way than this network, which key is the right one.',
  });
}

/** Whoever has a key that was taken out of use would have it back by another name. */
function requireNotEnded(shown: IssuerKey, pinned: readonly PinnedIssuerKey[]): void {
  const ended = pinned.find(({ publicKey, until }) => until !== undefined && publicKey === shown.publicKey);
  if (ended === undefined) return;
  throw new FormatError(
    'ISSUER_KEY_CHANGED',
    `the identity provider shows the key ${ended.kid}, whose time had ended, under the name ${shown.kid}`,
    {
      expected: `${ended.kid} until ${ended.until}`,
      found: `${shown.kid} ${keyThumbprint(shown.publicKey)}`,
      hint: 'Nothing was changed. Ask the administrator of the identity provider, by another way than this network, who brought this key back.',
    },
  );
}

function invalid(
  message: string,
  file: string,
  details: { readonly cause?: unknown; readonly expected?: string; readonly found?: string },
): FormatError {
  return new FormatError('KEY_SET_INVALID', message, { ...details, at: { file } });
}

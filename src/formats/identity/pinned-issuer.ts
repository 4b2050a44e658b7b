/**
 * What the pinned root says of the identity provider (docs/format-repository.md, "Trust", "Issuer"): with it an ID token is checked
 * without asking anybody, today or in ten years.
 *
 *     { "url": issuer, exactly as its tokens name it; no slash at the end,
 *       "enrolmentClient": client id of a project that serves enrolment alone,
 *       "loginClient"?: client id for `portolan login`, "storageProject"?: project id whose audience the storage trusts,
 *       "roleClaim": the claim with the roles of the enrolment project: { role: { organization id: domain } },
 *       "readerRole", "organization"?: id of the only organization whose grant counts,
 *       "secondFactors"?: values of `amr` (RFC 8176) of which one must be there; ["mfa"] unless said,
 *       "maxLoginAgeSeconds"?: of the login when the token was issued; 300 unless said,
 *       "keys": [ { "kid", "publicKey": base64 of SubjectPublicKeyInfo in DER, "algorithm", "from": time, "until"?: time } ] }
 *
 * `keys` is the history of the provider's key set: what the provider rotated away and deleted stays here with `until`, so that evidence
 * signed by it can still be checked, and nothing that is signed with it later counts.
 */
import { createPublicKey, type KeyObject } from 'node:crypto';
import { z } from 'zod';
import { isPrivateWay } from '../../core/loopback.ts';
import { base64Schema, labelSchema, timeSchema } from '../repository/documents.ts';

/** Signatures by a key pair. Never HS*: whoever can check such a token can forge it. */
export const ISSUER_ALGORITHMS = ['RS256', 'RS384', 'RS512', 'ES256', 'ES384', 'ES512', 'EdDSA'] as const;

export type IssuerAlgorithm = (typeof ISSUER_ALGORITHMS)[number];

export interface PinnedIssuerKey {
  readonly kid: string;
  /** Base64 of SubjectPublicKeyInfo in DER. */
  readonly publicKey: string;
  readonly algorithm: IssuerAlgorithm;
  /** Tokens count whose `iat` is in [from, until]. */
  readonly from: string;
  readonly until?: string;
}

export interface PinnedIssuer {
  readonly url: string;
  readonly enrolmentClient: string;
  readonly loginClient?: string;
  readonly storageProject?: string;
  readonly roleClaim: string;
  readonly readerRole: string;
  readonly organization?: string;
  readonly secondFactors?: readonly string[];
  readonly maxLoginAgeSeconds?: number;
  /** At least one; no `kid` twice. */
  readonly keys: readonly PinnedIssuerKey[];
}

/** ZITADEL says `mfa` when at least two factors were checked; `otp` and `user` alone can be a login's only factor. */
export const DEFAULT_SECOND_FACTORS: readonly string[] = ['mfa'];
export const DEFAULT_MAX_LOGIN_AGE_SECONDS = 300;

const issuerUrl = z
  .string()
  .max(2000)
  .refine(isIssuerUrl, 'an issuer: https://host without a slash at the end, a query or a fragment');

const keySchema: z.ZodType<PinnedIssuerKey> = z
  .strictObject({
    kid: labelSchema,
    publicKey: base64Schema,
    algorithm: z.enum(ISSUER_ALGORITHMS),
    from: timeSchema,
    until: timeSchema.exactOptional(),
  })
  .refine(
    ({ from, until }) => until === undefined || Date.parse(from) <= Date.parse(until),
    'its time ends before it begins',
  )
  .refine((key) => isKeyFor(key.publicKey, key.algorithm), 'its public key is not one of its algorithm');

export const pinnedIssuerSchema: z.ZodType<PinnedIssuer> = z.strictObject({
  url: issuerUrl,
  enrolmentClient: labelSchema,
  loginClient: labelSchema.exactOptional(),
  storageProject: labelSchema.exactOptional(),
  roleClaim: labelSchema,
  readerRole: labelSchema,
  organization: labelSchema.exactOptional(),
  secondFactors: z.array(labelSchema).min(1).max(20).exactOptional(),
  maxLoginAgeSeconds: z.number().int().min(1).max(86_400).exactOptional(),
  keys: z
    .array(keySchema)
    .min(1)
    .max(1000)
    .refine((keys) => new Set(keys.map(({ kid }) => kid)).size === keys.length, 'a kid stands twice'),
});

/** The public key, or `undefined` when it is none or not one for the algorithm. */
export function issuerKeyOf({
  publicKey,
  algorithm,
}: Pick<PinnedIssuerKey, 'publicKey' | 'algorithm'>): KeyObject | undefined {
  let key: KeyObject;
  try {
    key = createPublicKey({ key: Buffer.from(publicKey, 'base64'), format: 'der', type: 'spki' });
  } catch {
    return undefined;
  }
  return fits(key, algorithm) ? key : undefined;
}

const CURVES = { ES256: 'prime256v1', ES384: 'secp384r1', ES512: 'secp521r1' } as const;

function fits(key: KeyObject, algorithm: IssuerAlgorithm): boolean {
  switch (algorithm) {
    case 'RS256':
    case 'RS384':
    case 'RS512':
      return key.asymmetricKeyType === 'rsa' && (key.asymmetricKeyDetails?.modulusLength ?? 0) >= 2048;
    case 'ES256':
    case 'ES384':
    case 'ES512':
      return key.asymmetricKeyType === 'ec' && key.asymmetricKeyDetails?.namedCurve === CURVES[algorithm];
    case 'EdDSA':
      return key.asymmetricKeyType === 'ed25519';
  }
}

function isKeyFor(publicKey: string, algorithm: IssuerAlgorithm): boolean {
  return issuerKeyOf({ publicKey, algorithm }) !== undefined;
}

/**
 * One spelling: no slash at the end, no query, no fragment, no name. Without TLS on loopback alone: tokens and secrets of accounts go there,
 * and whoever reads a token of the storage has its keys.
 */
export function isIssuerUrl(text: string): boolean {
  if (!URL.canParse(text)) return false;
  const url = new URL(text);
  const { username, password, search, hash, origin, pathname } = url;
  if (!isPrivateWay(url)) return false;
  // The issuer is compared letter by letter with a token's `iss`: one spelling.
  const spelling = `${origin}${pathname === '/' ? '' : pathname}`;
  return `${username}${password}${search}${hash}` === '' && text === spelling && !text.endsWith('/');
}

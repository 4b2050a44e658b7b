/**
 * An ID token of the pinned issuer (OpenID Connect Core 1.0, section 2; a JWS in compact form, RFC 7515), checked with what the root
 * pins and without asking anybody.
 *
 * The key comes from the root by its `kid`, the algorithm from that key: what the token's header says is never more than compared, so
 * neither `none` nor an HMAC by a public or an empty key is ever computed. Nothing of the token goes into an error but single claims.
 */
import { compactVerify, decodeProtectedHeader, errors } from 'jose';
import { z } from 'zod';
import type { ErrorDetails } from '../../core/errors.ts';
import { printable } from '../../core/printable.ts';
import { FormatError, type FormatErrorCode } from '../errors.ts';
import {
  DEFAULT_MAX_LOGIN_AGE_SECONDS,
  DEFAULT_SECOND_FACTORS,
  ISSUER_ALGORITHMS,
  issuerKeyOf,
  type PinnedIssuer,
  type PinnedIssuerKey,
} from './pinned-issuer.ts';

/** Tokens with the roles of many organizations have some kilobytes. */
export const ID_TOKEN_MAX_LENGTH = 32 * 1024;

/** Clocks of two machines may differ by this much. */
const CLOCK_TOLERANCE_SECONDS = 60;

/** Evidence is published once its token has expired: one that lives for years never could be. */
const MAX_LIFETIME_SECONDS = 7 * 86_400;

/** ZITADEL: `urn:zitadel:iam:org:project:ID:roles`; the project stands in the audience of its clients' tokens. */
const PROJECT_ROLES = /^urn:zitadel:iam:org:project:([^:]+):roles$/;

/** OpenID Connect Core 1.0, section 5.1, and what ZITADEL adds of a person. */
const PROFILE_CLAIMS: readonly string[] = [
  ...['name', 'given_name', 'family_name', 'middle_name', 'nickname', 'preferred_username', 'profile', 'picture'],
  ...['website', 'email', 'email_verified', 'gender', 'birthdate', 'zoneinfo', 'locale', 'phone_number'],
  ...['phone_number_verified', 'address', 'updated_at', 'groups', 'urn:zitadel:iam:user:metadata'],
];

export interface IdTokenRules {
  /**
   * `enrolment`: becomes evidence, so it must be a fresh login with a second factor, and say nothing of the person. `login`: of
   * `portolan login`, by the root's `loginClient`.
   */
  readonly use: 'enrolment' | 'login';
  /** What `nonce` must be; not looked at without (the device flow echoes none). */
  readonly nonce?: string | undefined;
  /** Milliseconds since 1970. */
  readonly at: number;
}

export interface VerifiedIdToken {
  readonly issuer: string;
  readonly subject: string;
  /** Of the role claim, those that count, sorted. */
  readonly roles: readonly string[];
  /** `amr`. */
  readonly factors: readonly string[];
  readonly issuedAt: Date;
  /** When the person logged in. */
  readonly authenticatedAt: Date | undefined;
  readonly expiresAt: Date;
  readonly expired: boolean;
  /** `kid` of the issuer's key. */
  readonly keyId: string;
}

const seconds = z.number().int().min(0).max(253_402_300_799);
const text = z.string().min(1).max(1000);

const claimsSchema = z.looseObject({
  iss: text,
  // It becomes a name on the roster and goes to terminals.
  sub: z.string().regex(/^[\x21-\x7e]{1,200}$/),
  aud: z.union([text, z.array(text).min(1).max(1000)]),
  azp: text.optional(),
  iat: seconds,
  exp: seconds,
  nbf: seconds.optional(),
  nonce: text.optional(),
  auth_time: seconds.optional(),
  amr: z.array(text).max(100).optional(),
});

type Claims = z.infer<typeof claimsSchema>;

const rolesSchema = z.record(text, z.record(text, z.unknown()));

/**
 * @throws FormatError ID_TOKEN_INVALID, ID_TOKEN_ALGORITHM_REFUSED, ID_TOKEN_KEY_UNKNOWN, ID_TOKEN_KEY_OUT_OF_TIME, ID_TOKEN_FORGED,
 *   ID_TOKEN_ISSUER_WRONG, ID_TOKEN_AUDIENCE_WRONG, ID_TOKEN_NONCE_WRONG, ID_TOKEN_NOT_YET_VALID, ID_TOKEN_SECOND_FACTOR_MISSING,
 *   ID_TOKEN_LOGIN_TOO_OLD, ID_TOKEN_ROLE_MISSING, ID_TOKEN_PROFILE_CLAIMS
 */
export async function verifyIdToken(
  token: string,
  issuer: PinnedIssuer,
  { use, nonce, at }: IdTokenRules,
): Promise<VerifiedIdToken> {
  const key = keyOf(token, issuer);
  const claims = readClaims(await verifiedPayload(token, key));
  if (claims.iss !== issuer.url) {
    throw refused('ID_TOKEN_ISSUER_WRONG', 'the ID token is of another issuer', {
      expected: issuer.url,
      found: printable(claims.iss),
    });
  }
  requireAudience(claims, issuer, use);
  if (nonce !== undefined && claims.nonce !== nonce) throw wrongNonce();
  requireTimes(claims, at);
  requireKeyTime(claims, key);
  const roles = rolesOf(claims, issuer);
  if (use === 'enrolment') requireEnrolmentClaims(claims, issuer);
  return {
    issuer: claims.iss,
    subject: claims.sub,
    roles,
    factors: claims.amr ?? [],
    issuedAt: instant(claims.iat),
    authenticatedAt: claims.auth_time === undefined ? undefined : instant(claims.auth_time),
    expiresAt: instant(claims.exp),
    expired: at >= claims.exp * 1000,
    keyId: key.kid,
  };
}

/** The pinned key that the header names; the header's algorithm must be the key's own. */
function keyOf(token: string, { keys }: PinnedIssuer): PinnedIssuerKey {
  if (token.length > ID_TOKEN_MAX_LENGTH) throw malformed(`it is longer than ${ID_TOKEN_MAX_LENGTH} characters`);
  let header: ReturnType<typeof decodeProtectedHeader>;
  try {
    header = decodeProtectedHeader(token);
  } catch {
    throw malformed('it is not a signed token of three parts');
  }
  const found = printable(String(header.alg), 40);
  if (!ISSUER_ALGORITHMS.some((algorithm) => algorithm === header.alg))
    throw wrongAlgorithm(ISSUER_ALGORITHMS.join(', '), found);
  const key = keys.find(({ kid }) => kid === header.kid);
  if (key === undefined) {
    throw refused('ID_TOKEN_KEY_UNKNOWN', 'the ID token is signed by a key of the issuer that the root does not pin', {
      expected: keys.map(({ kid }) => kid).join(', '),
      found: header.kid === undefined ? 'no kid' : printable(String(header.kid), 100),
      hint: 'If the issuer has a new key, compare its thumbprint by another way and run `portolan keys init --update-keys` on the root.',
    });
  }
  if (header.alg !== key.algorithm) throw wrongAlgorithm(key.algorithm, found);
  return key;
}

async function verifiedPayload(token: string, key: PinnedIssuerKey): Promise<Uint8Array> {
  const publicKey = issuerKeyOf(key);
  if (publicKey === undefined) throw wrongAlgorithm(key.algorithm, 'a pinned key of another kind');
  try {
    return (await compactVerify(token, publicKey, { algorithms: [key.algorithm] })).payload;
  } catch (error) {
    // Without the cause: nothing that a library may say of the token is shown.
    if (!(error instanceof errors.JWSSignatureVerificationFailed)) throw malformed('its header is not right');
    throw refused('ID_TOKEN_FORGED', 'the signature of the ID token does not fit', {
      expected: `a signature by the issuer's key ${key.kid}`,
      hint: 'Do not use this token: somebody altered it or made it up.',
    });
  }
}

function readClaims(payload: Uint8Array): Claims {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(payload));
  } catch {
    throw malformed('its claims are not JSON');
  }
  const parsed = claimsSchema.safeParse(value);
  if (parsed.success) return parsed.data;
  throw malformed(`its claim ${printable(parsed.error.issues[0]?.path.join('.') ?? '', 60)} is missing or not right`);
}

/**
 * ZITADEL puts all clients of a project and the project itself into the audience, and names the client in `azp`. A token for enrolment
 * may be for nobody else: what the storage trusts as well would be a credential for the storage.
 */
function requireAudience({ aud, azp }: Claims, issuer: PinnedIssuer, use: IdTokenRules['use']): void {
  const client = use === 'enrolment' ? issuer.enrolmentClient : issuer.loginClient;
  const audience = [aud].flat();
  const others = audience.filter((one) => one !== client);
  const project = PROJECT_ROLES.exec(issuer.roleClaim)?.[1];
  const isForOthers = use === 'enrolment' && others.some((one) => one !== project);
  const isOurs = azp === client || (azp === undefined && others.length === 0);
  if (client !== undefined && audience.includes(client) && isOurs && !isForOthers) return;
  throw refused('ID_TOKEN_AUDIENCE_WRONG', 'the ID token was issued for another client', {
    expected: client ?? 'the root names no client for logins',
    found: printable([...audience, ...(azp === undefined ? [] : [`azp ${azp}`])].join(', ')),
    hint: 'The client must stand alone in a project of its own, and the login must ask for no audience of another project.',
  });
}

function requireTimes({ iat, nbf, exp }: Claims, at: number): void {
  if (exp <= iat || exp - iat > MAX_LIFETIME_SECONDS)
    throw malformed('it lives for no time at all, or longer than a week');
  const validFrom = Math.max(iat, nbf ?? 0);
  if (validFrom <= at / 1000 + CLOCK_TOLERANCE_SECONDS) return;
  throw refused('ID_TOKEN_NOT_YET_VALID', 'the ID token is of the future', {
    expected: `at most ${iso(at / 1000)}, the time of this machine`,
    found: iso(validFrom),
    hint: 'Compare the clock of this machine with that of the identity provider.',
  });
}

function requireKeyTime({ iat }: Claims, { kid, from, until }: PinnedIssuerKey): void {
  const issuedAt = iat * 1000;
  if (issuedAt >= Date.parse(from) && (until === undefined || issuedAt <= Date.parse(until))) return;
  throw refused('ID_TOKEN_KEY_OUT_OF_TIME', `the ID token was issued when the key ${kid} did not sign for the issuer`, {
    expected: `from ${from}${until === undefined ? '' : ` until ${until}`}`,
    found: iso(iat),
    hint: 'A key that was taken out of use signs nothing that counts. Enrol again.',
  });
}

/** @throws FormatError ID_TOKEN_ROLE_MISSING */
function rolesOf(claims: Claims, { roleClaim, readerRole, organization }: PinnedIssuer): string[] {
  const parsed = rolesSchema.safeParse(claims[roleClaim] ?? {});
  if (!parsed.success) throw malformed('its roles are not { role: { organization: domain } }');
  const roles = Object.entries(parsed.data)
    .filter(([, organizations]) =>
      organization === undefined ? Object.keys(organizations).length > 0 : Object.hasOwn(organizations, organization),
    )
    .map(([role]) => role)
    .sort();
  if (roles.includes(readerRole)) return roles;
  throw refused('ID_TOKEN_ROLE_MISSING', `the ID token does not give the role ${readerRole}`, {
    expected: `${readerRole} in ${roleClaim}${organization === undefined ? '' : `, granted by the organization ${organization}`}`,
    found: printable(roles.join(', ')) || 'no role that counts',
    hint: 'Grant the role in ZITADEL, and let the application put "User roles inside ID Token".',
  });
}

function requireEnrolmentClaims(claims: Claims, issuer: PinnedIssuer): void {
  const factors = issuer.secondFactors ?? DEFAULT_SECOND_FACTORS;
  if (!claims.amr?.some((factor) => factors.includes(factor))) {
    throw refused('ID_TOKEN_SECOND_FACTOR_MISSING', 'the person logged in without a second factor', {
      expected: `amr with one of ${factors.join(', ')}`,
      found: printable(claims.amr?.join(', ') ?? '') || 'nothing',
      hint: 'Set up a second factor or a passkey, log out of the provider, and enrol again.',
    });
  }
  requireFreshLogin(claims, issuer.maxLoginAgeSeconds ?? DEFAULT_MAX_LOGIN_AGE_SECONDS);
  const profile = PROFILE_CLAIMS.filter((name) => Object.hasOwn(claims, name));
  if (profile.length === 0) return;
  throw refused('ID_TOKEN_PROFILE_CLAIMS', 'the ID token says more of the person than evidence may', {
    found: profile.join(', '),
    hint: 'Switch off "User Info inside ID Token" of the enrolment application in ZITADEL, and enrol again: evidence is published.',
  });
}

function requireFreshLogin({ iat, auth_time }: Claims, maxAgeSeconds: number): void {
  const ageSeconds = auth_time === undefined ? undefined : iat - auth_time;
  if (ageSeconds !== undefined && ageSeconds >= -CLOCK_TOLERANCE_SECONDS && ageSeconds <= maxAgeSeconds) return;
  throw refused('ID_TOKEN_LOGIN_TOO_OLD', 'the login behind the ID token is too old, or it does not say when it was', {
    expected: `at most ${maxAgeSeconds} s before the token`,
    found: ageSeconds === undefined ? 'no auth_time' : `${ageSeconds} s`,
    hint: 'Enrol again and log in anew: an open session of the browser is not enough.',
  });
}

function wrongNonce(): FormatError {
  return refused('ID_TOKEN_NONCE_WRONG', 'the ID token was not issued for this enrolment', {
    expected: 'a nonce that commits to the recipient, the repository and the random value',
    hint: 'Do not approve it: the token is another one’s, or of another recipient. Enrol again.',
  });
}

function wrongAlgorithm(expected: string, found: string): FormatError {
  return refused('ID_TOKEN_ALGORITHM_REFUSED', 'the ID token is signed by an algorithm that is not its key’s', {
    expected,
    found,
    hint: 'Do not use this token: somebody made it up, or the root pins the key with another algorithm.',
  });
}

function malformed(problem: string): FormatError {
  return refused('ID_TOKEN_INVALID', `the ID token is not right: ${problem}`, {});
}

function refused(code: FormatErrorCode, message: string, details: ErrorDetails): FormatError {
  return new FormatError(code, message, details);
}

function instant(seconds: number): Date {
  return new Date(seconds * 1000);
}

function iso(seconds: number): string {
  return instant(seconds).toISOString();
}

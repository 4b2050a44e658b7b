import { generateKeyPairSync, type KeyObject, randomBytes } from 'node:crypto';
import { CompactSign } from 'jose';
import { type Enrolment, encodeEnrolment, enrolmentNonce } from '../../src/formats/identity/enrolment.ts';
import type { PinnedIssuer, PinnedIssuerKey } from '../../src/formats/identity/pinned-issuer.ts';
import type { RepositoryId } from '../../src/formats/repository/keys.ts';

export const PROJECT = '284561203846729763';
export const ROLE_CLAIM = `urn:zitadel:iam:org:project:${PROJECT}:roles`;
const CLIENT = '284561203846795299';

/** An identity provider without a server: a key, and tokens as ZITADEL writes them. */
export interface TestIssuer {
  readonly pinned: PinnedIssuer;
  readonly privateKey: KeyObject;
  /** A token that enrolment takes; `changes` says what is otherwise. A claim that is `undefined` is left out. */
  token(changes?: TokenChanges): Promise<string>;
  /** The enrolment of a recipient, by a login at `at`. */
  enrol(about: EnrolmentWishes): Promise<Uint8Array>;
}

export interface TokenChanges {
  readonly claims?: Readonly<Record<string, unknown>>;
  readonly header?: Readonly<Record<string, unknown>>;
  readonly key?: KeyObject | Uint8Array;
  /** Seconds since 1970, of `iat`; now unless said. */
  readonly issuedAt?: number;
}

export interface EnrolmentWishes extends TokenChanges {
  readonly repository: string;
  readonly recipient: string;
  readonly subject: string;
}

/** A key of an issuer, as the root pins it. */
export function pinnedKey(publicKey: KeyObject, change: Partial<PinnedIssuerKey> = {}): PinnedIssuerKey {
  return {
    kid: 'key-1',
    publicKey: publicKey.export({ type: 'spki', format: 'der' }).toString('base64'),
    algorithm: 'RS256',
    from: '2020-01-01T00:00:00.000Z',
    ...change,
  };
}

export function createTestIssuer(change: Partial<PinnedIssuer> = {}): TestIssuer {
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const pinned: PinnedIssuer = {
    url: 'https://id.ship.example',
    enrolmentClient: CLIENT,
    roleClaim: ROLE_CLAIM,
    readerRole: 'backup-reader',
    keys: [pinnedKey(publicKey)],
    ...change,
  };
  const token = async (changes: TokenChanges = {}) => {
    const { claims, header, key = privateKey, issuedAt = Math.floor(Date.now() / 1000) } = changes;
    const payload = {
      iss: pinned.url,
      sub: '284561203846860835',
      aud: [CLIENT, PROJECT],
      azp: CLIENT,
      client_id: CLIENT,
      iat: issuedAt,
      exp: issuedAt + 3600,
      auth_time: issuedAt - 20,
      amr: ['pwd', 'otp', 'mfa'],
      [ROLE_CLAIM]: { 'backup-reader': { '284561203846926371': 'ship.example' } },
      ...claims,
    };
    const bytes = new TextEncoder().encode(JSON.stringify(payload));
    return await new CompactSign(bytes).setProtectedHeader({ alg: 'RS256', kid: 'key-1', ...header }).sign(key);
  };
  return {
    pinned,
    privateKey,
    token,
    async enrol({ repository, recipient, subject, claims, ...changes }) {
      const commitment = {
        repository: repository as RepositoryId,
        recipient,
        random: randomBytes(32).toString('base64'),
      };
      const idToken = await token({
        ...changes,
        claims: { sub: subject, nonce: enrolmentNonce(commitment), ...claims },
      });
      return encodeEnrolment({ version: 1, kind: 'portolan-enrolment', ...commitment, idToken } satisfies Enrolment);
    },
  };
}

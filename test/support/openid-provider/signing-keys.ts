import { createPublicKey, generateKeyPairSync, type KeyObject } from 'node:crypto';
import { type JWTHeaderParameters, type JWTPayload, SignJWT } from 'jose';
import { newId } from './directory.ts';

/** The keys that tokens are signed with. */
export interface SigningKeys {
  /** Key ids, oldest first; the last one signs. */
  readonly ids: readonly string[];
  /** What the provider publishes. */
  readonly jwks: () => { readonly keys: readonly Record<string, unknown>[] };
  /** A new key signs from now on; those before stay published. Gives its id. */
  rotate(): string;
  /** No longer published. */
  remove(kid: string): void;
  /** Signs any claims with the newest key, or with `kid`. */
  sign(claims: JWTPayload, header?: Partial<JWTHeaderParameters>): Promise<string>;
}

export function createSigningKeys(): SigningKeys {
  const keys = new Map<string, KeyObject>();
  const newest = () => [...keys.keys()].at(-1) ?? '';
  const signing: SigningKeys = {
    get ids() {
      return [...keys.keys()];
    },
    jwks: () => ({
      keys: [...keys].map(([kid, key]) => ({
        ...createPublicKey(key).export({ format: 'jwk' }),
        kid,
        alg: 'RS256',
        use: 'sig',
      })),
    }),
    rotate() {
      const kid = newId();
      keys.set(kid, generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey);
      return kid;
    },
    remove(kid) {
      keys.delete(kid);
    },
    async sign(claims, header = {}) {
      const kid = header.kid ?? newest();
      const key = keys.get(kid);
      if (key === undefined) throw new Error(`the provider has no key ${kid}`);
      return new SignJWT(claims).setProtectedHeader({ alg: 'RS256', ...header, kid }).sign(key);
    },
  };
  signing.rotate();
  return signing;
}

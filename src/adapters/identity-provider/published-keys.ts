import { createPublicKey } from 'node:crypto';
import { z } from 'zod';
import type { PublishedKey } from '../../ports/identity-provider.ts';
import { type Connection, documentOf } from './connection.ts';
import { protocolFailure } from './exchange.ts';

const MOST_KEYS = 100;

const keySetSchema = z.looseObject({
  keys: z
    .array(
      z.looseObject({
        kid: z.string().min(1).max(200),
        kty: z.string(),
        use: z.string().optional(),
        alg: z.string().optional(),
      }),
    )
    .max(MOST_KEYS),
});

/** The JSON Web Key Set (RFC 7517) that the provider publishes, without keys that do not sign. */
export async function fetchPublishedKeys(
  connection: Connection,
  signal: AbortSignal | undefined,
): Promise<readonly PublishedKey[]> {
  const { issuer, exchange } = connection;
  const { jwks_uri } = await connection.metadata(signal);
  const answer = await exchange.send(jwks_uri, { method: 'GET', signal });
  const { keys } = documentOf(answer, keySetSchema, issuer, 'its set of keys');
  const signing = keys.filter(({ use, kty }) => (use === undefined || use === 'sig') && kty !== 'oct');
  if (signing.length === 0) throw protocolFailure(issuer, 'its set of keys has none that signs');
  return signing.map((key) => ({
    kid: key.kid,
    publicKey: publicKeyOf(key, issuer),
    algorithm: key.alg ?? usualAlgorithm(key),
  }));
}

function publicKeyOf(key: Record<string, unknown>, issuer: string): string {
  try {
    return createPublicKey({ key, format: 'jwk' }).export({ type: 'spki', format: 'der' }).toString('base64');
  } catch {
    throw protocolFailure(issuer, 'its set of keys has one that cannot be read');
  }
}

/** Of a key that does not say: RFC 7518, section 3.1. */
function usualAlgorithm({ kty, crv }: Record<string, unknown>): string {
  if (kty === 'EC') return crv === 'P-384' ? 'ES384' : crv === 'P-521' ? 'ES512' : 'ES256';
  return kty === 'OKP' ? 'EdDSA' : 'RS256';
}

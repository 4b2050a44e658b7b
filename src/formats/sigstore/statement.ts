/**
 * The in-toto statement (in-toto attestation framework, Statement v1) that `cosign sign` writes for an image since
 * version 3: an empty predicate whose type says "signed", over the manifest's digest.
 *
 *   {"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":HEX},"annotations":{}}],
 *    "predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}
 */
import { z } from 'zod';
import { type Digest, digestFromHex, hexOf } from '../../core/digest.ts';

export const STATEMENT_PAYLOAD_TYPE = 'application/vnd.in-toto+json';
export const SIGN_PREDICATE_TYPE = 'https://sigstore.dev/cosign/sign/v1';
const STATEMENT_TYPE = 'https://in-toto.io/Statement/v1';
/** `cosign attest-blob` with {@link SIGN_PREDICATE_TYPE}, the way to sign a manifest file without a registry, writes this one. */
const STATEMENT_TYPE_V01 = 'https://in-toto.io/Statement/v0.1';

export interface SignStatement {
  readonly subject: Digest;
}

export function encodeStatement(statement: SignStatement): Uint8Array {
  return new TextEncoder().encode(
    JSON.stringify({
      _type: STATEMENT_TYPE,
      subject: [{ digest: { sha256: hexOf(statement.subject) }, annotations: {} }],
      predicateType: SIGN_PREDICATE_TYPE,
      predicate: {},
    }),
  );
}

/** Exactly one subject, known by SHA-256 alone: with several, "signed" would not say what was looked at. */
const statementSchema = z.strictObject({
  _type: z.enum([STATEMENT_TYPE, STATEMENT_TYPE_V01]),
  subject: z.tuple([
    z.strictObject({
      name: z.string().optional(),
      digest: z.strictObject({ sha256: z.string().regex(/^[0-9a-f]{64}$/) }),
      annotations: z.record(z.string(), z.unknown()).optional(),
    }),
  ]),
  predicateType: z.literal(SIGN_PREDICATE_TYPE),
  predicate: z.record(z.string(), z.unknown()).optional(),
});

/** `undefined` when the bytes are not such a statement. The caller has verified the signature over them. */
export function decodeStatement(bytes: Uint8Array): SignStatement | undefined {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch {
    return undefined;
  }
  const parsed = statementSchema.safeParse(value);
  return parsed.success ? { subject: digestFromHex(parsed.data.subject[0].digest.sha256) } : undefined;
}

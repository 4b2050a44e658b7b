import { verificationKey, type WriterName } from '../../formats/repository/keys.ts';
import { encodeVerification, type Verification } from '../../formats/repository/verification.ts';
import type { SigningKey } from '../../formats/sigstore/cosign-key.ts';
import type { SnapshotInfo } from './chains.ts';
import { putOnce } from './objects.ts';
import type { OpenedRepository } from './open.ts';
import { requireRole } from './roles.ts';

export type VerificationWord = Pick<
  Verification,
  'kind' | 'result' | 'readPercent' | 'indexes' | 'program' | 'findings'
>;

/**
 * Writes a verifier's word about a snapshot.
 *
 * @throws UseCaseError ROLE_MISSING
 */
export async function putVerification(
  { store, id, roster }: OpenedRepository,
  { writer, sequence, digest }: Pick<SnapshotInfo, 'writer' | 'sequence' | 'digest'>,
  word: VerificationWord,
  signer: SigningKey,
  options: { readonly signal: AbortSignal },
): Promise<void> {
  const verifier = requireRole(roster.document, 'verifiers', signer) as WriterName;
  const time = await store.now(options);
  const bytes = encodeVerification(
    {
      ...{ version: 1, repository: id, verifier, writer, sequence, snapshot: digest, time: time.toISOString() },
      ...word,
    },
    signer,
  );
  await putOnce(store, verificationKey(writer, sequence, verifier, time), bytes, options);
}

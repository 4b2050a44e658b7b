import type { Digest } from '../../core/digest.ts';
import type { Medium } from '../../ports/medium.ts';
import { openLists } from './open-lists.ts';
import { readSignatures } from './read-signatures.ts';
import { signerNotNamed } from './require-trusted.ts';
import { resolveBundle } from './resolve-bundle.ts';
import { type Signer, writeSignature } from './write-signature.ts';

export interface SignReport {
  readonly tag: string;
  readonly manifestDigest: Digest;
  readonly keyHint: string;
  /** False: this key's signature was there before. */
  readonly added: boolean;
}

/**
 * Adds another publisher's signature to a bundle. With an identity the sealed contents are asked whether they name the
 * key: a signature by any other key would not be accepted by those who open the bundle.
 *
 * @throws UseCaseError SIGNER_NOT_NAMED
 */
export async function signBundle(
  request: { readonly tag?: string; readonly signer: Signer; readonly identities: readonly string[] },
  { medium }: { readonly medium: Medium },
  options: { readonly signal?: AbortSignal } = {},
): Promise<SignReport> {
  const { signer, identities } = request;
  await using _lock = await medium.lock();
  const bundle = await resolveBundle(medium, request.tag);
  if (identities.length > 0) {
    const { signers } = (await openLists(medium, bundle, identities)).contents;
    if (!signers.includes(signer.keyHint)) throw signerNotNamed(medium, signer.keyHint, signers);
  }
  const report = { tag: bundle.tag, manifestDigest: bundle.descriptor.digest, keyHint: signer.keyHint };
  const trusted = { keyHint: signer.keyHint, name: 'the signing key', publicKey: signer.publicKey };
  const present = await readSignatures(medium, bundle, [trusted]);
  if (present.some((signature) => signature.trusted !== undefined)) return { ...report, added: false };
  options.signal?.throwIfAborted();
  const { referrer } = await writeSignature(medium, {
    tag: bundle.tag,
    manifest: bundle.descriptor,
    manifestBytes: bundle.manifestBytes,
    signer,
  });
  await medium.commitIndex([...(await medium.readIndex()), referrer]);
  return { ...report, added: true };
}

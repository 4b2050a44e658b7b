import type { PortolanError } from '../../core/errors.ts';
import type { Contents } from '../../formats/bundle/contents.ts';
import type { TrustedKey } from '../../formats/sigstore/signature-bundle.ts';
import type { Trust } from '../../formats/sigstore/trust.ts';
import type { Medium } from '../../ports/medium.ts';
import { UseCaseError } from '../errors.ts';
import { type FoundSignature, readSignatures } from './read-signatures.ts';
import type { ResolvedBundle } from './resolve-bundle.ts';

export interface TrustedSignature {
  readonly trusted: TrustedKey;
  readonly signatures: readonly FoundSignature[];
  /** @throws UseCaseError SIGNER_NOT_NAMED when none of the accepted keys is one that the sealed contents name. */
  assertNamed(signers: readonly string[]): void;
}

/** @throws UseCaseError NOT_SIGNED_BY_TRUSTED */
export async function requireTrusted(medium: Medium, bundle: ResolvedBundle, trust: Trust): Promise<TrustedSignature> {
  const signatures = await readSignatures(medium, bundle, trust.keys);
  const accepted = acceptedKeys(signatures);
  const [trusted] = accepted;
  if (trusted === undefined) throw notSigned(medium, bundle, signatures);
  return {
    trusted,
    signatures,
    assertNamed(signers) {
      if (!accepted.some(({ keyHint }) => signers.includes(keyHint)))
        throw signerNotNamed(medium, trusted.keyHint, signers);
    },
  };
}

const UNSIGNED_HINT =
  'Some tools leave the signature behind when they copy: copy the *.sigstore.json files of the first medium beside ' +
  'index.json, or copy again with `oras cp -r`. Where there never was one, do not use the bundle.';

export function acceptedKeys(signatures: readonly FoundSignature[]): TrustedKey[] {
  return signatures.flatMap(({ trusted }) => (trusted === undefined ? [] : [trusted]));
}

export function notSigned(
  medium: Medium,
  bundle: ResolvedBundle,
  signatures: readonly FoundSignature[],
): PortolanError {
  return new UseCaseError('NOT_SIGNED_BY_TRUSTED', `No trusted publisher signed ${bundle.tag}`, {
    at: { file: medium.folder, digest: bundle.descriptor.digest },
    found: signatures.length === 0 ? 'no signature' : `${signatures.length} signatures, none accepted`,
    hint:
      signatures.length === 0
        ? UNSIGNED_HINT
        : 'Do not use the bundle. Check that --trust names the right key, got by another way than the medium.',
    others: signatures.flatMap(({ error }) => (error === undefined ? [] : [error])),
  });
}

/** A trusted key that the packer did not name: somebody signed what another publisher packed. */
export function signerNotNamed(medium: Medium, keyHint: string, signers: readonly string[]): PortolanError {
  return new UseCaseError('SIGNER_NOT_NAMED', 'The signature is by a key that the packer did not name', {
    expected: signers.join(', '),
    found: keyHint,
    at: { file: medium.folder },
    hint: 'Somebody you trust for other bundles signed what another publisher packed: ask both before you use it.',
  });
}

/**
 * Where the signed contents are not what the trust file lets this target accept: an old bundle, or another target's.
 * UseCaseError BUNDLE_TOO_OLD, AUDIENCE_MISMATCH.
 */
export function refusedByTrust(
  medium: Medium,
  trust: Trust,
  { name, sequence, audience }: Pick<Contents, 'name' | 'sequence' | 'audience'>,
): UseCaseError[] {
  const refused: UseCaseError[] = [];
  const at = { file: medium.folder };
  const minimum = trust.minimumSequence.get(name);
  if (minimum !== undefined && sequence < minimum) {
    refused.push(
      new UseCaseError('BUNDLE_TOO_OLD', `The trust file accepts no ${name} as old as this one`, {
        at,
        expected: `sequence ${minimum} or above`,
        found: sequence,
        hint: 'Ask for a newer bundle. If the old one is really meant, lower minimumSequence in the trust file.',
      }),
    );
  }
  // Either side may leave it open.
  if (trust.audience.length > 0 && audience.length > 0 && !audience.some((target) => trust.audience.includes(target))) {
    refused.push(
      new UseCaseError('AUDIENCE_MISMATCH', 'The bundle is meant for another target', {
        at,
        expected: trust.audience.join(', '),
        found: audience.join(', '),
        hint: 'Ask the publisher for the bundle of this target. Its names stand under audience in the trust file.',
      }),
    );
  }
  return refused;
}

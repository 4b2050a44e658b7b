import { hexOf } from '../../core/digest.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import type { SigningKey } from '../../formats/sigstore/cosign-key.ts';
import { encodeSignatureReferrer } from '../../formats/sigstore/referrer.ts';
import { signManifest } from '../../formats/sigstore/signature-bundle.ts';
import type { Medium } from '../../ports/medium.ts';

/** An opened cosign key. */
export type Signer = SigningKey;

export interface SignatureTarget {
  readonly tag: string;
  readonly manifest: Descriptor;
  readonly manifestBytes: Uint8Array;
  readonly signer: Signer;
}

export interface WrittenSignature {
  /** For index.json; the caller commits it. */
  readonly referrer: Descriptor;
  /** The file's name: TAG.<16 hexadecimal digits>.sigstore.json, the start of the referrer's digest. */
  readonly file: string;
  readonly bytes: Uint8Array;
}

/** Signs a manifest and writes the signature. */
export async function writeSignature(medium: Medium, target: SignatureTarget): Promise<WrittenSignature> {
  const { tag, manifest, manifestBytes, signer } = target;
  return await placeSignature(medium, { tag, manifest }, signManifest(manifestBytes, signer));
}

/** Writes a signature twice: as an OCI referrer, and as a file for movers that drop referrers. Not under the plain name yet. */
export async function placeSignature(
  medium: Medium,
  { tag, manifest }: Pick<SignatureTarget, 'tag' | 'manifest'>,
  bytes: Uint8Array,
): Promise<WrittenSignature> {
  const referrer = encodeSignatureReferrer(manifest, bytes);
  await medium.putBlob(referrer.configBytes);
  await medium.putBlob(referrer.layerBytes);
  await medium.putBlob(referrer.manifestBytes);
  const file = `${tag}.${hexOf(referrer.descriptor.digest).slice(0, 16)}.sigstore.json`;
  await medium.writeFile(file, bytes);
  return { referrer: referrer.descriptor, file, bytes };
}

/**
 * Gives the first signature of a bundle its plain name, and removes the files of former ones. Only after index.json was
 * replaced: before that the former files are the signatures of what is on the medium.
 */
export async function settleSignatures(
  medium: Medium,
  tag: string,
  [first, ...further]: readonly WrittenSignature[],
): Promise<void> {
  const kept = new Set(further.map(({ file }) => file));
  if (first !== undefined) {
    await medium.writeFile(plainSignatureName(tag), first.bytes);
    kept.add(plainSignatureName(tag));
  }
  for (const name of await signatureFiles(medium, tag)) if (!kept.has(name)) await medium.removeFile(name);
}

/** The file of a bundle's first signature. */
export function plainSignatureName(tag: string): string {
  return `${tag}.sigstore.json`;
}

/** The files of a bundle's signatures: TAG.sigstore.json, and TAG.<16 hexadecimal digits>.sigstore.json of later signers. */
export async function signatureFiles(medium: Medium, tag: string): Promise<string[]> {
  return (await medium.listFiles()).filter((name) => {
    if (!name.startsWith(`${tag}.`) || !name.endsWith('.sigstore.json')) return false;
    const between = name.slice(tag.length, -'.sigstore.json'.length);
    return between === '' || /^\.[0-9a-f]{16}$/.test(between);
  });
}

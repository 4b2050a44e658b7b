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
  /** The first signature of a bundle has the plain name, TAG.sigstore.json; files of former signatures go. */
  readonly first: boolean;
}

/**
 * Signs a manifest and writes the signature twice: as an OCI referrer and as a file beside index.json, for movers that drop
 * referrers. Returns the referrer's descriptor for index.json; the caller commits it.
 */
export async function writeSignature(medium: Medium, target: SignatureTarget): Promise<Descriptor> {
  const { tag, manifest, manifestBytes, signer, first } = target;
  const signature = signManifest(manifestBytes, signer);
  const referrer = encodeSignatureReferrer(manifest, signature);
  await medium.putBlob(referrer.configBytes);
  await medium.putBlob(referrer.layerBytes);
  await medium.putBlob(referrer.manifestBytes);
  const name = first ? `${tag}.sigstore.json` : `${tag}.${hexOf(referrer.descriptor.digest).slice(0, 16)}.sigstore.json`;
  if (first) {
    for (const file of await signatureFiles(medium, tag)) if (file !== name) await medium.removeFile(file);
  }
  await medium.writeFile(name, signature);
  return referrer.descriptor;
}

/** The files of a bundle's signatures: TAG.sigstore.json, and TAG.<16 hexadecimal digits>.sigstore.json of later signers. */
export async function signatureFiles(medium: Medium, tag: string): Promise<string[]> {
  return (await medium.listFiles()).filter((name) => {
    if (!name.startsWith(`${tag}.`) || !name.endsWith('.sigstore.json')) return false;
    const between = name.slice(tag.length, -'.sigstore.json'.length);
    return between === '' || /^\.[0-9a-f]{16}$/.test(between);
  });
}

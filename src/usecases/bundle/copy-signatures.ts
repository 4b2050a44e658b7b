import { type Digest, digestOf, hexOf } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import { MANIFEST_MEDIA_TYPE } from '../../formats/bundle/manifest.ts';
import type { Descriptor } from '../../formats/oci/types.ts';
import { encodeSignatureReferrer } from '../../formats/sigstore/referrer.ts';
import { readSubject, SIGNATURE_MAX_BYTES } from '../../formats/sigstore/signature-bundle.ts';
import type { Medium } from '../../ports/medium.ts';
import { signatureReferrers } from './medium-index.ts';
import type { ResolvedBundle } from './resolve-bundle.ts';
import { signatureFiles } from './write-signature.ts';

/** As many as readers look at. */
const MAX_SIGNATURES = 256;

export interface CarriedSignatures {
  /** Byte for byte, each once; the one with the plain name first. */
  readonly signatures: readonly Uint8Array[];
  /** Files that carry the name of a signature and are none of this manifest. */
  readonly others: readonly string[];
}

/**
 * The signatures of a bundle that lie on a medium, from files and from referrers: some movers keep only one of the two.
 * Whether they are good is for those to say who have the publisher's key; only what names this manifest is carried.
 */
export async function collectSignatures(
  medium: Medium,
  { tag, descriptor }: ResolvedBundle,
): Promise<CarriedSignatures> {
  const found = new Map<Digest, Uint8Array>();
  const others: string[] = [];
  const examine = async (where: string, read: () => Promise<Uint8Array | undefined>) => {
    try {
      const bytes = await read();
      if (bytes === undefined) return;
      if (readSubject(bytes, where) === descriptor.digest) found.set(digestOf(bytes), bytes);
      else others.push(where);
    } catch (error) {
      if (!(error instanceof PortolanError) || error.code === 'DISK_GONE') throw error;
      others.push(where);
    }
  };
  const plain = plainName(tag);
  const names = (await signatureFiles(medium, tag)).sort((a, b) => Number(b === plain) - Number(a === plain));
  for (const name of names.slice(0, MAX_SIGNATURES)) {
    await examine(name, () => medium.readFile(name, SIGNATURE_MAX_BYTES));
  }
  const referrers = await signatureReferrers(medium, descriptor.digest);
  for (const { digest, layer } of referrers.slice(0, MAX_SIGNATURES)) {
    await examine(`referrer ${digest}`, () => medium.readBlob(layer, SIGNATURE_MAX_BYTES));
  }
  return { signatures: [...found.values()].slice(0, MAX_SIGNATURES), others };
}

export interface PlacedSignatures {
  /** For index.json; the caller commits it. */
  readonly referrers: readonly Descriptor[];
  /** Gives the first signature its plain name and removes the files of former ones. After index.json was replaced. */
  settle(): Promise<void>;
}

/** Writes signatures as referrers and as files, in Portolan's own form, and not under the plain name yet. */
export async function placeSignatures(
  medium: Medium,
  { tag, descriptor, manifestBytes }: ResolvedBundle,
  signatures: readonly Uint8Array[],
): Promise<PlacedSignatures> {
  // The size in the index of the source was never checked.
  const subject: Descriptor = {
    mediaType: MANIFEST_MEDIA_TYPE,
    digest: descriptor.digest,
    size: manifestBytes.length,
  };
  const referrers: Descriptor[] = [];
  const files: string[] = [];
  for (const bytes of signatures) {
    const referrer = encodeSignatureReferrer(subject, bytes);
    for (const blob of [referrer.configBytes, referrer.layerBytes, referrer.manifestBytes]) {
      await medium.putBlob(blob);
    }
    const file = `${tag}.${hexOf(referrer.descriptor.digest).slice(0, 16)}.sigstore.json`;
    await medium.writeFile(file, bytes);
    referrers.push(referrer.descriptor);
    files.push(file);
  }
  return {
    referrers,
    async settle() {
      const [first] = signatures;
      const kept = new Set(files.slice(1));
      if (first !== undefined) {
        await medium.writeFile(plainName(tag), first);
        kept.add(plainName(tag));
      }
      for (const name of await signatureFiles(medium, tag)) if (!kept.has(name)) await medium.removeFile(name);
    },
  };
}

function plainName(tag: string): string {
  return `${tag}.sigstore.json`;
}

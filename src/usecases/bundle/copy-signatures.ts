import { type Digest, digestOf } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import { readSubject, SIGNATURE_MAX_BYTES } from '../../formats/sigstore/signature-bundle.ts';
import type { Medium } from '../../ports/medium.ts';
import { signatureReferrers } from './medium-index.ts';
import type { ResolvedBundle } from './resolve-bundle.ts';
import { plainSignatureName, signatureFiles } from './write-signature.ts';

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
  const plain = plainSignatureName(tag);
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

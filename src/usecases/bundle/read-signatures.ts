import { PortolanError } from '../../core/errors.ts';
import {
  readKeyHint,
  SIGNATURE_MAX_BYTES,
  SIGNATURE_MEDIA_TYPE,
  type TrustedKey,
  verifyManifestSignature,
} from '../../formats/sigstore/signature-bundle.ts';
import type { Medium } from '../../ports/medium.ts';
import { linksOf, referrersOf } from './medium-index.ts';
import type { ResolvedBundle } from './resolve-bundle.ts';
import { signatureFiles } from './write-signature.ts';

export interface FoundSignature {
  /** The file's name, or `referrer sha256:…`. */
  readonly where: string;
  /** Who claims to have signed; undefined when the signature cannot be read. */
  readonly keyHint?: string;
  /** Set when the signature is genuine and its key is trusted. */
  readonly trusted?: TrustedKey;
  /** Why it was not accepted. */
  readonly error?: PortolanError;
}

/** Reads every signature of a bundle, from the files and from the referrers, and holds it against the trusted keys. */
export async function readSignatures(
  medium: Medium,
  bundle: ResolvedBundle,
  trustedKeys: readonly TrustedKey[],
): Promise<FoundSignature[]> {
  const found: FoundSignature[] = [];
  const examine = async (where: string, read: () => Promise<Uint8Array | undefined>) => {
    let keyHint: string | undefined;
    try {
      const bytes = await read();
      if (bytes === undefined) return;
      keyHint = readKeyHint(bytes, where);
      const manifestDigest = bundle.descriptor.digest;
      found.push({ where, keyHint, trusted: verifyManifestSignature(bytes, { manifestDigest, trustedKeys, file: where }) });
    } catch (error) {
      if (!(error instanceof PortolanError)) throw error;
      found.push({ where, ...(keyHint === undefined ? {} : { keyHint }), error });
    }
  };
  for (const name of await signatureFiles(medium, bundle.tag)) {
    await examine(name, () => medium.readFile(name, SIGNATURE_MAX_BYTES));
  }
  for (const referrer of await referrersOf(medium, bundle.descriptor.digest)) {
    await examine(`referrer ${referrer.digest}`, async () => {
      if (referrer.artifactType !== undefined && referrer.artifactType !== SIGNATURE_MEDIA_TYPE) return undefined;
      const [layer] = (await linksOf(medium, referrer.digest)).layers;
      return layer === undefined ? undefined : medium.readBlob(layer.digest, SIGNATURE_MAX_BYTES);
    });
  }
  return found;
}

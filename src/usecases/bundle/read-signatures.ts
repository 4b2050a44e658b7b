import { PortolanError } from '../../core/errors.ts';
import {
  readKeyHint,
  SIGNATURE_MAX_BYTES,
  type TrustedKey,
  verifyManifestSignature,
} from '../../formats/sigstore/signature-bundle.ts';
import type { Medium } from '../../ports/medium.ts';
import { signatureReferrers } from './medium-index.ts';
import type { ResolvedBundle } from './resolve-bundle.ts';
import { signatureFiles } from './write-signature.ts';

/** Of each kind; whoever fills a medium with signatures must not keep its readers busy for ever. */
const MAX_SIGNATURES = 256;

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
      found.push({
        where,
        keyHint,
        trusted: verifyManifestSignature(bytes, { manifestDigest, trustedKeys, file: where }),
      });
    } catch (error) {
      if (!(error instanceof PortolanError)) throw error;
      found.push({ where, ...(keyHint === undefined ? {} : { keyHint }), error });
    }
  };
  for (const name of (await signatureFiles(medium, bundle.tag)).slice(0, MAX_SIGNATURES)) {
    await examine(name, () => medium.readFile(name, SIGNATURE_MAX_BYTES));
  }
  for (const { digest, layer } of (await signatureReferrers(medium, bundle.descriptor.digest)).slice(
    0,
    MAX_SIGNATURES,
  )) {
    await examine(`referrer ${digest}`, () => medium.readBlob(layer, SIGNATURE_MAX_BYTES));
  }
  return found;
}

/**
 * The OCI manifest that hangs a signature on a bundle's manifest (OCI image specification v1.1, "subject"), with the
 * members and annotations that cosign 3 writes, so that `cosign verify` finds the signature in a registry.
 */
import { canonicalJson } from '../../core/canonical-json.ts';
import { digestOf } from '../../core/digest.ts';
import type { Descriptor } from '../oci/types.ts';
import { SIGNATURE_MEDIA_TYPE } from './signature-bundle.ts';
import { SIGN_PREDICATE_TYPE } from './statement.ts';

const MANIFEST_MEDIA_TYPE = 'application/vnd.oci.image.manifest.v1+json';

export interface SignatureReferrer {
  readonly manifestBytes: Uint8Array;
  /** Of the referrer's manifest, with its artifact type: as it stands in a list of referrers. */
  readonly descriptor: Descriptor;
  /** The one layer: the bundle as it came in. */
  readonly layerBytes: Uint8Array;
  readonly layer: Descriptor;
  /** The blob of the config, `{}`. */
  readonly configBytes: Uint8Array;
}

/** `createdAt`: RFC 3339. Fixed by default, so that the same signature always gives the same referrer. */
export function encodeSignatureReferrer(
  subject: Descriptor,
  bundleBytes: Uint8Array,
  options: { readonly createdAt?: string } = {},
): SignatureReferrer {
  const configBytes = new TextEncoder().encode('{}');
  const layer: Descriptor = {
    mediaType: SIGNATURE_MEDIA_TYPE,
    digest: digestOf(bundleBytes),
    size: bundleBytes.length,
  };
  const annotations = {
    'dev.sigstore.bundle.content': 'dsse-envelope',
    'dev.sigstore.bundle.predicateType': SIGN_PREDICATE_TYPE,
    'org.opencontainers.image.created': options.createdAt ?? '1970-01-01T00:00:00Z',
  };
  const manifestBytes = new TextEncoder().encode(
    canonicalJson({
      schemaVersion: 2,
      mediaType: MANIFEST_MEDIA_TYPE,
      artifactType: SIGNATURE_MEDIA_TYPE,
      config: {
        mediaType: 'application/vnd.oci.empty.v1+json',
        digest: digestOf(configBytes),
        size: configBytes.length,
        // Registries without referrers list `artifactType` from the config alone (seen in go-containerregistry).
        artifactType: SIGNATURE_MEDIA_TYPE,
      },
      layers: [layer],
      subject: { mediaType: subject.mediaType, digest: subject.digest, size: subject.size },
      annotations,
    }),
  );
  const descriptor: Descriptor = {
    mediaType: MANIFEST_MEDIA_TYPE,
    digest: digestOf(manifestBytes),
    size: manifestBytes.length,
    artifactType: SIGNATURE_MEDIA_TYPE,
    annotations,
  };
  return { manifestBytes, descriptor, layerBytes: bundleBytes, layer, configBytes };
}

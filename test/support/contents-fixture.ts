import { type Digest, digestOf } from '../../src/core/digest.ts';
import { type Contents, encodeContents, rootDigestOf } from '../../src/formats/bundle/contents.ts';
import { CONTENTS_MEDIA_TYPE, PLACEMENT_MEDIA_TYPE } from '../../src/formats/bundle/media-types.ts';
import type { Placement } from '../../src/formats/bundle/placement.ts';

const PIECE_BYTES = 1024 * 1024;

/** A small bundle's lists with one thing of each kind; every blob has 10 bytes and lies in one piece. */
export function exampleContents(): Contents {
  const digest = (name: string): Digest => digestOf(name);
  const roles = {
    chart: 'chart',
    values: 'values',
    manifest: 'image-manifest',
    layer: 'image-layer',
    sql: 'migration',
    json: 'configuration',
    file: 'file',
    sbom: 'sbom-index',
  } as const;
  return {
    mediaType: CONTENTS_MEDIA_TYPE,
    name: 'demo',
    version: '1.0.0',
    sequence: 7,
    audience: ['harbour'],
    platforms: ['linux/amd64'],
    provider: 'k3s',
    features: { shop: false, blog: true },
    signers: ['c2lnbmVy'],
    charts: [
      {
        name: 'app',
        release: 'app',
        namespace: 'demo',
        stage: 'app',
        version: '1.0.0',
        digest: digest('chart'),
        values: digest('values'),
      },
    ],
    images: [
      {
        reference: 'registry.example/web:1.0.0',
        digest: digest('manifest'),
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        platforms: ['linux/amd64'],
        attachments: [],
        blobs: [digest('layer'), digest('manifest')].sort(),
      },
    ],
    modules: [{ name: 'core', requires: [], files: [{ name: '001_core.sql', digest: digest('sql') }] }],
    configuration: [{ path: 'site.json', kind: 'json', digest: digest('json') }],
    files: [{ path: 'k3s/k3s', mode: 0o755, digest: digest('file') }],
    sbomIndex: digest('sbom'),
    blobs: Object.entries(roles)
      .map(([name, role]) => ({ digest: digest(name), sizeBytes: 10, roles: [role] }))
      .sort((a, b) => (a.digest < b.digest ? -1 : 1)),
  };
}

export function examplePlacement(contents: Contents = exampleContents()): Placement {
  return {
    mediaType: PLACEMENT_MEDIA_TYPE,
    root: rootDigestOf(encodeContents(contents)),
    pieceSizeBytes: PIECE_BYTES,
    pieces: 1,
    blobs: contents.blobs.map(({ digest, sizeBytes }, index) => ({ digest, extents: [[0, index * 10, sizeBytes]] })),
  };
}

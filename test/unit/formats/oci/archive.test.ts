import { describe, expect, it } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import {
  archiveBlobPath,
  archiveEntries,
  archiveIndexFile,
  digestOfArchivePath,
  runtimeName,
} from '../../../../src/formats/oci/archive.ts';
import { MEDIA_TYPES } from '../../../../src/formats/oci/manifest.ts';

const DIGEST = digestOf('an image');
const image = (reference: string) => ({
  reference,
  digest: DIGEST,
  mediaType: MEDIA_TYPES.ociManifest,
  sizeBytes: 8,
});

describe('the names of an image archive', () => {
  it.each([
    ['nginx', 'docker.io/library/nginx:latest'],
    ['registry.example/cms/web:1.4.0', 'registry.example/cms/web:1.4.0'],
    [`registry.example/cms/web@${DIGEST}`, `registry.example/cms/web@${DIGEST}`],
    [`registry.example:5000/cms/web:1.4.0@${DIGEST}`, `registry.example:5000/cms/web@${DIGEST}`],
  ])('%s is looked up as %s', (reference, name) => {
    expect(runtimeName(reference)).toBe(name);
  });

  it('stand in index.json once each', () => {
    const references = ['nginx', 'docker.io/library/nginx:latest', `nginx:1@${DIGEST}`, `nginx:2@${DIGEST}`];
    const names = archiveEntries(references.map(image)).map(
      ({ annotations }) => annotations?.['io.containerd.image.name'],
    );
    expect(names).toEqual(['docker.io/library/nginx:latest', `docker.io/library/nginx@${DIGEST}`]);
  });

  it('are the same bytes for the same images', () => {
    const [bytes] = [...(archiveIndexFile([image('nginx')]).open() as Iterable<Uint8Array>)];
    expect(digestOf(bytes ?? '')).toBe('sha256:e67e7c5134eecf030a3277e115b0ddea39b605b25007496d2eec0b2023aef0e1');
  });
});

describe('the paths of an image archive', () => {
  it('lead to a digest and back', () => {
    expect(digestOfArchivePath(archiveBlobPath(DIGEST))).toBe(DIGEST);
    for (const path of ['index.json', 'blobs/sha256/', 'blobs/sha256/../../etc', `blobs/sha512/${'a'.repeat(64)}`]) {
      expect(digestOfArchivePath(path)).toBeUndefined();
    }
  });
});

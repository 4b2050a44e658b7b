/**
 * Where the contents of a bundle lie once unpacked (docs/format-bundle.md, "Unpacked"):
 *
 *     contents.json               the sealed list, byte for byte
 *     sbom-index.json
 *     charts/NAME.tgz             with NAME.values.json beside it
 *     images/                     one OCI image layout with every image, tagged by its full reference
 *     modules/NAME/FILE.sql
 *     configuration/PATH
 *     files/PATH
 */
import { type Digest, hexOf } from '../../core/digest.ts';
import type { Contents } from '../../formats/bundle/contents.ts';
import { ANNOTATION_CONTAINERD_NAME, ANNOTATION_REF_NAME } from '../../formats/oci/layout.ts';
import { MEDIA_TYPES } from '../../formats/oci/manifest.ts';
import type { Descriptor } from '../../formats/oci/types.ts';

export type UnpackForm = 'files' | 'oci-layout';

export interface UnpackedFile {
  readonly path: string;
  readonly digest: Digest;
  readonly mode?: number;
}

/** Every file that a form writes from blobs. A blob may stand under several names. */
export function filesOf(contents: Contents, form: UnpackForm): UnpackedFile[] {
  const imageFolder = form === 'files' ? 'images/' : '';
  const images = new Set(contents.images.flatMap((image) => image.blobs));
  const imageFiles = [...images].map((digest) => ({ path: `${imageFolder}blobs/sha256/${hexOf(digest)}`, digest }));
  if (form === 'oci-layout') return imageFiles;
  return [
    ...imageFiles,
    { path: 'sbom-index.json', digest: contents.sbomIndex },
    ...contents.charts.flatMap(({ name, digest, values }) => [
      { path: `charts/${name}.tgz`, digest },
      { path: `charts/${name}.values.json`, digest: values },
    ]),
    ...contents.modules.flatMap(({ name, files }) =>
      files.map((file) => ({ path: `modules/${name}/${file.name}`, digest: file.digest })),
    ),
    ...contents.configuration.map(({ path, digest }) => ({ path: `configuration/${path}`, digest })),
    ...contents.files.map(({ path, digest, mode }) => ({ path: `files/${path}`, digest, mode })),
  ];
}

/**
 * index.json of the unpacked images: tags are full references, as stock tools and containerd take them. Attachments stand
 * there without a tag: that is how tools find what refers to an image of a layout.
 */
export function imageIndexOf(contents: Contents, sizes: ReadonlyMap<Digest, number>): Descriptor[] {
  const images = contents.images.map(({ reference, digest, mediaType }) => ({
    mediaType,
    digest,
    size: sizes.get(digest) ?? 0,
    annotations: { [ANNOTATION_REF_NAME]: reference, [ANNOTATION_CONTAINERD_NAME]: reference },
  }));
  const attachments = new Set(contents.images.flatMap((image) => image.attachments));
  for (const { digest } of contents.images) attachments.delete(digest);
  return [
    ...images,
    ...[...attachments].map((digest) => ({
      mediaType: MEDIA_TYPES.ociManifest,
      digest,
      size: sizes.get(digest) ?? 0,
    })),
  ];
}

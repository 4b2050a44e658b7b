import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { openMedium } from '../../src/adapters/medium/medium.ts';
import { type Digest, digestOf } from '../../src/core/digest.ts';
import { sealBytes } from '../../src/formats/age/sealed-bytes.ts';
import { type Contents, encodeContents, rootDigestOf } from '../../src/formats/bundle/contents.ts';
import { encodeLists } from '../../src/formats/bundle/lists.ts';
import { EMPTY_BLOB, encodeManifest, MANIFEST_MEDIA_TYPE, tagOf } from '../../src/formats/bundle/manifest.ts';
import {
  BUNDLE_ARTIFACT_TYPE,
  CONTENTS_MEDIA_TYPE,
  LISTS_MEDIA_TYPE,
  PIECE_MEDIA_TYPE,
  PLACEMENT_MEDIA_TYPE,
} from '../../src/formats/bundle/media-types.ts';
import type { Placement } from '../../src/formats/bundle/placement.ts';
import { encodeSbomIndex } from '../../src/formats/bundle/sbom-index.ts';
import { ANNOTATION_REF_NAME } from '../../src/formats/oci/layout.ts';
import type { Descriptor } from '../../src/formats/oci/types.ts';
import { writeSignature } from '../../src/usecases/bundle/write-signature.ts';
import { createSigner, PIECE_BYTES } from './bundle-fixture.ts';

/** The parts of a bundle before they are sealed and signed. A forger changes them. */
export interface Parts {
  contents: Contents;
  placement: Placement;
  /** The plaintext of each piece. */
  pieces: Buffer[];
  manifestName: string;
  /** Bytes in the place of the sealed lists, signed all the same. */
  sealedLists?: Uint8Array;
}

const FILES: Readonly<Record<string, Buffer>> = {
  'a.txt': Buffer.from('first'),
  'b.txt': Buffer.from('second'),
  // Over the border of two pieces.
  'c.bin': Buffer.alloc(PIECE_BYTES, 'c'),
};

/**
 * Writes a bundle by hand, with a genuine signature by a trusted key over whatever `forge` made of the parts: what a
 * publisher could send who does not use Portolan, or means harm.
 */
export async function writeForgedBundle(root: string, forge: (parts: Parts) => void) {
  const identity = await generateX25519Identity();
  const recipients = [await identityToRecipient(identity)];
  const signer = createSigner();
  const parts = honestParts(signer.keyHint);
  forge(parts);

  const folder = join(root, 'stick');
  await mkdir(folder);
  const medium = await openMedium(folder, { create: true });
  await using _lock = await medium.lock();
  const put = async (bytes: Uint8Array, mediaType: string): Promise<Descriptor> => ({
    mediaType,
    digest: await medium.putBlob(bytes),
    size: bytes.length,
  });
  const lists = parts.sealedLists ?? (await sealBytes(await encodeLists(parts.contents, parts.placement), recipients));
  const pieces = await Promise.all(
    parts.pieces.map(async (piece) => put(await sealBytes(piece, recipients), PIECE_MEDIA_TYPE)),
  );
  const version = parts.contents.version;
  const manifestBytes = encodeManifest({
    name: parts.manifestName,
    version,
    lists: await put(lists, LISTS_MEDIA_TYPE),
    pieces,
  });
  await medium.putBlob(EMPTY_BLOB);
  const manifest = { ...(await put(manifestBytes, MANIFEST_MEDIA_TYPE)), artifactType: BUNDLE_ARTIFACT_TYPE };
  const tag = tagOf(parts.manifestName, version);
  const { referrer } = await writeSignature(medium, { tag, manifest, manifestBytes, signer });
  await medium.commitIndex([{ ...manifest, annotations: { [ANNOTATION_REF_NAME]: tag } }, referrer]);

  const keys = { identity: join(root, 'key.txt'), trust: join(root, 'cosign.pub') };
  await writeFile(keys.identity, `${identity}\n`);
  await writeFile(keys.trust, signer.publicKey.export({ type: 'spki', format: 'pem' }));
  return { folder, ...keys };
}

function honestParts(signer: string): Parts {
  const sbom = Buffer.from(encodeSbomIndex([]));
  const blobs = [...Object.values(FILES), sbom];
  const plain = Buffer.alloc(2 * PIECE_BYTES);
  const extents = new Map<Digest, Placement['blobs'][number]['extents']>();
  let at = 0;
  for (const bytes of blobs) {
    bytes.copy(plain, at);
    const found: Placement['blobs'][number]['extents'] = [];
    for (let done = 0; done < bytes.length; ) {
      const offset = (at + done) % PIECE_BYTES;
      const length = Math.min(bytes.length - done, PIECE_BYTES - offset);
      found.push([Math.floor((at + done) / PIECE_BYTES), offset, length]);
      done += length;
    }
    extents.set(digestOf(bytes), found);
    at += bytes.length;
  }
  const sizes = new Map(blobs.map((bytes) => [digestOf(bytes), bytes.length]));
  const contents: Contents = {
    mediaType: CONTENTS_MEDIA_TYPE,
    name: 'forged',
    version: '1.0.0',
    sequence: 1,
    audience: [],
    platforms: ['linux/amd64'],
    features: {},
    signers: [signer],
    charts: [],
    images: [],
    modules: [],
    configuration: [],
    files: Object.entries(FILES).map(([path, bytes]) => ({ path, mode: 0o644, digest: digestOf(bytes) })),
    sbomIndex: digestOf(sbom),
    blobs: [...sizes].sort().map(([digest, sizeBytes]) => ({
      digest,
      sizeBytes,
      roles: [digest === digestOf(sbom) ? 'sbom-index' : 'file'],
    })),
  };
  const placement: Placement = {
    mediaType: PLACEMENT_MEDIA_TYPE,
    root: rootDigestOf(encodeContents(contents)),
    pieceSizeBytes: PIECE_BYTES,
    pieces: 2,
    blobs: contents.blobs.map(({ digest }) => ({ digest, extents: extents.get(digest) ?? [] })),
  };
  const pieces = [plain.subarray(0, PIECE_BYTES), plain.subarray(PIECE_BYTES)];
  return { contents, placement, pieces, manifestName: 'forged' };
}

/** Changes the contents, and keeps the placement's root true to them. */
export function changeContents(parts: Parts, change: (contents: Contents) => void): void {
  change(parts.contents);
  parts.placement.root = rootDigestOf(encodeContents(parts.contents));
}

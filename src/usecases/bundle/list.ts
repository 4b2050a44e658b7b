import type { Digest } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import type { Medium } from '../../ports/medium.ts';
import { readSignatures } from './read-signatures.ts';
import { bundleEntries, readManifest } from './resolve-bundle.ts';

export interface ListedBundle {
  readonly tag: string;
  readonly manifestDigest: Digest;
  /** Absent when the manifest cannot be read: see `error`. */
  readonly name?: string;
  readonly version?: string;
  readonly pieces?: number;
  /** Of all its files. */
  readonly sizeBytes?: number;
  /** Files that index.json and the manifest name, but that are not there or have another length. */
  readonly missing?: number;
  /** Key hints that the signatures claim; `verify` checks them. */
  readonly signers: readonly string[];
  readonly error?: PortolanError;
}

/** What lies on a medium, told without a key and without reading the pieces. */
export async function listBundles(medium: Medium): Promise<ListedBundle[]> {
  const listed: ListedBundle[] = [];
  for (const { tag, descriptor } of await bundleEntries(medium)) {
    const manifestDigest = descriptor.digest;
    try {
      const { manifest, manifestBytes } = await readManifest(medium, manifestDigest, tag);
      const signatures = await readSignatures(medium, { tag, descriptor, manifest, manifestBytes }, []);
      const layers = [manifest.lists, ...manifest.pieces];
      let missing = 0;
      for (const layer of layers) if ((await medium.statBlob(layer.digest))?.sizeBytes !== layer.size) missing++;
      listed.push({
        tag,
        manifestDigest,
        name: manifest.name,
        version: manifest.version,
        pieces: manifest.pieces.length,
        sizeBytes: layers.reduce((sum, { size }) => sum + size, 0),
        missing,
        signers: [...new Set(signatures.flatMap(({ keyHint }) => (keyHint === undefined ? [] : [keyHint])))],
      });
    } catch (error) {
      if (!(error instanceof PortolanError)) throw error;
      listed.push({ tag, manifestDigest, signers: [], error });
    }
  }
  return listed.sort((a, b) => (a.tag < b.tag ? -1 : 1));
}

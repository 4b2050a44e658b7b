import { type Digest, digestOf } from '../../core/digest.ts';
import { packKey, runKeyKey } from '../../formats/repository/keys.ts';
import type { Snapshot } from '../../formats/repository/snapshot.ts';

export type NamedKind = 'pack' | 'index' | 'contents' | 'runKey';

/** An object that snapshots name, by what they say of it. */
export interface NamedObject {
  readonly kind: NamedKind;
  readonly key: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
}

/** All objects that a snapshot needs. The key of a run is in the snapshot as well: its file is a second copy. */
export function* objectsOf(snapshot: Snapshot): Generator<NamedObject> {
  for (const { run, epoch, sealed } of snapshot.runs) {
    const bytes = Buffer.from(sealed, 'base64');
    yield { kind: 'runKey', key: runKeyKey(run, epoch), digest: digestOf(bytes), sizeBytes: bytes.length };
  }
  for (const { digest, sizeBytes } of snapshot.packs) yield { kind: 'pack', key: packKey(digest), digest, sizeBytes };
  for (const { key, digest, sizeBytes } of snapshot.contents) yield { kind: 'contents', key, digest, sizeBytes };
  for (const { key, digest, sizeBytes } of snapshot.indexes) yield { kind: 'index', key, digest, sizeBytes };
}

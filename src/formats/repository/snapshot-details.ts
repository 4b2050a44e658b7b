/**
 * What of a snapshot only readers may know (docs/format-repository.md, "Snapshot", "Sealed"): the plaintext of its member
 * `sealed`. Canonical JSON:
 *
 *     { "version", "repository", "run", "host", "program", "sources": [ { "kind", "name", "place", "sizeBytes", "items", "rows"?, "notes" } ] }
 */
import { z } from 'zod';
import {
  decodeRunDocument,
  encodeDocument,
  type RunReading,
  repositorySchema,
  runSchema,
  sizeSchema,
  textSchema,
  versionSchema,
} from './documents.ts';
import type { RepositoryId, RunId } from './keys.ts';
import { SNAPSHOT_SEALED_MAX_BYTES } from './snapshot.ts';

export interface SnapshotDetails {
  readonly version: 1;
  readonly repository: RepositoryId;
  readonly run: RunId;
  /** Where the agent ran. */
  readonly host: string;
  /** Version of the program. */
  readonly program: string;
  readonly sources: readonly SnapshotSource[];
}

export interface SnapshotSource {
  readonly kind: 'postgres' | 'files';
  readonly name: string;
  readonly place: string;
  readonly sizeBytes: number;
  /** Tables or files. */
  readonly items: number;
  readonly rows?: number;
  /** What a person should know: left out by wish, not restorable as it is. */
  readonly notes: readonly string[];
}

const schema: z.ZodType<SnapshotDetails> = z.strictObject({
  version: versionSchema,
  repository: repositorySchema,
  run: runSchema,
  host: textSchema,
  program: textSchema,
  sources: z.array(
    z.strictObject({
      kind: z.enum(['postgres', 'files']),
      name: textSchema,
      place: textSchema,
      sizeBytes: sizeSchema,
      items: sizeSchema,
      rows: sizeSchema.exactOptional(),
      notes: z.array(z.string().max(16_384)),
    }),
  ),
});

export function encodeSnapshotDetails(details: SnapshotDetails): Uint8Array {
  return encodeDocument(details);
}

/** @throws FormatError SNAPSHOT_INVALID, REPOSITORY_MISMATCH, REPOSITORY_VERSION_UNSUPPORTED */
export function decodeSnapshotDetails(bytes: Uint8Array, reading: RunReading): SnapshotDetails {
  return decodeRunDocument(bytes, schema, reading, {
    what: 'the sealed part of a snapshot',
    code: 'SNAPSHOT_INVALID',
    maxBytes: SNAPSHOT_SEALED_MAX_BYTES,
  });
}

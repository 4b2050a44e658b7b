/**
 * repo.json (docs/format-repository.md, "repo.json"): written once, when the repository is made. Canonical JSON:
 *
 *     { "format": "portolan-repository", "version": 1, "repository": ID, "created": time,
 *       "chunker": { "minBytes", "averageBytes", "maxBytes" }, "packBytes" }
 *
 * It is not signed: its id must be the one that the signed roster names, and the rest are sizes that writers share.
 */
import { z } from 'zod';
import { CHUNK_AVERAGE_BYTES, CHUNK_MAX_BYTES, CHUNK_MIN_BYTES } from './chunk-table.ts';
import { decodeDocument, encodeDocument, repositorySchema, timeSchema, versionSchema } from './documents.ts';
import { REPOSITORY_KEY, type RepositoryId } from './keys.ts';
import { PACK_BYTES } from './pack.ts';

export const REPOSITORY_DESCRIPTION_MAX_BYTES = 4096;

export interface RepositoryDescription {
  readonly format: 'portolan-repository';
  readonly version: 1;
  readonly repository: RepositoryId;
  /** ISO 8601, UTC, milliseconds. */
  readonly created: string;
  readonly chunker: { readonly minBytes: number; readonly averageBytes: number; readonly maxBytes: number };
  /** The most that the plaintext of a pack has. */
  readonly packBytes: number;
}

/** Version 1 has one set of sizes. */
const schema: z.ZodType<RepositoryDescription> = z.strictObject({
  format: z.literal('portolan-repository'),
  version: versionSchema,
  repository: repositorySchema,
  created: timeSchema,
  chunker: z.strictObject({
    minBytes: z.literal(CHUNK_MIN_BYTES),
    averageBytes: z.literal(CHUNK_AVERAGE_BYTES),
    maxBytes: z.literal(CHUNK_MAX_BYTES),
  }),
  packBytes: z.literal(PACK_BYTES),
});

export function newRepositoryDescription(repository: RepositoryId, created: Date): RepositoryDescription {
  return {
    format: 'portolan-repository',
    version: 1,
    repository,
    created: created.toISOString(),
    chunker: { minBytes: CHUNK_MIN_BYTES, averageBytes: CHUNK_AVERAGE_BYTES, maxBytes: CHUNK_MAX_BYTES },
    packBytes: PACK_BYTES,
  };
}

export function encodeRepositoryDescription(description: RepositoryDescription): Uint8Array {
  return encodeDocument(description);
}

/** @throws FormatError REPOSITORY_INVALID, REPOSITORY_VERSION_UNSUPPORTED */
export function decodeRepositoryDescription(bytes: Uint8Array): RepositoryDescription {
  return decodeDocument(bytes, schema, {
    what: 'repo.json',
    code: 'REPOSITORY_INVALID',
    maxBytes: REPOSITORY_DESCRIPTION_MAX_BYTES,
    at: REPOSITORY_KEY,
  });
}

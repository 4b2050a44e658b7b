/**
 * The key of a run (docs/format-repository.md, "Run key"): the plaintext of runs/RUN/key.EPOCH.age, which is sealed to the
 * recipients of that epoch. Canonical JSON:
 *
 *     { "version", "repository", "run", "identity": "AGE-SECRET-KEY-PQ-1…", "idKey": base64 of 32 bytes }
 *
 * Whoever opens it can read everything of the run. Nothing of its content goes into an error.
 */
import { z } from 'zod';
import { FormatError } from '../errors.ts';
import { ID_KEY_BYTES } from './chunk-keys.ts';
import {
  base64Schema,
  decodeRunDocument,
  encodeDocument,
  type RunReading,
  repositorySchema,
  runSchema,
  versionSchema,
} from './documents.ts';
import type { RepositoryId, RunId } from './keys.ts';

export const RUN_KEY_MAX_BYTES = 16 * 1024;
/** Sealed to 64 recipients. */
export const RUN_KEY_SEALED_MAX_BYTES = 256 * 1024;

export interface RunKey {
  readonly version: 1;
  readonly repository: RepositoryId;
  readonly run: RunId;
  /** `AGE-SECRET-KEY-PQ-1…` */
  readonly identity: string;
  /** 32 bytes. */
  readonly idKey: Uint8Array;
}

const schema = z.strictObject({
  version: versionSchema,
  repository: repositorySchema,
  run: runSchema,
  identity: z.string().regex(/^AGE-SECRET-KEY-PQ-1[02-9AC-HJ-NP-Z]{1,200}$/, 'a post-quantum identity'),
  idKey: base64Schema,
});

export function encodeRunKey(key: RunKey): Uint8Array {
  return encodeDocument({ ...key, idKey: Buffer.from(key.idKey).toString('base64') });
}

/** @throws FormatError RUN_KEY_INVALID, REPOSITORY_MISMATCH, REPOSITORY_VERSION_UNSUPPORTED */
export function decodeRunKey(bytes: Uint8Array, reading: RunReading): RunKey {
  const document = decodeRunDocument(bytes, schema, reading, {
    what: 'the key of a run',
    code: 'RUN_KEY_INVALID',
    maxBytes: RUN_KEY_MAX_BYTES,
  });
  const idKey = Buffer.from(document.idKey, 'base64');
  if (idKey.length === ID_KEY_BYTES) return { ...document, idKey: new Uint8Array(idKey) };
  throw new FormatError('RUN_KEY_INVALID', 'the id key in the key of a run is cut', {
    ...(reading.at === undefined ? {} : { at: { file: reading.at } }),
  });
}

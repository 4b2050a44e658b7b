/**
 * A checkpoint (docs/format-repository.md, "Checkpoint"): what somebody saw of a repository, kept outside of it, so that the
 * storage cannot go back behind it. Canonical JSON:
 *
 *     { "version", "repository", "roster": { "epoch", "digest" }, "writers": { WRITER: { "sequence", "digest" } } }
 */
import { z } from 'zod';
import type { Digest } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import {
  countSchema,
  decodeDocument,
  digestSchema,
  encodeDocument,
  repositorySchema,
  requireRepository,
  versionSchema,
  writerSchema,
} from './documents.ts';
import type { RepositoryId } from './keys.ts';
import type { SnapshotHead } from './snapshot.ts';

export const CHECKPOINT_MAX_BYTES = 1024 * 1024;

export interface Checkpoint {
  readonly version: 1;
  readonly repository: RepositoryId;
  readonly roster: { readonly epoch: number; readonly digest: Digest };
  readonly writers: Readonly<Record<string, SnapshotHead>>;
}

const schema: z.ZodType<Checkpoint> = z.strictObject({
  version: versionSchema,
  repository: repositorySchema,
  roster: z.strictObject({ epoch: countSchema, digest: digestSchema }),
  writers: z.record(writerSchema, z.strictObject({ sequence: countSchema, digest: digestSchema })),
});

export function encodeCheckpoint(checkpoint: Checkpoint): Uint8Array {
  return encodeDocument(checkpoint);
}

/** @throws FormatError CHECKPOINT_INVALID, REPOSITORY_MISMATCH, REPOSITORY_VERSION_UNSUPPORTED */
export function decodeCheckpoint(
  bytes: Uint8Array,
  expected: { readonly repository?: RepositoryId | undefined; readonly file?: string | undefined } = {},
): Checkpoint {
  const rules = {
    what: 'the checkpoint',
    code: 'CHECKPOINT_INVALID',
    maxBytes: CHECKPOINT_MAX_BYTES,
    at: expected.file,
  } as const;
  const checkpoint = decodeDocument(bytes, schema, rules);
  if (expected.repository !== undefined) requireRepository(checkpoint.repository, expected.repository, rules);
  return checkpoint;
}

/**
 * The checkpoint after `seen`, which was verified against `before`. What stands in one alone stays.
 *
 * @throws FormatError CHECKPOINT_INVALID when `seen` is behind `before`, or another document under the same number: then the
 *   verification was left out
 */
export function advanceCheckpoint(before: Checkpoint | undefined, seen: Checkpoint): Checkpoint {
  if (before === undefined) return seen;
  const step = (what: string, old: { number: number; digest: Digest }, next: { number: number; digest: Digest }) => {
    if (next.number > old.number || (next.number === old.number && next.digest === old.digest)) return;
    throw new FormatError('CHECKPOINT_INVALID', `the checkpoint would go back: ${what}`, {
      expected: `${old.number}, ${old.digest}, or later`,
      found: `${next.number}, ${next.digest}`,
    });
  };
  requireRepository(seen.repository, before.repository, { what: 'the checkpoint' });
  step('the roster', { ...before.roster, number: before.roster.epoch }, { ...seen.roster, number: seen.roster.epoch });
  for (const [writer, head] of Object.entries(seen.writers)) {
    const old = before.writers[writer];
    if (old !== undefined) step(writer, { ...old, number: old.sequence }, { ...head, number: head.sequence });
  }
  return { ...seen, writers: { ...before.writers, ...seen.writers } };
}

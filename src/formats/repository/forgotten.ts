/**
 * What remains of forgotten snapshots (docs/format-repository.md, "Stub"): it keeps a writer's chain whole. A signed document
 * under forgotten/WRITER/SEQUENCE.json, written before the snapshots are deleted; SEQUENCE is the highest in it, and one
 * document can hold all that a pruner forgot of a writer at once.
 *
 *     { "version", "repository", "pruner", "writer", "time",
 *       "snapshots": [ { "sequence", "digest", "previous": digest or null, "run", "storageTime" } ] }
 */
import { z } from 'zod';
import type { Digest } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import type { SigningKey } from '../sigstore/cosign-key.ts';
import type { TrustedKey } from '../sigstore/signature-bundle.ts';
import {
  countSchema,
  digestSchema,
  repositorySchema,
  runSchema,
  timeSchema,
  versionSchema,
  writerSchema,
} from './documents.ts';
import { forgottenKey, type RepositoryId, type RunId, type WriterName } from './keys.ts';
import { decodeSigned, encodeSigned, type Signed } from './signed-document.ts';

export const FORGOTTEN_MAX_BYTES = 32 * 1024 * 1024;

export interface Forgotten {
  readonly version: 1;
  readonly repository: RepositoryId;
  readonly pruner: WriterName;
  readonly writer: WriterName;
  /** When the pruner forgot. */
  readonly time: string;
  /** Ascending. */
  readonly snapshots: readonly ForgottenSnapshot[];
}

export interface ForgottenSnapshot {
  readonly sequence: number;
  /** Of the snapshot document. */
  readonly digest: Digest;
  readonly previous: Digest | null;
  readonly run: RunId;
  /** As in the snapshot. */
  readonly storageTime: string;
}

const schema: z.ZodType<Forgotten> = z.strictObject({
  version: versionSchema,
  repository: repositorySchema,
  pruner: writerSchema,
  writer: writerSchema,
  time: timeSchema,
  snapshots: z
    .array(
      z.strictObject({
        sequence: countSchema,
        digest: digestSchema,
        previous: digestSchema.nullable(),
        run: runSchema,
        storageTime: timeSchema,
      }),
    )
    .min(1)
    .max(100_000),
});

export function encodeForgotten(forgotten: Forgotten, key: SigningKey): Uint8Array {
  const snapshots = forgotten.snapshots.toSorted((a, b) => a.sequence - b.sequence);
  return encodeSigned({ ...forgotten, snapshots }, [key], {
    kind: 'forgotten',
    schema,
    what: 'the stub of forgotten snapshots',
  });
}

/** @throws FormatError FORGOTTEN_INVALID, SIGNED_DOCUMENT_…, REPOSITORY_MISMATCH, REPOSITORY_VERSION_UNSUPPORTED */
export function decodeForgotten(
  bytes: Uint8Array,
  reading: {
    /** The pruners'. */
    readonly keys: readonly TrustedKey[];
    readonly repository: RepositoryId;
    /** By the key of the object. */
    readonly writer: WriterName;
    readonly sequence: number;
  },
): Signed<Forgotten> {
  const { writer, sequence } = reading;
  const at = forgottenKey(writer, sequence);
  const signed = decodeSigned(bytes, {
    ...reading,
    kind: 'forgotten',
    schema,
    what: `the stub ${sequence} of ${writer}`,
    maxBytes: FORGOTTEN_MAX_BYTES,
    at,
  });
  const { document } = signed;
  const { snapshots } = document;
  if (document.writer !== writer || snapshots.at(-1)?.sequence !== sequence)
    throw invalid('it is of other snapshots than its name says', at);
  for (const [index, snapshot] of snapshots.entries()) {
    const before = snapshots[index - 1];
    if (before !== undefined && before.sequence >= snapshot.sequence)
      throw invalid('its snapshots are not in order', at);
    if ((snapshot.sequence === 1) !== (snapshot.previous === null))
      throw invalid('the first snapshot alone has none before it', at);
  }
  return signed;
}

function invalid(problem: string, file: string): FormatError {
  return new FormatError('FORGOTTEN_INVALID', `the stub of forgotten snapshots is not right: ${problem}`, {
    at: { file },
  });
}

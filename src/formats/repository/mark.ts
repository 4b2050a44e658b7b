/**
 * A mark (docs/format-repository.md, "Mark"): objects that nothing names and that a pruner is going to delete. A signed
 * document under marks/TIME-SHA256.json; the waiting time runs from when the storage says that it was created, not from TIME.
 *
 *     { "version", "repository", "pruner", "time", "objects": [ key, … ] }
 */
import { z } from 'zod';
import { FormatError } from '../errors.ts';
import type { SigningKey } from '../sigstore/cosign-key.ts';
import { repositorySchema, timeSchema, versionSchema, writerSchema } from './documents.ts';
import { parseRepositoryKey, type RepositoryId, type RepositoryKey, type WriterName } from './keys.ts';
import { type Signed, type SignedReading, signedKind } from './signed-document.ts';

/** Objects in one mark: cut longer lists. */
export const MARK_MAX_OBJECTS = 100_000;
export const MARK_MAX_BYTES = 32 * 1024 * 1024;

/** Kinds that a mark may name. */
const MARKABLE: readonly RepositoryKey['kind'][] = ['pack', 'index', 'contents', 'runKey'];

export interface Mark {
  readonly version: 1;
  readonly repository: RepositoryId;
  readonly pruner: WriterName;
  readonly time: string;
  /** Ascending. */
  readonly objects: readonly string[];
}

const schema: z.ZodType<Mark> = z.strictObject({
  version: versionSchema,
  repository: repositorySchema,
  pruner: writerSchema,
  time: timeSchema,
  objects: z.array(z.string().max(200)).min(1).max(MARK_MAX_OBJECTS),
});

const marks = signedKind<Mark>({ kind: 'mark', schema, what: 'the mark', maxBytes: MARK_MAX_BYTES });

export function encodeMark(mark: Mark, key: SigningKey): Uint8Array {
  return marks.encode({ ...mark, objects: mark.objects.toSorted() }, key);
}

/** @throws FormatError MARK_INVALID, SIGNED_DOCUMENT_…, REPOSITORY_MISMATCH, REPOSITORY_VERSION_UNSUPPORTED */
export function decodeMark(bytes: Uint8Array, reading: SignedReading): Signed<Mark> {
  const signed = marks.decode(bytes, reading);
  const { objects } = signed.document;
  for (const [index, key] of objects.entries()) {
    const kind = parseRepositoryKey(key)?.kind;
    if (kind === undefined || !MARKABLE.includes(kind)) throw invalid('it names what is not marked', reading.at, index);
    if (index > 0 && (objects[index - 1] as string) >= key)
      throw invalid('its objects are not in order', reading.at, index);
  }
  return signed;
}

function invalid(problem: string, file: string, index: number): FormatError {
  return new FormatError('MARK_INVALID', `the mark is not right: ${problem}`, {
    at: { file, key: `objects[${index}]` },
  });
}

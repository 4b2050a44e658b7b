/**
 * What a snapshot tells of a folder beside the files themselves (docs/backup-files.md):
 *
 *     {entry:'source', record}    FilesRecord
 *     {entry:'end', record}       FilesEndRecord
 */
import { z } from 'zod';
import { FormatError } from '../errors.ts';
import { sizeSchema } from './documents.ts';

export const FILES_RECORD_VERSION = 1;

const version = z.literal(FILES_RECORD_VERSION);
const names = z.array(z.string());

export interface FilesRecord {
  readonly version: typeof FILES_RECORD_VERSION;
  /** Absolute. */
  readonly folder: string;
  /** Patterns, as they were given. */
  readonly excluded: readonly string[];
  readonly oneFileSystem: boolean;
}

const endSchema = z.strictObject({ version, items: sizeSchema, sizeBytes: sizeSchema, notes: names });
const countsSchema = z.strictObject({ version, items: sizeSchema, sizeBytes: sizeSchema });

/** `items`: entries of the source, the folder itself included. `sizeBytes`: of all streams. */
export type FilesEndRecord = z.infer<typeof endSchema>;
/** What the run after compares itself with; kept on the machine of the writer. */
export type FilesCounts = z.infer<typeof countsSchema>;

/** @throws FormatError FILES_RECORD_INVALID */
export const decodeFilesEndRecord = (record: unknown): FilesEndRecord => check(record, endSchema);
/** @throws FormatError FILES_RECORD_INVALID */
export const decodeFilesCounts = (record: unknown): FilesCounts => check(record, countsSchema);

function check<T>(value: unknown, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new FormatError('FILES_RECORD_INVALID', 'the record of a folder is not right', {
    ...(issue === undefined ? {} : { at: { key: issue.path.join('.') }, found: issue.message }),
  });
}

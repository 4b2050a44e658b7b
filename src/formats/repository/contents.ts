/**
 * What a snapshot holds (docs/format-repository.md, "Contents"): the plaintext of contents/WRITER/RUN.PART.age are zstd frames
 * of at most 1 MiB and one line, of whole lines, each line one JSON object whose member `entry` says what it is.
 *
 *     source    the first line of a source
 *     stream    where the bytes of a stream lie; long ones take several lines, one right after the other
 *     table     a table of a database
 *     file      a file, folder, link or device
 *     end       the last line of a source: without it the source is not complete
 *
 * Lines of several sources may be mixed. The parts of the contents are read one after the other, in the order of their numbers.
 */
import { z } from 'zod';
import { FormatError } from '../errors.ts';
import {
  CHUNK_RECORD_BYTES,
  type ChunkTable,
  chunksSizeBytes,
  chunkTableFromJson,
  chunkTableToJson,
} from './chunk-table.ts';
import { sizeSchema } from './documents.ts';

/** A line with the record of a database that has very many objects. */
export const CONTENTS_LINE_MAX_BYTES = 16 * 1024 * 1024;
/** Chunks in one line. */
export const STREAM_LINE_CHUNKS = 1024;

export type ContentsEntry = SourceEntry | StreamEntry | TableEntry | FileEntry | EndEntry;

/** Any JSON object; whoever backs up a kind of source says what is in it. */
export type SourceRecord = Readonly<Record<string, unknown>>;

export interface SourceEntry {
  readonly entry: 'source';
  /** Of this source within the snapshot: `[a-z0-9][a-z0-9-]*`. */
  readonly source: string;
  readonly kind: 'postgres' | 'files';
  /** What a person calls it: the place that it was read from. */
  readonly name: string;
  readonly record: SourceRecord;
}

export interface StreamEntry {
  readonly entry: 'stream';
  readonly source: string;
  /** `SOURCE/…`: also the name of the file when stock tools restore. */
  readonly name: string;
  /** From 0. */
  readonly part: number;
  readonly last: boolean;
  /** Of the whole stream, bytes. The chunks of all its lines have this size together. */
  readonly sizeBytes: number;
  /** At most 1024, as records of 48 bytes (chunk-table.ts); packs by the numbers of the snapshot. */
  readonly chunks: ChunkTable;
}

export interface TableEntry {
  readonly entry: 'table';
  readonly source: string;
  readonly database: string;
  readonly schema: string;
  readonly table: string;
  readonly oid: number;
  /** In the order of the streams' columns. */
  readonly columns: readonly string[];
  /** Names of streams, in order: COPY text of all rows. */
  readonly streams: readonly string[];
  readonly rows: number;
  readonly record?: SourceRecord;
}

export type FileKind = 'file' | 'directory' | 'symlink' | 'fifo' | 'socket' | 'character-device' | 'block-device';

export interface FileEntry {
  readonly entry: 'file';
  readonly source: string;
  /** Relative to the source's folder, parts joined by `/`; `.` is the folder itself. */
  readonly path: string;
  /** Base64 of the path's bytes, when these are not UTF-8; `path` is then for showing. */
  readonly rawPath?: string;
  readonly kind: FileKind;
  /** Permission bits, at most 0o7777. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly owner?: string;
  readonly group?: string;
  /** Nanoseconds since 1970, decimal: more than a number holds. */
  readonly mtimeNs: string;
  readonly sizeBytes: number;
  /** Of a symlink. */
  readonly target?: string;
  readonly rawTarget?: string;
  /** Path of an earlier entry of the source: this is a further name (hard link) of that file. */
  readonly link?: string;
  readonly rawLink?: string;
  /** Of a device: major, minor. */
  readonly device?: readonly [number, number];
  /** Runs of bytes that are not holes: [offset, length], in order; the stream has them end to end. Without it: all of the file. */
  readonly extents?: readonly (readonly [number, number])[];
  /** Name of the stream with the bytes; without it the file is empty, or only holes. */
  readonly stream?: string;
}

export interface EndEntry {
  readonly entry: 'end';
  readonly source: string;
  readonly record: SourceRecord;
}

const source = z.string().regex(/^[a-z0-9][a-z0-9-]{0,62}$/, 'a name of a-z, 0-9 and -');
const name = z.string().min(1).max(1024);
const text = z.string().max(65_536);
const record = z.record(z.string(), z.unknown());

const sourceSchema: z.ZodType<SourceEntry> = z.strictObject({
  entry: z.literal('source'),
  source,
  kind: z.enum(['postgres', 'files']),
  name: text,
  record,
});

const streamSchema: z.ZodType<Omit<StreamEntry, 'chunks'> & { chunks: unknown }> = z.strictObject({
  entry: z.literal('stream'),
  source,
  name,
  part: sizeSchema,
  last: z.boolean(),
  sizeBytes: sizeSchema,
  chunks: z.unknown(),
});

const tableSchema: z.ZodType<TableEntry> = z.strictObject({
  entry: z.literal('table'),
  source,
  database: text,
  schema: text,
  table: text,
  oid: sizeSchema,
  columns: z.array(text).max(2000),
  streams: z.array(name),
  rows: sizeSchema,
  record: record.exactOptional(),
});

const number32 = z.number().int().min(0).max(0xffff_ffff);
const fileSchema: z.ZodType<FileEntry> = z.strictObject({
  entry: z.literal('file'),
  source,
  path: text.min(1),
  rawPath: text.exactOptional(),
  kind: z.enum(['file', 'directory', 'symlink', 'fifo', 'socket', 'character-device', 'block-device']),
  mode: z.number().int().min(0).max(0o7777),
  uid: number32,
  gid: number32,
  owner: text.exactOptional(),
  group: text.exactOptional(),
  mtimeNs: z.string().regex(/^(0|-?[1-9][0-9]{0,20})$/, 'a number in decimal'),
  sizeBytes: sizeSchema,
  target: text.exactOptional(),
  rawTarget: text.exactOptional(),
  link: text.exactOptional(),
  rawLink: text.exactOptional(),
  device: z.tuple([number32, number32]).exactOptional(),
  extents: z.array(z.tuple([sizeSchema, sizeSchema])).exactOptional(),
  stream: name.exactOptional(),
});

const endSchema: z.ZodType<EndEntry> = z.strictObject({ entry: z.literal('end'), source, record });

const SCHEMAS = { source: sourceSchema, table: tableSchema, file: fileSchema, end: endSchema } as const;

/** The lines of one stream, at least one, for a table of all its chunks. */
export function streamEntries(
  source: string,
  name: string,
  stream: { readonly sizeBytes: number; readonly chunks: ChunkTable },
): readonly StreamEntry[] {
  const lineBytes = STREAM_LINE_CHUNKS * CHUNK_RECORD_BYTES;
  const lines = Math.max(1, Math.ceil(stream.chunks.length / lineBytes));
  return Array.from({ length: lines }, (_, part) => ({
    entry: 'stream',
    source,
    name,
    part,
    last: part === lines - 1,
    sizeBytes: stream.sizeBytes,
    chunks: stream.chunks.subarray(part * lineBytes, (part + 1) * lineBytes),
  }));
}

/** One line, with its end. @throws FormatError CONTENTS_ENTRY_INVALID when no reader would take it */
export function encodeContentsLine(entry: ContentsEntry): string {
  const line = `${JSON.stringify(entry.entry === 'stream' ? { ...entry, chunks: chunkTableToJson(entry.chunks) } : entry)}\n`;
  if (line.length > CONTENTS_LINE_MAX_BYTES / 3 && Buffer.byteLength(line) > CONTENTS_LINE_MAX_BYTES)
    throw invalid('it is longer than a line may be');
  return line;
}

/** A line without its end. @throws FormatError CONTENTS_ENTRY_INVALID, CHUNK_TABLE_INVALID */
export function decodeContentsLine(line: string): ContentsEntry {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {
    throw invalid('it is not JSON');
  }
  const kind = value !== null && typeof value === 'object' && 'entry' in value ? value.entry : undefined;
  if (kind === 'stream') {
    const { chunks: json, ...entry } = check(value, streamSchema);
    const chunks = chunkTableFromJson(json);
    if (chunks.length > STREAM_LINE_CHUNKS * CHUNK_RECORD_BYTES) throw invalid('it names too many chunks');
    return { ...entry, chunks };
  }
  if (typeof kind !== 'string' || !Object.hasOwn(SCHEMAS, kind)) throw invalid('it is of an unknown kind');
  return check<ContentsEntry>(value, SCHEMAS[kind as keyof typeof SCHEMAS]);
}

/**
 * Follows the lines of all parts in their order: a source begins once, ends once, and nothing of it stands outside of that;
 * lines of a stream follow each other and have the size that they say.
 */
export interface ContentsOrder {
  /** @throws FormatError CONTENTS_ENTRY_INVALID */
  accept(entry: ContentsEntry): void;
  /** @throws FormatError CONTENTS_INCOMPLETE when a source or a stream did not end, or there is no source at all */
  end(): void;
}

export function createContentsOrder(): ContentsOrder {
  const open = new Set<string>();
  const ended = new Set<string>();
  let stream: { source: string; name: string; part: number; sizeBytes: number; seenBytes: number } | undefined;

  const acceptStream = (entry: StreamEntry) => {
    stream ??= { source: entry.source, name: entry.name, part: -1, sizeBytes: entry.sizeBytes, seenBytes: 0 };
    const { source, name, part, sizeBytes } = stream;
    if (entry.source !== source || entry.name !== name || entry.part !== part + 1 || entry.sizeBytes !== sizeBytes)
      throw invalid(`a line of the stream ${name} is missing`);
    if (!entry.name.startsWith(`${entry.source}/`)) throw invalid('a stream has the name of another source');
    stream.part = entry.part;
    stream.seenBytes += chunksSizeBytes(entry.chunks);
    if (!entry.last) return;
    if (stream.seenBytes !== sizeBytes) throw invalid(`the chunks of the stream ${name} do not have its size`);
    stream = undefined;
  };

  return {
    accept(entry) {
      const { source } = entry;
      if (stream !== undefined && entry.entry !== 'stream')
        throw invalid(`a line of the stream ${stream.name} is missing`);
      if (entry.entry === 'source') {
        if (open.has(source) || ended.has(source)) throw invalid(`the source ${source} begins twice`);
        open.add(source);
        return;
      }
      if (!open.has(source)) throw invalid(`an entry of ${source} stands before its begin or after its end`);
      if (entry.entry === 'stream') acceptStream(entry);
      if (entry.entry === 'end') {
        open.delete(source);
        ended.add(source);
      }
    },
    end() {
      const [unfinished] = open;
      if (unfinished === undefined && stream === undefined && ended.size > 0) return;
      throw new FormatError('CONTENTS_INCOMPLETE', 'the contents of the snapshot are not complete', {
        ...(unfinished === undefined ? {} : { found: `no end of the source ${unfinished}` }),
      });
    },
  };
}

function check<T>(value: unknown, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw invalid(issue?.message ?? 'it does not fit its schema', issue?.path.join('.'));
}

function invalid(problem: string, key?: string): FormatError {
  return new FormatError('CONTENTS_ENTRY_INVALID', `an entry of the contents is not right: ${problem}`, {
    ...(key === undefined || key === '' ? {} : { at: { key } }),
  });
}

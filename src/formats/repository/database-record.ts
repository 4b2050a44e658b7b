/**
 * What a snapshot tells of a PostgreSQL server and its databases beside their data (docs/backup-postgres.md, "The record"): what
 * a restore needs before it starts, and what it proves itself against when it is done.
 *
 *     {entry:'source', record}    ServerRecord
 *     {entry:'table', record}     TableRecord, for each table whose rows are streams
 *     {entry:'end', record}       EndRecord, with one DatabaseRecord for each database
 *     SOURCE/facts.ndjson         facts of the server: roles, memberships, tablespaces
 *     SOURCE/N/facts.ndjson       facts of database number N: everything in it that has an owner, rights or a state
 *
 * A fact is a line of canonical JSON, {"kind","name":[…],"value":{…}}: the same state gives the same line on any server of the
 * same version, and no number of the server (oid) is in it. To prove a restore is to read the facts again and compare.
 */
import { z } from 'zod';
import { canonicalJson, type Json } from '../../core/canonical-json.ts';
import { FormatError } from '../errors.ts';

export const DATABASE_RECORD_VERSION = 1;
const LINE_LIMIT_BYTES = 16 * 1024 * 1024;

const count = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
const names = z.array(z.string());
const relations = z.array(z.strictObject({ schema: z.string(), name: z.string() }));

const serverSchema = z.strictObject({
  version: z.literal(DATABASE_RECORD_VERSION),
  /** `150014`. */
  serverVersionNumber: count,
  serverVersion: z.string(),
  /** Of the pg_dump that wrote the archives. */
  programVersion: z.string(),
  user: z.string(),
  isSuperuser: z.boolean(),
  isStandby: z.boolean(),
  /** Database number N of the streams' names is the Nth, from 1. */
  databases: names,
  /** Patterns, as they were given. */
  excluded: z.strictObject({ schemas: names, tables: names, tableRows: names }),
  profile: z.enum(['supabase']).exactOptional(),
});

const tableSchema = z.strictObject({
  isUnlogged: z.boolean(),
  sizeBytes: count,
});

/** What cannot be restored by just anybody, or does something by itself: to be allowed one by one. */
const needSchema = z.strictObject({
  kind: z.enum([
    'superuser-role',
    'c-function',
    'untrusted-language',
    'event-trigger',
    'untrusted-extension',
    'foreign-server',
    'subscription',
    'tablespace',
  ]),
  /** As SQL would name it. */
  name: z.string(),
});

const databaseSchema = z.strictObject({
  name: z.string(),
  number: z.number().int().positive(),
  owner: z.string(),
  encoding: z.string(),
  collate: z.string(),
  characterType: z.string(),
  /** `libc`, `icu` or `builtin`. */
  localeProvider: z.string(),
  /** Of icu and builtin. */
  locale: z.string().exactOptional(),
  /** What the operating system or ICU said when the database was made: another one may sort differently. */
  collationVersion: z.string().exactOptional(),
  /** `client_encoding` of the COPY streams. */
  clientEncoding: z.enum(['UTF8', 'SQL_ASCII']),
  /** `lc_monetary`, by which values of the type money were written. */
  moneyLocale: z.string(),
  archive: z.string(),
  facts: z.string(),
  factsCount: count,
  extensions: z.array(
    z.strictObject({ name: z.string(), version: z.string(), schema: z.string(), isTrusted: z.boolean() }),
  ),
  /** Tables with rows of their own that the archive has itself: configuration of extensions. */
  archivedRows: relations,
  excludedSchemas: names,
  excludedTables: relations,
  excludedRows: relations,
  /** That the profile's product brings itself. */
  systemSchemas: names,
  tables: count,
  rows: count,
  sizeBytes: count,
  largeObjects: count,
  needs: z.array(needSchema),
});

const endSchema = z.strictObject({
  version: z.literal(DATABASE_RECORD_VERSION),
  globals: z.string(),
  facts: z.string(),
  factsCount: count,
  /** Else roles come back without passwords. */
  hasRolePasswords: z.boolean(),
  databases: z.array(databaseSchema),
  /** Of the server. */
  needs: z.array(needSchema),
  notes: names,
});

export type ServerRecord = z.infer<typeof serverSchema>;
export type TableRecord = z.infer<typeof tableSchema>;
export type DatabaseRecord = z.infer<typeof databaseSchema>;
export type EndRecord = z.infer<typeof endSchema>;
export type RestoreNeed = z.infer<typeof needSchema>;

/** @throws FormatError DATABASE_RECORD_INVALID */
export const decodeServerRecord = (record: unknown): ServerRecord => check(record, serverSchema, 'of the server');
/** @throws FormatError DATABASE_RECORD_INVALID */
export const decodeTableRecord = (record: unknown): TableRecord => check(record, tableSchema, 'of a table');
/** @throws FormatError DATABASE_RECORD_INVALID */
export const decodeEndRecord = (record: unknown): EndRecord => check(record, endSchema, 'of the databases');

export interface Fact {
  /** `relation`, `policy`, `role`, … */
  readonly kind: string;
  /** Outermost first: schema, table, name. */
  readonly name: readonly string[];
  readonly value: { readonly [key: string]: Json };
}

const factSchema = z.strictObject({
  kind: z.string().min(1),
  name: names,
  value: z.record(z.string(), z.json()),
});

/** With the end of the line. */
export function encodeFact({ kind, name, value }: Fact): string {
  return `${canonicalJson({ kind, name, value })}\n`;
}

/** @throws FormatError DATABASE_RECORD_INVALID */
export async function* decodeFacts(input: AsyncIterable<Uint8Array>): AsyncGenerator<Fact> {
  const utf8 = new TextDecoder('utf-8', { fatal: true });
  let rest = '';
  try {
    for await (const bytes of input) {
      rest += utf8.decode(bytes, { stream: true });
      const lines = rest.split('\n');
      rest = lines.pop() as string;
      for (const line of lines) yield check(JSON.parse(line), factSchema, 'of a fact') as Fact;
      if (rest.length > LINE_LIMIT_BYTES) throw invalid('of a fact', 'a line is too long');
    }
    rest += utf8.decode();
  } catch (cause) {
    if (cause instanceof SyntaxError) throw invalid('of a fact', 'a line is not JSON');
    if (cause instanceof TypeError) throw invalid('of a fact', 'it is not UTF-8');
    throw cause;
  }
  if (rest !== '') throw invalid('of a fact', 'the last line is cut');
}

/** Rows of each table in a run, kept beside the repository: the next run sees by it what has collapsed. */
export interface TableCounts {
  readonly version: typeof DATABASE_RECORD_VERSION;
  /** By the database, then by the table as SQL names it. */
  readonly databases: { readonly [database: string]: { readonly [table: string]: number } };
}

const countsSchema = z.strictObject({
  version: z.literal(DATABASE_RECORD_VERSION),
  databases: z.record(z.string(), z.record(z.string(), count)),
});

/** @throws FormatError DATABASE_RECORD_INVALID */
export const decodeTableCounts = (record: unknown): TableCounts => check(record, countsSchema, 'of the rows of tables');

function check<T>(value: unknown, schema: z.ZodType<T>, what: string): T {
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [issue] = parsed.error.issues;
  throw invalid(what, `${issue?.path.join('.') ?? ''}: ${issue?.message ?? 'it does not fit its schema'}`);
}

function invalid(what: string, found: string): FormatError {
  return new FormatError('DATABASE_RECORD_INVALID', `The record ${what} in the snapshot cannot be read`, {
    found,
    hint: 'Use the version of Portolan that wrote the snapshot, or a newer one; check the repository.',
  });
}

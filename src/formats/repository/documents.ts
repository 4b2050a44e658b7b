/**
 * What all JSON documents of a repository have in common (docs/format-repository.md, "Documents"): canonical JSON with
 * `version` and, but for repo.json, `repository`. A document has one spelling; whatever could be read in two ways, such as a
 * member that stands twice, is refused.
 */
import { z } from 'zod';
import { canonicalJson } from '../../core/canonical-json.ts';
import { type Digest, isDigest } from '../../core/digest.ts';
import { FormatError, type FormatErrorCode } from '../errors.ts';
import { decodeBase64 } from '../sigstore/pem.ts';
import { isRepositoryId, isRunId, isWriterName, type RepositoryId, type RunId, type WriterName } from './keys.ts';
import { REPOSITORY_VERSION, unsupportedVersion } from './version.ts';

export const versionSchema = z.literal(REPOSITORY_VERSION);
export const repositorySchema = z.custom<RepositoryId>(isRepositoryId, 'an id: 32 lower-case hexadecimal digits');
export const runSchema = z.custom<RunId>(isRunId, 'a run: YYYYMMDDTHHMMSSZ- and 16 hexadecimal digits');
export const writerSchema = z.custom<WriterName>(isWriterName, 'a name of a-z, 0-9 and -, up to 63');
export const digestSchema = z.custom<Digest>(isDigest, 'a digest: sha256: and 64 lower-case hexadecimal digits');
/** Of sequences and epochs: eight digits, from 1. */
export const countSchema = z.number().int().min(1).max(99_999_999);
export const sizeSchema = z.number().int().nonnegative().max(Number.MAX_SAFE_INTEGER);
export const textSchema = z.string().min(1).max(4096);
/** What a person calls something. */
export const labelSchema = z.string().min(1).max(200);
export const base64Schema = z.string().refine((text) => decodeBase64(text) !== undefined, 'base64');
/** An instant in UTC with milliseconds, as `Date.toISOString` writes it. */
export const timeSchema = z
  .string()
  .length(24)
  .refine((text) => !Number.isNaN(Date.parse(text)) && new Date(text).toISOString() === text, 'a time in UTC');

export interface DocumentRules {
  /** For messages: `the roster`. */
  readonly what: string;
  readonly code: FormatErrorCode;
  readonly maxBytes: number;
  /** Key of the object or path of the file. */
  readonly at?: string | undefined;
}

export function encodeDocument(document: object): Uint8Array {
  return new TextEncoder().encode(canonicalJson(document));
}

/**
 * Bytes to a document that fits the schema.
 *
 * @throws FormatError with the code of `rules`; REPOSITORY_VERSION_UNSUPPORTED
 */
export function decodeDocument<T>(bytes: Uint8Array, schema: z.ZodType<T>, rules: DocumentRules): T {
  return checkDocument(parseCanonicalJson(bytes, rules), schema, rules);
}

/** The value of canonical JSON; refuses any other spelling of it. */
export function parseCanonicalJson(bytes: Uint8Array, rules: DocumentRules): unknown {
  if (bytes.length > rules.maxBytes) {
    throw new FormatError(rules.code, `${rules.what} is larger than any sane one`, {
      expected: `at most ${rules.maxBytes} bytes`,
      found: `${bytes.length} bytes`,
      ...placeOf(rules.at),
    });
  }
  let value: unknown;
  let isCanonical: boolean;
  try {
    const text = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true }).decode(bytes);
    value = JSON.parse(text);
    // Also inside: what is nested a hundred thousand deep is read, and then overflows the stack.
    isCanonical = JSON.stringify(value) === text && isOrdered(value);
  } catch {
    // Without the cause: a parser's message quotes what it read, and some documents are secret.
    throw new FormatError(rules.code, `${rules.what} is not JSON`, placeOf(rules.at));
  }
  if (!isCanonical) throw new FormatError(rules.code, `${rules.what} is not in canonical form`, placeOf(rules.at));
  return value;
}

/** Whether sorting the members would change nothing; makes no copy, as a list of a hundred thousand packs wants it. */
function isOrdered(value: unknown): boolean {
  if (Array.isArray(value)) return value.every(isOrdered);
  if (value === null || typeof value !== 'object') return true;
  // Numbers of an array's elements come first as names, whatever the order in which they were put: JavaScript's objects have it so.
  const names = Object.keys(value).filter((name) => !(/^(0|[1-9][0-9]*)$/.test(name) && Number(name) < 2 ** 32 - 1));
  if (names.some((name, index) => index > 0 && (names[index - 1] as string) > name)) return false;
  return Object.values(value).every(isOrdered);
}

export function checkDocument<T>(value: unknown, schema: z.ZodType<T>, rules: DocumentRules): T {
  refuseOtherVersion(value, rules);
  const parsed = schema.safeParse(value);
  if (parsed.success) return parsed.data;
  const [first, ...others] = parsed.error.issues.map((issue) =>
    documentError(issue.message, rules, issue.path.join('.')),
  );
  throw documentError(
    parsed.error.issues[0]?.message ?? 'it does not fit its schema',
    rules,
    first?.at?.key ?? '',
    others.slice(0, 20),
  );
}

/** Of which run a document must be, and where it was found. */
export interface RunReading {
  readonly repository: RepositoryId;
  readonly run: RunId;
  readonly at?: string;
}

/** As `decodeDocument`, of one run of one repository. @throws FormatError REPOSITORY_MISMATCH also */
export function decodeRunDocument<T extends { readonly repository: RepositoryId; readonly run: RunId }>(
  bytes: Uint8Array,
  schema: z.ZodType<T>,
  { repository, run, at }: RunReading,
  kind: Omit<DocumentRules, 'at'>,
): T {
  const rules = { ...kind, at };
  const document = decodeDocument(bytes, schema, rules);
  requireRepository(document.repository, repository, rules);
  if (document.run === run) return document;
  throw new FormatError(rules.code, `${rules.what} is of another run`, {
    expected: run,
    found: document.run,
    ...placeOf(at),
  });
}

/** @throws FormatError REPOSITORY_MISMATCH */
export function requireRepository(
  found: RepositoryId,
  expected: RepositoryId,
  rules: Pick<DocumentRules, 'what' | 'at'>,
): void {
  if (found === expected) return;
  throw new FormatError('REPOSITORY_MISMATCH', `${rules.what} belongs to another repository`, {
    expected,
    found,
    ...placeOf(rules.at),
  });
}

function documentError(
  problem: string,
  rules: DocumentRules,
  key = '',
  others: readonly FormatError[] = [],
): FormatError {
  return new FormatError(rules.code, `${rules.what} is not right: ${problem}`, {
    at: { ...placeOf(rules.at).at, ...(key === '' ? {} : { key }) },
    others,
  });
}

function refuseOtherVersion(value: unknown, rules: DocumentRules): void {
  if (value === null || typeof value !== 'object' || !('version' in value)) return;
  const { version } = value;
  if (typeof version === 'number' && version !== REPOSITORY_VERSION)
    throw unsupportedVersion(rules.what, version, rules.at);
}

function placeOf(at: string | undefined): { readonly at?: { readonly file: string } } {
  return at === undefined ? {} : { at: { file: at } };
}

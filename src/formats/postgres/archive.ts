/**
 * The custom format of pg_dump, as far as it takes to prove a stream whole and to know what is in it (PostgreSQL's
 * pg_backup_archiver.c and pg_backup_custom.c; versions 1.14 to 1.16, which pg_dump 14 to 18 write):
 *
 *     "PGDMP", version (3 bytes), bytes of an integer, bytes of an offset, format (1)
 *     1.15 and later: algorithm of compression (1 byte); before: its level (integer)
 *     time (7 integers), database, version of the server, version of pg_dump (strings)
 *     number of entries (integer), then for each:
 *       id, has data (integers); table oid, oid, tag, kind (strings); section (integer); definition, drop, copy, schema,
 *       tablespace, access method (strings); 1.16: kind of relation (integer); owner, "false" (strings);
 *       strings of dependencies up to an absent one; state (1 byte) and offset of the data
 *     blocks, one for each entry that has data:
 *       1, id, pieces (length, bytes) up to a length of 0                        a table
 *       3, id, (oid, pieces up to a length of 0) up to an oid of 0               large objects
 *
 * An integer is a sign (1 byte) and little-endian bytes; a string is its length and its bytes, absent when that is negative.
 */
import { FormatError } from '../errors.ts';
import { NAME_IN_SQL, nameFromSql } from './names.ts';

export interface ArchiveEntry {
  /** `TABLE`, `TABLE DATA`, `BLOBS`, … */
  readonly kind: string;
  /** Empty where the kind has none. */
  readonly schema: string;
  readonly name: string;
  readonly hasData: boolean;
}

/** Of what an object is, when it is made: before rows, with rows, after rows; or beside another one. */
export type ArchiveSection = 'none' | 'pre-data' | 'data' | 'post-data';

/** An entry as a restore chooses it. */
export interface ArchiveItem extends ArchiveEntry {
  readonly id: number;
  readonly section: ArchiveSection;
  readonly owner: string;
  readonly dependencies: readonly number[];
  /** Only of what belongs to the database itself: how it is made, a comment, a label. */
  readonly definition?: string;
  /** Where it is not the one of the database. */
  readonly tablespace?: string;
  /** Of those that the server has by itself: names in pg_catalog. */
  readonly collations?: readonly string[];
  /** Of the operating system, by which a collation is made. */
  readonly locales?: readonly string[];
}

export interface ArchiveContents {
  readonly items: readonly ArchiveItem[];
  /** From the start of the archive up to the first data: an archive of definitions alone. */
  readonly contentsBytes: number;
  readonly programVersion: string;
}

export interface ArchiveSummary {
  readonly formatVersion: string;
  readonly database: string;
  readonly serverVersion: string;
  readonly programVersion: string;
  readonly entries: number;
}

export interface ArchiveCheck {
  /** The next bytes; nothing of them is kept. @throws FormatError DATABASE_ARCHIVE_INVALID */
  push(bytes: Uint8Array): void;
  /** At the end of the stream. @throws FormatError DATABASE_ARCHIVE_INVALID when something is missing */
  finish(): ArchiveSummary;
}

const TEXT_LIMIT_BYTES = 1024 * 1024;
const CUSTOM_FORMAT = 1;
const TABLE_BLOCK = 1;
const BLOBS_BLOCK = 3;
const SECTIONS: readonly ArchiveSection[] = ['none', 'pre-data', 'data', 'post-data'];

/** How many bytes are wanted next: to be seen, or only to go past. */
type Want = { readonly take: number } | { readonly skip: number };

/** Where the archive may end. */
const AT_BLOCK: Want = { take: 1 };

/** Checks an archive as it goes by; tells each entry of its table of contents. */
export function createArchiveCheck(onEntry: (entry: ArchiveEntry) => void): ArchiveCheck {
  const parser = parseArchive(({ kind, schema, name, hasData }) => onEntry({ kind, schema, name, hasData }));
  const feed = createFeed(parser);
  return {
    push: feed.push,
    finish() {
      if (!feed.isAtBlock()) throw invalid('It ends in the middle', 'more bytes');
      return parser.next(undefined).value as ArchiveSummary;
    },
  };
}

/** Reads the table of contents, and no further. @throws FormatError DATABASE_ARCHIVE_INVALID */
export async function readArchiveContents(input: AsyncIterable<Uint8Array>): Promise<ArchiveContents> {
  const items: ArchiveItem[] = [];
  let programVersion = '';
  const feed = createFeed(
    parseArchive(
      (item) => items.push(item),
      (version) => {
        programVersion = version;
      },
    ),
  );
  for await (const bytes of input) {
    feed.push(bytes);
    const contentsBytes = feed.contentsBytes();
    if (contentsBytes !== undefined) return { items, contentsBytes, programVersion };
  }
  throw invalid('It ends in the middle', 'more bytes');
}

interface Feed {
  readonly push: (bytes: Uint8Array) => void;
  /** Between two blocks of data, where the archive may end. */
  readonly isAtBlock: () => boolean;
  /** Of the table of contents; undefined before its end. */
  readonly contentsBytes: () => number | undefined;
}

function createFeed(parser: Generator<Want, ArchiveSummary, Uint8Array | undefined>): Feed {
  let want = parser.next().value as Want;
  let seen: Uint8Array[] = [];
  let seenBytes = 0;
  let passedBytes = 0;
  let contentsBytes: number | undefined;
  return {
    isAtBlock: () => want === AT_BLOCK && seenBytes === 0,
    contentsBytes: () => contentsBytes,
    push(bytes) {
      let at = 0;
      while (at < bytes.length) {
        const target = 'take' in want ? want.take : want.skip;
        const part = bytes.subarray(at, at + target - seenBytes);
        at += part.length;
        seenBytes += part.length;
        if ('take' in want) seen.push(seenBytes === target && seen.length === 0 ? part : part.slice());
        if (seenBytes < target) return;
        const whole = seen.length === 1 ? (seen[0] as Uint8Array) : Buffer.concat(seen);
        seen = [];
        passedBytes += seenBytes;
        seenBytes = 0;
        want = parser.next(whole).value as Want;
        if (want === AT_BLOCK) contentsBytes ??= passedBytes;
      }
    },
  };
}

/** Is resumed with the bytes that it wanted, or with nothing at the end of the archive. */
function* parseArchive(
  onItem: (item: ArchiveItem) => void,
  onVersion: (programVersion: string) => void = () => {},
): Generator<Want, ArchiveSummary, Uint8Array | undefined> {
  const head = (yield { take: 11 }) as Uint8Array;
  if (Buffer.from(head.subarray(0, 5)).toString('latin1') !== 'PGDMP') {
    throw invalid('It is no archive of pg_dump', 'PGDMP');
  }
  const [major = 0, minor = 0, revision = 0, integerBytes = 0, offsetBytes = 0, format = 0] = head.subarray(5);
  const formatVersion = `${major}.${minor}-${revision}`;
  if (major !== 1 || minor < 14 || minor > 16) throw invalid('Its version is not known', '1.14 to 1.16', formatVersion);
  if (format !== CUSTOM_FORMAT) throw invalid('It is not in the custom format', CUSTOM_FORMAT, format);
  if (integerBytes < 4 || integerBytes > 8 || offsetBytes < 1 || offsetBytes > 8) {
    throw invalid('Its numbers have an unknown size', '4 and 8 bytes', `${integerBytes} and ${offsetBytes}`);
  }

  function* integer(): Generator<Want, number, Uint8Array> {
    const bytes = yield { take: 1 + integerBytes };
    let value = 0;
    for (let index = integerBytes; index > 0; index -= 1) value = value * 256 + (bytes[index] as number);
    if (!Number.isSafeInteger(value)) throw invalid('A number in it is too large', 'less than 2^53');
    return bytes[0] === 0 ? value : -value;
  }
  function* text(): Generator<Want, string | undefined, Uint8Array> {
    const length = yield* integer();
    if (length < 0) return undefined;
    if (length > TEXT_LIMIT_BYTES)
      throw invalid('A name in it is too long', `at most ${TEXT_LIMIT_BYTES} bytes`, length);
    return length === 0 ? '' : Buffer.from(yield { take: length }).toString('utf8');
  }
  /** Undefined also when it is long, as a statement can be. */
  function* shortText(): Generator<Want, string | undefined, Uint8Array> {
    const length = yield* integer();
    if (length > TEXT_LIMIT_BYTES) yield { skip: length };
    if (length <= 0 || length > TEXT_LIMIT_BYTES) return undefined;
    return Buffer.from(yield { take: length }).toString('utf8');
  }
  function* skippedText(): Generator<Want, boolean, Uint8Array> {
    const length = yield* integer();
    if (length > 0) yield { skip: length };
    return length >= 0;
  }
  function* pieces(): Generator<Want, void, Uint8Array> {
    for (;;) {
      const length = yield* integer();
      if (length === 0) return;
      if (length < 0) throw invalid('A piece of data in it has a negative length', 'a length', length);
      yield { skip: length };
    }
  }

  if (minor >= 15) yield { skip: 1 };
  else yield* told(integer());
  for (let index = 0; index < 7; index += 1) yield* told(integer());
  const [database, serverVersion, programVersion] = [yield* told(text()), yield* told(text()), yield* told(text())];
  onVersion(programVersion ?? '');
  const entries = yield* told(integer());
  const withData = new Set<number>();
  for (let index = 0; index < entries; index += 1) {
    const id = yield* told(integer());
    const hasData = (yield* told(integer())) !== 0;
    yield* told(skippedText());
    yield* told(skippedText());
    const name = (yield* told(text())) ?? '';
    const kind = (yield* told(text())) ?? '';
    const section = SECTIONS[(yield* told(integer())) - 1] ?? 'none';
    const isOfDatabase = kind.startsWith('DATABASE') || name.startsWith('DATABASE ');
    let definition: string | undefined;
    if (isOfDatabase || WITH_COLLATIONS.has(kind)) definition = yield* told(shortText());
    else yield* told(skippedText());
    for (let part = 0; part < 2; part += 1) yield* told(skippedText());
    const schema = (yield* told(text())) ?? '';
    const tablespace = (yield* told(text())) ?? '';
    yield* told(skippedText());
    if (minor >= 16) yield* told(integer());
    const owner = (yield* told(text())) ?? '';
    yield* told(skippedText());
    const dependencies: number[] = [];
    for (;;) {
      const dependency = yield* told(text());
      if (dependency === undefined) break;
      dependencies.push(Number(dependency));
    }
    yield { skip: 1 + offsetBytes };
    if (hasData) withData.add(id);
    onItem({
      ...{ id, kind, schema, name, hasData, section, owner, dependencies },
      ...(definition === undefined ? {} : isOfDatabase ? { definition } : localesIn(definition)),
      ...(tablespace === '' ? {} : { tablespace }),
    });
  }
  for (;;) {
    const block = yield AT_BLOCK;
    if (block === undefined) break;
    const id = yield* told(integer());
    if (!withData.delete(id)) throw invalid('It has data that no entry of its table of contents names', 'an entry', id);
    if (block[0] === TABLE_BLOCK) yield* told(pieces());
    else if (block[0] === BLOBS_BLOCK) while ((yield* told(integer())) !== 0) yield* told(pieces());
    else throw invalid('It has a block of an unknown kind', `${TABLE_BLOCK} or ${BLOBS_BLOCK}`, block[0]);
  }
  if (withData.size > 0) throw invalid('The data of entries is missing', 'data for each', `${withData.size} without`);
  return {
    formatVersion,
    database: database ?? '',
    serverVersion: serverVersion ?? '',
    programVersion: programVersion ?? '',
    entries,
  };
}

/** What may be sorted in a way of its own. */
const WITH_COLLATIONS = new Set([
  ...['TABLE', 'FOREIGN TABLE', 'VIEW', 'MATERIALIZED VIEW', 'INDEX', 'CONSTRAINT', 'TYPE', 'DOMAIN', 'COLLATION'],
]);

function localesIn(definition: string): Pick<ArchiveItem, 'collations' | 'locales'> {
  const collations = [...definition.matchAll(COLLATE)].map(([, name]) => nameFromSql(name as string));
  const locales = /^CREATE COLLATION .*provider = libc/s.test(definition)
    ? [...definition.matchAll(LOCALE)].map(([, locale]) => (locale as string).replaceAll("''", "'"))
    : [];
  return {
    ...(collations.length === 0 ? {} : { collations: [...new Set(collations)] }),
    ...(locales.length === 0 ? {} : { locales: [...new Set(locales)] }),
  };
}

const COLLATE = new RegExp(`COLLATE pg_catalog\\.(${NAME_IN_SQL})`, 'g');
const LOCALE = /(?:locale|lc_collate|lc_ctype) = '((?:[^']|'')*)'/g;

/** Within an entry the archive never ends: what is resumed with is bytes. */
function* told<T>(part: Generator<Want, T, Uint8Array>): Generator<Want, T, Uint8Array | undefined> {
  return yield* part as Generator<Want, T, Uint8Array | undefined>;
}

function invalid(message: string, expected: string | number, found?: string | number): FormatError {
  return new FormatError('DATABASE_ARCHIVE_INVALID', `The archive of pg_dump is not whole. ${message}`, {
    expected,
    ...(found === undefined ? {} : { found }),
    hint: 'Run the backup again. If it says so again, use the client programs of the same version as the server.',
  });
}

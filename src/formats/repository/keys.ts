/**
 * Keys of the objects of a repository (docs/format-repository.md, "Layout"). Every object stands under one of these, and
 * what has another name is not part of the repository.
 *
 *     repo.json                                       keys/EPOCH.json
 *     evidence/SHA256.json
 *     runs/RUN/key.EPOCH.age                          packs/XX/SHA256
 *     index/WRITER/RUN.PART.age                       contents/WRITER/RUN.PART.age
 *     snapshots/WRITER/SEQUENCE.json                  forgotten/WRITER/SEQUENCE.json
 *     rewraps/EPOCH/SHA256.json                       marks/TIME-SHA256.json
 *     verified/WRITER/SEQUENCE/VERIFIER-TIME.json
 *
 * EPOCH and SEQUENCE have 8 digits and start at 1, PART has 6 and starts at 0: the order of names is the order of numbers.
 */
import { type Digest, digestFromHex, hexOf } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';

/** 32 lower-case hexadecimal digits. */
export type RepositoryId = string & { readonly __brand: 'RepositoryId' };
/** `YYYYMMDDTHHMMSSZ-` and 16 lower-case hexadecimal digits: when the run started, by the writer's clock, and chance. */
export type RunId = string & { readonly __brand: 'RunId' };
/** `[a-z0-9][a-z0-9-]{0,62}`: of writers, verifiers and pruners. */
export type WriterName = string & { readonly __brand: 'WriterName' };

export const REPOSITORY_KEY = 'repo.json';

/** What to list for each kind of object. */
export const KEY_PREFIXES = {
  roster: 'keys/',
  evidence: 'evidence/',
  runKey: 'runs/',
  pack: 'packs/',
  index: 'index/',
  contents: 'contents/',
  snapshot: 'snapshots/',
  forgotten: 'forgotten/',
  rewrap: 'rewraps/',
  mark: 'marks/',
  verification: 'verified/',
} as const;

export type RepositoryKey =
  | { readonly kind: 'repository' }
  | { readonly kind: 'roster'; readonly epoch: number }
  | { readonly kind: 'runKey'; readonly run: RunId; readonly epoch: number }
  | { readonly kind: 'pack' | 'evidence'; readonly digest: Digest }
  | { readonly kind: 'index' | 'contents'; readonly writer: WriterName; readonly run: RunId; readonly part: number }
  | { readonly kind: 'snapshot' | 'forgotten'; readonly writer: WriterName; readonly sequence: number }
  | { readonly kind: 'rewrap'; readonly epoch: number; readonly digest: Digest }
  | { readonly kind: 'mark'; readonly time: Date; readonly digest: Digest }
  | {
      readonly kind: 'verification';
      readonly writer: WriterName;
      readonly sequence: number;
      readonly verifier: WriterName;
      readonly time: Date;
    };

const NAME = '[a-z0-9][a-z0-9-]{0,62}';
const TIME = '[0-9]{8}T[0-9]{6}Z';
const RUN = `${TIME}-[0-9a-f]{16}`;
const HEX = '[0-9a-f]{64}';
const NUMBER = '[0-9]{8}';
const PART = '[0-9]{6}';

const REPOSITORY_ID_PATTERN = /^[0-9a-f]{32}$/;
const RUN_PATTERN = new RegExp(`^${RUN}$`);
/** Of writers, verifiers and pruners. */
export const NAME_PATTERN = new RegExp(`^${NAME}$`);
const PATTERNS = {
  roster: new RegExp(`^keys/(${NUMBER})\\.json$`),
  evidence: new RegExp(`^evidence/(${HEX})\\.json$`),
  runKey: new RegExp(`^runs/(${RUN})/key\\.(${NUMBER})\\.age$`),
  pack: new RegExp(`^packs/([0-9a-f]{2})/(${HEX})$`),
  part: new RegExp(`^(index|contents)/(${NAME})/(${RUN})\\.(${PART})\\.age$`),
  numbered: new RegExp(`^(snapshots|forgotten)/(${NAME})/(${NUMBER})\\.json$`),
  rewrap: new RegExp(`^rewraps/(${NUMBER})/(${HEX})\\.json$`),
  mark: new RegExp(`^marks/(${TIME})-(${HEX})\\.json$`),
  verification: new RegExp(`^verified/(${NAME})/(${NUMBER})/(${NAME})-(${TIME})\\.json$`),
};

export function isRepositoryId(text: unknown): text is RepositoryId {
  return typeof text === 'string' && REPOSITORY_ID_PATTERN.test(text);
}

export function isRunId(text: unknown): text is RunId {
  return typeof text === 'string' && RUN_PATTERN.test(text) && parseTime(text.slice(0, 16)) !== undefined;
}

export function isWriterName(text: unknown): text is WriterName {
  return typeof text === 'string' && NAME_PATTERN.test(text);
}

/** @throws FormatError REPOSITORY_NAME_INVALID */
export function parseWriterName(text: string): WriterName {
  if (isWriterName(text)) return text;
  throw new FormatError('REPOSITORY_NAME_INVALID', 'the name of a writer, verifier or pruner is not well formed', {
    expected: 'up to 63 of a-z, 0-9 and -, not starting with -',
    found: text.slice(0, 80),
    hint: 'Choose another name, such as the host in lower case.',
  });
}

/** `random` has 8 bytes. */
export function runIdOf(startedAt: Date, random: Uint8Array): RunId {
  return `${formatTime(startedAt)}-${Buffer.from(random.subarray(0, 8)).toString('hex')}` as RunId;
}

/** When the run started, by its writer's clock. */
export function runTime(run: RunId): Date {
  return parseTime(run.slice(0, 16)) as Date;
}

export const rosterKey = (epoch: number): string => `keys/${padded(epoch, 8)}.json`;
/** `digest` is the document's own. */
export const evidenceKey = (digest: Digest): string => `evidence/${hexOf(digest)}.json`;
export const runKeyKey = (run: RunId, epoch: number): string => `runs/${run}/key.${padded(epoch, 8)}.age`;
export const packKey = (digest: Digest): string => `packs/${hexOf(digest).slice(0, 2)}/${hexOf(digest)}`;
export const indexKey = (writer: WriterName, run: RunId, part: number): string =>
  `index/${writer}/${run}.${padded(part, 6)}.age`;
export const contentsKey = (writer: WriterName, run: RunId, part: number): string =>
  `contents/${writer}/${run}.${padded(part, 6)}.age`;
export const snapshotKey = (writer: WriterName, sequence: number): string =>
  `snapshots/${writer}/${padded(sequence, 8)}.json`;
export const forgottenKey = (writer: WriterName, sequence: number): string =>
  `forgotten/${writer}/${padded(sequence, 8)}.json`;
/** `digest` is the document's own. */
export const rewrapKey = (epoch: number, digest: Digest): string => `rewraps/${padded(epoch, 8)}/${hexOf(digest)}.json`;
/** `digest` is the document's own. */
export const markKey = (time: Date, digest: Digest): string => `marks/${formatTime(time)}-${hexOf(digest)}.json`;
export const verificationKey = (writer: WriterName, sequence: number, verifier: WriterName, time: Date): string =>
  `verified/${writer}/${padded(sequence, 8)}/${verifier}-${formatTime(time)}.json`;

/** `undefined` for a key that is not of this layout: one key has one spelling. */
export function parseRepositoryKey(key: string): RepositoryKey | undefined {
  const parsed = parse(key);
  return parsed !== undefined && repositoryKey(parsed) === key ? parsed : undefined;
}

export function repositoryKey(parsed: RepositoryKey): string {
  switch (parsed.kind) {
    case 'repository':
      return REPOSITORY_KEY;
    case 'roster':
      return rosterKey(parsed.epoch);
    case 'evidence':
      return evidenceKey(parsed.digest);
    case 'runKey':
      return runKeyKey(parsed.run, parsed.epoch);
    case 'pack':
      return packKey(parsed.digest);
    case 'index':
      return indexKey(parsed.writer, parsed.run, parsed.part);
    case 'contents':
      return contentsKey(parsed.writer, parsed.run, parsed.part);
    case 'snapshot':
      return snapshotKey(parsed.writer, parsed.sequence);
    case 'forgotten':
      return forgottenKey(parsed.writer, parsed.sequence);
    case 'rewrap':
      return rewrapKey(parsed.epoch, parsed.digest);
    case 'mark':
      return markKey(parsed.time, parsed.digest);
    case 'verification':
      return verificationKey(parsed.writer, parsed.sequence, parsed.verifier, parsed.time);
  }
}

function parse(key: string): RepositoryKey | undefined {
  if (key === REPOSITORY_KEY) return { kind: 'repository' };
  switch (key.slice(0, key.indexOf('/') + 1)) {
    case 'packs/': {
      const [, folder, hex] = PATTERNS.pack.exec(key) ?? [];
      return hex?.startsWith(folder as string) ? { kind: 'pack', digest: digestFromHex(hex) } : undefined;
    }
    case 'keys/': {
      const [, epoch] = PATTERNS.roster.exec(key) ?? [];
      return epoch === undefined ? undefined : counted(epoch, { kind: 'roster', epoch: Number(epoch) });
    }
    case 'evidence/': {
      const [, hex] = PATTERNS.evidence.exec(key) ?? [];
      return hex === undefined ? undefined : { kind: 'evidence', digest: digestFromHex(hex) };
    }
    case 'runs/': {
      const [, run, epoch] = PATTERNS.runKey.exec(key) ?? [];
      return isRunId(run) ? counted(epoch, { kind: 'runKey', run, epoch: Number(epoch) }) : undefined;
    }
    case 'index/':
    case 'contents/': {
      const [, kind, writer, run, part] = PATTERNS.part.exec(key) ?? [];
      if (!isRunId(run)) return undefined;
      return { kind: kind as 'index' | 'contents', writer: writer as WriterName, run, part: Number(part) };
    }
    case 'snapshots/':
    case 'forgotten/': {
      const [, folder, writer, sequence] = PATTERNS.numbered.exec(key) ?? [];
      const kind = folder === 'snapshots' ? 'snapshot' : 'forgotten';
      return counted(sequence, { kind, writer: writer as WriterName, sequence: Number(sequence) });
    }
    case 'rewraps/': {
      const [, epoch, hex] = PATTERNS.rewrap.exec(key) ?? [];
      return counted(epoch, { kind: 'rewrap', epoch: Number(epoch), digest: digestFromHex(hex as string) });
    }
    case 'marks/': {
      const [, text, hex] = PATTERNS.mark.exec(key) ?? [];
      const time = text === undefined ? undefined : parseTime(text);
      return time === undefined ? undefined : { kind: 'mark', time, digest: digestFromHex(hex as string) };
    }
    case 'verified/': {
      const [, writer, sequence, verifier, text] = PATTERNS.verification.exec(key) ?? [];
      const time = text === undefined ? undefined : parseTime(text);
      if (time === undefined) return undefined;
      return counted(sequence, {
        kind: 'verification',
        writer: writer as WriterName,
        sequence: Number(sequence),
        verifier: verifier as WriterName,
        time,
      });
    }
    default:
      return undefined;
  }
}

/** Epochs and sequences start at 1. */
function counted(number: string | undefined, parsed: RepositoryKey): RepositoryKey | undefined {
  return number === undefined || Number(number) < 1 ? undefined : parsed;
}

function padded(number: number, digits: number): string {
  const text = String(number);
  if (!Number.isSafeInteger(number) || number < 0 || text.length > digits) {
    throw new RangeError(`a number of at most ${digits} digits is wanted here, not ${text}`);
  }
  return text.padStart(digits, '0');
}

/** `YYYYMMDDTHHMMSSZ`; parts of a second are cut off. */
export function formatTime(time: Date): string {
  return `${time.toISOString().slice(0, 19).replaceAll(/[-:]/g, '')}Z`;
}

function parseTime(text: string): Date | undefined {
  const iso = text.replace(/^(....)(..)(..)T(..)(..)(..)Z$/, '$1-$2-$3T$4:$5:$6.000Z');
  const time = new Date(iso);
  // Otherwise 31 February would be a second spelling of 3 March.
  return Number.isNaN(time.getTime()) || time.toISOString() !== iso ? undefined : time;
}

/**
 * A snapshot (docs/format-repository.md, "Snapshot"): the last object of a run, which commits it. A signed document under
 * snapshots/WRITER/SEQUENCE.json; what it backed up stands in `sealed` and in the contents, which the run's key opens.
 *
 *     { "version", "repository", "writer", "sequence", "previous": digest or null, "run", "epoch", "roster": digest,
 *       "started", "finished", "storageTime", "tags": […], "hold"?, "full", "collapsed"?,
 *       "runs": [ { "run", "recipient", "epoch", "recipients": […], "sealed": base64 of its key file } ],
 *       "packs": [ [ number, "sha256 hex", sizeBytes, index into runs ] ],
 *       "indexes": [ { "run", "key", "digest", "sizeBytes" } ], "contents": [ { "key", "digest", "sizeBytes" } ],
 *       "heads": { WRITER: { "sequence", "digest" } }, "dropped"?: [ { "recipient", "reason" } ],
 *       "identityProvider"?: { "state": "answered" | "overruled" | "unreachable" | "refused", "at": time },
 *       "sealed": base64 of an age file to the run's recipient }
 */
import { z } from 'zod';
import { type Digest, digestFromHex, hexOf } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import type { SigningKey } from '../sigstore/cosign-key.ts';
import type { TrustedKey } from '../sigstore/signature-bundle.ts';
import {
  base64Schema,
  countSchema,
  type DocumentRules,
  digestSchema,
  labelSchema,
  parseCanonicalJson,
  repositorySchema,
  runSchema,
  sizeSchema,
  textSchema,
  timeSchema,
  versionSchema,
  writerSchema,
} from './documents.ts';
import { parseRepositoryKey, type RepositoryId, type RunId, snapshotKey, type WriterName } from './keys.ts';
import { PACK_SEALED_MAX_BYTES } from './pack.ts';
import {
  decodeSigned,
  encodeSigned,
  readUnverified,
  SIGNED_DOCUMENT_MAX_BYTES,
  type Signed,
} from './signed-document.ts';

/** About 200,000 packs: 3 TB. */
export const SNAPSHOT_MAX_BYTES = SIGNED_DOCUMENT_MAX_BYTES;
/** Of the sealed details. */
export const SNAPSHOT_SEALED_MAX_BYTES = 4 * 1024 * 1024;

export interface Snapshot {
  readonly version: 1;
  readonly repository: RepositoryId;
  readonly writer: WriterName;
  /** From 1, without a gap. */
  readonly sequence: number;
  /** Digest of the writer's snapshot before; `null` for the first. */
  readonly previous: Digest | null;
  readonly run: RunId;
  /** Of the roster that the run went by. */
  readonly epoch: number;
  readonly roster: Digest;
  /** By the writer's clock. All times: ISO 8601, UTC, milliseconds. */
  readonly started: string;
  readonly finished: string;
  /** By the storage's clock, read just before this was written. */
  readonly storageTime: string;
  readonly tags: readonly string[];
  /** Never forgotten while it says so. */
  readonly hold?: true;
  /** Nothing of former runs was reused. */
  readonly full: boolean;
  /** The writer saw far less to back up than in the run before. */
  readonly collapsed?: true;
  readonly runs: readonly SnapshotRun[];
  readonly packs: readonly SnapshotPack[];
  readonly indexes: readonly SnapshotIndex[];
  readonly contents: readonly SnapshotObject[];
  /** The newest snapshots of other writers that this one saw. */
  readonly heads: Readonly<Record<string, SnapshotHead>>;
  /** Recipients of the roster that this run was not sealed to. */
  readonly dropped?: readonly { readonly recipient: string; readonly reason: string }[];
  /** What asking the identity provider for the readers' roles came to; absent when it was not asked. */
  readonly identityProvider?: AskedIdentityProvider;
  /** Base64 of an age file: `encodeSnapshotDetails` to the run's recipient. */
  readonly sealed: string;
}

export interface AskedIdentityProvider {
  /** `overruled`: it answered, and by its answer too few recipients would have been left, so that nobody was dropped by it. */
  readonly state: 'answered' | 'overruled' | 'unreachable' | 'refused';
  /** When, by the writer's clock. */
  readonly at: string;
}

/** A run of which a pack is named here, and this snapshot's own. */
export interface SnapshotRun {
  readonly run: RunId;
  /** The run's own: `age1pq1…`. */
  readonly recipient: string;
  /** Of the roster whose recipients its key is sealed to. */
  readonly epoch: number;
  /** Whom the key is sealed to. */
  readonly recipients: readonly string[];
  /** Base64 of its key file: a second copy of runs/RUN/key.EPOCH.age. */
  readonly sealed: string;
}

export interface SnapshotPack {
  /** 32 bits; what chunk records of the contents name. Ascending, with gaps. */
  readonly number: number;
  readonly digest: Digest;
  /** Of the sealed pack. */
  readonly sizeBytes: number;
  /** Which of `runs`. */
  readonly runIndex: number;
}

export interface SnapshotObject {
  readonly key: string;
  readonly digest: Digest;
  readonly sizeBytes: number;
}

export interface SnapshotIndex extends SnapshotObject {
  readonly run: RunId;
}

export interface SnapshotHead {
  readonly sequence: number;
  readonly digest: Digest;
}

type PackJson = readonly [number, string, number, number];
type SnapshotJson = Omit<Snapshot, 'packs'> & { readonly packs: readonly PackJson[] };

const objectSchema = { key: textSchema, digest: digestSchema, sizeBytes: sizeSchema };
const sealedSchema = base64Schema.max(Math.ceil(SNAPSHOT_SEALED_MAX_BYTES / 3) * 4);

const schema: z.ZodType<SnapshotJson> = z.strictObject({
  version: versionSchema,
  repository: repositorySchema,
  writer: writerSchema,
  sequence: countSchema,
  previous: digestSchema.nullable(),
  run: runSchema,
  epoch: countSchema,
  roster: digestSchema,
  started: timeSchema,
  finished: timeSchema,
  storageTime: timeSchema,
  tags: z.array(labelSchema).max(100),
  hold: z.literal(true).exactOptional(),
  full: z.boolean(),
  collapsed: z.literal(true).exactOptional(),
  runs: z
    .array(
      z.strictObject({
        run: runSchema,
        recipient: textSchema,
        epoch: countSchema,
        recipients: z.array(textSchema).min(1).max(64),
        sealed: sealedSchema,
      }),
    )
    .min(1)
    .max(10_000),
  // Looked at by hand: there may be a hundred thousand of them.
  packs: z.custom<readonly PackJson[]>(Array.isArray, 'a list of packs'),
  indexes: z.array(z.strictObject({ run: runSchema, ...objectSchema })).max(100_000),
  contents: z.array(z.strictObject(objectSchema)).min(1).max(100_000),
  heads: z.record(writerSchema, z.strictObject({ sequence: countSchema, digest: digestSchema })),
  dropped: z.array(z.strictObject({ recipient: textSchema, reason: textSchema })).exactOptional(),
  identityProvider: z
    .strictObject({ state: z.enum(['answered', 'overruled', 'unreachable', 'refused']), at: timeSchema })
    .exactOptional(),
  sealed: sealedSchema,
});

/** Of what `parseSnapshot` returns: its packs are packs already. */
const readSchema = schema as z.ZodType as z.ZodType<Snapshot>;

export function encodeSnapshot(snapshot: Snapshot, key: SigningKey): Uint8Array {
  const packs = snapshot.packs.map(
    ({ number, digest, sizeBytes, runIndex }): PackJson => [number, hexOf(digest), sizeBytes, runIndex],
  );
  checkSnapshot(snapshot, undefined);
  return encodeSigned({ ...snapshot, packs }, [key], { ...snapshotRules(undefined), schema });
}

export interface SnapshotReading {
  /** The key of the writer by the roster of the snapshot's epoch. */
  readonly keys: readonly TrustedKey[];
  readonly repository: RepositoryId;
  /** Whose it must be, by the key of the object. */
  readonly writer: WriterName;
  readonly sequence: number;
}

/**
 * @throws FormatError SNAPSHOT_INVALID, SNAPSHOT_SWAPPED (a good snapshot under another's name), SIGNED_DOCUMENT_INVALID,
 *   SIGNED_DOCUMENT_FORGED, SIGNED_DOCUMENT_UNSIGNED, REPOSITORY_MISMATCH, REPOSITORY_VERSION_UNSUPPORTED
 */
export function decodeSnapshot(bytes: Uint8Array, reading: SnapshotReading): Signed<Snapshot> {
  const { writer, sequence } = reading;
  const at = snapshotKey(writer, sequence);
  const signed = decodeSigned(bytes, { ...snapshotRules(at), ...reading, what: `snapshot ${sequence} of ${writer}` });
  const { document } = signed;
  if (document.writer !== writer || document.sequence !== sequence) {
    throw new FormatError('SNAPSHOT_SWAPPED', 'another snapshot lies under this name', {
      expected: `${sequence} of ${writer}`,
      found: `${document.sequence} of ${document.writer}`,
      at: { file: at },
    });
  }
  checkSnapshot(document, at);
  return signed;
}

/** What a snapshot says, its signature unchecked: for its epoch, which tells whose key must have signed. */
export function readUnverifiedSnapshot(
  bytes: Uint8Array,
  at?: string,
): { readonly document: Snapshot; readonly digest: Digest; readonly keyHints: readonly string[] } {
  const read = readUnverified(bytes, snapshotRules(at));
  checkSnapshot(read.document, at);
  return read;
}

function snapshotRules(at: string | undefined) {
  const read = { schema: readSchema, parse: parseSnapshot };
  return { kind: 'snapshot', ...read, what: 'the snapshot', maxBytes: SNAPSHOT_MAX_BYTES, at } as const;
}

const PACKS_START = '"packs":[';

/**
 * As `parseCanonicalJson`, but packs are taken from the bytes one by one: as JSON a hundred thousand of them take ten times the memory
 * that they have in the end. What is not written as we write it is read as JSON, so that somebody says what is wrong with it.
 */
function parseSnapshot(payload: Buffer, rules: DocumentRules): unknown {
  const start = payload.indexOf(PACKS_START) + PACKS_START.length;
  const read = start < PACKS_START.length ? undefined : readPackList(payload, start);
  if (read !== undefined) {
    const others = Buffer.concat([payload.subarray(0, start), payload.subarray(read.end)]);
    const value = parseCanonicalJson(others, rules) as Partial<SnapshotJson> | null;
    // Else it was the list of something within the snapshot.
    if (Array.isArray(value?.packs) && value.packs.length === 0) return { ...value, packs: read.packs };
  }
  const value = parseCanonicalJson(payload, rules) as Partial<SnapshotJson> | null;
  if (value?.version !== 1 || !Array.isArray(value.packs)) return value;
  return { ...value, packs: value.packs.map((entry, index) => packOf(entry, index, rules.at)) };
}

/** The packs from behind the bracket that opens their list, and where the bracket is that closes it. */
function readPackList(
  bytes: Buffer,
  start: number,
): { readonly packs: SnapshotPack[]; readonly end: number } | undefined {
  const packs: SnapshotPack[] = [];
  const digest = Buffer.from(digestFromHex('0'.repeat(HEX_LENGTH)));
  const digestHead = digest.length - HEX_LENGTH;
  for (let at = start; ; ) {
    if (bytes[at] !== BRACKET) return undefined;
    const number = readNumber(bytes, at + 1);
    at = number.end;
    if (bytes[at] !== COMMA || bytes[at + 1] !== QUOTE || bytes[at + 2 + HEX_LENGTH] !== QUOTE) return undefined;
    if (!isHex(bytes, at + 2)) return undefined;
    bytes.copy(digest, digestHead, at + 2, at + 2 + HEX_LENGTH);
    const sizeBytes = readNumber(bytes, at + HEX_LENGTH + 4);
    const runIndex = readNumber(bytes, sizeBytes.end + 1);
    if (bytes[at + HEX_LENGTH + 3] !== COMMA || bytes[sizeBytes.end] !== COMMA) return undefined;
    if (bytes[runIndex.end] !== BRACKET_END) return undefined;
    if (![number, sizeBytes, runIndex].every(({ value }) => value >>> 0 === value)) return undefined;
    packs.push({
      number: number.value,
      digest: digest.toString('latin1') as Digest,
      sizeBytes: sizeBytes.value,
      runIndex: runIndex.value,
    });
    at = runIndex.end + 1;
    if (bytes[at] === BRACKET_END) return { packs, end: at };
    if (bytes[at] !== COMMA) return undefined;
    at += 1;
  }
}

const HEX = /^[0-9a-f]{64}$/;
const HEX_LENGTH = 64;
const [BRACKET, BRACKET_END, COMMA, QUOTE, ZERO, NINE, A, F] = [...Buffer.from('[],"09af')] as [
  ...[number, number, number, number, number, number, number, number],
];

function isHex(bytes: Uint8Array, start: number): boolean {
  for (let at = start; at < start + HEX_LENGTH; at += 1) {
    const byte = bytes[at] as number;
    if (!((byte >= ZERO && byte <= NINE) || (byte >= A && byte <= F))) return false;
  }
  return true;
}

/** Digits, as JSON writes a number: NaN for none, and for what begins with a zero that it does not need. */
function readNumber(bytes: Uint8Array, start: number): { readonly value: number; readonly end: number } {
  let value = 0;
  let end = start;
  for (; end < start + 11 && (bytes[end] as number) >= ZERO && (bytes[end] as number) <= NINE; end += 1) {
    value = value * 10 + (bytes[end] as number) - ZERO;
  }
  const isNumber = end > start && (bytes[start] !== ZERO || end === start + 1);
  return { value: isNumber ? value : Number.NaN, end };
}

function packOf(entry: PackJson, index: number, at: string | undefined): SnapshotPack {
  if (!Array.isArray(entry) || entry.length !== 4) throw invalid('a pack is not a list of four', at, index);
  const [number, hex, sizeBytes, runIndex] = entry as PackJson;
  if (typeof hex !== 'string' || !HEX.test(hex)) throw invalid('the digest of a pack is not one', at, index);
  if (![number, sizeBytes, runIndex].every((value) => typeof value === 'number' && value >>> 0 === value))
    throw invalid('a number of a pack is not one of 32 bits', at, index);
  return { number, digest: digestFromHex(hex), sizeBytes, runIndex };
}

/** The rules that a schema does not tell. @throws FormatError SNAPSHOT_INVALID */
function checkSnapshot(snapshot: Snapshot, at: string | undefined): void {
  const { writer, sequence, previous, run, runs, packs, indexes, contents, heads } = snapshot;
  if ((sequence === 1) !== (previous === null)) throw invalid('the first snapshot alone has none before it', at);
  if (heads[writer] !== undefined) throw invalid('it names its own writer among the others', at);
  const known = new Set(runs.map((entry) => entry.run));
  if (known.size !== runs.length) throw invalid('a run stands twice', at);
  if (!known.has(run)) throw invalid('its own run is not among the runs', at);
  checkPacks(packs, runs.length, at);
  const keys = new Set<string>();
  for (const [kind, objects] of [['index', indexes] as const, ['contents', contents] as const]) {
    for (const object of objects) {
      const parsed = parseRepositoryKey(object.key);
      if (parsed?.kind !== kind || keys.has(object.key)) throw invalid(`${kind} has a wrong name or stands twice`, at);
      if (
        kind === 'contents'
          ? parsed.run !== run || parsed.writer !== writer
          : parsed.run !== (object as SnapshotIndex).run
      )
        throw invalid(`${kind} is of another run`, at);
      if (!known.has(parsed.run)) throw invalid(`${kind} is of a run that is not named`, at);
      keys.add(object.key);
    }
  }
  for (const [part, { key }] of contents.entries()) {
    const parsed = parseRepositoryKey(key);
    if (parsed?.kind !== 'contents' || parsed.part !== part) throw invalid('the parts of the contents have gaps', at);
  }
}

function checkPacks(packs: readonly SnapshotPack[], runs: number, at: string | undefined): void {
  const digests = new Set<Digest>();
  let before = -1;
  for (const [index, { number, digest, sizeBytes, runIndex }] of packs.entries()) {
    if (number <= before) throw invalid('the packs are not in order of their numbers', at, index);
    if (runIndex >= runs) throw invalid('a pack is of a run that is not named', at, index);
    if (sizeBytes < 1 || sizeBytes > PACK_SEALED_MAX_BYTES) throw invalid('a pack has no possible size', at, index);
    before = number;
    digests.add(digest);
  }
  if (digests.size !== packs.length) throw invalid('a pack stands twice', at);
}

function invalid(problem: string, at: string | undefined, pack?: number): FormatError {
  return new FormatError('SNAPSHOT_INVALID', `the snapshot is not right: ${problem}`, {
    at: { ...(at === undefined ? {} : { file: at }), ...(pack === undefined ? {} : { key: `packs[${pack}]` }) },
  });
}

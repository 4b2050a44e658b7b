import type { Digest } from '../../core/digest.ts';
import type { PortolanError } from '../../core/errors.ts';
import { orderedMap } from '../../core/ordered-map.ts';
import { FormatError } from '../../formats/errors.ts';
import { decodeForgotten, FORGOTTEN_MAX_BYTES, type ForgottenSnapshot } from '../../formats/repository/forgotten.ts';
import { type RunId, snapshotKey, type WriterName } from '../../formats/repository/keys.ts';
import { rosterKeyOf, trustedKey } from '../../formats/repository/roster.ts';
import type { Signed } from '../../formats/repository/signed-document.ts';
import {
  decodeSnapshot,
  SNAPSHOT_MAX_BYTES,
  type Snapshot,
  type SnapshotHead,
} from '../../formats/repository/snapshot.ts';
import { type ChainFinding, type SeenHead, verifyWriterChain } from '../../formats/repository/snapshot-chain.ts';
import type { TrustedKey } from '../../formats/sigstore/signature-bundle.ts';
import type { StoreOptions } from '../../ports/object-store.ts';
import { PARALLEL_REQUESTS } from './limits.ts';
import type { ListedChain, ListedSequence } from './listing.ts';
import { isCode, readAcceptable } from './objects.ts';
import type { OpenedRepository } from './open.ts';

/** What is kept of a snapshot that verified; the lists of its packs are not. */
export interface SnapshotInfo {
  readonly writer: WriterName;
  readonly sequence: number;
  readonly digest: Digest;
  readonly previous: Digest | null;
  readonly run: RunId;
  readonly epoch: number;
  readonly started: string;
  readonly finished: string;
  readonly storageTime: string;
  /** When the storage says that the object was created. */
  readonly modified: Date;
  readonly tags: readonly string[];
  readonly hold: boolean;
  readonly full: boolean;
  readonly collapsed: boolean;
  readonly packs: number;
  /** Of all packs that it names. */
  readonly storedBytes: number;
  readonly heads: Snapshot['heads'];
  readonly recipients: readonly string[];
  readonly dropped: NonNullable<Snapshot['dropped']>;
  readonly identityProvider?: NonNullable<Snapshot['identityProvider']>;
}

/** A writer's chain as it was found. */
export interface ReadChain {
  readonly writer: WriterName;
  /** Those that are live and verified, ascending. */
  readonly snapshots: readonly SnapshotInfo[];
  readonly forgotten: readonly ForgottenSnapshot[];
  /** Objects that did not verify, and why. */
  readonly unreadable: readonly UnreadableObject[];
  readonly head: SnapshotHead | undefined;
  /** Gaps, forks, roll-backs. */
  readonly findings: readonly ChainFinding[];
}

export interface UnreadableObject {
  readonly key: string;
  readonly error: PortolanError;
}

export interface ReadChainOptions extends StoreOptions {
  /**
   * Sees each snapshot whole, the newest first, once: whoever needs more than SnapshotInfo takes it here. One that a stub
   * names is forgotten, though it is still there.
   */
  readonly visit?: (snapshot: Snapshot, isForgotten: boolean) => void | Promise<void>;
  /** What others say that they saw of this writer. */
  readonly heads?: readonly SeenHead[];
}

/** So much of snapshots is fetched ahead: one of a hundred thousand packs has 10 MiB, and takes ten times that to read. */
const AHEAD_BYTES = 4 * 1024 * 1024;

/**
 * Reads and verifies a writer's chain. What does not verify becomes part of the result; what the storage fails at is thrown.
 * Memory: a few snapshots at a time, and some hundred bytes for each.
 */
export async function readChain(
  repository: OpenedRepository,
  listed: ListedChain,
  options: ReadChainOptions = {},
): Promise<ReadChain> {
  const { writer } = listed;
  const unreadable: UnreadableObject[] = [];
  const unreadableSequences: number[] = [];
  const forgotten = await readStubs(repository, listed, unreadable, options);
  const stubs = new Set(forgotten.map(({ digest }) => digest));
  const snapshots: SnapshotInfo[] = [];
  const checkpoint = repository.checkpoint?.writers[writer];
  const read = async (found: ListedSequence, expected: Digest | undefined) => {
    try {
      return {
        found,
        signed: await readSnapshot(
          repository,
          writer,
          { ...found, key: found.entry.key },
          { ...signalOf(options), expected },
        ),
      };
    } catch (error) {
      if (!isFinding(error)) throw error;
      return { found, error };
    }
  };
  let following: SnapshotInfo | undefined;
  const largestBytes = listed.snapshots.reduce((most, { entry }) => Math.max(most, entry.sizeBytes), 1);
  const width = Math.min(PARALLEL_REQUESTS, Math.max(1, Math.floor(AHEAD_BYTES / largestBytes)));
  for await (let result of orderedMap(listed.snapshots.toReversed(), width, (found) => read(found, undefined))) {
    const { sequence, entry } = result.found;
    const named = following?.sequence === sequence + 1 ? following.previous : undefined;
    const expected = checkpoint?.sequence === sequence ? checkpoint.digest : named;
    // Where the storage keeps versions, one that was put over the right one hides it.
    if (expected != null && result.signed?.digest !== expected) {
      const again = await read(result.found, expected);
      if (again.signed !== undefined) result = again;
    }
    if (result.signed === undefined) {
      unreadable.push({ key: entry.key, error: result.error });
      unreadableSequences.push(sequence);
      continue;
    }
    const info = infoOf(result.signed, entry.modified);
    snapshots.unshift(info);
    following = info;
    await options.visit?.(result.signed.document, stubs.has(info.digest));
  }
  const { head, findings } = verifyWriterChain({
    writer,
    snapshots,
    forgotten,
    unreadable: unreadableSequences,
    checkpoint,
    ...(options.heads === undefined ? {} : { heads: options.heads }),
  });
  return { writer, snapshots, forgotten, unreadable, head, findings };
}

/** Chains of all writers that were listed, or of one, each held against what the newest snapshots of the others say. */
export async function readChains(
  repository: OpenedRepository,
  listed: readonly ListedChain[],
  options: Omit<ReadChainOptions, 'heads'> & { readonly writer?: WriterName | undefined } = {},
): Promise<readonly ReadChain[]> {
  const chains: ReadChain[] = [];
  for (const chain of withKnownWriters(repository, listed)) {
    if (options.writer === undefined || chain.writer === options.writer) {
      chains.push(await readChain(repository, chain, options));
    }
  }
  const heads = new Map<WriterName, SeenHead[]>();
  for (const { writer: by, snapshots } of chains) {
    for (const [writer, head] of Object.entries(snapshots.at(-1)?.heads ?? {})) {
      const seen = heads.get(writer as WriterName) ?? [];
      heads.set(writer as WriterName, seen);
      seen.push({ ...head, by });
    }
  }
  // Of a writer of whom nothing is left, another one's word may be all that there is.
  for (const writer of options.writer === undefined ? heads.keys() : []) {
    if (chains.some((chain) => chain.writer === writer)) continue;
    chains.push({ writer, snapshots: [], forgotten: [], unreadable: [], head: undefined, findings: [] });
  }
  // Only what one chain says of another is new: nothing is read again.
  return chains.map((chain) => {
    const { findings } = verifyWriterChain({
      ...chain,
      unreadable: chain.unreadable.flatMap(({ key }) => sequenceOf(chain.writer, key)),
      checkpoint: repository.checkpoint?.writers[chain.writer],
      heads: heads.get(chain.writer) ?? [],
    });
    return { ...chain, findings };
  });
}

/** A writer of whom nothing is left, though it was seen, has a chain too: an empty one. */
function withKnownWriters(repository: OpenedRepository, listed: readonly ListedChain[]): readonly ListedChain[] {
  const known = new Set(listed.map(({ writer }) => writer));
  const seen = Object.keys(repository.checkpoint?.writers ?? {}) as WriterName[];
  const missing = seen.filter((writer) => !known.has(writer));
  return [...listed, ...missing.map((writer) => ({ writer, snapshots: [], forgotten: [] }))];
}

export interface ReadSnapshotOptions extends StoreOptions {
  /** Digest of the object, where it is known. */
  readonly expected?: Digest | undefined;
}

/**
 * One snapshot, signed by its writer's key in the roster that it names.
 *
 * @throws FormatError SNAPSHOT_…, SIGNED_DOCUMENT_…, REPOSITORY_MISMATCH, ROSTER_MISSING, ROSTER_FORKED; AdapterError OBJECT_MISSING
 */
export async function readSnapshot(
  repository: OpenedRepository,
  writer: WriterName,
  { sequence, key }: { readonly sequence: number; readonly key: string },
  options: ReadSnapshotOptions = {},
): Promise<Signed<Snapshot>> {
  const keys = keysEverOf(repository, 'writers', writer);
  return await readAcceptable(repository.store, key, SNAPSHOT_MAX_BYTES, options, (bytes) => {
    const signed = decodeSnapshot(bytes, { keys, repository: repository.id, writer, sequence });
    requireRoster(repository, signed);
    return signed;
  });
}

/** Whom the roster of the snapshot's epoch names must have signed it, and it must be the roster that we have. */
function requireRoster({ rosters }: OpenedRepository, { document, signers }: Signed<Snapshot>): void {
  const { writer, sequence, epoch } = document;
  const at = { file: snapshotKey(writer, sequence) };
  const roster = rosters[epoch - 1];
  if (roster === undefined) {
    throw new FormatError('ROSTER_MISSING', `a snapshot goes by the roster of epoch ${epoch}, which is missing`, {
      at,
    });
  }
  if (roster.digest !== document.roster) {
    throw new FormatError(
      'ROSTER_FORKED',
      `a snapshot goes by another roster of epoch ${epoch} than the one that is here`,
      {
        expected: document.roster,
        found: roster.digest,
        at,
      },
    );
  }
  requireOpenChain(rosters, document);
  const key = rosterKeyOf(roster.document, 'writers', writer);
  if (key !== undefined && signers.some(({ keyHint }) => keyHint === key.keyHint)) return;
  throw new FormatError('SIGNED_DOCUMENT_UNSIGNED', `snapshot ${sequence} of ${writer} is not signed by its writer`, {
    expected: key === undefined ? `no writer ${writer} in epoch ${epoch}` : key.keyHint,
    found: signers.map(({ keyHint }) => keyHint).join(', '),
    at,
  });
}

/** A key that was taken from a writer signs nothing that comes after: whatever epoch it names. */
function requireOpenChain(rosters: OpenedRepository['rosters'], { writer, sequence, epoch }: Snapshot): void {
  for (const { document } of rosters.slice(epoch)) {
    const end = document.closed?.find((closed) => closed.writer === writer)?.sequence ?? sequence;
    if (end >= sequence) continue;
    throw new FormatError(
      'SIGNED_DOCUMENT_UNSIGNED',
      `snapshot ${sequence} of ${writer} is signed by a key that no longer counts`,
      {
        expected: `at most snapshot ${end} by the key of epoch ${epoch}: epoch ${document.epoch} took it away`,
        at: { file: snapshotKey(writer, sequence) },
        hint: 'Somebody still uses the old key: change the credentials for the storage, and remove this object by the tools of the storage.',
      },
    );
  }
}

/** Keys that somebody of this name had in a role, in any epoch. */
export function keysEverOf(
  { rosters }: Pick<OpenedRepository, 'rosters'>,
  role: 'writers' | 'pruners' | 'verifiers',
  name?: WriterName,
): readonly TrustedKey[] {
  const keys = new Map<string, TrustedKey>();
  for (const { document } of rosters) {
    for (const entry of document[role]) {
      if (name === undefined || entry.name === name) {
        keys.set(`${entry.name} ${entry.publicKey}`, trustedKey(entry.name, entry.publicKey));
      }
    }
  }
  return [...keys.values()];
}

export async function readStubs(
  repository: OpenedRepository,
  { writer, forgotten }: ListedChain,
  unreadable: UnreadableObject[],
  options: StoreOptions,
): Promise<ForgottenSnapshot[]> {
  const keys = keysEverOf(repository, 'pruners');
  const links: ForgottenSnapshot[] = [];
  for (const { sequence, entry } of forgotten) {
    const reading = { keys, repository: repository.id, writer, sequence };
    try {
      const decode = (bytes: Uint8Array) => decodeForgotten(bytes, reading);
      const stub = await readAcceptable(repository.store, entry.key, FORGOTTEN_MAX_BYTES, signalOf(options), decode);
      links.push(...stub.document.snapshots);
    } catch (error) {
      if (!isFinding(error)) throw error;
      unreadable.push({ key: entry.key, error });
    }
  }
  return links;
}

const OBJECT_FINDINGS = ['OBJECT_DAMAGED', 'OBJECT_MISSING', 'OBJECT_TOO_LARGE', 'OBJECT_CONFLICT'];

/** What says something about the repository, and not about the way there. */
export function isFinding(error: unknown): error is PortolanError {
  return error instanceof FormatError || isCode(error, ...OBJECT_FINDINGS);
}

function infoOf({ document, digest }: Signed<Snapshot>, modified: Date): SnapshotInfo {
  const { writer, sequence, previous, run, epoch, started, finished, storageTime, tags, full, packs, heads } = document;
  return {
    ...{ writer, sequence, digest, previous, run, epoch, started, finished, storageTime, modified, tags, full, heads },
    hold: document.hold === true,
    collapsed: document.collapsed === true,
    packs: packs.length,
    storedBytes: packs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0),
    recipients: document.runs.find((one) => one.run === run)?.recipients ?? [],
    dropped: document.dropped ?? [],
    ...(document.identityProvider === undefined ? {} : { identityProvider: document.identityProvider }),
  };
}

function sequenceOf(writer: WriterName, key: string): number[] {
  const sequence = Number(key.slice(-13, -5));
  return key === snapshotKey(writer, sequence) ? [sequence] : [];
}

function signalOf({ signal }: StoreOptions): StoreOptions {
  return signal === undefined ? {} : { signal };
}

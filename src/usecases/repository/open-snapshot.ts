import { createHash } from 'node:crypto';
import { digestFromHex } from '../../core/digest.ts';
import type { PortolanError } from '../../core/errors.ts';
import { orderedMap } from '../../core/ordered-map.ts';
import { recipientOf } from '../../formats/age/identity-file.ts';
import { openBytes } from '../../formats/age/sealed-bytes.ts';
import type { ContentsEntry } from '../../formats/repository/contents.ts';
import {
  CONTENTS_PART_MAX_BYTES,
  CONTENTS_SEALED_MAX_BYTES,
  decodeContents,
} from '../../formats/repository/contents-file.ts';
import { KEY_PREFIXES, packKey, type RunId } from '../../formats/repository/keys.ts';
import {
  decodeRunKey,
  RUN_KEY_MAX_BYTES,
  RUN_KEY_SEALED_MAX_BYTES,
  type RunKey,
} from '../../formats/repository/run-key.ts';
import type { Signed } from '../../formats/repository/signed-document.ts';
import {
  SNAPSHOT_SEALED_MAX_BYTES,
  type Snapshot,
  type SnapshotPack,
  type SnapshotRun,
} from '../../formats/repository/snapshot.ts';
import { decodeSnapshotDetails, type SnapshotDetails } from '../../formats/repository/snapshot-details.ts';
import type { ChunkReaderSettings, PackSource } from '../../ports/chunks.ts';
import type { ObjectStore, StoreOptions } from '../../ports/object-store.ts';
import { UseCaseError } from '../errors.ts';
import { readSnapshot, type SnapshotInfo } from './chains.ts';
import { type FoundSnapshot, findSnapshot } from './find-snapshot.ts';
import { isCode } from './objects.ts';
import type { OpenedRepository } from './open.ts';

/** A snapshot that verified, with its chain; its keys opened. */
export interface OpenedSnapshot {
  readonly repository: OpenedRepository;
  readonly snapshot: Signed<Snapshot>;
  readonly found: FoundSnapshot;
  readonly details: SnapshotDetails;
  /** What is wrong with the chains: what a restore must not pass over in silence. */
  readonly problems: readonly PortolanError[];
  /** All entries, in order; reads the contents once for each call. */
  readonly contents: (options?: StoreOptions) => AsyncGenerator<ContentsEntry>;
  /** For `createChunkReader`: the packs of this snapshot, with the keys of their runs. */
  readonly reading: Pick<ChunkReaderSettings, 'idKey' | 'repository' | 'pack' | 'read' | 'findVersion'>;
}

export interface OpeningOptions extends StoreOptions {
  /** Called when the snapshot is found and verified, and before anything is decrypted; what it throws ends the opening. */
  readonly beforeOpening?: (snapshot: Pick<SnapshotInfo, 'writer' | 'sequence' | 'digest'>) => Promise<void>;
}

/**
 * Finds a snapshot (`findSnapshot`), verifies the chains, and opens it with an identity.
 *
 * @throws UseCaseError SNAPSHOT_NOT_FOUND, SNAPSHOT_AMBIGUOUS, RUN_KEY_NOT_FOR_US; FormatError SNAPSHOT_…, RUN_KEY_INVALID
 */
export async function openSnapshot(
  repository: OpenedRepository,
  address: string,
  identities: readonly string[],
  { beforeOpening, ...options }: OpeningOptions = {},
): Promise<OpenedSnapshot> {
  const found = await findSnapshot(repository, address, options);
  const { writer, sequence, digest } = found.info;
  const expected = { ...options, expected: digest };
  const snapshot = await readSnapshot(repository, writer, { sequence, key: found.key }, expected);
  await beforeOpening?.({ writer, sequence, digest });
  const { document } = snapshot;
  const keys = new Map<RunId, RunKey>();
  for (const run of document.runs) keys.set(run.run, await openRunKey(repository, run, identities, options));
  const own = keys.get(document.run) as RunKey;
  const details = await openBytes(Buffer.from(document.sealed, 'base64'), [own.identity], {
    maxBytes: SNAPSHOT_SEALED_MAX_BYTES,
  });
  return {
    repository,
    snapshot,
    found,
    details: decodeSnapshotDetails(details, { repository: repository.id, run: document.run, at: found.key }),
    problems: [...repository.problems, ...found.problems],
    contents: (reading = options) => readContents(repository.store, document, own, reading),
    reading: readingOf(repository, document, keys, own),
  };
}

/**
 * The key of a run: by the copy in the snapshot, else, for recipients who came later, by the files beside the run. A forged
 * file cannot pass for the key, for the signed snapshot names the recipient that belongs to it.
 *
 * @throws UseCaseError RUN_KEY_NOT_FOR_US; FormatError RUN_KEY_INVALID
 */
export async function openRunKey(
  { store, id }: Pick<OpenedRepository, 'store' | 'id'>,
  run: SnapshotRun,
  identities: readonly string[],
  options: StoreOptions = {},
): Promise<RunKey> {
  const open = async (sealed: Uint8Array) => {
    const bytes = await openBytes(sealed, identities, { maxBytes: RUN_KEY_MAX_BYTES });
    const key = decodeRunKey(bytes, { repository: id, run: run.run });
    if ((await recipientOf(key.identity)) === run.recipient) return key;
    throw new UseCaseError('RUN_KEY_NOT_FOR_US', `the key of the run ${run.run} is another than its snapshot names`, {
      expected: `${run.recipient.slice(0, 24)}…`,
      hint: 'Run `portolan backup check`: somebody replaced the file of the key.',
    });
  };
  try {
    return await open(Buffer.from(run.sealed, 'base64'));
  } catch (error) {
    if (!isCode(error, 'NO_MATCHING_IDENTITY')) throw error;
  }
  for await (const { key } of store.list(`${KEY_PREFIXES.runKey}${run.run}/`, options)) {
    try {
      return await open(await store.get(key, { ...options, maxBytes: RUN_KEY_SEALED_MAX_BYTES }));
    } catch (error) {
      if (isCode(error, 'NO_MATCHING_IDENTITY', 'OBJECT_MISSING', 'RUN_KEY_NOT_FOR_US', 'RUN_KEY_INVALID')) continue;
      throw error;
    }
  }
  throw new UseCaseError('RUN_KEY_NOT_FOR_US', `no identity opens the key of the run ${run.run}`, {
    expected: run.recipients.map((recipient) => `${recipient.slice(0, 24)}…`).join(', '),
    hint: 'Give the identity of one of these recipients, or have one of them run `portolan keys rewrap`.',
  });
}

/** Parts are fetched one ahead. */
const PARTS_AHEAD = 2;

async function* readContents(
  store: ObjectStore,
  { contents }: Snapshot,
  { identity }: RunKey,
  options: StoreOptions,
): AsyncGenerator<ContentsEntry> {
  const parts = orderedMap(contents, PARTS_AHEAD, async ({ key, digest, sizeBytes }) => {
    const expected = { digest, sizeBytes };
    const sealed = await store.get(key, { ...options, maxBytes: CONTENTS_SEALED_MAX_BYTES, expected });
    return await openBytes(sealed, [identity], { maxBytes: CONTENTS_PART_MAX_BYTES });
  });
  yield* decodeContents(parts);
}

function readingOf(
  { store, id }: OpenedRepository,
  snapshot: Snapshot,
  keys: ReadonlyMap<RunId, RunKey>,
  own: RunKey,
): OpenedSnapshot['reading'] {
  const packs = new Map<number, SnapshotPack>(snapshot.packs.map((pack) => [pack.number, pack]));
  return {
    idKey: own.idKey,
    repository: id,
    pack: (number) => {
      const pack = packs.get(number);
      const run = pack === undefined ? undefined : snapshot.runs[pack.runIndex]?.run;
      const key = run === undefined ? undefined : keys.get(run);
      if (pack !== undefined && key !== undefined) {
        return { number, digest: pack.digest, sizeBytes: pack.sizeBytes, identity: key.identity };
      }
      throw new UseCaseError('SNAPSHOT_NOT_RIGHT', `the contents name a pack that the snapshot does not: ${number}`, {
        hint: 'Restore another snapshot, and run `portolan backup check`.',
      });
    },
    read: async (pack, range, into, options) => {
      await store.getRange(packKey(pack.digest), range, { ...options, into });
    },
    findVersion: (pack, signal) => findPackVersion(store, pack, signal),
  };
}

const PIECE_BYTES = 4 * 1024 * 1024;

/** The version of a pack that has its digest, where somebody put another one over it. */
async function findPackVersion(
  store: ObjectStore,
  { digest, sizeBytes }: PackSource,
  signal: AbortSignal,
): Promise<string | undefined> {
  const key = packKey(digest);
  for (const found of await store.versions(key, { signal })) {
    if (found.sizeBytes !== sizeBytes) continue;
    const hash = createHash('sha256');
    for (let offsetBytes = 0; offsetBytes < sizeBytes; offsetBytes += PIECE_BYTES) {
      const lengthBytes = Math.min(PIECE_BYTES, sizeBytes - offsetBytes);
      hash.update(await store.getRange(key, { offsetBytes, lengthBytes }, { version: found.version, signal }));
    }
    if (digestFromHex(hash.digest('hex')) === digest) return found.version;
  }
  return undefined;
}

import { type Digest, digestOf } from '../../core/digest.ts';
import { orderedMap } from '../../core/ordered-map.ts';
import { KEY_PREFIXES, parseRepositoryKey, type RunId, runKeyKey } from '../../formats/repository/keys.ts';
import { decodeRewrap, REWRAP_MAX_BYTES } from '../../formats/repository/rewrap.ts';
import { rosterKeys } from '../../formats/repository/roster.ts';
import { RUN_KEY_SEALED_MAX_BYTES } from '../../formats/repository/run-key.ts';
import type { SnapshotRun } from '../../formats/repository/snapshot.ts';
import type { StoreOptions } from '../../ports/object-store.ts';
import { UseCaseError } from '../errors.ts';
import { isFinding, type UnreadableObject } from './chains.ts';
import { PARALLEL_REQUESTS } from './limits.ts';
import { getIfThere, isCode, readAcceptable } from './objects.ts';
import type { OpenedRepository } from './open.ts';

/** The key of a run that an approver or a verifier sealed again. */
export type RewrappedKey = Pick<SnapshotRun, 'epoch' | 'recipients' | 'sealed'>;

export interface ReadRewraps {
  /** Newest epoch first. */
  readonly of: (run: RunId) => readonly RewrappedKey[];
  readonly unreadable: readonly UnreadableObject[];
}

/** Rewraps of the runs asked for: signed by whom the roster of their epoch names, their key files there and unchanged. */
export async function readRewraps(
  repository: OpenedRepository,
  runs: ReadonlySet<RunId>,
  options: StoreOptions = {},
): Promise<ReadRewraps> {
  const found = new Map<RunId, RewrappedKey[]>();
  const unreadable: UnreadableObject[] = [];
  for await (const { key } of repository.store.list(KEY_PREFIXES.rewrap, options)) {
    const parsed = parseRepositoryKey(key);
    if (parsed?.kind !== 'rewrap') continue;
    const roster = repository.rosters[parsed.epoch - 1]?.document;
    const keys = roster === undefined ? [] : [...rosterKeys(roster, 'approvers'), ...rosterKeys(roster, 'verifiers')];
    try {
      const decode = (bytes: Uint8Array) => decodeRewrap(bytes, { keys, repository: repository.id, at: key });
      const { document } = await readAcceptable(repository.store, key, REWRAP_MAX_BYTES, options, decode);
      const { epoch, recipients } = document;
      const wanted = document.runs.filter(({ run }) => runs.has(run));
      const files = orderedMap(wanted, PARALLEL_REQUESTS, async ({ run, digest }) => {
        const name = runKeyKey(run, epoch);
        return { run, name, file: await readKeyFile(repository, name, digest, options) };
      });
      for await (const { run, name, file } of files) {
        if (file instanceof UseCaseError) {
          unreadable.push({ key: name, error: file });
          continue;
        }
        const sealed = Buffer.from(file).toString('base64');
        found.set(run, [{ epoch, recipients, sealed }, ...(found.get(run) ?? [])]);
      }
    } catch (error) {
      if (!isFinding(error)) throw error;
      unreadable.push({ key, error });
    }
  }
  return { of: (run) => found.get(run) ?? [], unreadable };
}

/** The file of a key that was sealed again, or what is wrong with it. Whoever needs it does without: it is sealed once more. */
async function readKeyFile(
  { store }: OpenedRepository,
  key: string,
  digest: Digest,
  options: StoreOptions,
): Promise<Uint8Array | UseCaseError> {
  const file = await getIfThere(store, key, RUN_KEY_SEALED_MAX_BYTES, options).catch((error) => {
    if (isCode(error, 'OBJECT_TOO_LARGE')) return new Uint8Array();
    throw error;
  });
  if (file !== undefined && digestOf(file) === digest) return file;
  const isMissing = file === undefined;
  return new UseCaseError(
    isMissing ? 'BACKUP_OBJECT_MISSING' : 'BACKUP_OBJECT_DAMAGED',
    `${key}: the key that was sealed again is ${isMissing ? 'missing' : 'not the one that was signed'}`,
    { at: { file: key }, hint: 'Run `portolan keys approve` for a new epoch, and `portolan keys rewrap` again.' },
  );
}

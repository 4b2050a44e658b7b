import { type Digest, digestOf } from '../../core/digest.ts';
import { openBytes, sealBytes } from '../../formats/age/sealed-bytes.ts';
import { type RunId, rewrapKey, runKeyKey } from '../../formats/repository/keys.ts';
import { encodeRewrap, type RewrappedRun } from '../../formats/repository/rewrap.ts';
import { presentRecipients, rosterKeys } from '../../formats/repository/roster.ts';
import {
  decodeRunKey,
  encodeRunKey,
  RUN_KEY_MAX_BYTES,
  RUN_KEY_SEALED_MAX_BYTES,
} from '../../formats/repository/run-key.ts';
import type { SnapshotRun } from '../../formats/repository/snapshot.ts';
import type { SigningKey } from '../../formats/sigstore/cosign-key.ts';
import type { Progress } from '../../ports/progress.ts';
import { UseCaseError } from '../errors.ts';
import { readChains } from './chains.ts';
import { listChains } from './listing.ts';
import { getIfThere, isCode, putOnce } from './objects.ts';
import type { OpenedRepository } from './open.ts';
import { openRunKey } from './open-snapshot.ts';
import { readRewraps } from './rewraps.ts';

export interface RewrapReport {
  readonly epoch: number;
  readonly recipients: readonly string[];
  /** Runs of live snapshots. */
  readonly runs: number;
  readonly rewrapped: readonly RunId[];
  /** Those whose key no identity opens. */
  readonly unopened: readonly RunId[];
}

/** Runs in one signed list. */
const RUNS_PER_LIST = 10_000;

/**
 * Seals the keys of all live runs to the present recipients: who became a reader reads older snapshots then, and writers may
 * build on older packs again. Killed anywhere and run again, it goes on.
 *
 * @throws UseCaseError ROLE_MISSING
 */
export async function rewrapKeys(
  repository: OpenedRepository,
  { identities, signer }: { readonly identities: readonly string[]; readonly signer: SigningKey },
  { progress, now }: { readonly progress: Progress; readonly now: () => number },
  options: { readonly signal: AbortSignal },
): Promise<RewrapReport> {
  const { store, id, roster } = repository;
  const { epoch } = roster.document;
  const signerName = nameOfSigner(repository, signer);
  const recipients = presentRecipients(roster.document, await store.now(options)).map(({ recipient }) => recipient);
  const runs = await liveRuns(repository, options);
  const known = await readRewraps(repository, new Set(runs.keys()), options);
  const isSealedToAll = (sealedTo: readonly string[]) => recipients.every((one) => sealedTo.includes(one));
  const rewrapped: RewrappedRun[] = [];
  const unopened: RunId[] = [];
  for (const [run, entry] of runs) {
    if (isSealedToAll(entry.recipients) || known.of(run).some((key) => isSealedToAll(key.recipients))) continue;
    try {
      rewrapped.push({ run, digest: await rewrapOne(repository, entry, recipients, identities, options) });
    } catch (error) {
      if (!isCode(error, 'RUN_KEY_NOT_FOR_US')) throw error;
      unopened.push(run);
      progress.warn(`the key of the run ${run} was not sealed again: no identity opens it`);
    }
  }
  for (let at = 0; at < rewrapped.length; at += RUNS_PER_LIST) {
    const list = {
      version: 1,
      repository: id,
      epoch,
      signer: signerName,
      time: new Date(now()).toISOString(),
    } as const;
    const bytes = encodeRewrap({ ...list, recipients, runs: rewrapped.slice(at, at + RUNS_PER_LIST) }, signer);
    await putOnce(store, rewrapKey(epoch, digestOf(bytes)), bytes, options);
  }
  return { epoch, recipients, runs: runs.size, rewrapped: rewrapped.map(({ run }) => run), unopened };
}

/** The file of a run's key for the present epoch; one that a killed rewrap left is taken when it holds the same key. */
async function rewrapOne(
  repository: OpenedRepository,
  entry: SnapshotRun,
  recipients: readonly string[],
  identities: readonly string[],
  options: { readonly signal: AbortSignal },
): Promise<Digest> {
  const { store, id, roster } = repository;
  const key = await openRunKey(repository, entry, identities, options);
  const name = runKeyKey(entry.run, roster.document.epoch);
  const found = await getIfThere(store, name, RUN_KEY_SEALED_MAX_BYTES, options);
  if (found === undefined) {
    const sealed = await sealBytes(encodeRunKey(key), recipients);
    await putOnce(store, name, sealed, options);
    return digestOf(sealed);
  }
  const opened = await openBytes(found, identities, { maxBytes: RUN_KEY_MAX_BYTES }).catch((cause) => {
    throw conflict(name, cause);
  });
  if (decodeRunKey(opened, { repository: id, run: entry.run, at: name }).identity !== key.identity)
    throw conflict(name);
  return digestOf(found);
}

/** All runs that a live snapshot names, with the recipients of the newest entry. */
async function liveRuns(
  repository: OpenedRepository,
  options: { readonly signal: AbortSignal },
): Promise<ReadonlyMap<RunId, SnapshotRun>> {
  const runs = new Map<RunId, SnapshotRun>();
  const listed = await listChains(repository.store, options);
  await readChains(repository, listed, {
    ...options,
    // The newest snapshot comes first, and may have a key that was sealed again.
    visit: (snapshot) => {
      for (const run of snapshot.runs) if (!runs.has(run.run)) runs.set(run.run, run);
    },
  });
  return runs;
}

function nameOfSigner({ roster }: OpenedRepository, { keyHint }: SigningKey): string {
  const keys = [...rosterKeys(roster.document, 'approvers'), ...rosterKeys(roster.document, 'verifiers')];
  const key = keys.find((one) => one.keyHint === keyHint);
  if (key !== undefined) return key.name;
  throw new UseCaseError('ROLE_MISSING', 'the signing key is neither an approver’s nor a verifier’s', {
    expected: keys.map((one) => `${one.keyHint} (${one.name})`).join(', '),
    found: keyHint,
    hint: 'Give another --sign-key.',
  });
}

function conflict(key: string, cause?: unknown): UseCaseError {
  return new UseCaseError('OBJECT_CONFLICT', 'another key lies where the key of a run belongs', {
    ...(cause === undefined ? {} : { cause }),
    at: { file: key },
    hint: 'Make a new epoch with `portolan keys approve`, and run the command again.',
  });
}

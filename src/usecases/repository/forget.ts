import { throwProblems } from '../../core/errors.ts';
import { encodeForgotten, type Forgotten, type ForgottenSnapshot } from '../../formats/repository/forgotten.ts';
import { forgottenKey, snapshotKey, type WriterName } from '../../formats/repository/keys.ts';
import {
  type HeldChain,
  type HoldReason,
  type KeepReason,
  planRetention,
  type RetentionPlan,
  type RetentionPolicy,
  type RetentionSnapshot,
} from '../../formats/repository/retention.ts';
import { type ChainFinding, chainError } from '../../formats/repository/snapshot-chain.ts';
import type { SigningKey } from '../../formats/sigstore/cosign-key.ts';
import type { Progress } from '../../ports/progress.ts';
import { UseCaseError } from '../errors.ts';
import { type ReadChain, readChains, type SnapshotInfo } from './chains.ts';
import { listChains } from './listing.ts';
import { putOnce } from './objects.ts';
import type { OpenedRepository } from './open.ts';
import { requireRole } from './roles.ts';
import { type ReadVerifications, readVerifications } from './verifications.ts';

export interface ForgetRequest {
  /** A pruner's; only a plan needs none. */
  readonly signer: SigningKey | undefined;
  /** `undefined` when only what is named is forgotten. */
  readonly policy: RetentionPolicy | undefined;
  /** WRITER/SEQUENCE, forgotten by name whatever the policy says. */
  readonly named: readonly string[];
  /** Forget what is named even when it is on hold. */
  readonly evenHeld: boolean;
  /** Only the chains of these writers; all unless given. */
  readonly writers: readonly string[];
  readonly accept: readonly HoldReason[];
  /** The repository is a copy: its objects are younger than its snapshots. */
  readonly copied: boolean;
  /** Go on although snapshots are gone without a stub. */
  readonly acceptMissing?: boolean;
  readonly plan: boolean;
}

export interface ForgetReport {
  readonly kept: readonly { readonly snapshot: string; readonly time: Date; readonly reasons: readonly KeepReason[] }[];
  readonly forgotten: readonly { readonly snapshot: string; readonly time: Date }[];
  readonly held: readonly HeldChain[];
  /** False for a plan. */
  readonly done: boolean;
}

/**
 * Forgets snapshots: a signed stub keeps the chain whole, then the snapshots are removed. Their data stays until it is pruned.
 *
 * @throws UseCaseError ROLE_MISSING, SNAPSHOT_NOT_FOUND, SNAPSHOT_KEPT; FormatError RETENTION_INVALID, SNAPSHOT_… for a chain
 *   that is not whole
 */
export async function forgetSnapshots(
  repository: OpenedRepository,
  request: ForgetRequest,
  { progress, now }: { readonly progress: Progress; readonly now: () => number },
  options: { readonly signal: AbortSignal },
): Promise<ForgetReport> {
  const { signer } = request;
  const pruner = signer === undefined ? undefined : requireRole(repository.roster.document, 'pruners', signer);
  const listed = await listChains(repository.store, options);
  const chains = await readChains(repository, listed, options);
  requireWhole(chains, request, progress);
  const chosen = chains.filter(({ writer }) => request.writers.length === 0 || request.writers.includes(writer));
  const { retention, forgotten, times } = await planForgetting(repository, request, chosen, options);
  if (!request.plan && signer !== undefined && pruner !== undefined) {
    const forgetting = { signer, pruner: pruner as WriterName, time: new Date(now()) };
    for (const chain of chosen) await forgetOf(repository, chain, forgotten, forgetting, options);
  }
  const timeOf = (snapshot: string) => times.get(snapshot) ?? new Date(Number.NaN);
  return {
    kept: retention.kept.map(({ snapshot, reasons }) => ({
      ...{ snapshot: nameOf(snapshot), time: snapshot.storageTime, reasons },
    })),
    forgotten: [...forgotten].map((snapshot) => ({ snapshot, time: timeOf(snapshot) })),
    held: retention.held,
    done: !request.plan,
  };
}

interface ForgettingPlan {
  readonly retention: RetentionPlan;
  /** WRITER/SEQUENCE; also what was begun to be forgotten. */
  readonly forgotten: ReadonlySet<string>;
  readonly times: ReadonlyMap<string, Date>;
}

async function planForgetting(
  repository: OpenedRepository,
  request: ForgetRequest,
  chosen: readonly ReadChain[],
  options: { readonly signal: AbortSignal },
): Promise<ForgettingPlan> {
  const now = await repository.store.now(options);
  const verifications = await readVerifications(repository, options);
  const toRetention = (info: SnapshotInfo): RetentionSnapshot => retentionSnapshot(info, verifications, request);
  const live = chosen.map((chain) => ({ ...chain, snapshots: liveOf(chain) }));
  const isLive = new Set(live.flatMap(({ snapshots }) => snapshots));
  const unfinished = chosen.flatMap(({ snapshots }) => snapshots.filter((info) => !isLive.has(info)));
  const begun = new Set(unfinished.flatMap((info) => [nameOf(info), info.run]));
  const byName = namedSnapshots(live, { ...request, named: request.named.filter((name) => !begun.has(name)) });
  const candidates = live
    .flatMap(({ snapshots }) => snapshots.filter((info) => !byName.has(nameOf(info))))
    .map(toRetention);
  const verifiers = repository.roster.document.verifiers.length > 0;
  const retention =
    request.policy === undefined
      ? { kept: candidates.map((snapshot) => ({ snapshot, reasons: [] })), forgotten: [], held: [] }
      : planRetention(candidates, request.policy, { now, verifiers, accept: request.accept });
  return {
    retention,
    forgotten: new Set([...unfinished.map(nameOf), ...retention.forgotten.map(nameOf), ...byName]),
    times: new Map(
      chosen.flatMap(({ snapshots }) => snapshots.map((info) => [nameOf(info), toRetention(info).storageTime])),
    ),
  };
}

interface Forgetting {
  readonly signer: SigningKey;
  readonly pruner: WriterName;
  readonly time: Date;
}

/** The stub first. A snapshot that has one already was forgotten by a run that was killed before it removed it. */
async function forgetOf(
  { store, id }: OpenedRepository,
  { writer, snapshots, forgotten }: ReadChain,
  names: ReadonlySet<string>,
  { signer, pruner, time }: Forgetting,
  options: { readonly signal: AbortSignal },
): Promise<void> {
  const stubs = new Set(forgotten.map(({ digest }) => digest));
  const gone = snapshots.filter((info) => names.has(nameOf(info)) || stubs.has(info.digest));
  const fresh = gone.filter(({ digest }) => !stubs.has(digest));
  const highest = fresh.at(-1);
  if (highest !== undefined) {
    const stub: Forgotten = {
      ...{ version: 1, repository: id, pruner, writer, time: time.toISOString() },
      snapshots: fresh.map(
        ({ sequence, digest, previous, run, storageTime }): ForgottenSnapshot => ({
          ...{ sequence, digest, previous, run, storageTime },
        }),
      ),
    };
    await putOnce(store, forgottenKey(writer, highest.sequence), encodeForgotten(stub, signer), options);
  }
  await store.remove(
    gone.map(({ sequence }) => snapshotKey(writer, sequence)),
    options,
  );
}

/** What is decided by; of a copy the times that snapshots say of themselves. */
export function retentionSnapshot(
  info: SnapshotInfo,
  verifications: ReadVerifications,
  { copied }: Pick<ForgetRequest, 'copied'>,
): RetentionSnapshot {
  return {
    ...info,
    writerTime: new Date(info.finished),
    storageTime: copied ? new Date(info.storageTime) : info.modified,
    verified: verifications.of(info) === true,
  };
}

/** Snapshots that nobody began to forget. */
export function liveOf({ snapshots, forgotten }: ReadChain): readonly SnapshotInfo[] {
  const stubs = new Set(forgotten.map(({ digest }) => digest));
  return snapshots.filter(({ digest }) => !stubs.has(digest));
}

/** A chain that lost something is not made shorter: what is left may be needed to tell what happened. */
function requireWhole(
  chains: readonly ReadChain[],
  { acceptMissing = false }: ForgetRequest,
  progress: Progress,
): void {
  const findings = chains.flatMap((chain) => chain.findings);
  const isAccepted = ({ code }: ChainFinding) => acceptMissing && code === 'SNAPSHOT_DROPPED';
  throwProblems(findings.filter((finding) => !isAccepted(finding)).map(chainError));
  for (const { unreadable } of chains) {
    for (const { key, error } of unreadable) progress.warn(`${key}: ${error.code}; run \`portolan backup check\``);
  }
}

function namedSnapshots(
  chains: readonly { readonly writer: WriterName; readonly snapshots: readonly SnapshotInfo[] }[],
  { named, evenHeld }: ForgetRequest,
): ReadonlySet<string> {
  const names = new Set<string>();
  for (const text of named) {
    const chain = chains.find(({ writer }) => text.startsWith(`${writer}/`));
    const info = chain?.snapshots.find((one) => nameOf(one) === text || one.run === text);
    if (chain === undefined || info === undefined) {
      throw new UseCaseError('SNAPSHOT_NOT_FOUND', `there is no snapshot ${text} to forget`, {
        expected: 'WRITER/SEQUENCE',
        hint: '`portolan backup list` shows what there is.',
      });
    }
    if (info === chain.snapshots.at(-1)) throw kept(text, 'it is the newest of its writer');
    if (info.hold && !evenHeld) throw kept(text, 'it is on hold', 'Give --even-held if it is really to go.');
    names.add(nameOf(info));
  }
  return names;
}

function kept(snapshot: string, why: string, hint = 'Wait for the next run.'): UseCaseError {
  return new UseCaseError('SNAPSHOT_KEPT', `${snapshot} is not forgotten: ${why}`, { hint });
}

function nameOf({ writer, sequence }: Pick<SnapshotInfo, 'writer' | 'sequence'>): string {
  return `${writer}/${sequence}`;
}

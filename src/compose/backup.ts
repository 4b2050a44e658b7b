import { createChunkReader } from '../adapters/chunk-reader/chunk-reader.ts';
import type { ContentsEntry } from '../formats/repository/contents.ts';
import { parseWriterName } from '../formats/repository/keys.ts';
import type { SigningKey } from '../formats/sigstore/cosign-key.ts';
import { type CheckReport, checkRepository } from '../usecases/repository/check.ts';
import { type CopyRepositoryReport, copyRepository } from '../usecases/repository/copy.ts';
import { findSnapshot } from '../usecases/repository/find-snapshot.ts';
import { type ForgetReport, type ForgetRequest, forgetSnapshots } from '../usecases/repository/forget.ts';
import { type ListReport, listSnapshots } from '../usecases/repository/list.ts';
import type { OpenedRepository } from '../usecases/repository/open.ts';
import { type OpenedSnapshot, openSnapshot } from '../usecases/repository/open-snapshot.ts';
import { type PruneReport, type PruneRequest, pruneRepository } from '../usecases/repository/prune.ts';
import { type ShowReport, showSnapshot } from '../usecases/repository/show.ts';
import { repositoryStats, type StatsReport } from '../usecases/repository/stats.ts';
import { openPlace, openTrusted, type RepositoryOptions, type Running } from './repository.ts';
import { openSigner, type SignerSettings } from './repository-signer.ts';

export async function composeBackupList(
  options: RepositoryOptions & { readonly writer?: string | undefined },
  running: Running,
): Promise<ListReport> {
  await using place = await openPlace(options, running);
  const repository = await openTrusted(place, options, running);
  const writer = options.writer === undefined ? {} : { writer: parseWriterName(options.writer) };
  return await listSnapshots(repository, place, { signal: running.signal, ...writer });
}

/** With identities, the sealed part as well. */
export async function composeBackupShow(
  options: RepositoryOptions,
  snapshot: string,
  identities: readonly string[],
  running: Running,
): Promise<ShowReport> {
  await using place = await openPlace(options, running);
  const repository = await openTrusted(place, options, running);
  if (identities.length > 0) {
    const opened = await openSnapshot(repository, snapshot, identities, running);
    return await showSnapshot(repository, opened.found, opened.details, running);
  }
  return await showSnapshot(repository, await findSnapshot(repository, snapshot, running), undefined, running);
}

/** What a snapshot holds, entry by entry; `onOpen` comes first. */
export async function composeBackupLs(
  options: RepositoryOptions,
  snapshot: string,
  identities: readonly string[],
  {
    onOpen,
    onEntry,
  }: { readonly onOpen: (opened: OpenedSnapshot) => void; readonly onEntry: (entry: ContentsEntry) => void },
  running: Running,
): Promise<void> {
  await using place = await openPlace(options, running);
  const repository = await openTrusted(place, options, running);
  const opened = await openSnapshot(repository, snapshot, identities, running);
  onOpen(opened);
  for await (const entry of opened.contents({ signal: running.signal })) onEntry(entry);
}

export async function composeBackupStats(options: RepositoryOptions, running: Running): Promise<StatsReport> {
  await using place = await openPlace(options, running);
  return await repositoryStats(await openTrusted(place, options, running), running);
}

export async function composeBackupCheck(
  options: RepositoryOptions,
  request: {
    readonly readPercent: number;
    readonly identities: readonly string[];
    /** A verifier's; without it nothing is signed. */
    readonly signer?: SignerSettings | undefined;
    readonly program: string;
  },
  running: Running,
): Promise<CheckReport> {
  await using place = await openPlace(options, running);
  const repository = await openTrusted(place, options, running);
  const { program } = request;
  const signer = request.signer === undefined ? undefined : await openSigner(place, request.signer, running);
  const sign = signer === undefined ? undefined : { signer, program };
  const dependencies = { memory: place.memory, createChunkReader, progress: running.progress };
  return await checkRepository(repository, { ...request, sign }, dependencies, running);
}

/** What a pruner's command is given: the key is asked for when something is to change. */
type WithSigner<Request> = RepositoryOptions & Omit<Request, 'signer'> & { readonly signer: SignerSettings };

export async function composeBackupForget(
  settings: WithSigner<ForgetRequest>,
  running: Running,
): Promise<ForgetReport> {
  return await asPruner(settings, running, (repository, signer) =>
    forgetSnapshots(repository, { ...settings, signer }, running, running),
  );
}

export async function composeBackupPrune(settings: WithSigner<PruneRequest>, running: Running): Promise<PruneReport> {
  return await asPruner(settings, running, (repository, signer) =>
    pruneRepository(repository, { ...settings, signer }, running, running),
  );
}

async function asPruner<Report>(
  settings: WithSigner<{ readonly plan: boolean }>,
  running: Running,
  work: (repository: OpenedRepository, signer: SigningKey | undefined) => Promise<Report>,
): Promise<Report> {
  await using place = await openPlace(settings, running);
  const repository = await openTrusted(place, settings, { ...running, writing: true });
  return await work(repository, settings.plan ? undefined : await openSigner(place, settings.signer, running));
}

/** `target` as typed: a folder or a bucket. */
export async function composeBackupCopy(
  options: RepositoryOptions,
  target: string,
  running: Running,
): Promise<CopyRepositoryReport & { readonly from: string; readonly to: string }> {
  await using from = await openPlace(options, running);
  await using to = await openPlace({ ...options, repo: target }, running);
  const repository = await openTrusted(from, options, running);
  const report = await copyRepository(repository, to.store, running, running);
  return { ...report, from: from.store.place, to: to.store.place };
}

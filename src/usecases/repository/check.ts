import { randomInt } from 'node:crypto';
import type { PortolanError } from '../../core/errors.ts';
import { orderedMap } from '../../core/ordered-map.ts';
import { parseRepositoryKey, type RepositoryId, type RunId } from '../../formats/repository/keys.ts';
import { chainError } from '../../formats/repository/snapshot-chain.ts';
import type { SigningKey } from '../../formats/sigstore/cosign-key.ts';
import type { ChunkReader, ChunkReaderSettings } from '../../ports/chunks.ts';
import type { Progress } from '../../ports/progress.ts';
import { UseCaseError } from '../errors.ts';
import { isProbe } from '../storage/probe-store.ts';
import { type ReadChain, readChains } from './chains.ts';
import { type CheckedSnapshot, checkContents } from './check-contents.ts';
import { type RepositoryMemory, rememberSeen } from './checkpoints.ts';
import { readEvidence } from './evidence.ts';
import { listChains } from './listing.ts';
import { readMarks } from './marks.ts';
import type { NamedKind, NamedObject } from './named-objects.ts';
import { createNamedSet, type NamedSet } from './named-set.ts';
import type { OpenedRepository } from './open.ts';
import { checkDigest } from './read-objects.ts';
import { readRewraps } from './rewraps.ts';
import { createRecipientsCheck } from './sealed-recipients.ts';
import { signCheck } from './sign-check.ts';
import { touchedSnapshots } from './touched-snapshots.ts';
import { readVerifications } from './verifications.ts';

export interface CheckRequest {
  /** Of the packs' data, how much is read: 0 to 100. Above 0 all contents and indexes are read, too. */
  readonly readPercent: number;
  /** With one the newest snapshot of each writer is opened, and its chunks in the packs that are read. */
  readonly identities: readonly string[];
  /** A verifier, who signs what it found of the snapshots that were opened. */
  readonly sign?: { readonly signer: SigningKey; readonly program: string } | undefined;
}

export interface CheckDependencies {
  readonly memory?: RepositoryMemory;
  readonly createChunkReader: (settings: ChunkReaderSettings) => Promise<ChunkReader>;
  readonly progress: Progress;
}

export interface CheckReport {
  readonly repository: RepositoryId;
  readonly epoch: number;
  readonly snapshots: number;
  readonly writers: number;
  /** Whether there was a checkpoint to hold the chains against. */
  readonly checkpoint: boolean;
  /** What snapshots name. */
  readonly objects: Readonly<Record<NamedKind, number>>;
  readonly packBytes: number;
  readonly readPacks: number;
  readonly readBytes: number;
  /** Opened with an identity and read as far as was asked for: WRITER/SEQUENCE. */
  readonly opened: readonly string[];
  /** Of which a result was signed. */
  readonly signed: readonly string[];
  readonly checkedChunks: number;
  /** Packs and the like that no snapshot names: what pruning will take, and what a run is just writing. */
  readonly unnamed: { readonly objects: number; readonly sizeBytes: number };
  /** What does not belong to a repository. */
  readonly strangers: readonly string[];
  readonly problems: readonly PortolanError[];
}

/** Packs that are read at once; of each 4 MiB are in memory. */
const READ_WIDTH = 4;

/**
 * Checks rosters, chains, signatures, and that everything is there that snapshots name. What is wrong is a part of the
 * report; only what keeps the check from its work is thrown.
 */
export async function checkRepository(
  repository: OpenedRepository,
  request: CheckRequest,
  dependencies: CheckDependencies,
  options: { readonly signal: AbortSignal },
): Promise<CheckReport> {
  const { store } = repository;
  const { signal } = options;
  const problems: PortolanError[] = [...repository.problems];
  const named = createNamedSet();
  const disagreeing = new Set<string>();
  const recipients = createRecipientsCheck(repository);
  const listed = await listChains(store, { signal });
  const keptRuns = new Set<RunId>();
  const chains = await readChains(repository, listed, {
    signal,
    visit: async (snapshot, isForgotten) => {
      await recipients.add(snapshot);
      // A copy keeps what was forgotten, and has no keys of it that were sealed again.
      for (const { run } of isForgotten ? [] : snapshot.runs) keptRuns.add(run);
      for (const key of named.addSnapshot(snapshot)) disagreeing.add(key);
    },
  });
  problems.push(...chainProblems(chains), ...recipients.problems);
  problems.push(...(await documentProblems(repository, keptRuns, signal)));
  const damage = createDamageList();
  for (const key of disagreeing) damage.add(key, 'snapshots disagree about its size or digest');
  const { unnamed, strangers } = await checkListing(repository, named, damage, signal);
  const chosen = choosePacks(named, request.readPercent);
  const read = await readObjects(repository, named, chosen, request.readPercent, damage, dependencies, signal);
  const opened =
    request.identities.length === 0
      ? { snapshots: [], chunks: 0, problems: [] }
      : await checkContents(repository, chains, chosen, request.identities, dependencies, signal);
  problems.push(...opened.problems);
  problems.push(...(await damageProblems(repository, chains, damage, signal)));
  const signed =
    request.sign === undefined
      ? []
      : await signCheck(
          repository,
          opened.snapshots,
          problems,
          { ...request.sign, readPercent: request.readPercent },
          options,
        );
  if (problems.length === 0 && dependencies.memory !== undefined) {
    const heads = chains.flatMap(({ writer, head }) => (head === undefined ? [] : [[writer, head] as const]));
    await rememberSeen(dependencies.memory, repository, Object.fromEntries(heads), { signal });
  }
  return {
    repository: repository.id,
    epoch: repository.roster.document.epoch,
    snapshots: chains.reduce((sum, { snapshots }) => sum + snapshots.length, 0),
    writers: chains.length,
    checkpoint: repository.checkpoint !== undefined,
    ...totalsOf(named),
    ...read,
    opened: opened.snapshots.filter(({ problem }) => problem === undefined).map(nameOf),
    signed,
    checkedChunks: opened.chunks,
    unnamed,
    strangers,
    problems,
  };
}

function nameOf({ writer, sequence }: CheckedSnapshot): string {
  return `${writer}/${sequence}`;
}

function chainProblems(chains: readonly ReadChain[]): PortolanError[] {
  return chains.flatMap(({ unreadable, findings }) => [
    ...unreadable.map(({ error }) => error),
    ...findings.map((finding) => chainError(finding)),
  ]);
}

/** Evidence, marks, rewraps and results of verifiers that are not what they should be. */
async function documentProblems(
  repository: OpenedRepository,
  runs: ReadonlySet<RunId>,
  signal: AbortSignal,
): Promise<PortolanError[]> {
  const lists = [
    await readEvidence(repository, { signal }),
    await readMarks(repository, { signal }),
    await readRewraps(repository, runs, { signal }),
    await readVerifications(repository, { signal }),
  ];
  return lists.flatMap(({ unreadable }) => unreadable.map(({ error }) => error));
}

/** What is wrong with objects that snapshots name; of each the first thing that was found. */
interface DamageList {
  add(key: string, problem: string, isMissing?: boolean): void;
  readonly found: ReadonlyMap<string, { readonly problem: string; readonly isMissing: boolean }>;
}

function createDamageList(): DamageList {
  const found = new Map<string, { readonly problem: string; readonly isMissing: boolean }>();
  return {
    add(key, problem, isMissing = false) {
      if (!found.has(key)) found.set(key, { problem, isMissing });
    },
    found,
  };
}

/** Each with the snapshots that it touches. */
async function damageProblems(
  repository: OpenedRepository,
  chains: readonly ReadChain[],
  { found }: DamageList,
  signal: AbortSignal,
): Promise<PortolanError[]> {
  const touched = await touchedSnapshots(repository, chains, new Set(found.keys()), { signal });
  return [...found].map(
    ([key, { problem, isMissing }]) =>
      new UseCaseError(isMissing ? 'BACKUP_OBJECT_MISSING' : 'BACKUP_OBJECT_DAMAGED', `${key}: ${problem}`, {
        at: { file: key },
        found: `it touches ${touched.get(key) ?? 'no snapshot'}`,
        hint: 'Copy it from another copy of the repository; a new run with --full needs nothing of it.',
      }),
  );
}

async function checkListing(
  { store }: OpenedRepository,
  named: NamedSet,
  damage: DamageList,
  signal: AbortSignal,
): Promise<Pick<CheckReport, 'unnamed' | 'strangers'>> {
  const unnamed = { objects: 0, sizeBytes: 0 };
  const strangers: string[] = [];
  const checklist = named.checklist();
  for await (const { key, sizeBytes } of store.list('', { signal })) {
    const expectedBytes = named.sizeOf(key);
    checklist.tick(key);
    if (expectedBytes !== undefined) {
      if (expectedBytes !== sizeBytes) damage.add(key, `it has ${sizeBytes} bytes instead of ${expectedBytes}`);
      continue;
    }
    const kind = parseRepositoryKey(key)?.kind;
    if (kind === undefined && !isProbe(key)) strangers.push(key);
    else if (kind === 'pack' || kind === 'index' || kind === 'contents') {
      unnamed.objects += 1;
      unnamed.sizeBytes += sizeBytes;
    }
  }
  for (const key of checklist.left()) damage.add(key, 'it is missing', true);
  return { unnamed, strangers };
}

/** So many of the packs, by chance: who checks a part every night has seen everything after a while. */
function choosePacks(named: NamedSet, percent: number): ReadonlySet<string> {
  if (percent === 0) return new Set();
  const packs: string[] = [];
  for (const { kind, key } of named.objects()) if (kind === 'pack') packs.push(key);
  const count = Math.ceil((packs.length * percent) / 100);
  for (let at = 0; at < count; at += 1) {
    const other = randomInt(at, packs.length);
    [packs[at], packs[other]] = [packs[other] as string, packs[at] as string];
  }
  return new Set(packs.slice(0, count));
}

async function readObjects(
  { store }: OpenedRepository,
  named: NamedSet,
  chosen: ReadonlySet<string>,
  percent: number,
  damage: DamageList,
  { progress }: CheckDependencies,
  signal: AbortSignal,
): Promise<Pick<CheckReport, 'readPacks' | 'readBytes'>> {
  const wanted: NamedObject[] = [];
  for (const object of named.objects()) {
    const { kind, key } = object;
    if (kind === 'pack' ? chosen.has(key) : kind === 'runKey' || percent > 0) wanted.push(object);
  }
  const totalBytes = wanted.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const task = progress.task('reading', totalBytes);
  let readBytes = 0;
  const onBytes = (bytes: number) => {
    readBytes += bytes;
    task.advance(bytes);
  };
  try {
    const results = orderedMap(wanted, READ_WIDTH, async (object) => ({
      key: object.key,
      result: await checkDigest(store, object, { signal, onBytes }),
    }));
    for await (const { key, result } of results) {
      if (result === 'missing') damage.add(key, 'it is missing', true);
      else if (result === 'damaged') damage.add(key, 'its bytes are not those that its snapshots name');
      else if (result !== 'good')
        damage.add(key, `another object was put over it; version ${result.goodVersion} is good`);
    }
  } finally {
    task.done();
  }
  return { readPacks: chosen.size, readBytes };
}

function totalsOf(named: NamedSet): Pick<CheckReport, 'objects' | 'packBytes'> {
  const objects: Record<NamedKind, number> = { pack: 0, index: 0, contents: 0, runKey: 0 };
  let packBytes = 0;
  for (const { kind, sizeBytes } of named.objects()) {
    objects[kind] += 1;
    if (kind === 'pack') packBytes += sizeBytes;
  }
  return { objects, packBytes };
}

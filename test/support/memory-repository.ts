import { Buffer } from 'node:buffer';
import { createIdentity, type NewIdentity } from '../../src/formats/age/new-identity.ts';
import type { WriterName } from '../../src/formats/repository/keys.ts';
import type { Roster } from '../../src/formats/repository/roster.ts';
import { pinnedKeys, type WriterKey } from '../../src/formats/repository/writer-key.ts';
import type { SigningKey } from '../../src/formats/sigstore/cosign-key.ts';
import type { ChunkReader, ChunkReaderSettings } from '../../src/ports/chunks.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { type RunDependencies, type RunReport, type RunRequest, runBackup } from '../../src/usecases/backup/run.ts';
import { type CheckReport, type CheckRequest, checkRepository } from '../../src/usecases/repository/check.ts';
import { type RepositoryMemory, readCheckpoint } from '../../src/usecases/repository/checkpoints.ts';
import { type CopyRepositoryReport, copyRepository } from '../../src/usecases/repository/copy.ts';
import { type ForgetReport, type ForgetRequest, forgetSnapshots } from '../../src/usecases/repository/forget.ts';
import { initRepository } from '../../src/usecases/repository/init.ts';
import { listSnapshots } from '../../src/usecases/repository/list.ts';
import { type OpenedRepository, openRepository } from '../../src/usecases/repository/open.ts';
import { openSnapshot } from '../../src/usecases/repository/open-snapshot.ts';
import { type PruneReport, type PruneRequest, pruneRepository } from '../../src/usecases/repository/prune.ts';
import { type RewrapReport, rewrapKeys } from '../../src/usecases/repository/rewrap.ts';
import { publishRoster, signNextRoster } from '../../src/usecases/repository/roster-changes.ts';
import { createSigningKey, publicKeyText, signal, streamSource } from './backup-repository.ts';
import { createInlineChunkReader, createInlineChunkWriter } from './inline-chunks.ts';
import { createMachineMemory, type MemoryOfMachine } from './memory-state.ts';
import { createMemoryStore, type MemoryStore } from './memory-store.ts';

export type Content = Readonly<Record<string, Uint8Array>>;

/** A machine that backs up, with keys that open nothing. */
export interface Writer {
  readonly name: WriterName;
  readonly key: WriterKey;
  readonly signer: SigningKey;
  readonly memory: MemoryOfMachine;
}

/** Who does what: each role has a key of its own. */
export interface People {
  readonly approver: SigningKey;
  readonly pruner: SigningKey;
  readonly verifier: SigningKey;
  readonly reader: NewIdentity;
}

export interface Clock {
  /** The storage's, milliseconds since 1970. */
  storageMs: number;
  /** How far the clocks of all others are ahead. */
  aheadMs: number;
}

/** Another storage than the repository's own: one that fails, a copy. */
export interface At {
  readonly store?: ObjectStore;
  readonly memory?: RepositoryMemory;
}

/** A repository with writers, a reader, a pruner and a verifier. */
export interface TestRepository<Store extends ObjectStore = ObjectStore> {
  readonly store: Store;
  readonly clock: Clock;
  readonly people: People;
  readonly writers: readonly Writer[];
  /** Of the reader, the pruner and the verifier, who have one machine. */
  readonly memory: MemoryOfMachine;
  readonly longestRunMs: number;
  open(at?: At): Promise<OpenedRepository>;
  run(
    writer: Writer,
    content: Content,
    at?: At & Partial<RunRequest> & Partial<Pick<RunDependencies, 'createChunkWriter'>>,
  ): Promise<RunReport>;
  forget(request: Partial<ForgetRequest>, at?: At): Promise<ForgetReport>;
  prune(at?: At & Partial<PruneRequest>): Promise<PruneReport>;
  /** Seals the keys of all runs to the present readers, with these identities. */
  rewrap(identities: readonly string[], at?: At): Promise<RewrapReport>;
  /** The next epoch. */
  change(work: (roster: Roster) => Roster, at?: At): Promise<Roster>;
  copy(target: ObjectStore, at?: At): Promise<CopyRepositoryReport>;
  check(request?: Partial<CheckRequest>, at?: At): Promise<CheckReport>;
  /** WRITER/SEQUENCE of all live snapshots that verify, and their digests. */
  digests(at?: At): Promise<Map<string, string>>;
  /** What a snapshot holds, as a restore reads it. */
  read(snapshot: string, at?: At & ReadOptions): Promise<Map<string, Buffer>>;
}

export interface MemoryRepository extends TestRepository<MemoryStore> {
  /** The same repository in a storage of its own, on machines of their own. */
  fork(): MemoryRepository;
}

export interface ReadOptions {
  /** The reader's unless given. */
  readonly identity?: string;
  readonly createChunkReader?: (settings: ChunkReaderSettings) => Promise<ChunkReader>;
}

export interface TestRepositoryOptions {
  readonly writers?: readonly string[];
  readonly verifiers?: boolean;
  readonly longestRunMs?: number;
}

export interface MemoryRepositoryOptions extends TestRepositoryOptions {
  readonly keepsVersions?: boolean;
}

const HOUR_MS = 3_600_000;

export async function createMemoryRepository(options: MemoryRepositoryOptions = {}): Promise<MemoryRepository> {
  const { keepsVersions = false, ...more } = options;
  const clock: Clock = { storageMs: Date.parse('2026-03-01T00:00:00Z'), aheadMs: 0 };
  const store = createMemoryStore({ keepsVersions, now: () => new Date(clock.storageMs) });
  return inMemory(await createTestRepository(store, clock, more));
}

function inMemory(repository: TestRepository<MemoryStore>): MemoryRepository {
  return {
    ...repository,
    fork() {
      const clock = { ...repository.clock };
      return inMemory(
        repositoryIn({
          ...repository,
          clock,
          store: repository.store.fork({ now: () => new Date(clock.storageMs) }),
          memory: repository.memory.fork(),
          writers: repository.writers.map((writer) => ({ ...writer, memory: writer.memory.fork() })),
        }),
      );
    },
  };
}

/** Makes a repository in an empty storage. */
export async function createTestRepository<Store extends ObjectStore>(
  store: Store,
  clock: Clock,
  options: TestRepositoryOptions = {},
): Promise<TestRepository<Store>> {
  const { writers: names = ['db-1'], verifiers = false, longestRunMs = HOUR_MS } = options;
  const people: People = {
    approver: createSigningKey(),
    pruner: createSigningKey(),
    verifier: createSigningKey(),
    // Classic, since it is opened thousands of times; keys of runs are post-quantum whatever readers have.
    reader: await createIdentity('classic'),
  };
  const [first, ...others] = names.map((name) => ({ name: name as WriterName, signer: createSigningKey() }));
  if (first === undefined) throw new Error('a repository has a writer');
  const memory = createMachineMemory();
  let key: WriterKey | undefined;
  await initRepository(
    {
      signer: people.approver,
      approvers: [{ name: 'approver', publicKey: publicKeyText(people.approver) }],
      recipients: [{ name: 'reader', recipient: people.reader.recipient, role: 'reader' }],
      writer: { name: first.name, publicKey: publicKeyText(first.signer) },
      pruners: [{ name: 'pruner' as WriterName, publicKey: publicKeyText(people.pruner) }],
      verifiers: verifiers ? [{ name: 'verifier' as WriterName, publicKey: publicKeyText(people.verifier) }] : [],
    },
    {
      ...{ store, memory, now: () => clock.storageMs },
      files: {
        place: 'memory',
        readWriterKey: async () => key,
        write: async (written) => {
          key = written;
        },
      },
    },
  );
  const writers: Writer[] = [{ ...first, key: key as unknown as WriterKey, memory: createMachineMemory() }];
  const repository = repositoryIn({ store, clock, people, writers, memory, longestRunMs });
  for (const { name, signer } of others) writers.push(await addWriter(repository, name, signer));
  return repository;
}

/** Approves another writer. */
export async function addWriter(
  repository: TestRepository,
  name: string,
  signer: SigningKey = createSigningKey(),
): Promise<Writer> {
  const index = await createIdentity('post-quantum');
  const entry = { name: name as WriterName, publicKey: publicKeyText(signer), indexRecipient: index.recipient };
  await repository.change((roster) => ({
    ...roster,
    writers: [...roster.writers.filter((writer) => writer.name !== name), entry],
  }));
  const [known] = repository.writers;
  const key = { ...(known as Writer).key, writer: entry.name, indexIdentity: index.identity };
  return { name: entry.name, key, signer, memory: createMachineMemory() };
}

type Parts<Store extends ObjectStore> = Pick<
  TestRepository<Store>,
  'store' | 'clock' | 'people' | 'writers' | 'memory' | 'longestRunMs'
>;

function repositoryIn<Store extends ObjectStore>(parts: Parts<Store>): TestRepository<Store> {
  const { store, clock, people, writers, memory, longestRunMs } = parts;
  const now = () => clock.storageMs + clock.aheadMs;
  const approvers = () => (writers[0] as Writer).key.approvers;
  const open = (at: At = {}) =>
    openRepository(at.store ?? store, {
      trust: { keys: pinnedKeys(approvers()), repository: (writers[0] as Writer).key.repository },
      checkpointOf: (id) => readCheckpoint(at.memory ?? memory, id, { signal }),
    });
  const tools = { progress: silentProgress, now };
  return {
    ...parts,
    open,
    async run(writer, content, { store: at = store, memory: of = writer.memory, createChunkWriter, ...more } = {}) {
      return await runBackup(
        {
          ...{ writerKey: writer.key, signer: writer.signer, sources: [streamSource('files', content)], tags: [] },
          ...{ hold: false, full: false, host: 'test', program: '0', lockWaitMs: 0, ...more },
        },
        {
          ...{ ...tools, store: at, memory: of, longestRunMs },
          createChunkWriter: createChunkWriter ?? createInlineChunkWriter,
        },
        { signal },
      );
    },
    async forget(request, at) {
      const all: ForgetRequest = {
        ...{ signer: people.pruner, policy: undefined, named: [], evenHeld: false, writers: [], accept: [] },
        ...{ copied: false, plan: false, ...request },
      };
      return await forgetSnapshots(await open(at), all, tools, { signal });
    },
    async prune(at = {}) {
      const { plan = false, acceptMissing = false, signer = people.pruner } = at;
      const request = { signer, plan, acceptMissing };
      return await pruneRepository(await open(at), request, tools, { signal, longestRunMs });
    },
    rewrap: async (identities, at) =>
      await rewrapKeys(await open(at), { identities, signer: people.approver }, tools, { signal }),
    async change(work, at = {}) {
      const opened = await open(at);
      const next = await signNextRoster(opened, work(opened.roster.document), people.approver, now());
      return await publishRoster(opened, next, at.memory ?? memory, { signal });
    },
    copy: async (target, at) => await copyRepository(await open(at), target, tools, { signal }),
    check: async (request = {}, at = {}) =>
      await checkRepository(
        await open(at),
        { readPercent: 100, identities: [], ...request },
        {
          ...{ memory: at.memory ?? memory, progress: silentProgress },
          createChunkReader: createInlineChunkReader,
        },
        { signal },
      ),
    async digests(at = {}) {
      const { writers } = await listSnapshots(await open(at), {}, { signal });
      return new Map(
        writers.flatMap(({ writer, snapshots }) =>
          snapshots.map(({ sequence, digest }) => [`${writer}/${sequence}`, digest] as const),
        ),
      );
    },
    async read(snapshot, at = {}) {
      const { identity = people.reader.identity, createChunkReader = createInlineChunkReader } = at;
      const opened = await openSnapshot(await open(at), snapshot, [identity], { signal });
      const reader = await createChunkReader({ ...opened.reading, signal });
      const streams = new Map<string, Buffer>();
      try {
        for await (const entry of opened.contents({ signal })) {
          if (entry.entry !== 'stream') continue;
          const pieces = [streams.get(entry.name) ?? Buffer.alloc(0)];
          for await (const piece of reader.stream(entry.chunks, { signal })) pieces.push(Buffer.from(piece));
          streams.set(entry.name, Buffer.concat(pieces));
        }
      } finally {
        await reader.close();
      }
      return streams;
    },
  };
}

/** Whether what was read is the content: name for name, byte for byte. */
export function isContent(streams: ReadonlyMap<string, Buffer>, content: Content): boolean {
  const names = Object.keys(content);
  return (
    names.length === streams.size &&
    names.every((name) => streams.get(`files/files/${name}`)?.equals(content[name] as Uint8Array) === true)
  );
}

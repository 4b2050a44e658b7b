import { generateKeyPairSync } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createChunkReader } from '../../src/adapters/chunk-reader/chunk-reader.ts';
import { createChunkWriter } from '../../src/adapters/chunk-writer/writer.ts';
import { createFolderStore } from '../../src/adapters/object-store/folder/folder-store.ts';
import { createFolderState } from '../../src/adapters/target-state/folder-state.ts';
import { createIdentity } from '../../src/formats/age/new-identity.ts';
import type { WriterName } from '../../src/formats/repository/keys.ts';
import type { RosterRecipient } from '../../src/formats/repository/roster.ts';
import { pinnedKeys, type WriterKey } from '../../src/formats/repository/writer-key.ts';
import type { SigningKey } from '../../src/formats/sigstore/cosign-key.ts';
import { keyHint } from '../../src/formats/sigstore/public-key.ts';
import type { BackupSource } from '../../src/ports/backup-source.ts';
import type { ChunkWriter, ChunkWriterSettings } from '../../src/ports/chunks.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { type Progress, silentProgress } from '../../src/ports/progress.ts';
import { type RunDependencies, type RunRequest, runBackup } from '../../src/usecases/backup/run.ts';
import { type RepositoryMemory, readCheckpoint } from '../../src/usecases/repository/checkpoints.ts';
import { type InitRequest, initRepository } from '../../src/usecases/repository/init.ts';
import { type OpenedRepository, openRepository } from '../../src/usecases/repository/open.ts';
import { openSnapshot } from '../../src/usecases/repository/open-snapshot.ts';

export const signal = new AbortController().signal;

/** A P-256 key as cosign has them, without the file. */
export function createSigningKey(): SigningKey {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { privateKey, publicKey, keyHint: keyHint(publicKey) };
}

export function publicKeyText({ publicKey }: SigningKey): string {
  return publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
}

/** A source of a few streams, without a folder or a database. */
export function streamSource(name: string, streams: Readonly<Record<string, Uint8Array>>): BackupSource {
  const sizeBytes = Object.values(streams).reduce((sum, bytes) => sum + bytes.length, 0);
  return {
    kind: 'files',
    name,
    place: `memory:${name}`,
    prepare: async () => ({ expectedBytes: sizeBytes }),
    async backUp(writer) {
      await writer.entry({ entry: 'source', source: name, kind: 'files', name: `memory:${name}`, record: {} });
      for (const [path, bytes] of Object.entries(streams)) {
        const stream = `${name}/files/${path}`;
        await writer.stream(
          stream,
          (async function* () {
            yield bytes;
          })(),
        );
        await writer.entry({
          ...{ entry: 'file', source: name, path, kind: 'file', mode: 0o644, uid: 0, gid: 0, mtimeNs: '0' },
          sizeBytes: bytes.length,
          stream,
        });
      }
      await writer.entry({ entry: 'end', source: name, record: {} });
      const items = Object.keys(streams).length;
      return { kind: 'files', name, place: `memory:${name}`, sizeBytes, items, notes: [] };
    },
  };
}

/** All streams of a snapshot, by name, as a restore reads them: every chunk checked. */
export async function readStreams(
  repository: OpenedRepository,
  snapshot: string,
  identity: string,
): Promise<Map<string, Buffer>> {
  const opened = await openSnapshot(repository, snapshot, [identity], { signal });
  const reader = await createChunkReader({ ...opened.reading, signal });
  const streams = new Map<string, Buffer>();
  try {
    for await (const entry of opened.contents()) {
      if (entry.entry !== 'stream') continue;
      const parts = [streams.get(entry.name) ?? Buffer.alloc(0)];
      for await (const piece of reader.stream(entry.chunks, { signal })) parts.push(Buffer.from(piece));
      streams.set(entry.name, Buffer.concat(parts));
    }
  } finally {
    await reader.close();
  }
  return streams;
}

export interface BackupRepository extends AsyncDisposable {
  readonly root: string;
  readonly store: ObjectStore;
  readonly memory: RepositoryMemory;
  readonly signer: SigningKey;
  readonly writerKey: WriterKey;
  /** The reader's. */
  readonly identity: string;
  readonly recipient: string;
  /** Moves the clock of the writer. */
  setNow(ms: number): void;
  now(): number;
  run(sources: readonly BackupSource[], options?: RunOptions): ReturnType<typeof runBackup>;
  open(store?: ObjectStore, memory?: RepositoryMemory): Promise<OpenedRepository>;
}

export interface RunOptions extends Partial<RunRequest>, Pick<RunDependencies, 'askRoles' | 'rolesLimitMs'> {
  readonly store?: ObjectStore;
  readonly memory?: RepositoryMemory;
  readonly longestRunMs?: number;
  readonly createChunkWriter?: (settings: ChunkWriterSettings) => Promise<ChunkWriter>;
  readonly signal?: AbortSignal;
  readonly progress?: Progress;
}

export function memoryIn(folder: string, now: () => number): RepositoryMemory {
  return {
    of: (id) => createFolderState({ folder: join(folder, id), now }),
    ofWriter: (id, writer) => createFolderState({ folder: join(folder, id, writer), now }),
    holder: 'a test',
  };
}

/** A repository in a folder with one writer `db-1`, one key for all roles, and one reader. */
export async function createBackupRepository(
  change: (request: InitRequest) => InitRequest = (request) => request,
): Promise<BackupRepository> {
  const root = await mkdtemp(join(tmpdir(), 'portolan-backup-'));
  let nowMs: number | undefined;
  const now = () => nowMs ?? Date.now();
  const store = createFolderStore(join(root, 'store'));
  const memory = memoryIn(join(root, 'state'), now);
  const signer = createSigningKey();
  const reader = await createIdentity('post-quantum');
  const publicKey = publicKeyText(signer);
  const recipients: readonly RosterRecipient[] = [{ name: 'reader', recipient: reader.recipient, role: 'reader' }];
  const request = change({
    signer,
    approvers: [{ name: 'approver', publicKey }],
    recipients,
    writer: { name: 'db-1' as WriterName, publicKey },
    pruners: [{ name: 'pruner' as WriterName, publicKey }],
    verifiers: [],
  });
  let writerKey: WriterKey | undefined;
  const files = {
    place: root,
    readWriterKey: async () => writerKey,
    write: async (key: WriterKey) => {
      writerKey = key;
    },
  };
  await initRepository(request, { store, files, memory, now });
  const key = writerKey as unknown as WriterKey;
  const trust = { keys: pinnedKeys(key.approvers), repository: key.repository };
  return {
    ...{ root, store, memory, signer, writerKey: key, identity: reader.identity, recipient: reader.recipient, now },
    setNow(ms) {
      nowMs = ms;
    },
    async run(sources, options = {}) {
      const { store: runStore, memory: runMemory, longestRunMs, signal: runSignal, ...others } = options;
      const { progress = silentProgress, askRoles, rolesLimitMs, createChunkWriter: create, ...rest } = others;
      return await runBackup(
        {
          ...{ writerKey: key, signer, sources, tags: [], hold: false, full: false },
          ...{ host: 'test', program: '0.0.0', lockWaitMs: 0, ...rest },
        },
        {
          store: runStore ?? store,
          memory: runMemory ?? memory,
          createChunkWriter: create ?? createChunkWriter,
          ...{ progress, now, askRoles, rolesLimitMs },
          ...(longestRunMs === undefined ? {} : { longestRunMs }),
        },
        { signal: runSignal ?? signal },
      );
    },
    open: (from = store, seen = memory) =>
      openRepository(from, { trust, checkpointOf: (id) => readCheckpoint(seen, id) }),
    async [Symbol.asyncDispose]() {
      await store.close();
      await rm(root, { recursive: true, force: true });
    },
  };
}

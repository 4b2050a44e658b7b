import { tmpdir } from 'node:os';
import { resolve } from 'node:path';
import { createChunkReader } from '../adapters/chunk-reader/chunk-reader.ts';
import { openLocalPort } from '../adapters/local-port/local-port.ts';
import { createDatabaseServer } from '../adapters/postgres/server.ts';
import { createPostgresPrograms } from '../adapters/postgres-programs/programs.ts';
import { createClusterState } from '../adapters/target-state/cluster-state.ts';
import type { ChunkReaderSettings } from '../ports/chunks.ts';
import type { Kubernetes } from '../ports/kubernetes.ts';
import type { ImportReport } from '../usecases/import/import.ts';
import type { BundleDatabase, DatabaseStep, ImportPlan } from '../usecases/import/types.ts';
import { refuseProblems } from '../usecases/refuse.ts';
import type { OpenedSnapshot, OpeningOptions } from '../usecases/repository/open-snapshot.ts';
import {
  type ClusterRestoreDependencies,
  type ClusterRestoreRequest,
  createDatabaseStep,
} from '../usecases/restore/cluster/database-step.ts';
import { readPassword } from '../usecases/restore/cluster/password.ts';
import {
  inRehearsal,
  REHEARSAL_STATE_NAMESPACE,
  rehearsalNamespace,
  removeLeftRehearsal,
} from '../usecases/restore/cluster/rehearse.ts';
import { openRelay } from '../usecases/restore/cluster/relay-job.ts';
import { openForRestore, type SnapshotRequest } from '../usecases/restore/restore.ts';
import type { BundleAddress } from './bundle-medium.ts';
import { composeImport, composeImportPlan, type ImportOptions, type PlannedImport } from './import.ts';
import { holderName } from './installed.ts';
import { openClusterFromOptions } from './kubernetes.ts';
import { openPlace, openTrusted, type RepositoryOptions, type Running } from './repository.ts';
import { type Restorer, recordedWork } from './restorer.ts';

export interface ClusterRestoreSettings
  extends RepositoryOptions,
    SnapshotRequest,
    Omit<ClusterRestoreRequest, 'jobs'> {
  readonly jobs?: number | undefined;
  /** `undefined` for a plan, which is not recorded. */
  readonly restorer: Restorer | undefined;
  readonly bundle: BundleAddress;
  readonly importing: Omit<ImportOptions, 'databases'>;
  /** A folder with the PostgreSQL programs. */
  readonly pgBin?: string | undefined;
  /** Certificates that the database is trusted by. */
  readonly databaseCaFile?: string | undefined;
  readonly applicationName: string;
}

/** What a restore into a cluster would do. Decrypts what says what is in the snapshot, and changes nothing. */
export async function composeClusterRestorePlan(
  settings: ClusterRestoreSettings,
  running: Running,
): Promise<PlannedImport> {
  return await withSnapshot(settings, running, (databases) =>
    composeImportPlan(settings.bundle, { ...settings.importing, databases }, running),
  );
}

/** Brings a bundle and a snapshot into a cluster that has nothing of it: an import, in which a restore fills the databases. */
export async function composeClusterRestore(
  settings: ClusterRestoreSettings,
  running: Running & { readonly onPlan: (plan: ImportPlan) => void },
): Promise<ImportReport> {
  return await withSnapshot(settings, running, (databases) =>
    composeImport(settings.bundle, { ...settings.importing, databases }, running),
  );
}

/**
 * The same in namespaces of a rehearsal, which are removed: data charts, databases and the proof, with the bundle, the storage and the
 * rights of the day on which it counts. No app chart.
 */
export async function composeClusterRehearsal(
  settings: ClusterRestoreSettings,
  running: Running & { readonly onPlan: (plan: ImportPlan) => void },
): Promise<ImportReport> {
  const { env, cwd, now, signal, progress } = running;
  const { bundle, importing } = settings;
  const { kubernetes } = await openClusterFromOptions({ ...importing, env, cwd, now });
  try {
    return await withSnapshot(settings, running, async (databases) => {
      const options = {
        ...importing,
        databases,
        namespace: REHEARSAL_STATE_NAMESPACE,
        rehearsal: { namespaceOf: rehearsalNamespace },
      };
      const state = createClusterState(kubernetes, { namespace: REHEARSAL_STATE_NAMESPACE, now });
      const { lockWaitMs } = importing;
      await removeLeftRehearsal({ kubernetes, progress, state, holder: holderName(), lockWaitMs }, { signal });
      const { plan, problems } = await composeImportPlan(bundle, options, running);
      refuseProblems(problems);
      const ofDocuments = plan.documents.flatMap(({ changes }) => changes.map(({ name }) => name.split('/')[0] ?? ''));
      const used = [...[...plan.charts, ...plan.configuration].map(({ namespace }) => namespace), ...ofDocuments];
      const namespaces = [REHEARSAL_STATE_NAMESPACE, ...new Set(used)];
      return await inRehearsal(namespaces, { kubernetes, progress }, () => composeImport(bundle, options, running), {
        signal,
      });
    });
  } finally {
    await kubernetes.close();
  }
}

async function withSnapshot<T>(
  settings: ClusterRestoreSettings,
  running: Running,
  act: (databases: NonNullable<ImportOptions['databases']>) => Promise<T>,
): Promise<T> {
  const { progress, signal } = running;
  await using place = await openPlace(settings, running);
  const repository = await openTrusted(place, settings, running);
  const { bundle, importing, selection, restorer } = settings;
  const facts = {
    what: 'restore',
    repository: repository.id,
    target: `cluster:${importing.context}`,
    selection: {
      source: selection.sources,
      database: selection.databases,
      bundle: [bundle.tag === undefined ? bundle.folder : `${bundle.folder}:${bundle.tag}`],
    },
  } as const;
  return await recordedWork(
    restorer,
    facts,
    settings,
    running,
    async (opening: Pick<OpeningOptions, 'beforeOpening'>) => {
      const opened = await openForRestore(repository, settings, { progress }, { signal, ...opening });
      return await act(({ kubernetes }) => databaseStep(opened, settings, kubernetes, running));
    },
  );
}

function databaseStep(
  opened: OpenedSnapshot,
  settings: ClusterRestoreSettings,
  kubernetes: Kubernetes,
  { env, cwd, progress }: Running,
): DatabaseStep {
  const { selection, allow, noTablespaces, jobs } = settings;
  return createDatabaseStep(
    opened,
    { selection, allow, noTablespaces, ...(jobs === undefined ? {} : { jobs }) },
    {
      kubernetes,
      progress,
      programs: createPostgresPrograms({
        temporaryFolder: tmpdir(),
        ...(settings.pgBin === undefined ? {} : { folder: resolve(cwd, settings.pgBin) }),
        ...(env.PATH === undefined ? {} : { searchPath: env.PATH }),
      }),
      createChunkReader: (chunks: ChunkReaderSettings) =>
        createChunkReader({ ...chunks, ...(jobs === undefined ? {} : { workers: jobs }) }),
      reach: reachThrough(kubernetes, settings, { progress, cwd }),
    },
  );
}

/** The way may open a moment after the Pod runs: rules of the network are made then. */
const CONNECT_WAIT_MS = 60_000;

/**
 * A port of this machine's loopback, the API server, a Pod, the database: what is sent is the database's own protocol, under its own
 * TLS where the bundle asks for it, and the password is asked by the database alone.
 */
function reachThrough(
  kubernetes: Kubernetes,
  { applicationName, databaseCaFile }: ClusterRestoreSettings,
  { progress, cwd }: Pick<Running, 'progress' | 'cwd'>,
): ClusterRestoreDependencies['reach'] {
  return async (database: BundleDatabase, { signal }) => {
    const { host, name, user, sslMode, image } = database;
    await using stack = new AsyncDisposableStack();
    const password = await readPassword(database, kubernetes, { signal });
    const relay = stack.use(await openRelay({ database, image }, kubernetes, { signal }));
    const forward = () =>
      kubernetes.forward({ namespace: relay.namespace, pod: relay.pod, port: relay.port }, { signal });
    let said = '';
    const { address, port } = stack.use(
      await openLocalPort(forward, {
        onFailure(cause) {
          // While the way is not open yet, each attempt says the same.
          const words = cause instanceof Error ? cause.message : String(cause);
          if (words !== said && !signal.aborted) progress.note(words);
          said = words;
        },
      }),
    );
    const server = createDatabaseServer({
      address: { host, hostAddress: address, port, user, name, sslMode },
      password: { value: password },
      applicationName,
      connectWaitMs: CONNECT_WAIT_MS,
      ...(databaseCaFile === undefined ? {} : { caFile: resolve(cwd, databaseCaFile) }),
    });
    const kept = stack.move();
    return { server, [Symbol.asyncDispose]: () => kept.disposeAsync() };
  };
}

import { pause } from '../../core/retry.ts';
import { decodeConditions } from '../../formats/kubernetes/object-status.ts';
import type { CallOptions, Kubernetes, KubernetesObject } from '../../ports/kubernetes.ts';
import { UseCaseError } from '../errors.ts';
import { type ModuleArchive, packModules } from './cluster-archive.ts';
import {
  type ClusterDatabase,
  CONTAINER,
  JOB,
  type JobRequest,
  jobNameOf,
  jobOf,
  PARTS_ANNOTATION,
  partOf,
} from './cluster-job.ts';
import { type PodLog, readPodLog } from './cluster-log.ts';
import { eventWords, type PodState, patienceMs, podStateOf, startHint } from './cluster-pod.ts';
import type { MigrationEvent, MigrationModule } from './types.ts';

export type { ClusterDatabase } from './cluster-job.ts';

export interface ClusterTarget {
  readonly database: ClusterDatabase;
  /** The agent's image, as the cluster pulls it. */
  readonly image: string;
}

export interface ClusterRunOptions extends CallOptions {
  readonly onEvent?: (event: MigrationEvent) => void;
  /** For the whole run, after which the Pod is removed. 1 h. */
  readonly timeoutMs?: number;
  /** Until the container runs. 2 min. */
  readonly startTimeoutMs?: number;
}

const TIMEOUT_MS = 3600_000;
const START_TIMEOUT_MS = 120_000;
const POLL_MS = 1000;
/** After the end of a Pod without a result. */
const LAST_LOOKS = 5;
const CLEANUP_MS = 15_000;
const REMOVAL_WAIT_MS = 60_000;
const LOG_LIMITS = { tailLines: 5000, limitBytes: 8 * 1024 * 1024 };

/**
 * Runs `portolan ARGS` in a short-lived Pod of the agent's image and returns the fields of its result. The Job has a name that
 * follows from the work: an importer that was killed and runs again finds its Job, and waits for it instead of beginning a
 * second one. A Job that is over is removed and done again: a database may have been put back since.
 *
 * @throws what the program in the Pod reported, with its code; UseCaseError MIGRATION_POD_NOT_STARTED, MIGRATION_POD_FAILED,
 *   MIGRATION_POD_TIMEOUT, MIGRATIONS_TOO_LARGE; AdapterError KUBERNETES_…
 */
export async function runInCluster(
  target: ClusterTarget,
  work: { readonly args: readonly string[]; readonly modules: readonly MigrationModule[] },
  { kubernetes }: { readonly kubernetes: Kubernetes },
  options: ClusterRunOptions = {},
): Promise<unknown> {
  const { signal } = options;
  const call: CallOptions = signal === undefined ? {} : { signal };
  const archive = work.modules.length === 0 ? { parts: [], contentHash: '' } : await packModules(work.modules, call);
  const request: JobRequest = {
    ...target,
    args: work.args,
    contentHash: archive.contentHash,
    partCount: archive.parts.length,
    timeoutMs: options.timeoutMs ?? TIMEOUT_MS,
  };
  const job = await startJob(kubernetes, request, archive, call);
  try {
    return await watch(kubernetes, job, request, options);
  } finally {
    // Even when this run is stopped: its Pod must not go on alone. What was not committed is rolled back.
    const cleanup = { signal: AbortSignal.timeout(CLEANUP_MS) };
    await remove(kubernetes, job, cleanup).catch(() => {});
  }
}

/** The running Job of the same work, or a new one. */
async function startJob(
  kubernetes: Kubernetes,
  request: JobRequest,
  archive: ModuleArchive,
  call: CallOptions,
): Promise<KubernetesObject> {
  const key = { ...JOB, namespace: request.database.namespace, name: jobNameOf(request) };
  const startMs = performance.now();
  for (;;) {
    const found = await kubernetes.get(key, call);
    const isLeaving = found !== undefined && found.metadata.deletionTimestamp !== undefined;
    if (found !== undefined && !isLeaving && finishedCondition(found) === undefined) {
      const parts = found.metadata.annotations?.[PARTS_ANNOTATION]?.split(',').filter((name) => name !== '') ?? [];
      // Packed by another version, the same modules may be cut otherwise.
      if (parts.length === archive.parts.length) return await release(kubernetes, found, archive, call);
    }
    if (found !== undefined) {
      if (!isLeaving) await remove(kubernetes, found, call);
      if (performance.now() - startMs > REMOVAL_WAIT_MS) throw notGone(request, key.name);
      await pause(POLL_MS, call);
      continue;
    }
    try {
      return await release(kubernetes, await kubernetes.create(jobOf(request), call), archive, call);
    } catch (cause) {
      // Another importer was quicker: its Job is as good as ours.
      if (!hasCode(cause, 'KUBERNETES_EXISTS')) throw cause;
    }
  }
}

/** Completes a Job that is still suspended, and lets it go. */
async function release(
  kubernetes: Kubernetes,
  job: KubernetesObject,
  archive: ModuleArchive,
  call: CallOptions,
): Promise<KubernetesObject> {
  if ((job.spec as { suspend?: boolean } | undefined)?.suspend !== true) return job;
  for (const [index, bytes] of archive.parts.entries()) {
    await kubernetes.create(partOf(job, index, bytes), call).catch((cause) => {
      if (!hasCode(cause, 'KUBERNETES_EXISTS')) throw cause;
    });
  }
  const { name, namespace } = job.metadata;
  const metadata = { name, ...(namespace === undefined ? {} : { namespace }) };
  return await kubernetes.apply({ ...JOB, metadata, spec: { suspend: false } }, call);
}

async function watch(
  kubernetes: Kubernetes,
  job: KubernetesObject,
  request: JobRequest,
  { signal, onEvent, startTimeoutMs = START_TIMEOUT_MS }: ClusterRunOptions,
): Promise<unknown> {
  const call: CallOptions = signal === undefined ? {} : { signal };
  const { name, uid = '' } = job.metadata;
  const { namespace } = request.database;
  const startMs = performance.now();
  let lastNumber = 0;
  let endings = 0;
  let patiencePresentMs = startTimeoutMs;
  let waitingSinceMs = startMs;
  for (;;) {
    // The Job first: when it is over, what is read after it is all there is.
    const now = await kubernetes.get({ ...JOB, namespace, name }, call);
    const finished = now === undefined ? undefined : finishedCondition(now);
    const pods = await kubernetes.list(
      { apiVersion: 'v1', kind: 'Pod', namespace, labelSelector: `batch.kubernetes.io/controller-uid=${uid}` },
      call,
    );
    const pod = pods.at(-1);
    const state = pod === undefined ? undefined : podStateOf(pod);
    const log =
      pod === undefined || state?.phase === 'waiting' ? undefined : await readLog(kubernetes, pod, lastNumber, call);
    for (const event of log?.events ?? []) onEvent?.(event);
    lastNumber = log?.lastNumber ?? lastNumber;
    const isOver = finished !== undefined || now === undefined || state?.phase === 'ended';
    const elapsedMs = performance.now() - startMs;
    if (log?.result !== undefined && log.error === undefined && isOver) return log.result;
    if (log?.error !== undefined) throw log.error;
    if (finished?.reason === 'DeadlineExceeded' || elapsedMs > request.timeoutMs + CLEANUP_MS)
      throw timedOut(request, name);
    // The last lines of a log may come a moment after the end of its Pod.
    if (isOver && endings < LAST_LOOKS && pod !== undefined) endings += 1;
    else if (isOver) throw podFailed(request, name, state, log, [finished?.reason, finished?.message]);
    if (!isOver && state?.phase !== 'running') {
      // Not by reason: a failed pull and the pause after it take turns.
      const patienceNowMs = patienceMs(state?.reason, startTimeoutMs);
      if (patienceNowMs !== patiencePresentMs) {
        patiencePresentMs = patienceNowMs;
        waitingSinceMs = performance.now();
      }
      if (performance.now() - waitingSinceMs >= patiencePresentMs || elapsedMs >= startTimeoutMs) {
        const events = await eventWords(kubernetes, { namespace, name: pod?.metadata.name ?? name }, call);
        throw notStarted(request, pod?.metadata.name ?? name, state, events);
      }
    }
    await pause(POLL_MS, call);
  }
}

async function readLog(
  kubernetes: Kubernetes,
  pod: KubernetesObject,
  afterNumber: number,
  call: CallOptions,
): Promise<PodLog | undefined> {
  const { name, namespace = '' } = pod.metadata;
  try {
    return readPodLog(
      await kubernetes.logs({ namespace, pod: name, container: CONTAINER }, LOG_LIMITS, call),
      afterNumber,
    );
  } catch (cause) {
    // A node that is gone, or a Pod that is just being removed: its status tells more.
    call.signal?.throwIfAborted();
    if (hasCode(cause, 'KUBERNETES_FORBIDDEN')) throw cause;
    return undefined;
  }
}

async function remove(kubernetes: Kubernetes, job: KubernetesObject, call: CallOptions): Promise<void> {
  const { name, namespace, uid } = job.metadata;
  await kubernetes.delete(
    { ...JOB, name, ...(namespace === undefined ? {} : { namespace }) },
    { ...call, propagation: 'Background', ...(uid === undefined ? {} : { uid }) },
  );
}

function finishedCondition(job: KubernetesObject) {
  return decodeConditions(job.status).find(
    ({ type, status }) => (type === 'Complete' || type === 'Failed') && status === 'True',
  );
}

function hasCode(cause: unknown, code: string): boolean {
  return (cause as { code?: unknown } | undefined)?.code === code;
}

function notStarted(request: JobRequest, name: string, state: PodState | undefined, events: string): UseCaseError {
  const found = [state?.words, events].filter((part) => part !== undefined && part !== '').join(' — ');
  return new UseCaseError('MIGRATION_POD_NOT_STARTED', 'The Pod that runs the migrations does not start', {
    expected: `a running container of ${request.image}`,
    found: found === '' ? 'no Pod, and no word about why' : found,
    at: { key: `${request.database.namespace}/${name}` },
    hint: startHint(state?.reason),
  });
}

function podFailed(
  request: JobRequest,
  name: string,
  state: PodState | undefined,
  log: PodLog | undefined,
  condition: readonly (string | undefined)[],
): UseCaseError {
  const parts = [state?.words, ...condition, ...(log?.rest ?? [])].filter((part) => part !== undefined && part !== '');
  const isMemory = state?.reason === 'OOMKilled';
  return new UseCaseError('MIGRATION_POD_FAILED', 'The Pod that ran the migrations ended without a result', {
    found: parts.length === 0 ? 'the Pod is gone' : parts.join(' — '),
    at: { key: `${request.database.namespace}/${name}` },
    hint: isMemory
      ? 'A file is too large for the memory of the Pod: split it, or run the migrations with --database.'
      : 'Run the command again: the ledger tells what was applied, and it goes on from there.',
  });
}

function timedOut(request: JobRequest, name: string): UseCaseError {
  return new UseCaseError('MIGRATION_POD_TIMEOUT', 'The Pod that runs the migrations was not done in time', {
    expected: `at most ${request.timeoutMs / 1000} s`,
    at: { key: `${request.database.namespace}/${name}` },
    hint: 'See in the database what it waits for, or give it more time. The server rolls back what was not committed.',
  });
}

function notGone(request: JobRequest, name: string): UseCaseError {
  return new UseCaseError('MIGRATION_POD_TIMEOUT', 'A former Job of the same migrations does not go away', {
    at: { key: `${request.database.namespace}/${name}` },
    hint: 'See with kubectl why it stays (finalizers), and remove it.',
  });
}

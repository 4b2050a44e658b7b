/**
 * The way to a database inside a cluster (docs/restore.md, "Into a cluster"): a Job whose Pod passes connections of its loopback on to
 * the database, and the API server between it and whoever restores. Nothing but bytes of the database's own protocol goes there.
 */
import { randomBytes } from 'node:crypto';
import { pause } from '../../../core/retry.ts';
import type { AccessQuestion, CallOptions, Kubernetes, KubernetesObject } from '../../../ports/kubernetes.ts';
import { UseCaseError } from '../../errors.ts';
import { type ClusterDatabase, CONTAINER, JOB } from '../../migrate/cluster-job.ts';
import { eventWords, type PodState, patienceMs, podStateOf, startHint } from '../../migrate/cluster-pod.ts';

export interface RelayTarget {
  readonly database: Pick<ClusterDatabase, 'namespace' | 'host' | 'port'>;
  /** The agent's image, as the cluster pulls it. */
  readonly image: string;
}

/** A Pod that passes connections on. It goes when this is disposed of, and by itself when nobody uses it. */
export interface Relay extends AsyncDisposable {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

const PORT = 15_432;
const IDLE_S = 600;
/** The longest restore; after it Kubernetes ends the Pod even when somebody uses it. */
const DEADLINE_S = 7 * 86_400;
const FINISHED_TTL_S = 60;
const START_TIMEOUT_MS = 120_000;
const POLL_MS = 500;
const CLEANUP_MS = 15_000;
const COMPONENT = 'database-relay';
const LABELS = {
  // NetworkPolicies let the Pods of this name to the database.
  'app.kubernetes.io/name': 'portolan',
  'app.kubernetes.io/component': COMPONENT,
  'app.kubernetes.io/managed-by': 'portolan',
};

/** What `openRelay` and whoever connects through it need in the namespace of the database. */
export function relayRights(namespace: string): AccessQuestion[] {
  return [
    ...['create', 'list', 'delete'].map((verb) => ({ verb, group: 'batch', resource: 'jobs', namespace })),
    { verb: 'list', group: '', resource: 'pods', namespace },
    ...['get', 'create'].map((verb) => ({ verb, group: '', resource: 'pods', subresource: 'portforward', namespace })),
    { verb: 'get', group: '', resource: 'secrets', namespace },
  ];
}

export function relayJobOf({ database, image }: RelayTarget): KubernetesObject {
  const { namespace, host, port } = database;
  const to = `${host.includes(':') ? `[${host}]` : host}:${port}`;
  return {
    ...JOB,
    metadata: { name: `portolan-relay-${randomBytes(4).toString('hex')}`, namespace, labels: LABELS },
    spec: {
      backoffLimit: 0,
      ttlSecondsAfterFinished: FINISHED_TTL_S,
      activeDeadlineSeconds: DEADLINE_S,
      template: {
        metadata: { labels: LABELS },
        spec: {
          restartPolicy: 'Never',
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: 5,
          securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
          containers: [
            {
              name: CONTAINER,
              image,
              imagePullPolicy: 'IfNotPresent',
              args: ['relay', to, '--port', String(PORT), '--idle', String(IDLE_S)],
              resources: { requests: { cpu: '50m', memory: '96Mi' }, limits: { memory: '256Mi' } },
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ['ALL'] },
              },
              volumeMounts: [{ name: 'tmp', mountPath: '/tmp' }],
            },
          ],
          volumes: [{ name: 'tmp', emptyDir: { sizeLimit: '64Mi' } }],
        },
      },
    },
  };
}

/**
 * Starts the Pod and waits until it runs; those that a killed run left are ended first. Called with the target's lock held.
 *
 * @throws UseCaseError RESTORE_WAY_CLOSED; AdapterError KUBERNETES_…
 */
export async function openRelay(
  target: RelayTarget,
  kubernetes: Kubernetes,
  { signal }: { readonly signal: AbortSignal },
): Promise<Relay> {
  const { namespace } = target.database;
  const labelSelector = `app.kubernetes.io/component=${COMPONENT}`;
  for (const left of await kubernetes.list({ ...JOB, namespace, labelSelector }, { signal })) {
    await remove(kubernetes, left, { signal });
  }
  const job = await kubernetes.create(relayJobOf(target), { signal });
  const close = () => remove(kubernetes, job, { signal: AbortSignal.timeout(CLEANUP_MS) }).catch(() => {});
  try {
    const pod = await runningPod(kubernetes, job, target, signal);
    return { namespace, pod, port: PORT, [Symbol.asyncDispose]: close };
  } catch (cause) {
    await close();
    throw cause;
  }
}

async function runningPod(
  kubernetes: Kubernetes,
  job: KubernetesObject,
  { database: { namespace }, image }: RelayTarget,
  signal: AbortSignal,
): Promise<string> {
  const labelSelector = `batch.kubernetes.io/controller-uid=${job.metadata.uid}`;
  const startMs = performance.now();
  for (;;) {
    const [pod] = await kubernetes.list({ apiVersion: 'v1', kind: 'Pod', namespace, labelSelector }, { signal });
    const state = pod === undefined ? undefined : podStateOf(pod);
    if (pod !== undefined && state?.phase === 'running') return pod.metadata.name;
    const limitMs = state?.phase === 'ended' ? 0 : patienceMs(state?.reason, START_TIMEOUT_MS);
    if (performance.now() - startMs > limitMs) {
      const name = pod?.metadata.name ?? job.metadata.name;
      const events = await eventWords(kubernetes, { namespace, name }, { signal });
      throw wayClosed(`${namespace}/${name}`, image, state, events);
    }
    await pause(POLL_MS, { signal });
  }
}

async function remove(kubernetes: Kubernetes, job: KubernetesObject, call: CallOptions): Promise<void> {
  const { name, namespace, uid } = job.metadata;
  await kubernetes.delete(
    { ...JOB, name, ...(namespace === undefined ? {} : { namespace }) },
    { ...call, propagation: 'Background', ...(uid === undefined ? {} : { uid }) },
  );
}

function wayClosed(key: string, image: string, state: PodState | undefined, events: string): UseCaseError {
  const found = [state?.words, events].filter((part) => part !== undefined && part !== '').join(' — ');
  return new UseCaseError('RESTORE_WAY_CLOSED', 'The Pod that leads to the database does not run', {
    expected: `a running container of ${image}`,
    found: found === '' ? 'no Pod, and no word about why' : found,
    at: { key },
    hint:
      state?.phase === 'ended'
        ? 'See that the image is one of this version of Portolan: an older one knows no relay.'
        : startHint(state?.reason),
  });
}

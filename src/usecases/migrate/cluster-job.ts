/**
 * The objects of a run inside the cluster (docs/migrations.md, "In the cluster"): a Job that is made suspended, ConfigMaps
 * that belong to it and hold the modules, then the Job is let go. Whatever ends the importer between, its next run
 * finds the Job by its name and goes on.
 */
import { createHash, randomBytes } from 'node:crypto';
import { canonicalJson } from '../../core/canonical-json.ts';
import type { KubernetesObject } from '../../ports/kubernetes.ts';

/** How a Pod reaches the database: `database` of contents.json. */
export interface ClusterDatabase {
  readonly namespace: string;
  readonly host: string;
  readonly port: number;
  readonly name: string;
  readonly user: string;
  /** A Secret of the namespace, and its key. */
  readonly password: { readonly secret: string; readonly key: string };
  readonly sslMode: string;
}

export interface JobRequest {
  readonly database: ClusterDatabase;
  /** The agent's image, as the cluster pulls it. */
  readonly image: string;
  /** After `portolan`, without the options for the database and the archive. */
  readonly args: readonly string[];
  /** Of the modules; empty without any. */
  readonly contentHash: string;
  readonly partCount: number;
  /** After it Kubernetes ends the Pod, even when nobody watches any more. */
  readonly timeoutMs: number;
}

export const JOB = { apiVersion: 'batch/v1', kind: 'Job' } as const;
export const CONTAINER = 'migrate';
/** Names the ConfigMaps of a Job, which are new with each Job: those of one before may still be on their way out. */
export const PARTS_ANNOTATION = 'portolan.dev/module-parts';
const FINISHED_TTL_S = 3600;
const MODULES_PATH = '/modules';
const LABELS = {
  'app.kubernetes.io/name': 'portolan',
  'app.kubernetes.io/component': 'migration',
  'app.kubernetes.io/managed-by': 'portolan',
};

/** The same work has the same name, so that a second importer finds it running. */
export function jobNameOf({ database, image, args, contentHash }: JobRequest): string {
  const hash = createHash('sha256').update(canonicalJson({ database, image, args, contentHash }));
  return `portolan-migrate-${hash.digest('hex').slice(0, 16)}`;
}

export function jobOf(request: JobRequest): KubernetesObject {
  const { database, image, args, partCount, timeoutMs } = request;
  const name = jobNameOf(request);
  const suffix = randomBytes(4).toString('hex');
  const parts = Array.from({ length: partCount }, (_, index) => `${name}-${suffix}-${index}`);
  const archive = parts.flatMap((_, index) => ['--archive', `${MODULES_PATH}/${partFile(index)}`]);
  return {
    ...JOB,
    metadata: {
      name,
      namespace: database.namespace,
      labels: LABELS,
      annotations: { [PARTS_ANNOTATION]: parts.join(',') },
    },
    spec: {
      suspend: true,
      // A second Pod would hide why the first failed.
      backoffLimit: 0,
      ttlSecondsAfterFinished: FINISHED_TTL_S,
      activeDeadlineSeconds: Math.ceil(timeoutMs / 1000),
      template: {
        metadata: { labels: LABELS },
        spec: {
          restartPolicy: 'Never',
          automountServiceAccountToken: false,
          enableServiceLinks: false,
          terminationGracePeriodSeconds: 30,
          securityContext: {
            runAsNonRoot: true,
            seccompProfile: { type: 'RuntimeDefault' },
          },
          containers: [
            {
              name: CONTAINER,
              image,
              imagePullPolicy: 'IfNotPresent',
              args: [...args, ...archive, '--database', urlOf(database), '--json'],
              env: [{ name: 'PGPASSWORD', valueFrom: { secretKeyRef: secretKey(database) } }],
              resources: { requests: { cpu: '50m', memory: '128Mi' }, limits: { cpu: '1', memory: '512Mi' } },
              securityContext: {
                allowPrivilegeEscalation: false,
                readOnlyRootFilesystem: true,
                capabilities: { drop: ['ALL'] },
              },
              volumeMounts: [
                { name: 'tmp', mountPath: '/tmp' },
                ...(partCount === 0 ? [] : [{ name: 'modules', mountPath: MODULES_PATH, readOnly: true }]),
              ],
            },
          ],
          volumes: [
            { name: 'tmp', emptyDir: { sizeLimit: '1Gi' } },
            ...(partCount === 0 ? [] : [{ name: 'modules', projected: { sources: parts.map(sourceOf) } }]),
          ],
        },
      },
    },
  };
}

/** One part of the archive. It goes with the Job. */
export function partOf(job: KubernetesObject, index: number, bytes: Uint8Array): KubernetesObject {
  const { name, namespace, uid, annotations } = job.metadata;
  const own = annotations?.[PARTS_ANNOTATION]?.split(',')[index] ?? '';
  return {
    apiVersion: 'v1',
    kind: 'ConfigMap',
    metadata: {
      name: own,
      ...(namespace === undefined ? {} : { namespace }),
      labels: LABELS,
      ownerReferences: [{ ...JOB, name, uid }],
    },
    immutable: true,
    binaryData: { [partFile(index)]: Buffer.from(bytes).toString('base64') },
  };
}

function partFile(index: number): string {
  return `modules.tar.gz.${String(index).padStart(3, '0')}`;
}

function sourceOf(name: string, index: number) {
  return { configMap: { name, items: [{ key: partFile(index), path: partFile(index) }] } };
}

function secretKey({ password }: ClusterDatabase) {
  return { name: password.secret, key: password.key };
}

function urlOf({ host, port, name, user, sslMode }: ClusterDatabase): string {
  const where = host.includes(':') ? `[${host}]` : host;
  return `postgres://${encodeURIComponent(user)}@${where}:${port}/${encodeURIComponent(name)}?sslmode=${sslMode}`;
}

import { kubectl } from './cluster.ts';
import { ensureOnNode } from './node-image.ts';

export interface ClusterDatabaseSettings {
  readonly namespace: string;
  /** Of the superuser; in the Secret `auth`, under `password`. */
  readonly password: string;
  /** Of the database. */
  readonly name: string;
}

/** A PostgreSQL that only the cluster reaches, as `db` in a namespace that is there; it bears the strictest rules for Pods. */
export async function raiseClusterDatabase(settings: ClusterDatabaseSettings): Promise<void> {
  await ensureOnNode('postgres', 'portolan.local/cms/postgres:1.0.0');
  const items = databaseObjects(settings);
  await kubectl(['apply', '-f', '-'], JSON.stringify({ apiVersion: 'v1', kind: 'List', items }));
  await kubectl(['wait', '--for=condition=Ready', '--timeout=120s', '--namespace', settings.namespace, 'pod/db']);
}

function databaseObjects({ namespace, password, name }: ClusterDatabaseSettings): unknown[] {
  const mount = (volume: string, mountPath: string) => ({ name: volume, mountPath });
  return [
    { apiVersion: 'v1', kind: 'Secret', metadata: { name: 'auth', namespace }, stringData: { password } },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'db', namespace },
      spec: { selector: { app: 'db' }, ports: [{ port: 5432 }] },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'db', namespace, labels: { app: 'db' } },
      spec: {
        automountServiceAccountToken: false,
        terminationGracePeriodSeconds: 1,
        securityContext: {
          runAsNonRoot: true,
          runAsUser: 999,
          fsGroup: 999,
          seccompProfile: { type: 'RuntimeDefault' },
        },
        containers: [
          {
            name: 'postgresql',
            image: 'portolan.local/cms/postgres:1.0.0',
            args: ['postgres', '-c', 'fsync=off'],
            env: [
              { name: 'POSTGRES_DB', value: name },
              { name: 'POSTGRES_PASSWORD_FILE', value: '/auth/password' },
              { name: 'PGDATA', value: '/data/pgdata' },
            ],
            readinessProbe: { exec: { command: ['pg_isready', '--host=127.0.0.1', '--quiet'] }, periodSeconds: 1 },
            securityContext: { allowPrivilegeEscalation: false, capabilities: { drop: ['ALL'] } },
            volumeMounts: [
              mount('auth', '/auth'),
              mount('data', '/data'),
              mount('run', '/var/run/postgresql'),
              mount('tmp', '/tmp'),
            ],
          },
        ],
        volumes: [
          { name: 'auth', secret: { secretName: 'auth', defaultMode: 0o440 } },
          ...['data', 'run', 'tmp'].map((volume) => ({ name: volume, emptyDir: {} })),
        ],
      },
    },
  ];
}

import { describe, expect, it, test } from 'vitest';
import type { Kubernetes, KubernetesObject, ObjectKey, ObjectQuery } from '../../../../../src/ports/kubernetes.ts';
import { readPassword } from '../../../../../src/usecases/restore/cluster/password.ts';
import { openRelay, relayJobOf } from '../../../../../src/usecases/restore/cluster/relay-job.ts';
import { raised } from '../../../../support/raised.ts';

const DATABASE = { namespace: 'cms', host: 'cms-data', port: 5432 };
const IMAGE = 'portolan.local/portolan:1';
const signal = new AbortController().signal;

/** Jobs of one namespace; each has a Pod in the given state. */
function clusterWith(containerState: object, left: readonly string[] = []) {
  const jobs = new Map<string, KubernetesObject>(
    left.map((name) => [
      name,
      { apiVersion: 'batch/v1', kind: 'Job', metadata: { name, namespace: 'cms', uid: name } },
    ]),
  );
  const kubernetes = {
    async create(object: KubernetesObject) {
      const made = { ...object, metadata: { ...object.metadata, uid: 'made' } };
      jobs.set(object.metadata.name, made);
      return made;
    },
    async list({ kind }: ObjectQuery) {
      if (kind === 'Job') return [...jobs.values()];
      if (kind === 'Event') return [];
      const state = { name: 'migrate', state: containerState };
      return [{ apiVersion: 'v1', kind, metadata: { name: 'pod-1' }, status: { containerStatuses: [state] } }];
    },
    delete: async ({ name }: ObjectKey) => jobs.delete(name),
  } as unknown as Kubernetes;
  return { kubernetes, jobs };
}

describe('the Pod that leads to a database', () => {
  it('is one that policies let to the database, and bears the strictest rules', () => {
    const job = relayJobOf({ database: DATABASE, image: IMAGE }) as unknown as {
      spec: { template: { metadata: { labels: object }; spec: { containers: object[] } } };
    };
    const { metadata, spec } = job.spec.template;
    expect(metadata.labels).toMatchObject({ 'app.kubernetes.io/name': 'portolan' });
    expect(spec).toMatchObject({
      automountServiceAccountToken: false,
      securityContext: { runAsNonRoot: true, seccompProfile: { type: 'RuntimeDefault' } },
      containers: [
        {
          image: IMAGE,
          args: ['relay', 'cms-data:5432', '--port', expect.any(String), '--idle', expect.any(String)],
          securityContext: {
            allowPrivilegeEscalation: false,
            readOnlyRootFilesystem: true,
            capabilities: { drop: ['ALL'] },
          },
        },
      ],
    });
    expect(JSON.stringify(relayJobOf({ database: { ...DATABASE, host: 'fd00::1' }, image: IMAGE }))).toContain(
      '"[fd00::1]:5432"',
    );
  });

  it('is there while it is used, and what a killed run left is not', async () => {
    const { kubernetes, jobs } = clusterWith({ running: {} }, ['portolan-relay-old']);
    {
      await using relay = await openRelay({ database: DATABASE, image: IMAGE }, kubernetes, { signal });
      expect(relay).toMatchObject({ namespace: 'cms', pod: 'pod-1' });
      expect([...jobs.keys()]).toEqual([expect.not.stringContaining('old')]);
    }
    expect(jobs.size).toBe(0);
  });

  test.each([
    [{ waiting: { reason: 'ErrImageNeverPull', message: 'not there' } }, 'not there'],
    [{ terminated: { exitCode: 2, reason: 'Error' } }, 'exit status 2'],
  ])('%j: told, and not left', async (state, words) => {
    const { kubernetes, jobs } = clusterWith(state);
    const error = await raised(() => openRelay({ database: DATABASE, image: IMAGE }, kubernetes, { signal }));
    expect(error.code).toBe('RESTORE_WAY_CLOSED');
    expect(error.found).toContain(words);
    expect(jobs.size).toBe(0);
  });
});

describe('the password of a database', () => {
  const from = (data: object | undefined) => {
    const kubernetes = { get: async () => (data === undefined ? undefined : { data }) } as unknown as Kubernetes;
    return readPassword({ namespace: 'cms', password: { secret: 'auth', key: 'password' } }, kubernetes, { signal });
  };

  it('is what the Secret holds', async () => {
    expect(await from({ password: Buffer.from('pässword').toString('base64') })).toBe('pässword');
  });

  test.each([[undefined], [{}], [{ other: 'eA==' }]])('%j: it is said what is missing', async (data) => {
    const error = await raised(() => from(data));
    expect(error).toMatchObject({ code: 'RESTORE_WAY_CLOSED', expected: 'the key password of the Secret cms/auth' });
  });
});

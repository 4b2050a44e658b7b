import type { Kubernetes, KubernetesObject } from '../../ports/kubernetes.ts';
import type { StateOptions, TargetState } from '../../ports/target-state.ts';
import { AdapterError } from '../errors.ts';
import { assertDocumentName, assertDocumentSize } from './document.ts';
import { type LeaseTimes, takeLease } from './lease-lock.ts';

export interface ClusterStateSettings {
  readonly namespace: string;
  /** Milliseconds since 1970; stands in the Lease for people to read, and decides nothing. */
  readonly now: () => number;
  readonly leaseTimes?: LeaseTimes;
}

const LABELS = { 'app.kubernetes.io/managed-by': 'portolan' };
const PREFIX = 'portolan.';
const KEY = 'document';

/** Secrets `portolan.NAME` (one key, `document`) and the Lease `portolan` in one namespace, which is made when it is missing. */
export function createClusterState(kubernetes: Kubernetes, settings: ClusterStateSettings): TargetState {
  const { namespace } = settings;
  const place = `cluster ${kubernetes.context} (${kubernetes.server})`;
  const keyOf = (name: string) => {
    assertDocumentName(name);
    return { apiVersion: 'v1', kind: 'Secret', namespace, name: `${PREFIX}${name}` };
  };

  /** In a namespace that is made when it turns out to be missing. */
  const withNamespace = async <T>(work: () => Promise<T>, options: StateOptions): Promise<T> => {
    try {
      return await work();
    } catch (failure) {
      if (!(failure instanceof AdapterError) || failure.code !== 'KUBERNETES_NOT_FOUND') throw failure;
    }
    const object = { apiVersion: 'v1', kind: 'Namespace', metadata: { name: namespace, labels: LABELS } };
    await kubernetes.create(object, options).catch((failure) => {
      if (!(failure instanceof AdapterError) || failure.code !== 'KUBERNETES_EXISTS') throw failure;
    });
    return await work();
  };

  return {
    place,
    async list(prefix, options = {}) {
      const selector = { labelSelector: 'app.kubernetes.io/managed-by=portolan', fieldSelector: 'type=Opaque' };
      const secrets = await kubernetes.list({ apiVersion: 'v1', kind: 'Secret', namespace, ...selector }, options);
      return secrets
        .map(({ metadata }) => metadata.name)
        .filter((name) => name.startsWith(`${PREFIX}${prefix}`))
        .map((name) => name.slice(PREFIX.length))
        .sort();
    },
    async read(name, options = {}) {
      const secret = await kubernetes.get(keyOf(name), options);
      return secret === undefined ? undefined : contentOf(secret, place);
    },
    async write(name, bytes, options = {}) {
      assertDocumentSize(name, bytes, place);
      const { apiVersion, kind, ...metadata } = keyOf(name);
      const data = { [KEY]: Buffer.from(bytes).toString('base64') };
      const object = { apiVersion, kind, type: 'Opaque', metadata: { ...metadata, labels: LABELS }, data };
      await withNamespace(() => kubernetes.apply(object, options), options);
    },
    remove: (name, options = {}) => kubernetes.delete(keyOf(name), options),
    lock: (holder, request) =>
      takeLease(
        {
          kubernetes,
          namespace,
          labels: LABELS,
          place,
          now: settings.now,
          create: (lease, options) => withNamespace(() => kubernetes.create(lease, options), options),
          ...(settings.leaseTimes === undefined ? {} : { times: settings.leaseTimes }),
        },
        holder,
        request,
      ),
  };
}

function contentOf(secret: KubernetesObject, place: string): Uint8Array {
  const data = secret.data as Record<string, unknown> | null | undefined;
  const content = data?.[KEY];
  if (typeof content === 'string') return Buffer.from(content, 'base64');
  const { namespace, name } = secret.metadata;
  throw new AdapterError('TARGET_STATE_DAMAGED', `${place}: the Secret ${namespace}/${name} lost its content`, {
    expected: `a key ${KEY}`,
    found: Object.keys(data ?? {}).join(', ') || 'no key',
    hint: 'Restore this Secret from a backup, or remove it: then nothing is known of what was applied.',
  });
}

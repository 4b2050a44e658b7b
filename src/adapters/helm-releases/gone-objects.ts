import { pause } from '../../core/retry.ts';
import { type RenderedObject, renderedObjects } from '../../formats/helm/rendered-objects.ts';
import type { Kubernetes } from '../../ports/kubernetes.ts';
import type { ReleaseName } from '../../ports/releases.ts';
import { AdapterError } from '../errors.ts';

const PAUSE_MS = 500;

/**
 * Waits until the objects of an uninstalled release are gone: helm is told not to. What nobody deleted (it is kept, or
 * another's) is not waited for.
 *
 * @throws AdapterError RELEASE_REFUSED naming what is still there when time is up.
 */
export async function awaitGone(
  manifest: string,
  release: ReleaseName,
  kubernetes: Kubernetes,
  { timeoutMs, signal }: { readonly timeoutMs: number; readonly signal?: AbortSignal },
): Promise<void> {
  const options = signal === undefined ? {} : { signal };
  const startMs = performance.now();
  let left = renderedObjects(manifest, release.release).filter((object) => !object.isHook && object.name !== '');
  for (;;) {
    const still: RenderedObject[] = [];
    for (const object of left) if (await isGoing(object, release, kubernetes, options)) still.push(object);
    left = still;
    if (left.length === 0) return;
    if (performance.now() - startMs > timeoutMs) throw stillThere(left, release);
    await pause(PAUSE_MS, options);
  }
}

async function isGoing(
  { apiVersion, kind, name, namespace }: RenderedObject,
  release: ReleaseName,
  kubernetes: Kubernetes,
  options: { readonly signal?: AbortSignal },
): Promise<boolean> {
  const resource = await kubernetes.resource(apiVersion, kind, options);
  // Its definition went with it.
  if (resource === undefined) return false;
  const key = { apiVersion, kind, name, ...(resource.namespaced ? { namespace: namespace ?? release.namespace } : {}) };
  return (await kubernetes.get(key, options))?.metadata.deletionTimestamp !== undefined;
}

function stillThere(left: readonly RenderedObject[], { namespace, release }: ReleaseName): AdapterError {
  const names = left.slice(0, 10).map((object) => `${object.kind} ${object.namespace ?? namespace}/${object.name}`);
  return new AdapterError(
    'RELEASE_REFUSED',
    `The release ${namespace}/${release}: its objects are still being deleted.`,
    {
      found: names.join(', '),
      hint: 'Find out what holds them (their finalizers), and run the command again.',
    },
  );
}

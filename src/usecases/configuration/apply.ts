import { PortolanError } from '../../core/errors.ts';
import type { Kubernetes, KubernetesObject } from '../../ports/kubernetes.ts';

/** Applies an object; its namespace is made when it turns out to be missing. */
export async function applyInNamespace(
  kubernetes: Kubernetes,
  object: KubernetesObject,
  options: { readonly signal?: AbortSignal },
): Promise<void> {
  try {
    await kubernetes.apply(object, options);
  } catch (failure) {
    const name = object.metadata.namespace ?? '';
    if (!(failure instanceof PortolanError) || failure.code !== 'KUBERNETES_NOT_FOUND') throw failure;
    await kubernetes.apply({ apiVersion: 'v1', kind: 'Namespace', metadata: { name } }, options);
    await kubernetes.apply(object, options);
  }
}

import { renderedObjects } from '../../formats/helm/rendered-objects.ts';
import type { Kubernetes, KubernetesObject } from '../../ports/kubernetes.ts';
import type { ReleaseName } from '../../ports/releases.ts';

/**
 * Volumes outlive their release, also those that a chart lists as objects of its own, which helm would delete. Helm skips
 * what does not carry its release's annotation, so that is put aside while helm uninstalls and put back afterwards: a later
 * installation adopts the claim. What a killed run left aside is found by the annotation that stands in for it.
 */

const HELM_RELEASE = 'meta.helm.sh/release-name';
const KEPT_RELEASE = 'portolan/kept-release';

/** Claims that a manifest lists, by namespace and name. */
export function claimsOf(manifest: string, { release, namespace }: ReleaseName): readonly ClaimKey[] {
  return renderedObjects(manifest, release)
    .filter(({ kind, isHook, name }) => kind === 'PersistentVolumeClaim' && !isHook && name !== '')
    .map((claim) => ({ namespace: claim.namespace ?? namespace, name: claim.name }));
}

interface ClaimKey {
  readonly namespace: string;
  readonly name: string;
}

interface Options {
  readonly signal?: AbortSignal;
}

const KIND = { apiVersion: 'v1', kind: 'PersistentVolumeClaim' } as const;

export async function putClaimsAside(
  { release }: ReleaseName,
  claims: readonly ClaimKey[],
  kubernetes: Kubernetes,
  options: Options,
): Promise<void> {
  for (const key of claims) {
    const claim = await kubernetes.get({ ...KIND, ...key }, options);
    if (claim?.metadata.annotations?.[HELM_RELEASE] !== release) continue;
    await kubernetes.replace(renamed(claim, HELM_RELEASE, KEPT_RELEASE), options);
  }
}

/** Gives every claim of these namespaces that was put aside back to its release. */
export async function takeClaimsBack(
  { release }: ReleaseName,
  namespaces: ReadonlySet<string>,
  kubernetes: Kubernetes,
  options: Options,
): Promise<void> {
  for (const namespace of namespaces) {
    for (const claim of await kubernetes.list({ ...KIND, namespace }, options)) {
      if (claim.metadata.annotations?.[KEPT_RELEASE] !== release) continue;
      await kubernetes.replace(renamed(claim, KEPT_RELEASE, HELM_RELEASE), options);
    }
  }
}

function renamed(claim: KubernetesObject, from: string, to: string): KubernetesObject {
  const { [from]: value = '', ...rest } = claim.metadata.annotations ?? {};
  return { ...claim, metadata: { ...claim.metadata, annotations: { ...rest, [to]: value } } };
}

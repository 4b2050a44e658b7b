import type { ConfigMapEntry, SecretEntry } from '../../formats/configuration/document.ts';
import type { KubernetesObject } from '../../ports/kubernetes.ts';

/** ConfigMaps and Secrets as the document has them, and back. */

const MANAGED_BY = 'app.kubernetes.io/managed-by';
/** Kinds of Secrets that mean something in one cluster alone. */
const BOUND_TYPES = new Set([
  'kubernetes.io/service-account-token',
  'bootstrap.kubernetes.io/token',
  'helm.sh/release.v1',
]);

export function configMapEntry(object: KubernetesObject): ConfigMapEntry {
  const data = texts(object.data);
  const binaryData = texts(object.binaryData);
  return {
    ...common(object),
    ...(isEmpty(data) ? {} : { data }),
    ...(isEmpty(binaryData) ? {} : { binaryData }),
  };
}

export function secretEntry(object: KubernetesObject): SecretEntry {
  return { ...common(object), type: String(object.type ?? 'Opaque'), data: texts(object.data) };
}

export function configMapObject(
  { namespace, name, labels, ...content }: ConfigMapEntry,
  owner?: ReleaseName,
): KubernetesObject {
  return { apiVersion: 'v1', kind: 'ConfigMap', metadata: metadata(namespace, name, labels, owner), ...content };
}

export function secretObject(
  { namespace, name, labels, ...content }: SecretEntry,
  owner?: ReleaseName,
): KubernetesObject {
  return { apiVersion: 'v1', kind: 'Secret', metadata: metadata(namespace, name, labels, owner), ...content };
}

/** A release of Helm, which takes over what bears its name, and refuses what does not. */
export interface ReleaseName {
  readonly release: string;
  readonly namespace: string;
}

/** Why a Secret cannot be carried to another cluster; `undefined` when it can. */
export function boundBecause(object: KubernetesObject): string | undefined {
  const type = String(object.type ?? 'Opaque');
  return BOUND_TYPES.has(type) ? `its type ${type} means something in this cluster alone` : undefined;
}

/** A release writes it again with its next upgrade. */
export function isOfHelm(object: KubernetesObject): boolean {
  return object.metadata.labels?.[MANAGED_BY] === 'Helm';
}

/** What the cluster itself makes in every namespace, what a controller made, and what a release brings. */
export function isMadeByOthers(object: KubernetesObject): boolean {
  const { name, ownerReferences } = object.metadata;
  return (
    name === 'kube-root-ca.crt' ||
    (Array.isArray(ownerReferences) && ownerReferences.length > 0) ||
    isOfHelm(object) ||
    object.metadata.labels?.[MANAGED_BY] === 'portolan'
  );
}

/** Keys in which the target differs from the entry. What only the target has stays there, and does not count. */
export function differingKeys(entry: ConfigMapEntry | SecretEntry, there: KubernetesObject): string[] {
  const now = { ...texts(there.data), ...texts(there.binaryData) };
  const wanted = { ...entry.data, ...('binaryData' in entry ? entry.binaryData : {}) };
  const keys = Object.keys(wanted).filter((key) => now[key] !== wanted[key]);
  const labels = Object.entries(entry.labels ?? {}).filter(([key, value]) => there.metadata.labels?.[key] !== value);
  const isFrozen = entry.immutable === true && there.immutable !== true;
  return [...keys, ...labels.map(([key]) => `label ${key}`), ...(isFrozen ? ['immutable'] : [])].sort();
}

function common({ metadata: { name, namespace, labels }, immutable }: KubernetesObject) {
  const kept = Object.fromEntries(Object.entries(labels ?? {}).filter(([key]) => key !== MANAGED_BY));
  return {
    namespace: namespace ?? '',
    name,
    ...(isEmpty(kept) ? {} : { labels: kept }),
    ...(immutable === true ? { immutable: true as const } : {}),
  };
}

function metadata(
  namespace: string,
  name: string,
  labels: Readonly<Record<string, string>> | undefined,
  owner: ReleaseName | undefined,
) {
  const common = { namespace, name };
  if (owner === undefined) return { ...common, ...(labels === undefined ? {} : { labels }) };
  return {
    ...common,
    labels: { ...labels, [MANAGED_BY]: 'Helm' },
    annotations: {
      'meta.helm.sh/release-name': owner.release,
      'meta.helm.sh/release-namespace': owner.namespace,
    },
  };
}

function texts(value: unknown): Record<string, string> {
  const entries = Object.entries((value ?? {}) as Record<string, unknown>);
  return Object.fromEntries(entries.filter((entry): entry is [string, string] => typeof entry[1] === 'string'));
}

function isEmpty(record: object): boolean {
  return Object.keys(record).length === 0;
}

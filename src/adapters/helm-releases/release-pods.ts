import type { RenderedObject } from '../../formats/helm/rendered-objects.ts';
import { isValuesMap } from '../../formats/helm/values.ts';
import type { Kubernetes, KubernetesObject } from '../../ports/kubernetes.ts';
import type { ReleaseName } from '../../ports/releases.ts';

type Labels = Readonly<Record<string, string>>;

/** The Pods of one namespace that a release's objects select, or are. */
export async function podsOf(
  objects: readonly RenderedObject[],
  { namespace: home }: ReleaseName,
  namespace: string,
  kubernetes: Kubernetes,
  options: { readonly signal?: AbortSignal },
): Promise<readonly KubernetesObject[]> {
  const matchers = objects.filter((object) => (object.namespace ?? home) === namespace).map(matcherOf);
  const pods = await kubernetes.list({ apiVersion: 'v1', kind: 'Pod', namespace }, options);
  return pods.filter((pod) => matchers.some((matches) => matches(pod.metadata.name, pod.metadata.labels ?? {})));
}

function matcherOf({ kind, name, body }: RenderedObject): (pod: string, labels: Labels) => boolean {
  if (kind === 'Pod') return (pod) => pod === name;
  if (kind === 'Job') return (_, labels) => (labels['batch.kubernetes.io/job-name'] ?? labels['job-name']) === name;
  const spec = isValuesMap(body.spec) ? body.spec : {};
  const { selector } = spec;
  // A Service selects Pods that may be another release's.
  if (!/^(?:Deployment|StatefulSet|DaemonSet|ReplicaSet|ReplicationController)$/.test(kind) || !isValuesMap(selector)) {
    return () => false;
  }
  const matchLabels = kind === 'ReplicationController' ? selector : selector.matchLabels;
  const expressions = Array.isArray(selector.matchExpressions) ? selector.matchExpressions.filter(isValuesMap) : [];
  const wanted = Object.entries(isValuesMap(matchLabels) ? matchLabels : {});
  if (wanted.length === 0 && expressions.length === 0) return () => false;
  return (_, labels) =>
    wanted.every(([key, value]) => labels[key] === value) && expressions.every((one) => holds(one, labels));
}

/** Kubernetes API reference, "LabelSelectorRequirement". */
function holds({ key, operator, values }: Readonly<Record<string, unknown>>, labels: Labels): boolean {
  const value = typeof key === 'string' ? labels[key] : undefined;
  const listed = Array.isArray(values) && value !== undefined && values.includes(value);
  switch (operator) {
    case 'In':
      return listed;
    case 'NotIn':
      return !listed;
    case 'Exists':
      return value !== undefined;
    case 'DoesNotExist':
      return value === undefined;
    default:
      return false;
  }
}

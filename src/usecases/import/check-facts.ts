import { z } from 'zod';
import { PortolanError } from '../../core/errors.ts';
import type { AccessQuestion, ApiResource, Kubernetes, KubernetesObject } from '../../ports/kubernetes.ts';
import {
  type CheckedChart,
  kindKey,
  type NeededClaim,
  type NeededIngress,
  type NeededKind,
  neededClaims,
  neededIngresses,
  neededKinds,
  neededNamespaces,
} from './check-needs.ts';

/** What a live cluster answers to what the charts need. Plain data: `check-cluster.ts` judges it. */
export interface ClusterFacts {
  readonly server: string;
  readonly gitVersion: string;
  readonly kinds: readonly NeededKind[];
  /** By {@link kindKey}; a kind that is missing here is not known to the server. */
  readonly resources: ReadonlyMap<string, ApiResource>;
  /** Of objects that are not there yet. */
  readonly claims: readonly NeededClaim[];
  readonly ingresses: readonly NeededIngress[];
  /** `undefined` when this user may not list them. */
  readonly storageClasses: readonly ClassFact[] | undefined;
  readonly ingressClasses: readonly ClassFact[] | undefined;
  readonly nodes: readonly NodeFact[] | undefined;
  readonly namespaces: ReadonlyMap<string, 'absent' | 'active' | 'terminating' | 'unknown'>;
  /** What this user may not do. */
  readonly refused: readonly AccessQuestion[];
}

export interface ClassFact {
  readonly name: string;
  readonly isDefault: boolean;
}

export interface NodeFact {
  readonly name: string;
  /** `linux/arm64`. */
  readonly platform: string;
  readonly isReady: boolean;
  readonly takesPods: boolean;
}

export interface FactsRequest {
  readonly charts: readonly CheckedChart[];
  /** Where Portolan keeps its state. */
  readonly stateNamespace: string;
  /** Rights that other parts of the import need. */
  readonly rights?: readonly AccessQuestion[];
}

/** helm reads, waits, applies (a patch), and takes away what a chart no longer has. */
const HELM_VERBS = ['get', 'list', 'watch', 'create', 'patch', 'delete'] as const;
const RECORD_VERBS = ['get', 'list', 'create', 'update', 'delete'] as const;

export async function clusterFacts(
  { charts, stateNamespace, rights = [] }: FactsRequest,
  kubernetes: Kubernetes,
  options: { readonly signal?: AbortSignal } = {},
): Promise<ClusterFacts> {
  const { gitVersion } = await kubernetes.version(options);
  const kinds = neededKinds(charts);
  const resources = new Map<string, ApiResource>();
  for (const { apiVersion, kind } of kinds) {
    const resource = await kubernetes.resource(apiVersion, kind, options);
    if (resource !== undefined) resources.set(kindKey(apiVersion, kind), resource);
  }
  const [storage, ingress, nodes] = await Promise.all([
    listed(kubernetes, 'storage.k8s.io/v1', 'StorageClass', options),
    listed(kubernetes, 'networking.k8s.io/v1', 'IngressClass', options),
    listed(kubernetes, 'v1', 'Node', options),
  ]);
  const spaces = new Set([...neededNamespaces(charts, namespaced(kinds, resources)), stateNamespace]);
  const namespaces: [string, 'absent' | 'active' | 'terminating' | 'unknown'][] = [];
  for (const name of spaces) namespaces.push([name, await namespaceFact(kubernetes, name, options)]);
  const questions = distinct([
    ...questionsOf(charts, kinds, resources),
    ...stateQuestions(stateNamespace),
    ...rights,
    ...(namespaces.some(([, is]) => is === 'absent') ? [{ verb: 'create', group: '', resource: 'namespaces' }] : []),
  ]);
  const answers = await kubernetes.allowed(questions, options);
  return {
    server: kubernetes.server,
    gitVersion,
    kinds,
    resources,
    claims: await newClaims(neededClaims(charts), kubernetes, options),
    ingresses: neededIngresses(charts),
    storageClasses: storage?.map((one) => classFact(one, 'storageclass')),
    ingressClasses: ingress?.map((one) => classFact(one, 'ingressclass')),
    nodes: nodes?.map(nodeFact),
    namespaces: new Map(namespaces),
    refused: questions.filter((_, index) => answers[index] !== true),
  };
}

function questionsOf(
  charts: readonly CheckedChart[],
  kinds: readonly NeededKind[],
  resources: ReadonlyMap<string, ApiResource>,
): AccessQuestion[] {
  const records = charts.flatMap(({ namespace }) =>
    RECORD_VERBS.map((verb) => ({ verb, group: '', resource: 'secrets', namespace })),
  );
  const objects = kinds.flatMap(({ apiVersion, kind, namespaces }) => {
    const resource = resources.get(kindKey(apiVersion, kind));
    if (resource === undefined) return [];
    const { group, name } = resource;
    const places = resource.namespaced ? [...namespaces].map((namespace) => ({ namespace })) : [{}];
    return places.flatMap((place) => HELM_VERBS.map((verb) => ({ verb, group, resource: name, ...place })));
  });
  return [...records, ...objects];
}

function stateQuestions(namespace: string): AccessQuestion[] {
  return [
    ...RECORD_VERBS.map((verb) => ({ verb, group: '', resource: 'secrets', namespace })),
    ...['get', 'create', 'update'].map((verb) => ({
      verb,
      group: 'coordination.k8s.io',
      resource: 'leases',
      namespace,
    })),
  ];
}

/** Only kinds that live in a namespace say something about namespaces. */
function namespaced(kinds: readonly NeededKind[], resources: ReadonlyMap<string, ApiResource>): NeededKind[] {
  return kinds.filter(({ apiVersion, kind }) => resources.get(kindKey(apiVersion, kind))?.namespaced === true);
}

async function newClaims(
  claims: readonly NeededClaim[],
  kubernetes: Kubernetes,
  options: { readonly signal?: AbortSignal },
): Promise<readonly NeededClaim[]> {
  const found: NeededClaim[] = [];
  for (const claim of claims) {
    const isLasting = claim.by.kind === 'PersistentVolumeClaim' || claim.by.kind === 'StatefulSet';
    const there = isLasting ? await unlessForbidden(() => kubernetes.get(claim.by, options)) : undefined;
    if (there === undefined) found.push(claim);
  }
  return found;
}

async function listed(
  kubernetes: Kubernetes,
  apiVersion: string,
  kind: string,
  options: { readonly signal?: AbortSignal },
): Promise<readonly KubernetesObject[] | undefined> {
  return unlessForbidden(() => kubernetes.list({ apiVersion, kind }, options));
}

async function namespaceFact(
  kubernetes: Kubernetes,
  name: string,
  options: { readonly signal?: AbortSignal },
): Promise<'absent' | 'active' | 'terminating' | 'unknown'> {
  try {
    const namespace = await kubernetes.get({ apiVersion: 'v1', kind: 'Namespace', name }, options);
    if (namespace === undefined) return 'absent';
    return namespace.metadata.deletionTimestamp === undefined ? 'active' : 'terminating';
  } catch (cause) {
    if (isForbidden(cause)) return 'unknown';
    throw cause;
  }
}

async function unlessForbidden<T>(work: () => Promise<T>): Promise<T | undefined> {
  try {
    return await work();
  } catch (cause) {
    if (isForbidden(cause)) return undefined;
    throw cause;
  }
}

function isForbidden(cause: unknown): boolean {
  return cause instanceof PortolanError && cause.code === 'KUBERNETES_FORBIDDEN';
}

/** Kubernetes, "Default StorageClass" and "Default Ingress Class". */
function classFact({ metadata }: KubernetesObject, kind: 'storageclass' | 'ingressclass'): ClassFact {
  const annotation =
    kind === 'storageclass'
      ? 'storageclass.kubernetes.io/is-default-class'
      : 'ingressclass.kubernetes.io/is-default-class';
  return { name: metadata.name, isDefault: metadata.annotations?.[annotation] === 'true' };
}

const nodeSchema = z.looseObject({
  spec: z.looseObject({ unschedulable: z.boolean().optional() }).optional(),
  status: z.looseObject({
    nodeInfo: z.looseObject({ operatingSystem: z.string(), architecture: z.string() }),
    conditions: z.array(z.looseObject({ type: z.string(), status: z.string() })).default([]),
  }),
});

function nodeFact(node: KubernetesObject): NodeFact {
  const { metadata } = node;
  const parsed = nodeSchema.safeParse(node);
  if (!parsed.success) return { name: metadata.name, platform: 'unknown', isReady: false, takesPods: false };
  const { spec, status } = parsed.data;
  return {
    name: metadata.name,
    platform: `${status.nodeInfo.operatingSystem}/${status.nodeInfo.architecture}`,
    isReady: status.conditions.some(({ type, status: is }) => type === 'Ready' && is === 'True'),
    takesPods: spec?.unschedulable !== true,
  };
}

function distinct(questions: readonly AccessQuestion[]): AccessQuestion[] {
  const keyOf = ({ verb, group, resource, subresource = '', namespace = '', name = '' }: AccessQuestion) =>
    JSON.stringify([verb, group, resource, subresource, namespace, name]);
  return [...new Map(questions.map((question) => [keyOf(question), question])).values()];
}

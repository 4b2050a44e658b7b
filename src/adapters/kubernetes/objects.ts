import { z } from 'zod';
import { groupVersionPath } from '../../formats/kubernetes/discovery.ts';
import type { ApiResource, KubernetesObject, ObjectKey } from '../../ports/kubernetes.ts';
import { AdapterError } from '../errors.ts';
import { decodeJson } from './json.ts';

const objectSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.string(),
  metadata: z.looseObject({ name: z.string() }),
});
const pageSchema = z.looseObject({
  metadata: z.looseObject({ continue: z.string().nullish() }).nullish(),
  items: z.array(z.looseObject({ metadata: z.looseObject({ name: z.string() }) })).nullish(),
});

export function decodeObject(bytes: Uint8Array, what: string): KubernetesObject {
  const result = objectSchema.safeParse(decodeJson(bytes, what));
  if (!result.success) throw notAnObject(what);
  return result.data as KubernetesObject;
}

/** The items of a list do not say what they are: the list does. */
export function decodePage(
  bytes: Uint8Array,
  { apiVersion, kind }: { readonly apiVersion: string; readonly kind: string },
  what: string,
): { readonly items: readonly KubernetesObject[]; readonly next: string | undefined } {
  const result = pageSchema.safeParse(decodeJson(bytes, what));
  if (!result.success) throw notAnObject(what);
  const items = (result.data.items ?? []).map((item) => ({ ...item, apiVersion, kind }) as KubernetesObject);
  return { items, next: result.data.metadata?.continue || undefined };
}

/** `/apis/apps/v1/namespaces/NS/deployments`; without a namespace all of them. */
export function collectionPath(resource: ApiResource, namespace: string | undefined): string {
  const root = groupVersionPath(resource.group === '' ? resource.version : `${resource.group}/${resource.version}`);
  const scope = resource.namespaced && namespace !== undefined ? `/namespaces/${encodeURIComponent(namespace)}` : '';
  return `${root}${scope}/${resource.name}`;
}

export function keyOf({ apiVersion, kind, metadata }: KubernetesObject): ObjectKey {
  const { name, namespace } = metadata;
  return { apiVersion, kind, name, ...(namespace === undefined ? {} : { namespace }) };
}

/** `Secret portolan-system/portolan.key`. */
export function nameOf({ kind, namespace, name }: Omit<ObjectKey, 'apiVersion'>): string {
  return `${kind} ${namespace === undefined ? '' : `${namespace}/`}${name}`;
}

/** Whether all that was sent stands in what is there: servers add fields (status, defaults, managedFields). */
export function contains(there: unknown, sent: unknown): boolean {
  if (Array.isArray(sent)) {
    return (
      Array.isArray(there) && there.length === sent.length && sent.every((one, index) => contains(there[index], one))
    );
  }
  if (sent === null || typeof sent !== 'object') return there === sent;
  if (there === null || typeof there !== 'object') return false;
  return Object.entries(sent).every(
    ([key, value]) => value === undefined || contains((there as Record<string, unknown>)[key], value),
  );
}

/** Whether the manager wrote this object with an ordinary create or update. */
export function isWrittenBy(object: KubernetesObject, manager: string): boolean {
  const { managedFields } = object.metadata;
  return (
    Array.isArray(managedFields) &&
    managedFields.some((entry: { manager?: unknown } | null) => entry?.manager === manager)
  );
}

function notAnObject(what: string): AdapterError {
  return new AdapterError('KUBERNETES_FAILED', `Cannot ${what}: the answer is no Kubernetes object`, {
    hint: 'Check that the server of this context is a Kubernetes API server.',
  });
}

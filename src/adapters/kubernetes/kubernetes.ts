import { z } from 'zod';
import { printable } from '../../core/printable.ts';
import type { ClusterAccess } from '../../formats/kubernetes/kubeconfig.ts';
import type {
  AccessQuestion,
  ApiResource,
  CallOptions,
  Kubernetes,
  KubernetesObject,
  ObjectKey,
  ObjectQuery,
} from '../../ports/kubernetes.ts';
import { AdapterError } from '../errors.ts';
import { type ApiClient, type ClientSettings, createApiClient, type Trail } from './client.ts';
import { createDiscovery } from './discovery.ts';
import { decodeJson } from './json.ts';
import { collectionPath, contains, decodeObject, decodePage, isWrittenBy, keyOf, nameOf } from './objects.ts';
import { forwardPort } from './port-forward.ts';

/** The name under which what Portolan writes stands in `managedFields`. */
const FIELD_MANAGER = 'portolan';
/** Secrets reach 1 MiB each. */
const PAGE_ITEMS = 100;
const LIST_TRIES = 3;
const ACCESS_REVIEWS_AT_ONCE = 8;

const versionSchema = z.looseObject({ gitVersion: z.string() });
const reviewSchema = z.looseObject({ status: z.looseObject({ allowed: z.boolean() }) });

/** The port over REST calls (kubernetes.io/docs/reference/using-api/api-concepts). */
export function createKubernetes(access: ClusterAccess, settings: ClientSettings): Kubernetes {
  const client = createApiClient(access, settings);
  const discovery = createDiscovery(client);
  const { server, context } = access;

  const required = async (apiVersion: string, kind: string, options: CallOptions): Promise<ApiResource> => {
    const resource = await discovery.resource(apiVersion, kind, options);
    if (resource !== undefined) return resource;
    throw new AdapterError('KUBERNETES_KIND_UNKNOWN', `The cluster does not know ${apiVersion} ${kind}`, {
      at: { url: server },
      hint: 'Install what defines this kind, or use a cluster of a version that has it.',
    });
  };

  const get = async (key: ObjectKey, options: CallOptions): Promise<KubernetesObject | undefined> => {
    const resource = await discovery.resource(key.apiVersion, key.kind, options);
    if (resource === undefined) return undefined;
    const what = `read ${nameOf(key)}`;
    const path = objectPath(resource, key);
    const answer = await client.send({ method: 'GET', path, what, ...about(key), allow: [404] }, options);
    return answer.status === 404 ? undefined : decodeObject(answer.bytes, what);
  };

  /** A write whose outcome is not known, told to be there or in conflict at the next try: was it ours? */
  const wroteItself = async (object: KubernetesObject, trail: Trail, options: CallOptions) => {
    if (!trail.uncertain) return undefined;
    const there = await get(keyOf(object), options);
    const { resourceVersion: _, ...metadata } = object.metadata;
    const isOurs = there !== undefined && isWrittenBy(there, FIELD_MANAGER) && contains(there, { ...object, metadata });
    return isOurs ? there : undefined;
  };

  const write = async (
    verb: 'create' | 'replace',
    object: KubernetesObject,
    options: CallOptions,
  ): Promise<KubernetesObject> => {
    const key = keyOf(object);
    const resource = await required(key.apiVersion, key.kind, options);
    const what = `${verb} ${nameOf(key)}`;
    const trail: Trail = { uncertain: false };
    try {
      const answer = await client.send(
        {
          method: verb === 'create' ? 'POST' : 'PUT',
          path: verb === 'create' ? collectionPath(resource, key.namespace) : objectPath(resource, key),
          query: { fieldManager: FIELD_MANAGER },
          body: { type: 'application/json', value: object },
          what,
          ...about(key),
        },
        { ...options, trail },
      );
      return decodeObject(answer.bytes, what);
    } catch (failure) {
      const isMet =
        failure instanceof AdapterError &&
        (failure.code === 'KUBERNETES_EXISTS' || failure.code === 'KUBERNETES_CONFLICT');
      const there = isMet ? await wroteItself(object, trail, options) : undefined;
      if (there !== undefined) return there;
      throw failure;
    }
  };

  return {
    context,
    server,
    apiVersions: (options) => discovery.apiVersions(options),
    resource: (apiVersion, kind, options) => discovery.resource(apiVersion, kind, options),
    get: (key, options = {}) => get(key, options),
    create: (object, options = {}) => write('create', object, options),
    replace: (object, options = {}) => write('replace', object, options),

    async version(options = {}) {
      const what = "read the cluster's version";
      const answer = await client.send({ method: 'GET', path: '/version', what }, options);
      const result = versionSchema.safeParse(decodeJson(answer.bytes, what));
      if (result.success) return { gitVersion: printable(result.data.gitVersion) };
      throw new AdapterError('KUBERNETES_FAILED', `Cannot ${what}: the answer names no version`, {
        at: { url: server },
        hint: 'Check that the server of this context is a Kubernetes API server.',
      });
    },

    async list(query, options = {}) {
      const resource = await discovery.resource(query.apiVersion, query.kind, options);
      if (resource === undefined) return [];
      for (let attempt = 1; ; attempt += 1) {
        try {
          return await listPages(client, resource, query, options);
        } catch (failure) {
          // The place to go on from is kept for minutes only: the list is read from its beginning again.
          const isGone = failure instanceof AdapterError && failure.code === 'KUBERNETES_GONE';
          if (!isGone || attempt >= LIST_TRIES) throw failure;
        }
      }
    },

    async apply(object, options = {}) {
      const key = keyOf(object);
      const resource = await required(key.apiVersion, key.kind, options);
      const what = `apply ${nameOf(key)}`;
      const { managedFields: _, ...metadata } = object.metadata;
      const answer = await client.send(
        {
          method: 'PATCH',
          path: objectPath(resource, key),
          query: { fieldManager: FIELD_MANAGER, force: 'true', dryRun: options.dryRun === true ? 'All' : undefined },
          // JSON is YAML; this type stands for server-side apply.
          body: { type: 'application/apply-patch+yaml', value: { ...object, metadata } },
          what,
          ...about(key),
        },
        options,
      );
      return decodeObject(answer.bytes, what);
    },

    async delete(key, options = {}) {
      const resource = await discovery.resource(key.apiVersion, key.kind, options);
      if (resource === undefined) return false;
      const { uid, propagation = 'Background' } = options;
      const trail: Trail = { uncertain: false };
      const answer = await client.send(
        {
          method: 'DELETE',
          path: objectPath(resource, key),
          body: {
            type: 'application/json',
            value: {
              apiVersion: 'v1',
              kind: 'DeleteOptions',
              propagationPolicy: propagation,
              ...(uid === undefined ? {} : { preconditions: { uid } }),
            },
          },
          what: `delete ${nameOf(key)}`,
          ...about(key),
          allow: [404],
        },
        { ...options, trail },
      );
      return answer.status !== 404 || trail.uncertain;
    },

    async logs({ namespace, pod, container, previous }, { tailLines, limitBytes }, options = {}) {
      const answer = await client.send(
        {
          method: 'GET',
          path: `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/log`,
          query: { container, previous: previous === true ? 'true' : undefined, tailLines, limitBytes },
          accept: '*/*',
          what: `read the logs of Pod ${namespace}/${pod}`,
          // The kubelet cuts by itself; somewhat more is let pass, since it counts in its own way.
          maxBytes: limitBytes + 64 * 1024,
        },
        options,
      );
      return new TextDecoder().decode(answer.bytes);
    },

    forward: (to, options = {}) => forwardPort(client, server, to, options),

    async allowed(questions, options = {}) {
      const answers: boolean[] = [];
      for (let start = 0; start < questions.length; start += ACCESS_REVIEWS_AT_ONCE) {
        const batch = questions.slice(start, start + ACCESS_REVIEWS_AT_ONCE);
        answers.push(...(await Promise.all(batch.map((question) => isAllowed(client, question, options)))));
      }
      return answers;
    },

    close: () => client.close(),
  };
}

async function isAllowed(client: ApiClient, question: AccessQuestion, options: CallOptions): Promise<boolean> {
  const what = `ask for the right to ${question.verb} ${question.resource}`;
  const answer = await client.send(
    {
      method: 'POST',
      path: '/apis/authorization.k8s.io/v1/selfsubjectaccessreviews',
      body: {
        type: 'application/json',
        value: {
          apiVersion: 'authorization.k8s.io/v1',
          kind: 'SelfSubjectAccessReview',
          spec: { resourceAttributes: question },
        },
      },
      what,
    },
    options,
  );
  const result = reviewSchema.safeParse(decodeJson(answer.bytes, what));
  return result.success && result.data.status.allowed;
}

async function listPages(
  client: ApiClient,
  resource: ApiResource,
  query: ObjectQuery,
  options: CallOptions,
): Promise<readonly KubernetesObject[]> {
  const { namespace, labelSelector, fieldSelector, kind } = query;
  const what = `list ${resource.name}${namespace === undefined ? '' : ` in ${namespace}`}`;
  const all: KubernetesObject[] = [];
  let next: string | undefined;
  do {
    const answer = await client.send(
      {
        method: 'GET',
        path: collectionPath(resource, namespace),
        query: { labelSelector, fieldSelector, limit: PAGE_ITEMS, continue: next },
        what,
        secret: kind === 'Secret',
      },
      options,
    );
    const page = decodePage(answer.bytes, query, what);
    all.push(...page.items);
    next = page.next;
  } while (next !== undefined);
  return all;
}

function objectPath(resource: ApiResource, key: ObjectKey): string {
  if (resource.namespaced && key.namespace === undefined) {
    throw new TypeError(`${nameOf(key)}: this kind lives in a namespace, and none was given`);
  }
  return `${collectionPath(resource, key.namespace)}/${encodeURIComponent(key.name)}`;
}

function about(key: ObjectKey): { readonly secret: boolean } {
  return { secret: key.kind === 'Secret' };
}

import {
  AGGREGATED_ACCEPT,
  decodeAggregated,
  decodeGroupVersions,
  decodeResourceList,
  groupVersionPath,
} from '../../formats/kubernetes/discovery.ts';
import type { ApiResource, CallOptions } from '../../ports/kubernetes.ts';
import { AdapterError } from '../errors.ts';
import type { ApiClient } from './client.ts';
import { decodeJson } from './json.ts';

export interface Discovery {
  apiVersions(options?: CallOptions): Promise<readonly string[]>;
  resource(apiVersion: string, kind: string, options?: CallOptions): Promise<ApiResource | undefined>;
}

/** Asks the API server what it offers. What it was found to offer is kept; what was not found is asked for again. */
export function createDiscovery(client: ApiClient): Discovery {
  const known = new Map<string, ReadonlyMap<string, ApiResource>>();

  const get = async (path: string, accept: string | undefined, options: CallOptions): Promise<unknown> => {
    const what = `read what the API server offers at ${path}`;
    const answer = await client.send(
      { method: 'GET', path, what, allow: [404], ...(accept === undefined ? {} : { accept }) },
      options,
    );
    return answer.status === 404 ? undefined : decodeJson(answer.bytes, what);
  };

  const readGroupVersion = async (apiVersion: string, options: CallOptions): Promise<Map<string, ApiResource>> => {
    const document = await get(groupVersionPath(apiVersion), undefined, options);
    const slash = apiVersion.indexOf('/');
    const group = slash === -1 ? '' : apiVersion.slice(0, slash);
    const version = apiVersion.slice(slash + 1);
    const resources = new Map<string, ApiResource>();
    for (const { name, kind, namespaced, verbs } of decodeResourceList(document) ?? []) {
      if (!resources.has(kind)) resources.set(kind, { name, group, version, namespaced, verbs });
    }
    known.set(apiVersion, resources);
    return resources;
  };

  return {
    async resource(apiVersion, kind, options = {}) {
      return known.get(apiVersion)?.get(kind) ?? (await readGroupVersion(apiVersion, options)).get(kind);
    },
    async apiVersions(options = {}) {
      const found = new Set<string>();
      for (const root of ['/api', '/apis']) {
        const document = await get(root, AGGREGATED_ACCEPT, options);
        const all = decodeAggregated(document);
        for (const entry of all ?? []) found.add(entry);
        if (all !== undefined) continue;
        for (const groupVersion of decodeGroupVersions(document)) {
          found.add(groupVersion);
          // An API whose own server is away (a metrics server) answers 503: the group is there all the same.
          const kinds = await readGroupVersion(groupVersion, options).catch(unlessFailed);
          for (const kind of kinds?.keys() ?? []) found.add(`${groupVersion}/${kind}`);
        }
      }
      return [...found].sort();
    },
  };
}

function unlessFailed(failure: unknown): undefined {
  if (!(failure instanceof AdapterError) || failure.code !== 'KUBERNETES_FAILED') throw failure;
}

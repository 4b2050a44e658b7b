import { digestOf, hexOf } from '../../core/digest.ts';
import type { Contents } from '../../formats/bundle/contents.ts';
import type { Kubernetes } from '../../ports/kubernetes.ts';
import { applyInNamespace } from '../configuration/apply.ts';
import { configMapObject } from '../configuration/objects.ts';
import { UseCaseError } from '../errors.ts';

/** The bundle's JSON documents as one ConfigMap, in every namespace that its charts use. */
export interface ConfigurationMap {
  readonly namespace: string;
  readonly name: string;
  readonly documents: Readonly<Record<string, string>>;
}

/** What is carried under `configuration/json/`; values files are for rendering only. */
const DOCUMENTS_FOLDER = 'json/';
/** Of all keys and values of a ConfigMap: the API server's own limit. */
const CONFIG_MAP_MAX_BYTES = 1024 * 1024;

/** @param texts - By path. @throws UseCaseError CONFIGURATION_TOO_LARGE */
export function configurationMapsOf(
  contents: Contents,
  texts: Readonly<Record<string, string>>,
): readonly ConfigurationMap[] {
  const documents = Object.fromEntries(Object.entries(texts).map(([path, text]) => [keyOf(path), text]));
  if (Object.keys(documents).length === 0) return [];
  const sizes = Object.entries(documents).map(([key, text]) => Buffer.byteLength(key) + Buffer.byteLength(text));
  const sizeBytes = sizes.reduce((sum, size) => sum + size, 0);
  if (sizeBytes > CONFIG_MAP_MAX_BYTES) {
    throw new UseCaseError('CONFIGURATION_TOO_LARGE', 'The JSON documents of the bundle do not fit into a ConfigMap', {
      expected: `at most ${CONFIG_MAP_MAX_BYTES} bytes in all`,
      found: `${sizeBytes} bytes: ${Object.keys(texts).join(', ')}`,
      hint: 'Ask the publisher for smaller documents, or leave them out with --only.',
    });
  }
  const namespaces = [...new Set(contents.charts.map(({ namespace }) => namespace))].sort();
  return namespaces.map((namespace) => ({ namespace, name: `${contents.name}-configuration`, documents }));
}

/** A ConfigMap's key takes letters, digits, `-`, `_` and `.`: where that loses something, a part of the path's digest is added. */
function keyOf(path: string): string {
  const inside = path.startsWith(DOCUMENTS_FOLDER) ? path.slice(DOCUMENTS_FOLDER.length) : path;
  const key = inside.replaceAll('/', '.').replace(/[^-._a-zA-Z0-9]/g, '_');
  const isPlain = !inside.includes('.') || /^[-_a-zA-Z0-9]+(\/[-_a-zA-Z0-9]+)*(\.[a-zA-Z0-9]+)?$/.test(inside);
  return isPlain ? key : `${key}-${hexOf(digestOf(inside)).slice(0, 8)}`;
}

export async function configurationAction(
  kubernetes: Kubernetes,
  map: ConfigurationMap,
  options: { readonly signal?: AbortSignal },
): Promise<'create' | 'update' | 'unchanged'> {
  const key = { apiVersion: 'v1', kind: 'ConfigMap', namespace: map.namespace, name: map.name };
  const there = await kubernetes.get(key, options);
  if (there === undefined) return 'create';
  const data = (there.data ?? {}) as Record<string, string>;
  const names = new Set([...Object.keys(data), ...Object.keys(map.documents)]);
  return [...names].every((name) => data[name] === map.documents[name]) ? 'unchanged' : 'update';
}

/** Writes the ConfigMaps, and the namespaces that they need. Those of the former release that are no longer wanted go. */
export async function applyConfiguration(
  kubernetes: Kubernetes,
  maps: readonly ConfigurationMap[],
  former: readonly Pick<ConfigurationMap, 'namespace' | 'name'>[],
  bundle: string,
  options: { readonly signal?: AbortSignal },
): Promise<void> {
  for (const map of maps) {
    const labels = { 'app.kubernetes.io/managed-by': 'portolan', 'portolan.dev/bundle': bundle };
    const { namespace, name, documents } = map;
    await applyInNamespace(kubernetes, configMapObject({ namespace, name, labels, data: documents }), options);
  }
  for (const { namespace, name } of former) {
    if (maps.some((map) => map.namespace === namespace && map.name === name)) continue;
    await kubernetes.delete({ apiVersion: 'v1', kind: 'ConfigMap', namespace, name }, options);
  }
}

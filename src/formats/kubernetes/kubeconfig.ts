/**
 * kubeconfig files (`apiVersion: v1`, `kind: Config`), as kubectl reads them: YAML of `clusters`, `users`, `contexts` (lists of
 * `{ name, … }`) and `current-context`. Of several files the first that names something wins; paths are relative to the file
 * that they stand in (k8s.io/client-go/tools/clientcmd, "Loading rules").
 */
import { dirname, isAbsolute, resolve } from 'node:path';
import type { z } from 'zod';
import { type KeyPath, keyPathText } from '../bundle/definition-yaml.ts';
import { FormatError } from '../errors.ts';
import { parseHelmYaml } from '../helm/yaml.ts';
import { type ClusterEntry, type ExecEntry, kubeconfigSchema, type UserEntry } from './kubeconfig-schema.ts';

export const KUBECONFIG_LIMIT_BYTES = 8 * 1024 * 1024;

/** What a file or the kubeconfig itself holds: a path, absolute, or the bytes. */
export type Material = { readonly file: string } | { readonly bytes: Uint8Array };

/** A program that is asked for credentials (client.authentication.k8s.io). */
export interface ExecPlugin {
  readonly apiVersion: 'client.authentication.k8s.io/v1' | 'client.authentication.k8s.io/v1beta1';
  /** A name to look for in PATH, or an absolute path. */
  readonly command: string;
  readonly arguments: readonly string[];
  readonly environment: Readonly<Record<string, string>>;
  readonly provideClusterInfo: boolean;
  /** How to get the program, in the words of whoever made the file. */
  readonly installHint?: string;
}

export interface UserAccess {
  readonly clientCertificate?: Material;
  readonly clientKey?: Material;
  readonly token?: string;
  /** Absolute. Read again from time to time: its content changes. */
  readonly tokenFile?: string;
  readonly basic?: { readonly username: string; readonly password: string };
  readonly exec?: ExecPlugin;
  readonly impersonate?: { readonly user: string; readonly uid?: string; readonly groups: readonly string[] };
}

/** How one context reaches its API server. */
export interface ClusterAccess {
  readonly context: string;
  /** Without a slash at its end. */
  readonly server: string;
  /** Trusted alone; without it the system's authorities are. */
  readonly authority?: Material;
  readonly skipVerify: boolean;
  /** The name that the server's certificate must have, instead of the one in `server`. */
  readonly serverName?: string;
  readonly proxyUrl?: string;
  readonly user: UserAccess;
}

interface Placed<Entry> {
  readonly entry: Entry;
  readonly file: string;
  /** Key path of the entry, for errors. */
  readonly key: string;
}

export interface Kubeconfig {
  readonly files: readonly string[];
  readonly currentContext: string | undefined;
  readonly clusters: ReadonlyMap<string, Placed<ClusterEntry>>;
  readonly users: ReadonlyMap<string, Placed<UserEntry>>;
  readonly contexts: ReadonlyMap<string, Placed<ContextEntry>>;
}

type Parsed = z.infer<typeof kubeconfigSchema>;
type ContextEntry = NonNullable<Parsed['contexts']>[number]['context'];

/** @throws FormatError KUBECONFIG_INVALID, naming the file and the key; no value of the file is repeated. */
export function decodeKubeconfig(text: string, file: string): Kubeconfig {
  const documents = parseHelmYaml(text, file, 'KUBECONFIG_INVALID').filter(({ value }) => value !== null);
  if (documents.length > 1) {
    throw invalid(file, undefined, 'a kubeconfig is one YAML document', 'Leave one document in the file.');
  }
  const result = kubeconfigSchema.safeParse(documents[0]?.value ?? {});
  if (!result.success) {
    const [issue] = result.error.issues;
    const key = keyPathText((issue?.path ?? []) as KeyPath);
    throw invalid(file, key, `${key === '' ? 'the document' : key}: ${issue?.message}`, 'Correct this key.');
  }
  const { clusters, users, contexts, 'current-context': currentContext } = result.data;
  return {
    files: [file],
    currentContext: currentContext || undefined,
    clusters: byName(file, 'clusters', clusters, ({ cluster }) => cluster, 'cluster'),
    users: byName(file, 'users', users, ({ user }) => user, 'user'),
    contexts: byName(file, 'contexts', contexts, ({ context }) => context, 'context'),
  };
}

/** The first file that names a cluster, a user, a context or the current context wins. */
export function mergeKubeconfigs(all: readonly Kubeconfig[]): Kubeconfig {
  const merge = <Entry>(of: (one: Kubeconfig) => ReadonlyMap<string, Entry>): ReadonlyMap<string, Entry> =>
    // The last write to a Map stays: the first file's comes last.
    new Map([...all].reverse().flatMap((one) => [...of(one)]));
  return {
    files: all.flatMap(({ files }) => files),
    currentContext: all.find(({ currentContext }) => currentContext !== undefined)?.currentContext,
    clusters: merge(({ clusters }) => clusters),
    users: merge(({ users }) => users),
    contexts: merge(({ contexts }) => contexts),
  };
}

/**
 * How a context reaches its cluster; without a name the current context.
 *
 * @throws FormatError KUBECONFIG_INVALID
 */
export function accessOf(kubeconfig: Kubeconfig, name: string | undefined): ClusterAccess {
  const place = kubeconfig.files.join(', ');
  const wanted = name ?? kubeconfig.currentContext;
  const known = [...kubeconfig.contexts.keys()].sort().join(', ') || 'none';
  if (wanted === undefined) {
    throw invalid(place, 'current-context', 'no context is chosen', `Choose one with --context. There are: ${known}.`);
  }
  const context = kubeconfig.contexts.get(wanted);
  if (context === undefined) {
    const key = name === undefined ? 'current-context' : 'contexts';
    throw invalid(place, key, `there is no context ${wanted}`, `Choose one with --context. There are: ${known}.`);
  }
  const { cluster, user } = context.entry;
  const found = kubeconfig.clusters.get(cluster);
  if (found === undefined) {
    throw invalid(context.file, `${context.key}.cluster`, `there is no cluster ${cluster}`, 'Correct the name.');
  }
  const userEntry = user === undefined || user === '' ? undefined : kubeconfig.users.get(user);
  if (userEntry === undefined && user !== undefined && user !== '') {
    throw invalid(context.file, `${context.key}.user`, `there is no user ${user}`, 'Correct the name.');
  }
  return {
    context: wanted,
    ...clusterAccess(found),
    user: userEntry === undefined ? {} : userAccess(userEntry),
  };
}

function clusterAccess({ entry, file, key }: Placed<ClusterEntry>) {
  const server = entry.server.replace(/\/+$/, '');
  if (!URL.canParse(server) || !/^https?:$/.test(new URL(server).protocol) || new URL(server).username !== '') {
    throw invalid(file, `${key}.server`, 'the server is not an address', 'Write it as https://HOST:PORT.');
  }
  const authority = material(entry, 'certificate-authority', file, key);
  const proxy = entry['proxy-url'];
  if (proxy && !(URL.canParse(proxy) && /^https?:$/.test(new URL(proxy).protocol))) {
    // The address may hold a password and is not repeated.
    throw invalid(file, `${key}.proxy-url`, 'the proxy is not an HTTP proxy', 'Write it as http://HOST:PORT.');
  }
  return {
    server,
    skipVerify: entry['insecure-skip-tls-verify'] === true,
    ...(authority === undefined ? {} : { authority }),
    ...(entry['tls-server-name'] ? { serverName: entry['tls-server-name'] } : {}),
    ...(proxy ? { proxyUrl: proxy } : {}),
  };
}

function userAccess({ entry, file, key }: Placed<UserEntry>): UserAccess {
  if (entry['auth-provider'] !== undefined && entry['auth-provider'] !== null) {
    throw invalid(
      file,
      `${key}.auth-provider`,
      'this kind of credentials was given up by Kubernetes',
      "Write the file again with the provider's current tool, which puts an exec plugin in its place.",
    );
  }
  const clientCertificate = material(entry, 'client-certificate', file, key);
  const clientKey = material(entry, 'client-key', file, key);
  if ((clientCertificate === undefined) !== (clientKey === undefined)) {
    const missing = clientKey === undefined ? 'client-key' : 'client-certificate';
    throw invalid(file, `${key}.${missing}`, `${missing} is missing`, 'A certificate and its key go together.');
  }
  const tokenFile = entry.tokenFile || undefined;
  return {
    ...(clientCertificate === undefined ? {} : { clientCertificate }),
    ...(clientKey === undefined ? {} : { clientKey }),
    ...(entry.token ? { token: entry.token } : {}),
    ...(tokenFile === undefined ? {} : { tokenFile: resolve(dirname(file), tokenFile) }),
    ...(entry.username ? { basic: { username: entry.username, password: entry.password ?? '' } } : {}),
    ...(entry.exec ? { exec: execPlugin(entry.exec, file, `${key}.exec`) } : {}),
    ...(entry.as
      ? {
          impersonate: {
            user: entry.as,
            groups: entry['as-groups'] ?? [],
            ...(entry['as-uid'] ? { uid: entry['as-uid'] } : {}),
          },
        }
      : {}),
  };
}

function execPlugin(entry: ExecEntry, file: string, key: string): ExecPlugin {
  const { apiVersion, command } = entry;
  if (apiVersion !== 'client.authentication.k8s.io/v1' && apiVersion !== 'client.authentication.k8s.io/v1beta1') {
    throw new FormatError('KUBECONFIG_INVALID', `${file}: ${key}.apiVersion: this version is not supported`, {
      expected: 'client.authentication.k8s.io/v1 or client.authentication.k8s.io/v1beta1',
      found: apiVersion,
      at: { file, key: `${key}.apiVersion` },
      hint: "Write the file again with the provider's current tool.",
    });
  }
  if (entry.interactiveMode === 'Always') {
    throw invalid(
      file,
      `${key}.interactiveMode`,
      'a plugin that must talk with a person cannot be used',
      'Use credentials that need no conversation.',
    );
  }
  return {
    apiVersion,
    // As in client-go: a bare name is looked for in PATH, anything with a slash is a path beside the file.
    command: command.includes('/') && !isAbsolute(command) ? resolve(dirname(file), command) : command,
    arguments: entry.args ?? [],
    environment: Object.fromEntries((entry.env ?? []).map(({ name, value }) => [name, value])),
    provideClusterInfo: entry.provideClusterInfo === true,
    ...(entry.installHint ? { installHint: entry.installHint } : {}),
  };
}

/** `NAME-data`, in base64, goes before `NAME`, a path. */
function material(
  entry: { readonly [key: string]: unknown },
  name: string,
  file: string,
  key: string,
): Material | undefined {
  const data = entry[`${name}-data`];
  if (typeof data === 'string' && data !== '') {
    const compact = data.replace(/\s+/g, '');
    const bytes = Buffer.from(compact, 'base64');
    if (bytes.length === 0 || bytes.toString('base64').replace(/=+$/, '') !== compact.replace(/=+$/, '')) {
      throw invalid(file, `${key}.${name}-data`, 'the content is not base64', 'Copy the whole value again.');
    }
    return { bytes };
  }
  const path = entry[name];
  return typeof path === 'string' && path !== '' ? { file: resolve(dirname(file), path) } : undefined;
}

function byName<Item extends { readonly name: string }, Entry>(
  file: string,
  list: string,
  items: readonly Item[] | null | undefined,
  of: (item: Item) => Entry,
  member: string,
): ReadonlyMap<string, Placed<Entry>> {
  const map = new Map<string, Placed<Entry>>();
  for (const [index, item] of (items ?? []).entries()) {
    const key = `${list}[${index}]`;
    if (map.has(item.name)) {
      throw invalid(file, `${key}.name`, `the name ${item.name} stands there twice`, 'Give each a name of its own.');
    }
    map.set(item.name, { entry: of(item), file, key: `${key}.${member}` });
  }
  return map;
}

function invalid(file: string, key: string | undefined, text: string, hint: string): FormatError {
  return new FormatError('KUBECONFIG_INVALID', `${file}: ${text}`, {
    at: { file, ...(key === undefined || key === '' ? {} : { key }) },
    hint,
  });
}

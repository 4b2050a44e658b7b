import { fileURLToPath } from 'node:url';
import { run, succeed } from './program.ts';

const SCRIPT = fileURLToPath(new URL('../../scripts/cluster', import.meta.url));
const REQUEST_TIMEOUT_MS = 10_000;

/** The node that the tests of test/cluster run beside: in its network, with this machine's files and processes. */
export interface Cluster {
  readonly name: string;
  /** `k3s` where a person has brought one (scripts/cluster k3s). */
  readonly kind: 'node' | 'k3s';
  /** The network namespace, as `ip netns` knows it. */
  readonly network: string;
  /** What the cluster has written: logs in log/, volumes in volumes/. */
  readonly folder: string;
  readonly kubeconfig: string;
  /** The socket of its containerd; its images are in the namespace k8s.io. */
  readonly containerdAddress: string;
  /** HOST:PORT of the registry beside the node, over plain HTTP; containerd pulls from there. */
  readonly registry: string;
}

export type ClusterPart =
  | 'etcd'
  | 'registry'
  | 'containerd'
  | 'apiserver'
  | 'dns'
  | 'storage'
  | 'controller-manager'
  | 'scheduler'
  | 'kubelet'
  | 'proxy';

/** `kill` and `stop` end a part, `pause` holds it (SIGSTOP); the others return once it does its work again. */
export type PartAction = 'start' | 'stop' | 'restart' | 'kill' | 'pause' | 'resume';

export function useCluster(): Cluster {
  return {
    name: variable('PORTOLAN_CLUSTER'),
    kind: variable('PORTOLAN_CLUSTER_KIND') as Cluster['kind'],
    network: variable('PORTOLAN_CLUSTER_NETWORK'),
    folder: variable('PORTOLAN_CLUSTER_FOLDER'),
    kubeconfig: variable('KUBECONFIG'),
    containerdAddress: variable('CONTAINERD_ADDRESS'),
    registry: variable('PORTOLAN_CLUSTER_REGISTRY'),
  };
}

function variable(name: string): string {
  const value = process.env[name];
  if (value) return value;
  throw new Error(`missing: ${name}. Run the test by scripts/test, or by scripts/cluster exec.`);
}

/** Runs `kubectl`, which must succeed; gives its output. Objects go in by `kubectl(['apply', '-f', '-'], manifest)`. */
export function kubectl(args: readonly string[], input?: string): Promise<string> {
  return succeed('kubectl', args, input === undefined ? {} : { input });
}

/** Runs `ctr` on the node's containerd, which must succeed; gives its output. */
export function ctr(...args: string[]): Promise<string> {
  return succeed('ctr', args);
}

/** Starts, ends or holds a part of the node. */
export async function onPart(action: PartAction, part: ClusterPart): Promise<void> {
  await succeed(SCRIPT, [action, part]);
}

/** Runs a program with the node's own mounts and processes, which the others do not see. */
export function insideNode(...command: string[]): Promise<string> {
  return succeed(SCRIPT, ['inside', ...command]);
}

/** The status of an HTTP answer and its text; undefined where nothing answers. */
export async function httpGet(url: string): Promise<{ readonly status: number; readonly text: string } | undefined> {
  try {
    const response = await fetch(url, { signal: AbortSignal.timeout(REQUEST_TIMEOUT_MS) });
    return { status: response.status, text: await response.text() };
  } catch {
    return undefined;
  }
}

/** A Kubernetes namespace of the running test's own, removed at its end, and `kubectl` in it. */
export async function namespaced(name: string): Promise<{
  readonly kubectl: typeof kubectl;
  readonly remove: () => Promise<void>;
}> {
  await kubectl(['create', 'namespace', name]);
  return {
    kubectl: (args, input) => kubectl(['--namespace', name, ...args], input),
    remove: async () => {
      await run('kubectl', ['delete', 'namespace', name, '--wait=false']);
    },
  };
}

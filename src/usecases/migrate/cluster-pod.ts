import { printable } from '../../core/printable.ts';
import { decodePodStatus, unplacedBy } from '../../formats/kubernetes/object-status.ts';
import type { CallOptions, Kubernetes, KubernetesObject } from '../../ports/kubernetes.ts';
import { CONTAINER } from './cluster-job.ts';

/** What a Pod is at, in its own words. */
export interface PodState {
  readonly phase: 'waiting' | 'running' | 'ended';
  /** Why it waits or ended: reason and message of Kubernetes. */
  readonly reason?: string;
  readonly words: string;
  /** The process was stopped by the kernel or by Kubernetes, not by itself. */
  readonly killed: boolean;
}

export function podStateOf(pod: KubernetesObject): PodState {
  const status = decodePodStatus(pod.status);
  const state = status.containerStatuses.find(({ name }) => name === CONTAINER)?.state;
  if (state?.terminated !== undefined) {
    const { exitCode, reason, message } = state.terminated;
    return {
      phase: 'ended',
      ...(reason === undefined ? {} : { reason }),
      words: wordsOf([status.reason, status.message, reason, `exit status ${exitCode}`, message]),
      killed: exitCode > 128 || reason === 'OOMKilled',
    };
  }
  if (status.phase === 'Failed' || status.phase === 'Succeeded') {
    return {
      phase: 'ended',
      ...(status.reason === undefined ? {} : { reason: status.reason }),
      words: wordsOf([status.reason, status.message, `phase ${status.phase}`]),
      killed: true,
    };
  }
  if (state?.running !== undefined) return { phase: 'running', words: 'running', killed: false };
  const waiting = state?.waiting ?? unplacedBy(status);
  return {
    phase: 'waiting',
    ...(waiting?.reason === undefined ? {} : { reason: waiting.reason }),
    words: wordsOf([waiting?.reason, waiting?.message]),
    killed: false,
  };
}

/** How long each reason is given to go away: some never do, some only need a Secret or an image that is on its way. */
export function patienceMs(reason: string | undefined, startTimeoutMs: number): number {
  if (reason === undefined || reason === 'ContainerCreating' || reason === 'Unschedulable') return startTimeoutMs;
  if (reason === 'PodInitializing') return startTimeoutMs;
  if (reason === 'ErrImageNeverPull' || reason === 'InvalidImageName') return 0;
  return Math.min(startTimeoutMs, 30_000);
}

export function startHint(reason: string | undefined): string {
  if (reason === undefined) return 'See what the events of the Pod say.';
  if (/Image|ErrImage/.test(reason)) {
    return 'The image of the agent must be on the node or in its mirror: import the images first, to where this cluster takes them from.';
  }
  if (reason === 'CreateContainerConfigError') {
    return 'See that the Secret with the password of the database is there, in the namespace that bundle.yaml names, with that key.';
  }
  if (reason === 'Unschedulable')
    return 'Make room on a node: the Pod asks for 128 MiB of memory and a twentieth of a core.';
  return 'See what the events of the Pod say.';
}

/** What Kubernetes noted about an object, the newest last. Events are told, and lost, as they please. */
export async function eventWords(
  kubernetes: Kubernetes,
  of: { readonly namespace: string; readonly name: string },
  options: CallOptions,
): Promise<string> {
  const events = await kubernetes
    .list(
      { apiVersion: 'v1', kind: 'Event', namespace: of.namespace, fieldSelector: `involvedObject.name=${of.name}` },
      options,
    )
    .catch((cause) => {
      options.signal?.throwIfAborted();
      return [{ apiVersion: 'v1', kind: 'Event', metadata: { name: '' }, type: 'Warning', message: String(cause) }];
    });
  const words = events
    .filter((event) => (event as { type?: unknown }).type === 'Warning')
    .map((event) => String((event as { message?: unknown }).message ?? ''));
  return wordsOf([...new Set(words)].slice(-5));
}

function wordsOf(parts: readonly (string | undefined)[]): string {
  return parts
    .filter((part) => part !== undefined && part !== '')
    .map((part) => printable(part as string, 500))
    .join('; ');
}

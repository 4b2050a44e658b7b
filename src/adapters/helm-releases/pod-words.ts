import { z } from 'zod';
import { printable } from '../../core/printable.ts';
import {
  type ContainerStatus,
  decodePodStatus,
  type PodStatus,
  type Termination,
  unplacedBy,
} from '../../formats/kubernetes/object-status.ts';
import type { KubernetesObject } from '../../ports/kubernetes.ts';

/** What a Pod, its containers and the events about them say, in lines for a person. Pure. */

export interface ContainerWords {
  readonly container: string;
  /** `undefined` when nothing is wrong with it. */
  readonly words: string | undefined;
  readonly hasRun: boolean;
  readonly hasRestarted: boolean;
}

export interface PodWords {
  readonly namespace: string;
  readonly pod: string;
  /** About the Pod as a whole: it cannot be placed, it was evicted. */
  readonly words: string | undefined;
  readonly containers: readonly ContainerWords[];
}

const WORDS_LIMIT = 400;

export function podWords(pod: KubernetesObject): PodWords {
  const status = decodePodStatus(pod.status);
  const init = status.initContainerStatuses.map((one) => containerWords(one, true));
  const main = status.containerStatuses.map((one) => containerWords(one, false));
  return {
    namespace: pod.metadata.namespace ?? '',
    pod: pod.metadata.name,
    words: wholeWords(status),
    containers: [...init, ...main],
  };
}

export function isTroubled({ words, containers }: PodWords): boolean {
  return words !== undefined || containers.some((container) => container.words !== undefined);
}

/** `Pod cms/web-1 container web: ImagePullBackOff: …`, one line for each thing that is wrong. */
export function podLines({ namespace, pod, words, containers }: PodWords): readonly string[] {
  const name = `Pod ${namespace}/${pod}`;
  return [
    ...(words === undefined ? [] : [`${name}: ${words}`]),
    ...containers.flatMap((one) =>
      one.words === undefined ? [] : [`${name} container ${one.container}: ${one.words}`],
    ),
  ];
}

function wholeWords(status: PodStatus): string | undefined {
  const unplaced = unplacedBy(status);
  if (unplaced !== undefined) return joined(unplaced.reason ?? 'Unscheduled', unplaced.message);
  // Without a scheduler's word, and on no node either.
  if (status.phase === 'Pending' && status.conditions.length === 0) return 'Pending: no scheduler has looked at it';
  if (status.phase === 'Failed' || status.reason !== undefined) {
    return joined(status.reason ?? status.phase, status.message);
  }
  return undefined;
}

function containerWords(status: ContainerStatus, isInit: boolean): ContainerWords {
  const common = {
    container: status.name,
    hasRun: status.state.running !== undefined || status.state.terminated !== undefined || status.restartCount > 0,
    hasRestarted: status.restartCount > 0,
  };
  return { ...common, words: troubleOf(status, isInit) };
}

function troubleOf(
  { state: now, lastState, ready, restartCount }: ContainerStatus,
  isInit: boolean,
): string | undefined {
  const restarts = restartCount === 0 ? '' : `, restarted ${restartCount} ${restartCount === 1 ? 'time' : 'times'}`;
  if (now.waiting !== undefined) {
    // Ordinary steps on the way, which wait for something else.
    if (/^(?:ContainerCreating|PodInitializing)$/.test(now.waiting.reason ?? '')) return undefined;
    const before = lastState.terminated === undefined ? '' : `; before: ${terminatedWords(lastState.terminated)}`;
    return `${joined(now.waiting.reason ?? 'Waiting', now.waiting.message)}${before}${restarts}`;
  }
  if (now.terminated !== undefined) {
    if (now.terminated.exitCode === 0) return undefined;
    return `${terminatedWords(now.terminated)}${restarts}`;
  }
  if (now.running === undefined || ready || isInit) return undefined;
  const before = lastState.terminated === undefined ? '' : `; before: ${terminatedWords(lastState.terminated)}`;
  return `runs, but is not ready${before}${restarts}`;
}

function terminatedWords({ exitCode, reason, message }: Termination): string {
  const how = `exit status ${exitCode}`;
  return joined(reason === undefined || reason === 'Error' ? how : `${how} (${reason})`, message);
}

function joined(reason: string, message: string | undefined): string {
  const text = message === undefined || message.trim() === '' ? reason : `${reason}: ${message}`;
  return printable(text, WORDS_LIMIT);
}

/** An event as far as it matters here; core/v1. */
export interface EventWords {
  readonly kind: string;
  readonly name: string;
  readonly isWarning: boolean;
  /** RFC 3339; empty when the event carries none. */
  readonly time: string;
  readonly line: string;
}

const eventSchema = z.looseObject({
  type: z.string().optional(),
  reason: z.string().optional(),
  message: z.string().optional(),
  count: z.number().nullish(),
  lastTimestamp: z.string().nullish(),
  eventTime: z.string().nullish(),
  firstTimestamp: z.string().nullish(),
  involvedObject: z.looseObject({
    kind: z.string().default(''),
    namespace: z.string().default(''),
    name: z.string().default(''),
  }),
});

/** `undefined` for what is no event. */
export function eventWords(event: KubernetesObject): EventWords | undefined {
  const parsed = eventSchema.safeParse(event);
  if (!parsed.success) return undefined;
  const {
    type,
    reason = 'Event',
    message,
    count,
    involvedObject,
    lastTimestamp,
    eventTime,
    firstTimestamp,
  } = parsed.data;
  const { kind, namespace, name } = involvedObject;
  const object = `${kind} ${namespace === '' ? name : `${namespace}/${name}`}`;
  const times = (count ?? 1) > 1 ? ` (${count} times)` : '';
  return {
    kind,
    name,
    isWarning: type === 'Warning',
    time: lastTimestamp ?? eventTime ?? firstTimestamp ?? '',
    line: `${object}: ${joined(reason, message)}${times}`,
  };
}

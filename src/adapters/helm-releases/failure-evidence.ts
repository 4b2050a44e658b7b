import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { printable } from '../../core/printable.ts';
import { type RenderedObject, renderedObjects } from '../../formats/helm/rendered-objects.ts';
import type { Kubernetes } from '../../ports/kubernetes.ts';
import type { ReleaseName } from '../../ports/releases.ts';
import { fileError } from '../files/file-error.ts';
import { type EventWords, eventWords, isTroubled, type PodWords, podLines, podWords } from './pod-words.ts';
import { podsOf } from './release-pods.ts';

/**
 * What is left of a failed release for a person to read, saved before anything is rolled back: helm's message, the events of
 * the release's objects, the states of its Pods (not their specifications: those may hold secrets), and the logs of those
 * that are in trouble. Only this user can read the folder: logs may hold anything.
 */
export interface Evidence {
  /** The Pods' own words, the most telling first; bounded and printable. */
  readonly lines: readonly string[];
}

const TIME_LIMIT_MS = 60_000;
const PODS_LIMIT = 20;
const EVENTS_LIMIT = 500;
const LINES_LIMIT = 12;
const LOG_LIMITS = { tailLines: 500, limitBytes: 256 * 1024 } as const;
const SHOWN_LOG_LINES = 3;
const SHOWN_LOG_WIDTH = 300;

interface Failure extends ReleaseName {
  /** What helm said. */
  readonly message: string;
  /** Of the revision that failed, hooks included. */
  readonly manifest: string;
  readonly folder: string;
}

/** Never throws for what the cluster does: a part that could not be had is noted down, and the rest goes on. */
export async function saveEvidence(
  failure: Failure,
  kubernetes: Kubernetes,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Evidence> {
  const limit = AbortSignal.timeout(TIME_LIMIT_MS);
  const signal = options.signal === undefined ? limit : AbortSignal.any([limit, options.signal]);
  const missing: string[] = [];
  const attempt = async <T>(what: string, work: () => Promise<T>, instead: T): Promise<T> => {
    try {
      signal.throwIfAborted();
      return await work();
    } catch (cause) {
      options.signal?.throwIfAborted();
      missing.push(`${what}: ${printable(cause instanceof Error ? cause.message : String(cause))}`);
      return instead;
    }
  };
  await makeFolder(join(failure.folder, 'logs'));
  await save(join(failure.folder, 'helm.txt'), failure.message);

  const objects = await attempt('the manifest', async () => renderedObjects(failure.manifest, failure.release), []);
  const namespaces = [
    ...new Set([failure.namespace, ...objects.map(({ namespace }) => namespace ?? failure.namespace)]),
  ];
  const pods = (
    await Promise.all(
      namespaces.map((namespace) =>
        attempt(`the Pods of ${namespace}`, () => podsOf(objects, failure, namespace, kubernetes, { signal }), []),
      ),
    )
  ).flat();
  const states = pods.map(({ metadata: { namespace, name }, status }) => ({ namespace, name, status }));
  await save(join(failure.folder, 'pods.json'), `${JSON.stringify(states, null, 2)}\n`);

  const words = pods.map(podWords);
  const events = (
    await Promise.all(
      namespaces.map((namespace) =>
        attempt(
          `the events of ${namespace}`,
          async () =>
            (
              await kubernetes.list({ apiVersion: 'v1', kind: 'Event', namespace }, { signal })
            ).flatMap((event) => eventWords(event) ?? []),
          [],
        ),
      ),
    )
  )
    .flat()
    .filter((event) => concerns(event, objects, words))
    .sort((a, b) => (a.time < b.time ? -1 : Number(a.time > b.time)))
    .slice(-EVENTS_LIMIT);
  await save(join(failure.folder, 'events.txt'), events.map(({ time, line }) => `${time} ${line}\n`).join(''));

  const troubled = words.filter(isTroubled).slice(0, PODS_LIMIT);
  const lines: string[] = [];
  for (const pod of troubled) {
    lines.push(...podLines(pod));
    for (const container of pod.containers.filter((one) => one.words !== undefined && one.hasRun)) {
      const where = { namespace: pod.namespace, pod: pod.pod, container: container.container };
      const texts: string[] = [];
      for (const previous of container.hasRestarted ? [true, false] : [false]) {
        const name = `${previous ? 'the previous log' : 'the log'} of ${pod.pod} ${container.container}`;
        const text = await attempt(name, () => kubernetes.logs({ ...where, previous }, LOG_LIMITS, { signal }), '');
        const file = `${fileName(pod.namespace, pod.pod, container.container)}${previous ? '.previous' : ''}.log`;
        await save(join(failure.folder, 'logs', file), text);
        texts.push(text);
      }
      lines.push(...lastLines(texts, `Pod ${pod.namespace}/${pod.pod} container ${container.container}`));
    }
  }
  if (missing.length > 0) await save(join(failure.folder, 'incomplete.txt'), `${missing.join('\n')}\n`);
  return { lines: [...new Set([...lines, ...warnings(events, troubled)])].slice(0, LINES_LIMIT) };
}

/** The last lines of the newest log that has any. */
function lastLines(texts: readonly string[], name: string): string[] {
  const text = texts.findLast((one) => one.trim() !== '') ?? '';
  return text
    .trim()
    .split('\n')
    .filter((line) => line.trim() !== '')
    .slice(-SHOWN_LOG_LINES)
    .map((line) => `${name} says: ${printable(line, SHOWN_LOG_WIDTH)}`);
}

/** Warnings that say more than the states do: of Pods that seem well or are missing, and of failed probes. Newest first. */
function warnings(events: readonly EventWords[], troubled: readonly PodWords[]): string[] {
  const told = new Set(troubled.map(({ pod }) => pod));
  const telling = events.filter(
    ({ isWarning, kind, name, line }) =>
      isWarning && (kind !== 'Pod' || !told.has(name) || /: Unhealthy|: Failed(?:Mount|AttachVolume)/.test(line)),
  );
  return telling.map(({ line }) => line).reverse();
}

function concerns({ kind, name }: EventWords, objects: readonly RenderedObject[], pods: readonly PodWords[]): boolean {
  if (kind === 'Pod') return pods.some(({ pod }) => pod === name) || objects.some((object) => isMadeBy(name, object));
  return objects.some((object) => object.name === name || isMadeBy(name, object));
}

/** ReplicaSets, Pods and Jobs carry the name of what made them in front, claims of a StatefulSet near the end. */
function isMadeBy(name: string, { kind, name: owner }: RenderedObject): boolean {
  if (owner === '' || !/^(?:Deployment|StatefulSet|DaemonSet|ReplicaSet|Job|CronJob)$/.test(kind)) return false;
  return name.startsWith(`${owner}-`) || (kind === 'StatefulSet' && name.replace(/-\d+$/, '').endsWith(`-${owner}`));
}

function fileName(...parts: readonly string[]): string {
  return parts
    .map((part) => part.replace(/[^A-Za-z0-9-]/g, '_'))
    .join('.')
    .slice(0, 200);
}

async function makeFolder(folder: string): Promise<void> {
  try {
    await mkdir(folder, { recursive: true, mode: 0o700 });
  } catch (cause) {
    throw fileError(cause, folder, 'write');
  }
}

async function save(path: string, text: string): Promise<void> {
  try {
    await writeFile(path, text, { mode: 0o600 });
  } catch (cause) {
    throw fileError(cause, path, 'write');
  }
}

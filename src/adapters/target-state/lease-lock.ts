import { randomBytes } from 'node:crypto';
import { printable } from '../../core/printable.ts';
import { pause } from '../../core/retry.ts';
import type { Kubernetes, KubernetesObject } from '../../ports/kubernetes.ts';
import type { LockRequest, StateOptions, TargetLock } from '../../ports/target-state.ts';
import { AdapterError } from '../errors.ts';
import { isGone, parseHolder, thisProcess } from '../files/process-lock.ts';
import { lockedBy, lockLost } from './document.ts';

/**
 * A lock that is a Lease (coordination.k8s.io/v1). Clocks of nodes may be years apart, so no time in it is ever compared: a holder
 * is dead when its Lease did not change for the lease's duration on the clock of the one who watches, which never jumps. Each
 * renewal counts up in an annotation, so that a holder whose clock stands still changes it too.
 */

export interface LeaseTimes {
  /** A holder that is silent for this long is dead to those who watch. */
  readonly durationMs: number;
  /** Shorter: a holder that could not renew for this long stops, before anybody may take over. */
  readonly deadlineMs: number;
  readonly renewEveryMs: number;
  readonly watchEveryMs: number;
}

export interface LeaseContext {
  readonly kubernetes: Kubernetes;
  readonly namespace: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly place: string;
  readonly now: () => number;
  readonly create: (lease: KubernetesObject, options: StateOptions) => Promise<KubernetesObject>;
  readonly times?: LeaseTimes;
}

/** A restarted API server is back within the deadline, and who waits a minute outlives a holder that died. */
const TIMES: LeaseTimes = { durationMs: 50_000, deadlineMs: 40_000, renewEveryMs: 5000, watchEveryMs: 1000 };
const RELEASE_MS = 10_000;
/** How often in a row somebody may be quicker at a Lease that is free: then something else is wrong. */
const RACES_LIMIT = 20;
const LEASE = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', name: 'portolan' };
const ANNOTATION = 'portolan.io/holder';

interface Spec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

/** @throws AdapterError TARGET_LOCKED, and what the API server refuses */
export async function takeLease(context: LeaseContext, holder: string, request: LockRequest): Promise<TargetLock> {
  const { kubernetes, namespace, place } = context;
  const times = context.times ?? TIMES;
  const mine = await thisProcess();
  const identity = `${mine.host}:${mine.pid}:${randomBytes(8).toString('hex')}`;
  const since = new Date(context.now()).toISOString();
  const key = { ...LEASE, namespace };
  const options = request.signal === undefined ? {} : { signal: request.signal };

  const leaseFor = (former: KubernetesObject | undefined, renewals: number): KubernetesObject => {
    const spec = (former?.spec ?? {}) as Spec;
    const isRenewal = spec.holderIdentity === identity;
    return {
      apiVersion: LEASE.apiVersion,
      kind: LEASE.kind,
      metadata: {
        name: LEASE.name,
        namespace,
        labels: { ...former?.metadata.labels, ...context.labels },
        annotations: {
          ...former?.metadata.annotations,
          [ANNOTATION]: JSON.stringify({ ...mine, holder, renewals }),
        },
        ...(former?.metadata.resourceVersion === undefined ? {} : { resourceVersion: former.metadata.resourceVersion }),
      },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(times.durationMs / 1000),
        acquireTime: isRenewal ? spec.acquireTime : microTime(since),
        renewTime: microTime(new Date(context.now()).toISOString()),
        leaseTransitions: (spec.leaseTransitions ?? 0) + (former === undefined || isRenewal ? 0 : 1),
      },
    };
  };

  const startedMs = performance.now();
  let seen: { readonly version: string | undefined; readonly atMs: number } | undefined;
  let isTold = false;
  let races = 0;
  for (;;) {
    const there = await kubernetes.get(key, options);
    const version = there?.metadata.resourceVersion;
    if (seen === undefined || seen.version !== version) seen = { version, atMs: performance.now() };
    const silentMs = performance.now() - seen.atMs;
    if (there === undefined || (await isFree(there, mine, silentMs))) {
      const askedMs = performance.now();
      const lease = leaseFor(there, 0);
      const taken = await (there === undefined
        ? context.create(lease, options)
        : kubernetes.replace(lease, options)
      ).catch((failure) => {
        races += 1;
        if (races >= RACES_LIMIT) throw failure;
        return unlessMet(failure);
      });
      if (taken !== undefined) return keep(taken, askedMs);
      continue;
    }
    races = 0;
    const who = describe(there);
    const leftMs = request.waitMs - (performance.now() - startedMs);
    if (leftMs <= 0) throw lockedBy(place, who, request.waitMs);
    if (!isTold) request.onWait?.(who);
    isTold = true;
    await pause(Math.min(times.watchEveryMs, leftMs), options);
  }

  function keep(first: KubernetesObject, askedMs: number): TargetLock {
    const lost = new AbortController();
    const stop = new AbortController();
    let current = first;
    let renewals = 0;
    let heldUntilMs = askedMs + times.deadlineMs;
    let timer: NodeJS.Timeout | undefined;

    /** False when the lock is somebody else's. An API server makes a Lease again that was removed, unless another one came first. */
    const renew = async (signal: AbortSignal): Promise<boolean> => {
      renewals += 1;
      const sentMs = performance.now();
      const renewed = await kubernetes.replace(leaseFor(current, renewals), { signal }).catch(unlessMet);
      if (renewed !== undefined) {
        current = renewed;
        heldUntilMs = sentMs + times.deadlineMs;
        return true;
      }
      const there = await kubernetes.get(key, { signal });
      if (there === undefined || (there.spec as Spec | undefined)?.holderIdentity !== identity) return false;
      // Something else about the Lease was changed, such as a label.
      current = there;
      return true;
    };

    const round = async (): Promise<void> => {
      const leftMs = heldUntilMs - performance.now();
      if (leftMs <= 0) return lost.abort(lockLost(place, 'it could not be renewed in time'));
      const signal = AbortSignal.any([stop.signal, AbortSignal.timeout(Math.ceil(leftMs))]);
      try {
        if (!(await renew(signal))) return lost.abort(lockLost(place, 'another run holds it now, or it was removed'));
      } catch (cause) {
        if (stop.signal.aborted) return;
        if (performance.now() >= heldUntilMs)
          return lost.abort(lockLost(place, 'it could not be renewed in time', cause));
      }
      schedule();
    };

    let running: Promise<void> = Promise.resolve();
    const schedule = (): void => {
      if (stop.signal.aborted) return;
      const dueMs = Math.min(times.renewEveryMs, Math.max(0, heldUntilMs - performance.now()));
      timer = setTimeout(() => {
        running = round();
      }, dueMs).unref();
    };
    schedule();

    return {
      signal: lost.signal,
      async [Symbol.asyncDispose]() {
        stop.abort();
        clearTimeout(timer);
        await running;
        await release(AbortSignal.timeout(RELEASE_MS)).catch(() => {
          // The next run finds that this process is gone, or that the Lease stands still.
        });
      },
    };

    async function release(signal: AbortSignal): Promise<void> {
      // A renewal that was cut off may have arrived: what is there counts.
      const there = await kubernetes.get(key, { signal });
      const spec = there?.spec as Spec | undefined;
      if (there === undefined || spec?.holderIdentity !== identity) return;
      const { managedFields: _, ...metadata } = there.metadata;
      const { [ANNOTATION]: __, ...annotations } = metadata.annotations ?? {};
      const { holderIdentity: ___, ...free } = spec;
      await kubernetes.replace({ ...there, metadata: { ...metadata, annotations }, spec: free }, { signal });
    }
  }
}

async function isFree(lease: KubernetesObject, mine: Awaited<ReturnType<typeof thisProcess>>, silentMs: number) {
  const { holderIdentity, leaseDurationSeconds } = (lease.spec ?? {}) as Spec;
  if (!holderIdentity) return true;
  if (silentMs >= (leaseDurationSeconds ?? TIMES.durationMs / 1000) * 1000) return true;
  const holder = parseHolder(lease.metadata.annotations?.[ANNOTATION] ?? '');
  return holder !== undefined && (await isGone(holder, mine));
}

/** Somebody was quicker: what is there is looked at again. */
function unlessMet(failure: unknown): undefined {
  const isMet =
    failure instanceof AdapterError &&
    (failure.code === 'KUBERNETES_EXISTS' ||
      failure.code === 'KUBERNETES_CONFLICT' ||
      failure.code === 'KUBERNETES_NOT_FOUND');
  if (!isMet) throw failure;
}

function describe(lease: KubernetesObject): string {
  const { holderIdentity = '', acquireTime } = (lease.spec ?? {}) as Spec;
  const [host = '', pid = ''] = holderIdentity.split(':');
  let words = '';
  try {
    const { holder } = JSON.parse(lease.metadata.annotations?.[ANNOTATION] ?? '') as { holder?: unknown };
    if (typeof holder === 'string') words = printable(holder, 200);
  } catch {
    // A Lease that somebody else wrote.
  }
  const who = /^\d+$/.test(pid) ? `process ${pid} on ${printable(host, 100)}` : printable(holderIdentity, 100);
  const since = acquireTime === undefined ? '' : ` since ${printable(acquireTime, 40)}`;
  return words === '' ? `${who}${since}` : `${words} (${who})${since}`;
}

/** RFC 3339 with microseconds, as the API wants it. */
function microTime(iso: string): string {
  return iso.replace('Z', '000Z');
}

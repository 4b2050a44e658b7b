import { pause } from '../../../core/retry.ts';
import type { CallOptions, Kubernetes, KubernetesObject } from '../../../ports/kubernetes.ts';
import type { Progress } from '../../../ports/progress.ts';
import type { TargetState } from '../../../ports/target-state.ts';
import { UseCaseError } from '../../errors.ts';

/** Namespaces of a rehearsal bear it: what is removed is theirs. */
const LABEL = 'portolan.dev/rehearsal';
const NAMESPACE = { apiVersion: 'v1', kind: 'Namespace' } as const;
export const REHEARSAL_STATE_NAMESPACE = 'portolan-rehearsal';
const POLL_MS = 1000;
const REMOVAL_MS = 600_000;

export interface RehearsalPlace {
  readonly kubernetes: Kubernetes;
  readonly progress: Progress;
  /** Of the rehearsal's own. */
  readonly state: TargetState;
  readonly holder: string;
  readonly lockWaitMs: number;
}

/** The namespace that stands for one of the bundle. */
export function rehearsalNamespace(namespace: string): string {
  return `rehearsal-${namespace}`.slice(0, 63).replace(/-+$/, '');
}

/**
 * Removes what a rehearsal left that was killed, once it is sure that it is dead.
 *
 * @throws AdapterError TARGET_LOCKED
 */
export async function removeLeftRehearsal(
  { kubernetes, progress, state, holder, lockWaitMs }: RehearsalPlace,
  options: CallOptions,
): Promise<void> {
  const left = await rehearsalNamespaces(kubernetes, options);
  if (left.length === 0) return;
  if (
    left.some(({ metadata }) => metadata.name === REHEARSAL_STATE_NAMESPACE && metadata.deletionTimestamp === undefined)
  ) {
    const onWait = (other: string) => progress.warn(`waiting for the rehearsal of ${other}`);
    await using _ = await state.lock(holder, { ...options, waitMs: lockWaitMs, onWait });
  }
  progress.note(`removing what a rehearsal left: ${left.map(({ metadata }) => metadata.name).join(', ')}`);
  await removeRehearsal(kubernetes, options);
}

/**
 * Makes the namespaces, does the work in them and removes them, however it ends.
 *
 * @throws UseCaseError REHEARSAL_IMPOSSIBLE for namespaces that are there; what `work` throws
 */
export async function inRehearsal<T>(
  namespaces: readonly string[],
  { kubernetes, progress }: Pick<RehearsalPlace, 'kubernetes' | 'progress'>,
  work: () => Promise<T>,
  options: CallOptions,
): Promise<T> {
  const there: string[] = [];
  for (const name of namespaces) if (await kubernetes.get({ ...NAMESPACE, name }, options)) there.push(name);
  if (there.length > 0) {
    throw new UseCaseError('REHEARSAL_IMPOSSIBLE', 'Namespaces of a rehearsal are there, and no rehearsal made them', {
      found: there.join(', '),
      hint: 'Look at what is in them, and remove or rename them.',
    });
  }
  try {
    for (const name of namespaces) {
      const labels = { [LABEL]: 'true', 'app.kubernetes.io/managed-by': 'portolan' };
      await kubernetes.create({ ...NAMESPACE, metadata: { name, labels } }, options);
    }
    return await work();
  } finally {
    const task = progress.task('Removing the rehearsal');
    // Also when this run is stopped.
    await removeRehearsal(kubernetes, { signal: AbortSignal.timeout(REMOVAL_MS) });
    task.done();
  }
}

async function removeRehearsal(kubernetes: Kubernetes, options: CallOptions): Promise<void> {
  const startMs = performance.now();
  for (;;) {
    const left = await rehearsalNamespaces(kubernetes, options);
    if (left.length === 0) return;
    for (const { metadata } of left) {
      if (metadata.deletionTimestamp !== undefined) continue;
      const { name, uid } = metadata;
      await kubernetes.delete({ ...NAMESPACE, name }, { ...options, ...(uid === undefined ? {} : { uid }) });
    }
    if (performance.now() - startMs > REMOVAL_MS) {
      throw new UseCaseError('REHEARSAL_LEFT', 'Namespaces of the rehearsal do not go away', {
        found: left.map(({ metadata }) => metadata.name).join(', '),
        hint: 'See with `kubectl describe namespace` what holds them, and remove it.',
      });
    }
    await pause(POLL_MS, options);
  }
}

function rehearsalNamespaces(kubernetes: Kubernetes, options: CallOptions): Promise<readonly KubernetesObject[]> {
  return kubernetes.list({ ...NAMESPACE, labelSelector: `${LABEL}=true` }, options);
}

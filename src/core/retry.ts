import { setTimeout as sleep } from 'node:timers/promises';

export interface RetryPolicy {
  /** How often the work is tried in all, at least 1. */
  readonly attempts: number;
  /** The wait after the first failure; it doubles each time. */
  readonly baseDelayMs: number;
  readonly maxDelayMs: number;
}

/** What to do about a failure: give up, or try again after at least `delayMs`. */
export type RetryDecision = 'give-up' | { readonly delayMs?: number };

/**
 * Runs `work` until it resolves, `decide` gives up, the attempts are used up, or the signal is aborted. The last failure
 * is thrown as it is. Waits grow exponentially and are jittered, so that many clients do not come back at once.
 */
export async function retry<T>(
  work: (attempt: number) => Promise<T>,
  policy: RetryPolicy,
  decide: (failure: unknown) => RetryDecision,
  options: { readonly signal?: AbortSignal } = {},
): Promise<T> {
  for (let attempt = 1; ; attempt += 1) {
    options.signal?.throwIfAborted();
    try {
      return await work(attempt);
    } catch (failure) {
      const decision = decide(failure);
      if (decision === 'give-up' || attempt >= policy.attempts || options.signal?.aborted) throw failure;
      await pause(Math.max(decision.delayMs ?? 0, backoffMs(attempt, policy)), options);
    }
  }
}

/** The wait after failure number `attempt` (from 1): between a half and the whole of the doubled base, bounded. */
export function backoffMs(attempt: number, policy: RetryPolicy): number {
  const whole = Math.min(policy.baseDelayMs * 2 ** Math.min(attempt - 1, 30), policy.maxDelayMs);
  return whole / 2 + (Math.random() * whole) / 2;
}

/** Waits; rejects with the signal's reason when it is aborted. */
export async function pause(delayMs: number, options: { readonly signal?: AbortSignal } = {}): Promise<void> {
  try {
    await sleep(delayMs, undefined, options.signal === undefined ? {} : { signal: options.signal });
  } catch (cause) {
    options.signal?.throwIfAborted();
    throw cause;
  }
}

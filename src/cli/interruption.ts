/**
 * Ctrl-C (SIGINT), SIGTERM and SIGHUP ask for a clean stop through an AbortSignal; a second one ends the program at
 * once. Both are safe: nothing on disk depends on a clean stop.
 */
import { INTERRUPTED_STATUS } from './output-errors.ts';

export interface Interruption {
  readonly signal: AbortSignal;
  /** What a signal does; also called for Ctrl-C at a secret's prompt. */
  readonly interrupt: () => void;
}

export function listenForInterruption(warn: (message: string) => void): Interruption {
  const controller = new AbortController();
  const interrupt = () => {
    if (controller.signal.aborted) process.exit(INTERRUPTED_STATUS);
    controller.abort();
    warn('stopping; once more ends it at once');
  };
  for (const name of ['SIGINT', 'SIGTERM', 'SIGHUP'] as const) process.on(name, interrupt);
  return { signal: controller.signal, interrupt };
}

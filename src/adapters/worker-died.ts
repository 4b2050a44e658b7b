import { AdapterError } from './errors.ts';

/** What was to be done by a worker thread that is gone: most often the system had no memory for it. */
export function workerDied(cause: unknown): AdapterError {
  return new AdapterError('WORKER_DIED', 'a worker thread ended unexpectedly', {
    cause,
    hint: 'Check that the machine has free memory, and run the command again.',
  });
}

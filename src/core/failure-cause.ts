/** What stands behind a failure of the network. */

/** The last code in the chain of causes, where the true reason is; `TimeoutError` for a time limit, which has no code. */
export function innermostCode(failure: unknown): string | undefined {
  let code: string | undefined;
  let error: unknown = failure;
  for (let depth = 0; error instanceof Error && depth < 5; depth += 1) {
    const own: unknown = (error as NodeJS.ErrnoException).code;
    if (typeof own === 'string') code = own;
    else if (error.name === 'TimeoutError') code = 'TimeoutError';
    error = error instanceof AggregateError ? error.errors[0] : error.cause;
  }
  return code;
}

/** Whether a signal was aborted by a time limit, and not by a person. */
export function isTimeout(reason: unknown): boolean {
  return reason instanceof DOMException && reason.name === 'TimeoutError';
}

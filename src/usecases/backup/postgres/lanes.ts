/**
 * Runs jobs as they come, `width` at a time. When one fails no further one starts, those that run are waited for, and the first
 * failure is thrown: the others are mostly its consequence.
 */
export async function runLanes(
  jobs: Iterable<() => Promise<void>>,
  width: number,
  options: { readonly signal: AbortSignal; readonly onFailure: (cause: unknown) => void },
): Promise<void> {
  const iterator = jobs[Symbol.iterator]();
  const failures: unknown[] = [];
  const lane = async (): Promise<void> => {
    while (failures.length === 0) {
      try {
        options.signal.throwIfAborted();
        const next = iterator.next();
        if (next.done === true) return;
        await next.value();
      } catch (cause) {
        failures.push(cause);
        options.onFailure(cause);
      }
    }
  };
  await Promise.all(Array.from({ length: width }, lane));
  if (failures.length > 0) throw failures[0];
}

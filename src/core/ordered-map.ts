/**
 * Works on several items at a time and gives the results in the order of the items. At most `width` results are held.
 * After a failure, or when the reader stops, what runs is waited for.
 */
export async function* orderedMap<T, R>(
  items: Iterable<T>,
  width: number,
  work: (item: T) => Promise<R>,
): AsyncGenerator<R> {
  const running: Promise<R>[] = [];
  const start = (item: T) => {
    const result = work(item);
    // It is awaited later: a failure until then is not unhandled.
    result.catch(() => {});
    running.push(result);
  };
  try {
    for (const item of items) {
      start(item);
      if (running.length >= width) yield await (running.shift() as Promise<R>);
    }
    while (running.length > 0) yield await (running.shift() as Promise<R>);
  } finally {
    await Promise.allSettled(running);
  }
}

/** Runs work, at most so many at once; the rest waits in the order of the calls. */
export type Limiter = <T>(work: () => Promise<T>) => Promise<T>;

export function createLimiter(parallel: number): Limiter {
  let running = 0;
  const waiting: (() => void)[] = [];
  return async (work) => {
    if (running >= parallel) await new Promise<void>((start) => waiting.push(start));
    else running += 1;
    try {
      return await work();
    } finally {
      // The place is handed on, so that nobody who comes later can take it in between.
      const next = waiting.shift();
      if (next) next();
      else running -= 1;
    }
  };
}

/** A few things that are used again and again: made when they are first needed, given first come, first served. */
export interface Pool<T> {
  take(signal: AbortSignal): Promise<T>;
  giveBack(thing: T): void;
}

export function createPool<T>(count: number, make: () => T): Pool<T> {
  const free: T[] = [];
  const waiting: ((thing: T) => void)[] = [];
  let made = 0;
  return {
    take(signal) {
      if (signal.aborted) return Promise.reject(signal.reason);
      const thing = free.pop();
      if (thing !== undefined) return Promise.resolve(thing);
      if (made < count) {
        made += 1;
        return Promise.resolve(make());
      }
      return new Promise((resolve, reject) => {
        const receive = (next: T) => {
          signal.removeEventListener('abort', onAbort);
          resolve(next);
        };
        const onAbort = () => {
          waiting.splice(waiting.indexOf(receive), 1);
          reject(signal.reason);
        };
        signal.addEventListener('abort', onAbort, { once: true });
        waiting.push(receive);
      });
    },
    giveBack(thing) {
      const next = waiting.shift();
      if (next === undefined) free.push(thing);
      else next(thing);
    },
  };
}

import { pause } from '../../core/retry.ts';

/** Holds transfers back to a rate. */
export interface Pace {
  /** Resolves when so many bytes may go to the storage. */
  up(bytes: number, signal?: AbortSignal): Promise<void>;
  /** Resolves when so many bytes more may come from the storage. */
  down(bytes: number, signal?: AbortSignal): Promise<void>;
}

/** Bytes per second over all transfers together. */
export interface Rates {
  readonly upBytesPerSecond?: number;
  readonly downBytesPerSecond?: number;
}

/** `undefined` when nothing is limited. */
export function createPace({ upBytesPerSecond, downBytesPerSecond }: Rates): Pace | undefined {
  if (upBytesPerSecond === undefined && downBytesPerSecond === undefined) return undefined;
  return { up: gateOf(upBytesPerSecond), down: gateOf(downBytesPerSecond) };
}

/** Each transfer takes its turn at the end of those before; what was not used in the past is not made up for. */
function gateOf(bytesPerSecond: number | undefined): Pace['up'] {
  if (bytesPerSecond === undefined) return async () => {};
  let freeAt = 0;
  return async (bytes, signal) => {
    const now = performance.now();
    const start = Math.max(now, freeAt);
    freeAt = start + (bytes / bytesPerSecond) * 1000;
    if (start > now) await pause(start - now, signal === undefined ? {} : { signal });
  };
}

import type { ChildProcess } from 'node:child_process';

/** How a program ended: `status` is `null` when it was killed by `signal`. */
export interface ChildEnd {
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
}

/**
 * `closed` settles when the program and its pipes have ended, `failed` when it could not be started; neither rejects. To be asked
 * for at once after `spawn`. Not events.once: that one rejects `close` when `error` comes first.
 */
export function childEnds(child: ChildProcess): {
  readonly failed: Promise<NodeJS.ErrnoException>;
  readonly closed: Promise<ChildEnd>;
} {
  return {
    failed: new Promise((resolve) => child.once('error', resolve)),
    closed: new Promise((resolve) => child.once('close', (status, signal) => resolve({ status, signal }))),
  };
}

export interface Collected {
  readonly text: string;
  /** It printed more than was kept. */
  readonly overflowed: boolean;
}

/** Reads what a program prints to its end, and keeps the first or the last bytes of it. Never rejects. */
export async function collectOutput(
  stream: AsyncIterable<Buffer>,
  limitBytes: number,
  options: { readonly keep?: 'start' | 'end'; readonly onOverflow?: () => void } = {},
): Promise<Collected> {
  const { keep = 'start', onOverflow } = options;
  let chunks: Buffer[] = [];
  let sizeBytes = 0;
  let overflowed = false;
  try {
    for await (const chunk of stream) {
      if (overflowed && keep === 'start') continue;
      chunks.push(chunk);
      sizeBytes += chunk.length;
      if (sizeBytes <= limitBytes) continue;
      if (!overflowed) onOverflow?.();
      overflowed = true;
      // A tail is cut when it is twice as long: not for every line.
      if (keep === 'end' && sizeBytes < 2 * limitBytes) continue;
      chunks = [cut(chunks, limitBytes, keep)];
      sizeBytes = limitBytes;
    }
  } catch {
    // The pipe broke because the program was killed; how it ended tells.
  }
  return { text: cut(chunks, limitBytes, keep).toString(), overflowed };
}

function cut(chunks: readonly Buffer[], limitBytes: number, keep: 'start' | 'end'): Buffer {
  const all = Buffer.concat(chunks);
  return keep === 'start' ? all.subarray(0, limitBytes) : all.subarray(-limitBytes);
}

/** Kills a program that was started `detached`, with everything that it started. */
export function killGroup(pid: number | undefined): void {
  if (pid === undefined) return;
  try {
    process.kill(-pid, 'SIGKILL');
  } catch {
    // It ended in this moment.
  }
}

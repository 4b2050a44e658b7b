import type { ApiProxy, ApiWrite } from './api-proxy.ts';
import type { BadDaysTarget } from './bad-days-target.ts';
import { killHard, type PortolanEnded, type PortolanRunning } from './program.ts';

/** Where a run is killed: at which of its writes to the cluster, before or after it is carried out, alone or with its children. */
export interface KillPoint {
  readonly write: number;
  readonly when: 'before' | 'after';
  readonly whom: 'all' | 'importer';
}

/** Runs a command through the proxy and kills it there. Gives the write that was its last; `undefined` when it made fewer. */
export async function runKilled(
  target: BadDaysTarget,
  proxy: ApiProxy,
  args: readonly string[],
  { write: number, when, whom }: KillPoint,
): Promise<{ readonly last: ApiWrite | undefined; readonly ended: PortolanEnded }> {
  let running: PortolanRunning | undefined;
  let last: ApiWrite | undefined;
  proxy.begin((write, moment) => {
    if (write.number !== number || moment !== when) return last !== undefined && whom === 'all';
    last = write;
    if (running !== undefined) kill(running, whom);
    return true;
  });
  running = target.start(args);
  const ended = await running.ended;
  proxy.begin();
  return { last, ended };
}

function kill(running: PortolanRunning, whom: KillPoint['whom']): void {
  if (whom === 'all') killHard(running);
  else process.kill(running.child.pid as number, 'SIGKILL');
}

/** `count` points over `writes` writes, each with a share of its own, so that runs with other seeds meet other ones. */
export function killPoints(writes: number, count: number, seed: number): KillPoint[] {
  return Array.from({ length: count }, (_, index) => {
    // Two points a write: before it, and after it.
    const share = (2 * writes) / count;
    const at = Math.floor(index * share + (((seed >>> (index % 8)) % 97) / 97) * share);
    return {
      write: Math.floor(at / 2) + 1,
      when: at % 2 === 0 ? 'before' : 'after',
      whom: (index + (seed % 2)) % 2 === 0 ? 'all' : 'importer',
    };
  });
}

import { spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';

export interface Measured {
  readonly seconds: number;
  /** The largest sum of resident memory of the processes of one command, as sampled, in MiB. */
  readonly peakMib: number;
}

/** A command that takes longer than this is ended, and the benchmark with it. */
const TIMEOUT_MS = 15 * 60 * 1000;
const SAMPLE_MS = 10;

/**
 * Runs a shell command line with pipefail and measures it whole. Any exit status but 0 ends the benchmark: a program that
 * fails fast must look neither fast nor slow.
 */
export async function measure(command: string, env: Readonly<Record<string, string>> = {}): Promise<Measured> {
  const started = performance.now();
  const child = spawn('bash', ['-c', `set -euo pipefail; ${command}`], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe'],
    timeout: TIMEOUT_MS,
  });
  const errors: string[] = [];
  child.stderr.on('data', (part: Buffer) => {
    if (errors.length < 100) errors.push(part.toString());
  });
  let peakKib = 0;
  const sampler = setInterval(() => {
    peakKib = Math.max(peakKib, residentKib(child.pid ?? 0));
  }, SAMPLE_MS);
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  clearInterval(sampler);
  const seconds = (performance.now() - started) / 1000;
  if (status !== 0) throw new Error(`exit status ${status}: ${command}\n${errors.join('')}`);
  return { seconds, peakMib: peakKib / 1024 };
}

/** VmHWM, the kernel's own peak, of a process and all that it started. */
function residentKib(pid: number): number {
  try {
    const [, peak] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    const below = children === '' ? 0 : children.split(' ').reduce((sum, child) => sum + residentKib(Number(child)), 0);
    return Number(peak ?? 0) + below;
  } catch {
    // It ended between two reads.
    return 0;
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]];
  if (low === undefined || high === undefined) throw new Error('a median of nothing');
  return (low + high) / 2;
}

import { spawn } from 'node:child_process';
import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';

export interface Measured {
  readonly seconds: number;
  /** Seconds of processor time, of the command and all that it started and waited for. */
  readonly cpuSeconds: number;
  /** The largest sum of resident memory of the processes of one command, as sampled, in MiB. */
  readonly peakMib: number;
  /** The same of the largest process alone. */
  readonly largestMib: number;
  /**
   * The most that was seen in files that the command wrote, in MiB: in the folders that are watched, or in any one file, wherever
   * it lies and whether it has a name or not, that a process of the command had open for writing.
   */
  readonly filesMib: number;
}

/** A command that takes longer than this is ended, and the benchmark with it. */
const TIMEOUT_MS = 15 * 60 * 1000;
const SAMPLE_MS = 10;
/** Files are looked at less often: it costs more. */
const SAMPLES_BETWEEN_FILES = 10;
const MIB = 1024 * 1024;

let running: number | undefined;
let isStopped = false;

/** Ends the command that is measured now, and all that it started. No other one begins. */
export function stopMeasuring(): void {
  isStopped = true;
  endRunning();
}

export function throwIfStopped(): void {
  if (isStopped) throw new Error('the benchmark was stopped');
}

function endRunning(): void {
  if (running !== undefined) attempt(() => process.kill(-(running ?? 0), 'SIGKILL'));
}

/**
 * Runs a shell command line with pipefail and measures it whole. Any exit status but 0 ends the benchmark: a program that
 * fails fast must look neither fast nor slow.
 */
export async function measure(
  command: string,
  {
    env = {},
    folders = [],
  }: { readonly env?: Readonly<Record<string, string>>; readonly folders?: readonly string[] } = {},
): Promise<Measured> {
  throwIfStopped();
  const started = performance.now();
  const child = spawn('bash', ['-c', `set -euo pipefail; trap 'times >&3' EXIT; ${command}`], {
    env: { ...process.env, ...env },
    stdio: ['ignore', 'ignore', 'pipe', 'pipe'],
    // A group of its own, which can be ended as a whole.
    detached: true,
  });
  running = child.pid;
  const limit = setTimeout(endRunning, TIMEOUT_MS);
  const errors: string[] = [];
  let times = '';
  child.stdio[3]?.on('data', (part: Buffer) => {
    times += part.toString();
  });
  child.stderr?.on('data', (part: Buffer) => {
    if (errors.length < 100) errors.push(part.toString());
  });
  let peakKib = 0;
  let largestKib = 0;
  let filesBytes = 0;
  let samples = 0;
  const sampler = setInterval(() => {
    const processes = processesOf(child.pid ?? 0);
    const resident = processes.map(residentKib);
    peakKib = Math.max(
      peakKib,
      resident.reduce((sum, kib) => sum + kib, 0),
    );
    largestKib = Math.max(largestKib, ...resident);
    samples += 1;
    if (folders.length === 0 || samples % SAMPLES_BETWEEN_FILES !== 0) return;
    filesBytes = Math.max(filesBytes, bytesIn(folders), ...processes.map(largestWritten));
  }, SAMPLE_MS);
  const status = await new Promise<number | null>((resolve, reject) => {
    child.on('error', reject);
    child.on('close', resolve);
  });
  clearInterval(sampler);
  clearTimeout(limit);
  running = undefined;
  const seconds = (performance.now() - started) / 1000;
  if (status !== 0) throw new Error(`exit status ${status}: ${command}\n${errors.join('')}`);
  return {
    seconds,
    cpuSeconds: secondsIn(times),
    peakMib: peakKib / 1024,
    largestMib: largestKib / 1024,
    filesMib: Math.max(filesBytes, bytesIn(folders)) / MIB,
  };
}

/** What bash's `times` prints: `0m1.250s 0m0.080s`, a line for itself and one for its children. */
function secondsIn(times: string): number {
  const parts = [...times.matchAll(/(\d+)m([\d.]+)s/g)];
  return parts.reduce((sum, [, minutes, seconds]) => sum + Number(minutes) * 60 + Number(seconds), 0);
}

/** A process and all that it started; but one that is not another program yet has its memory in common with whoever forked it. */
function processesOf(pid: number, parentCommand?: string): number[] {
  try {
    const command = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
    const children = readFileSync(`/proc/${pid}/task/${pid}/children`, 'utf8').trim();
    const below = children === '' ? [] : children.split(' ').flatMap((child) => processesOf(Number(child), command));
    return command === parentCommand ? below : [pid, ...below];
  } catch {
    // It ended between two reads.
    return [];
  }
}

/** VmHWM, the kernel's own peak. */
function residentKib(pid: number): number {
  try {
    const [, peak] = /VmHWM:\s+(\d+) kB/.exec(readFileSync(`/proc/${pid}/status`, 'utf8')) ?? [];
    return Number(peak ?? 0);
  } catch {
    return 0;
  }
}

/** Of all files in these folders. */
export function bytesIn(folders: readonly string[]): number {
  let sum = 0;
  for (const folder of folders) {
    for (const name of attempt(() => readdirSync(folder, { recursive: true, encoding: 'utf8' })) ?? []) {
      const facts = attempt(() => statSync(join(folder, name)));
      if (facts?.isFile()) sum += facts.size;
    }
  }
  return sum;
}

function largestWritten(pid: number): number {
  let largest = 0;
  for (const fd of attempt(() => readdirSync(`/proc/${pid}/fd`)) ?? []) {
    const flags = /flags:\s+([0-7]+)/.exec(attempt(() => readFileSync(`/proc/${pid}/fdinfo/${fd}`, 'utf8')) ?? '')?.[1];
    // The two lowest bits: 0 is read only.
    if (flags === undefined || (Number.parseInt(flags, 8) & 3) === 0) continue;
    const facts = attempt(() => statSync(`/proc/${pid}/fd/${fd}`));
    if (facts?.isFile()) largest = Math.max(largest, facts.size);
  }
  return largest;
}

/** What comes and goes while it is looked at is not there. */
function attempt<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

export function median(values: readonly number[]): number {
  const sorted = values.toSorted((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const [low, high] = [sorted[Math.ceil(sorted.length / 2) - 1], sorted[middle]];
  if (low === undefined || high === undefined) throw new Error('a median of nothing');
  return (low + high) / 2;
}

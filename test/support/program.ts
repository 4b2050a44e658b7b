import { type ChildProcess, spawn } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { setTimeout as sleep } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';

/** The command line of this checkout, as a person starts it. */
const PORTOLAN = fileURLToPath(new URL('../../scripts/portolan', import.meta.url));

export interface Ended {
  /** The exit status; null after a signal. */
  readonly status: number | null;
  readonly signal: NodeJS.Signals | null;
  readonly stdout: string;
  readonly stderr: string;
}

export interface ProgramOptions {
  readonly cwd?: string;
  /** Added to this process's environment. */
  readonly env?: Readonly<Record<string, string | undefined>>;
  readonly input?: string;
  /** Of `portolan`: how far its clock is off, as faketime says it: `+5m`, `-5y`. */
  readonly clock?: string;
}

export interface Running {
  readonly child: ChildProcess;
  readonly ended: Promise<Ended>;
}

/** Starts a program in a process group of its own, so that a signal reaches what it started as well. */
function start(program: string, args: readonly string[], options: ProgramOptions = {}): Running {
  const child = spawn(program, args, {
    ...(options.cwd === undefined ? {} : { cwd: options.cwd }),
    env: { ...process.env, ...options.env },
    stdio: ['pipe', 'pipe', 'pipe'],
    detached: true,
  });
  const text = { stdout: '', stderr: '' };
  for (const name of ['stdout', 'stderr'] as const) {
    child[name].setEncoding('utf8').on('data', (part: string) => {
      text[name] += part;
    });
  }
  // A program that reads nothing may be gone before it was written to.
  child.stdin.on('error', () => {}).end(options.input ?? '');
  const ended = new Promise<Ended>((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status, signal) => resolve({ status, signal, ...text }));
  });
  return { child, ended };
}

/** Runs a program to its end, whatever its exit status. */
export function run(program: string, args: readonly string[], options: ProgramOptions = {}): Promise<Ended> {
  return start(program, args, options).ended;
}

/** Runs a program that must succeed; gives its output. */
export async function succeed(program: string, args: readonly string[], options: ProgramOptions = {}): Promise<string> {
  const ended = await run(program, args, options);
  if (ended.status === 0) return ended.stdout;
  throw new Error(`${program} ${args.join(' ')}: ${ended.status ?? ended.signal}\n${ended.stdout}\n${ended.stderr}`);
}

export interface PortolanEnded extends Ended {
  readonly events: readonly Event[];
  /** The last `result` event. */
  readonly result: Event | undefined;
  /** The `error` event. */
  readonly error: Event | undefined;
}

/** One line of `--json`. */
export type Event = Readonly<Record<string, unknown>> & { readonly event: string };

export interface PortolanRunning {
  readonly child: ChildProcess;
  readonly ended: Promise<PortolanEnded>;
}

/** Starts `portolan … --json`. */
export function startPortolan(args: readonly string[], options: ProgramOptions = {}): PortolanRunning {
  const words = [
    ...(options.clock === undefined ? [] : ['faketime', '-f', options.clock]),
    PORTOLAN,
    ...args,
    '--json',
  ];
  const { child, ended } = start(words[0] as string, words.slice(1), options);
  return { child, ended: ended.then(withEvents) };
}

/** Runs `portolan … --json` to its end, whatever its exit status. */
export function portolan(args: readonly string[], options: ProgramOptions = {}): Promise<PortolanEnded> {
  return startPortolan(args, options).ended;
}

/** The same without `--json`: what a person sees. */
export function portolanText(args: readonly string[], options: ProgramOptions = {}): Promise<Ended> {
  return run(PORTOLAN, args, options);
}

function withEvents(ended: Ended): PortolanEnded {
  const lines = ended.stdout.split('\n').filter((line) => line !== '');
  // A process that was killed may have written a part of its last line.
  if (ended.signal !== null && !ended.stdout.endsWith('\n')) lines.pop();
  const events = lines.map(eventOf);
  const last = (name: string) => events.findLast(({ event }) => event === name);
  return { ...ended, events, result: last('result'), error: last('error') };
}

/** Every line of every command is fit for a collector of logs: when, how grave, what. What is tested is the rest of it. */
function eventOf(line: string): Event {
  const { time, level, ...rest } = JSON.parse(line) as Event;
  if (Number.isNaN(Date.parse(String(time))) || !['debug', 'info', 'warn', 'error'].includes(String(level))) {
    throw new Error(`not an event with a time and a level: ${line}`);
  }
  return rest.event === 'record' ? { ...rest, time } : rest;
}

/** Kills a program and what it started, at once. */
export function killHard({ child }: { readonly child: ChildProcess }): void {
  if (child.pid === undefined || child.exitCode !== null || child.signalCode !== null) return;
  try {
    process.kill(-child.pid, 'SIGKILL');
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'ESRCH') throw cause;
  }
}

/** Waits until a program has stopped itself (SIGSTOP). `goOn` lets it go on. */
export async function waitUntilStopped({ child }: { readonly child: ChildProcess }): Promise<void> {
  for (let tries = 0; tries < 3000; tries += 1) {
    const state = (await readFile(`/proc/${child.pid}/stat`, 'utf8')).split(') ')[1]?.[0];
    if (state === 'T') return;
    await sleep(20);
  }
  throw new Error('the program did not stop');
}

/** Lets a stopped program go on. */
export function goOn({ child }: { readonly child: ChildProcess }): void {
  process.kill(child.pid as number, 'SIGCONT');
}

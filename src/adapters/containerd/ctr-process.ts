import { spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Writable } from 'node:stream';
import { AdapterError } from '../errors.ts';
import { childEnds, collectOutput } from '../processes/child.ts';
import { ctrFailure, ctrMissing } from './ctr-failure.ts';

export interface Ctr {
  /** How it is called: `['k3s', 'ctr']` or `['ctr']`. */
  readonly command: readonly string[];
  /** Before the subcommand: address and namespace. */
  readonly globalArguments: readonly string[];
  /** The whole environment of the child. */
  readonly environment: Readonly<Record<string, string>>;
}

export interface CtrRun {
  readonly arguments: readonly string[];
  /** Written to its standard input, as fast as it is taken. The signal says that `ctr` has ended: there is no use in more. */
  readonly input?: (gone: AbortSignal) => AsyncIterable<Uint8Array>;
  /** For all of it; with `input`, from the input's end. */
  readonly timeoutMs: number;
  /** How long it may leave input waiting before it is given up. */
  readonly stallMs?: number;
  readonly signal?: AbortSignal;
}

export interface CtrOutput {
  readonly stdout: string;
  readonly stderr: string;
}

/** A node with ten thousand images lists them in less. */
const OUTPUT_LIMIT_BYTES = 64 * 1024 * 1024;
/** Progress that is printed for hours: the end holds the message. */
const ERROR_TAIL_BYTES = 64 * 1024;

/**
 * Runs `ctr` without a shell. What it was told to read is read to its end, unless it ends before.
 *
 * @throws AdapterError CONTAINERD_MISSING, CONTAINERD_UNREACHABLE, CONTAINERD_DENIED, CONTAINERD_TIMEOUT, CONTAINERD_FAILED,
 *   NO_SPACE; what `input` raises; the signal's reason
 */
export async function runCtr(ctr: Ctr, run: CtrRun): Promise<CtrOutput> {
  run.signal?.throwIfAborted();
  const [program = '', ...first] = ctr.command;
  const child = spawn(program, [...first, ...ctr.globalArguments, ...run.arguments], {
    env: ctr.environment,
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const { failed, closed } = childEnds(child);
  const kill = () => void child.kill('SIGKILL');
  run.signal?.addEventListener('abort', kill, { once: true });
  const timer = deadline(kill);
  const stdout = collectOutput(child.stdout, OUTPUT_LIMIT_BYTES);
  const stderr = collectOutput(child.stderr, ERROR_TAIL_BYTES, { keep: 'end' });
  const gone = new AbortController();
  void Promise.race([failed, closed]).then(() => gone.abort());
  try {
    let inputFailure: { cause: unknown } | undefined;
    try {
      await feed(child.stdin, run.input?.(gone.signal), gone.signal, {
        start: () => timer.start(run.stallMs ?? run.timeoutMs),
        stop: timer.stop,
      });
    } catch (cause) {
      // It must not take what came so far for the whole.
      inputFailure = { cause };
      kill();
    }
    timer.start(run.timeoutMs);
    const end = await Promise.race([failed, closed]);
    timer.stop();
    if (end instanceof Error) throw ctrMissing(ctr.command, end);
    run.signal?.throwIfAborted();
    if (inputFailure !== undefined) throw inputFailure.cause;
    const output = { stdout: (await stdout).text, stderr: (await stderr).text };
    if (timer.isOver()) throw timedOut(run, output);
    if (end.status !== 0) throw ctrFailure(ctr.command, output.stderr, end);
    return output;
  } finally {
    timer.stop();
    run.signal?.removeEventListener('abort', kill);
    kill();
  }
}

/** Resolves when all was taken, or when the child is gone: then its own message says why. */
async function feed(
  stdin: Writable,
  input: AsyncIterable<Uint8Array> | undefined,
  gone: AbortSignal,
  stall: { start(): void; stop(): void },
): Promise<void> {
  // A child that ends before its input does breaks the pipe.
  stdin.on('error', () => {});
  if (input !== undefined) {
    for await (const part of input) {
      if (gone.aborted) return;
      if (stdin.write(part)) continue;
      stall.start();
      // The child may end meanwhile: then nothing drains any more.
      await once(stdin, 'drain', { signal: gone }).catch(() => {});
      stall.stop();
    }
  }
  stdin.end();
}

function deadline(onOver: () => void) {
  let timer: NodeJS.Timeout | undefined;
  let over = false;
  const stop = () => clearTimeout(timer);
  return {
    stop,
    isOver: () => over,
    start(delayMs: number) {
      stop();
      timer = setTimeout(() => {
        over = true;
        onOver();
      }, delayMs);
    },
  };
}

function timedOut(run: CtrRun, { stderr }: CtrOutput): AdapterError {
  const [noun = '', verb = ''] = run.arguments;
  return new AdapterError('CONTAINERD_TIMEOUT', `containerd did not finish \`ctr ${noun} ${verb}\` in time`, {
    expected: `at most ${run.timeoutMs / 1000} s`,
    ...(stderr.trim() === '' ? {} : { found: stderr.trim().slice(-500) }),
    hint: 'Look at the log of k3s (`journalctl -u k3s`) or containerd, and run the command again: it goes on where it stopped.',
  });
}

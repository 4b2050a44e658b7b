import { spawn } from 'node:child_process';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { printable } from '../../core/printable.ts';
import type { ProgramRun } from '../../ports/postgres-programs.ts';
import { AdapterError } from '../errors.ts';
import { fileError } from '../files/file-error.ts';
import { type ChildEnd, childEnds, collectOutput } from '../processes/child.ts';
import { libpqEnvironment } from './libpq-environment.ts';

const MESSAGE_LIMIT_BYTES = 64 * 1024;
const IDLE_TIMEOUT_MS = 60 * 60 * 1000;

/** Runs one program without a shell: see ProgramSet.output. */
export async function* programOutput(
  path: string,
  run: ProgramRun,
  temporaryFolder: string,
  options: { readonly signal?: AbortSignal } = {},
): AsyncGenerator<Uint8Array, void, void> {
  const { signal } = options;
  signal?.throwIfAborted();
  const folder = await mkdtemp(join(temporaryFolder, 'portolan-program-')).catch((cause: unknown) => {
    throw fileError(cause, temporaryFolder, 'write');
  });
  try {
    await writeFiles(run, folder, signal);
    yield* running(path, run, folder, signal);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function writeFiles(run: ProgramRun, folder: string, signal: AbortSignal | undefined): Promise<void> {
  for (const [name, content] of Object.entries(run.files ?? {})) {
    const path = join(folder, name);
    try {
      await writeFile(path, content, { mode: 0o600, ...(signal === undefined ? {} : { signal }) });
    } catch (cause) {
      throw fileError(cause, path, 'write');
    }
  }
}

async function* running(
  path: string,
  run: ProgramRun,
  folder: string,
  signal: AbortSignal | undefined,
): AsyncGenerator<Uint8Array, void, void> {
  const child = spawn(path, run.arguments, {
    cwd: folder,
    env: {
      // Its own words in English, so that they can be looked up.
      LC_ALL: 'C',
      HOME: folder,
      TMPDIR: folder,
      ...(run.connection === undefined ? {} : await libpqEnvironment(run.connection, folder, run.applicationName)),
    },
    stdio: ['pipe', 'pipe', 'pipe'],
  });
  const { failed, closed } = childEnds(child);
  const stop = (): void => {
    child.kill('SIGKILL');
    child.stdout.destroy();
    child.stderr.destroy();
  };
  let isLate = false;
  const { idleTimeoutMs = IDLE_TIMEOUT_MS, isAtWork } = run;
  let limit: NodeJS.Timeout | undefined;
  /** Counts only while the program is waited for, not while its output is worked on. */
  const watch = (): void => {
    const started = setTimeout(async () => {
      const goesOn = (await isAtWork?.().catch(() => false)) ?? false;
      // It said something, or ended, while that was asked.
      if (limit !== started) return;
      if (goesOn) return watch();
      isLate = true;
      stop();
    }, idleTimeoutMs);
    limit = started;
  };
  const endWatch = (): void => {
    clearTimeout(limit);
    limit = undefined;
  };
  signal?.addEventListener('abort', stop, { once: true });
  const messages = collectOutput(child.stderr, MESSAGE_LIMIT_BYTES, { keep: 'end' });
  const fed = feed(child.stdin, run.input);
  try {
    watch();
    try {
      for await (const bytes of child.stdout as AsyncIterable<Buffer>) {
        endWatch();
        yield bytes;
        watch();
      }
    } catch (cause) {
      // The pipe broke because the program was killed; how it ended tells.
      if (child.pid !== undefined && !child.stdout.destroyed) throw cause;
    }
    const end = await Promise.race([failed, closed]);
    if (end instanceof Error) throw notStarted(end, path);
    signal?.throwIfAborted();
    const { text } = await messages;
    if (isLate) throw timedOut(run, idleTimeoutMs);
    const inputFailure = await fed;
    if (end.status !== 0) throw failure(run, text, end);
    if (inputFailure !== undefined) throw inputFailure;
    if (text.trim() !== '') run.onMessages?.(text);
  } finally {
    endWatch();
    signal?.removeEventListener('abort', stop);
    if (child.pid !== undefined) {
      if (child.exitCode === null && child.signalCode === null) stop();
      await closed;
    }
    await fed;
  }
}

/** Gives the program its input. A program that ends before it read all of it has the last word: a broken pipe is no failure. */
async function feed(
  stdin: NodeJS.WritableStream,
  input: AsyncIterable<Uint8Array> | undefined,
): Promise<unknown | undefined> {
  try {
    await pipeline(Readable.from(input ?? [], { objectMode: true, highWaterMark: 1 }), stdin);
    return undefined;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    return code === 'EPIPE' || code === 'ERR_STREAM_PREMATURE_CLOSE' || code === 'ERR_STREAM_DESTROYED'
      ? undefined
      : cause;
  }
}

function notStarted(cause: NodeJS.ErrnoException, path: string): AdapterError {
  return new AdapterError('POSTGRES_PROGRAM_FAILED', 'A client program of PostgreSQL could not be started', {
    cause,
    found: cause.code ?? 'unknown',
    at: { file: path },
    hint: 'Check that it is an executable file, and that this machine has memory left.',
  });
}

function timedOut({ program }: ProgramRun, idleTimeoutMs: number): AdapterError {
  return new AdapterError('POSTGRES_PROGRAM_TIMEOUT', `${program} printed nothing for too long, and was stopped`, {
    expected: `some output within ${idleTimeoutMs / 1000} s`,
    hint: 'See in pg_stat_activity of the server what it waits for.',
  });
}

function failure({ program }: ProgramRun, stderr: string, end: ChildEnd): AdapterError {
  const said = withoutCommands(stderr)
    .split('\n')
    .filter((line) => line.trim() !== '')
    .map((line) => line.replace(new RegExp(`^${program}: `), ''));
  const how = end.status === null ? `killed by ${end.signal}` : `exit status ${end.status}`;
  return new AdapterError('POSTGRES_PROGRAM_FAILED', `${program} failed (${how})`, {
    found: said.length === 0 ? 'no message' : printable(said.join(' / '), 2000),
    hint: 'The message has its own words: mend what it names, look into the log of the server, and run the command again.',
  });
}

/** pg_restore repeats the statement that failed: passwords of user mappings and subscriptions may be in it. */
function withoutCommands(stderr: string): string {
  return stderr.replaceAll(/^Command was: [\s\S]*?(?=^pg_restore: |$(?![\s\S]))/gm, '');
}

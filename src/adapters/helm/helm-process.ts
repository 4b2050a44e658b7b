import { spawn } from 'node:child_process';
import { AdapterError } from '../errors.ts';
import { type ChildEnd, childEnds, collectOutput } from '../processes/child.ts';

export interface HelmRun {
  readonly helmPath: string;
  readonly arguments: readonly string[];
  /** The whole environment of the child. */
  readonly environment: Readonly<Record<string, string>>;
  readonly folder: string;
  readonly timeoutMs: number;
  readonly outputLimitBytes: number;
  /** How long helm may take to end by itself once it is asked to. Without it, helm is killed at once. */
  readonly graceMs?: number;
}

const ERROR_LIMIT_BYTES = 64 * 1024;

/** How helm ended. Nothing of it is judged yet. */
export interface HelmEnd extends ChildEnd {
  readonly output: string;
  /** Helm's standard error, bounded. */
  readonly message: string;
  readonly timedOut: boolean;
  readonly overflowed: boolean;
}

/**
 * Runs helm without a shell and returns what it printed.
 *
 * @throws AdapterError HELM_MISSING, HELM_FAILED (with helm's own message, bounded), HELM_TIMEOUT; the signal's reason.
 */
export async function runHelm(run: HelmRun, options: { readonly signal?: AbortSignal } = {}): Promise<string> {
  const end = await endOfHelm(run, options);
  if (end.timedOut) throw timedOut(run);
  if (end.overflowed) throw tooMuch(run);
  if (end.status !== 0) throw failure(end.message, end);
  return end.output;
}

/**
 * Runs helm to its end, whatever that is. When time is up or the signal is aborted helm is killed; with `graceMs` it is
 * asked first (SIGTERM) and has that long to write down how far it came.
 *
 * @throws AdapterError HELM_MISSING, HELM_FAILED when it cannot be started; the signal's reason, after helm has ended.
 */
export async function endOfHelm(run: HelmRun, options: { readonly signal?: AbortSignal } = {}): Promise<HelmEnd> {
  options.signal?.throwIfAborted();
  const child = spawn(run.helmPath, run.arguments, {
    cwd: run.folder,
    env: run.environment,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const { failed, closed } = childEnds(child);
  const kill = (): void => {
    child.kill('SIGKILL');
    // A credential plugin that helm started may hold the pipes open.
    child.stdout.destroy();
    child.stderr.destroy();
  };
  let grace: NodeJS.Timeout | undefined;
  const stop = (): void => {
    if (run.graceMs === undefined) kill();
    else {
      child.kill('SIGTERM');
      grace ??= setTimeout(kill, run.graceMs);
    }
  };
  let isLate = false;
  const limit = setTimeout(() => {
    isLate = true;
    stop();
  }, run.timeoutMs);
  options.signal?.addEventListener('abort', stop, { once: true });
  try {
    const errors = collectOutput(child.stderr, ERROR_LIMIT_BYTES);
    const output = collectOutput(child.stdout, run.outputLimitBytes, { onOverflow: kill });
    const end = await Promise.race([failed, closed]);
    if (end instanceof Error) {
      if (child.pid !== undefined) await closed;
      throw spawnError(end, run.helmPath);
    }
    options.signal?.throwIfAborted();
    const [text, message] = await Promise.all([output, errors]);
    return {
      ...end,
      output: text.text,
      message: message.text,
      // What ended well in its grace has ended well.
      timedOut: isLate && end.status !== 0,
      overflowed: text.overflowed,
    };
  } finally {
    clearTimeout(limit);
    clearTimeout(grace);
    options.signal?.removeEventListener('abort', stop);
  }
}

function spawnError(cause: NodeJS.ErrnoException, helmPath: string): AdapterError {
  if (cause.code !== 'ENOENT' && cause.code !== 'EACCES') {
    return new AdapterError('HELM_FAILED', 'helm could not be started.', { cause, found: cause.code ?? 'unknown' });
  }
  return new AdapterError('HELM_MISSING', 'There is no helm to render charts with.', {
    cause,
    expected: 'helm 4',
    found: helmPath,
    hint: 'Install helm 4 (https://helm.sh/docs/intro/install/) so that it is found on PATH.',
  });
}

function failure(stderr: string, end: ChildEnd): AdapterError {
  const text = stderr.replace(/^(?:Error: |level=\S+ )/, '').trim();
  const message = text.length > 4000 ? `${text.slice(0, 4000)}…` : text;
  const violatesSchema = /values don't meet the specifications of the schema/.test(text);
  return new AdapterError('HELM_FAILED', message === '' ? 'helm failed without a message.' : message, {
    found: end.status === null ? `killed by ${end.signal}` : `exit status ${end.status}`,
    hint: violatesSchema
      ? "Change the values that helm names so that they meet the chart's values.schema.json."
      : 'Correct the template or the values that helm names.',
  });
}

function timedOut({ timeoutMs }: HelmRun): AdapterError {
  return new AdapterError('HELM_TIMEOUT', 'helm did not finish in time.', {
    expected: `at most ${timeoutMs / 1000} s`,
    hint: 'Look for a template that loops.',
  });
}

function tooMuch({ outputLimitBytes }: HelmRun): AdapterError {
  return new AdapterError('HELM_TIMEOUT', 'helm printed more than a chart can sensibly render to, and was stopped.', {
    expected: `at most ${outputLimitBytes} bytes`,
    hint: 'Look for a template that repeats itself.',
  });
}

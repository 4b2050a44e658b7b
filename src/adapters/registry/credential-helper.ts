import { spawn } from 'node:child_process';
import { AdapterError } from '../errors.ts';
import { killGroup } from '../processes/child.ts';
import type { Credentials } from './authorization.ts';

export interface HelperOptions {
  readonly timeoutMs: number;
  readonly environment?: Readonly<Record<string, string>>;
  readonly signal?: AbortSignal;
}

const NAME = /^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$/;
const MAX_OUTPUT_BYTES = 64 * 1024;
/** What docker's helpers print when they have nothing. */
const NOT_FOUND = /credentials not found/i;
/** Under this user name a helper hands out an identity token. */
const TOKEN_USER = '<token>';

/**
 * Runs `docker-credential-NAME get` without a shell, the server's name on its standard input (docker's credential helper
 * protocol). `undefined` when it has no credentials. Raises AdapterError CREDENTIALS_UNUSABLE; its output, which may hold
 * a secret, is never part of an error.
 */
export async function askCredentialHelper(
  name: string,
  server: string,
  options: HelperOptions,
): Promise<Credentials | undefined> {
  if (!NAME.test(name)) throw unusable('a credential helper', server, 'its name is not a plain word');
  const program = `docker-credential-${name}`;
  const { status, output } = await run(program, server, options);
  if (status !== 0) {
    if (NOT_FOUND.test(output)) return undefined;
    throw unusable(program, server, `it ended with status ${status}`);
  }
  let answer: { Username?: unknown; Secret?: unknown } | null;
  try {
    answer = JSON.parse(output);
  } catch {
    answer = null;
  }
  const { Username: username, Secret: secret } = answer ?? {};
  if (typeof username !== 'string' || typeof secret !== 'string') {
    throw unusable(program, server, 'its answer is not {"Username":…,"Secret":…}');
  }
  if (username === TOKEN_USER) return { kind: 'identity-token', token: secret };
  return username === '' ? undefined : { kind: 'password', username, password: secret };
}

async function run(
  program: string,
  input: string,
  options: HelperOptions,
): Promise<{ status: number | string; output: string }> {
  options.signal?.throwIfAborted();
  const { promise, resolve, reject } = Promise.withResolvers<{ status: number | string; output: string }>();
  const child = spawn(program, ['get'], {
    stdio: ['pipe', 'pipe', 'ignore'],
    shell: false,
    // A process group of its own, so that what the helper starts can be ended with it.
    detached: true,
    ...(options.environment ? { env: { ...options.environment } } : {}),
  });
  const chunks: Buffer[] = [];
  let total = 0;
  const stop = (reason: unknown): void => {
    killGroup(child.pid);
    child.stdout.destroy();
    reject(reason);
  };
  const timer = setTimeout(
    () => stop(unusable(program, input, `it did not answer within ${options.timeoutMs} ms`)),
    options.timeoutMs,
  );
  const abort = (): void => stop(options.signal?.reason);
  options.signal?.addEventListener('abort', abort, { once: true });
  child.on('error', (cause) => reject(unusable(program, input, 'it could not be started', cause)));
  child.on('close', (code, signal) =>
    resolve({ status: code ?? signal ?? 'unknown', output: Buffer.concat(chunks).toString('utf8') }),
  );
  child.stdout.on('data', (chunk: Buffer) => {
    total += chunk.length;
    if (total > MAX_OUTPUT_BYTES) stop(unusable(program, input, `it printed more than ${MAX_OUTPUT_BYTES} bytes`));
    else chunks.push(chunk);
  });
  child.stdin.on('error', () => {}); // A helper that ends without reading is judged by its status.
  child.stdin.end(input);
  try {
    return await promise;
  } finally {
    clearTimeout(timer);
    options.signal?.removeEventListener('abort', abort);
  }
}

function unusable(program: string, server: string, reason: string, cause?: unknown): AdapterError {
  return new AdapterError('CREDENTIALS_UNUSABLE', `${program} gave no credentials for ${server}: ${reason}`, {
    ...(cause === undefined ? {} : { cause }),
    hint: 'Install or repair the helper, or take it out of config.json and log in again.',
  });
}

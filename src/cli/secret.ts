import { closeSync, openSync, readSync, writeSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import type { CommandContext } from './context.ts';
import { UsageError } from './errors.ts';

const MAXIMUM_SECRET_BYTES = 4096;

/**
 * Asks on the controlling terminal, so that stdin stays free for data. Nothing is echoed.
 * @throws UsageError NO_TERMINAL without a terminal; the signal's reason when `interrupt` aborted it.
 */
export async function askSecret(
  prompt: string,
  { signal, interrupt }: { readonly signal: AbortSignal; readonly interrupt: () => void },
): Promise<string> {
  signal.throwIfAborted();
  let fd: number;
  try {
    fd = openSync('/dev/tty', 'r+');
  } catch (cause) {
    throw new UsageError('NO_TERMINAL', 'a secret is needed, and there is no terminal to ask for it', {
      cause,
      hint: 'Give it in a file or in an environment variable, as --help of the command says.',
    });
  }
  const terminal = new ReadStream(fd);
  terminal.setRawMode(true);
  writeSync(fd, prompt);
  try {
    return await readLine(terminal, signal, interrupt);
  } finally {
    terminal.setRawMode(false);
    writeSync(fd, '\n');
    terminal.destroy();
  }
}

function readLine(terminal: ReadStream, signal: AbortSignal, interrupt: () => void): Promise<string> {
  return new Promise((resolve, reject) => {
    let typed: string[] = [];
    const settle = (finish: () => void) => {
      signal.removeEventListener('abort', onAbort);
      terminal.off('data', onData);
      terminal.pause();
      finish();
    };
    const onAbort = () => settle(() => reject(signal.reason));
    // A raw terminal delivers the editing keys and Ctrl-C as bytes.
    const onData = (chunk: string) => {
      for (const character of chunk) {
        if (character === '\r' || character === '\n') return settle(() => resolve(typed.join('')));
        if (character === '\x03') return interrupt();
        if (character === '\x04') return settle(() => resolve(typed.join('')));
        if (character === '\x15') typed = [];
        else if (character === '\x7f' || character === '\b') typed.pop();
        else typed.push(character);
      }
    };
    signal.addEventListener('abort', onAbort, { once: true });
    terminal.setEncoding('utf8');
    terminal.on('data', onData);
  });
}

export interface SecretSource {
  /** A file whose first line is the secret; from an option such as `--password-file`. */
  readonly file: string | undefined;
  /** The environment variable that may hold it. */
  readonly variable: string;
  readonly prompt: string;
}

/**
 * A secret from a file, else from an environment variable, else from the terminal. One line end after it is dropped.
 * @throws UsageError SECRET_FILE_INVALID, NO_TERMINAL
 */
export async function readSecret(context: CommandContext, source: SecretSource): Promise<string> {
  if (source.file !== undefined) return readSecretFile(source.file);
  const value = context.env[source.variable];
  return value ?? (await context.askSecret(source.prompt));
}

function readSecretFile(file: string): string {
  const invalid = (message: string, cause?: unknown) =>
    new UsageError('SECRET_FILE_INVALID', message, {
      cause,
      at: { file },
      hint: 'Put the secret alone on the first line of a file that you may read.',
    });
  const bytes = Buffer.alloc(MAXIMUM_SECRET_BYTES + 1);
  let lengthBytes = 0;
  let fd: number | undefined;
  try {
    fd = openSync(file, 'r');
    for (let read = -1; read !== 0 && lengthBytes < bytes.length; lengthBytes += read) {
      read = readSync(fd, bytes, lengthBytes, bytes.length - lengthBytes, null);
    }
  } catch (cause) {
    throw invalid('the file with the secret cannot be read', cause);
  } finally {
    if (fd !== undefined) closeSync(fd);
  }
  if (lengthBytes > MAXIMUM_SECRET_BYTES)
    throw invalid(`the file with the secret is over ${MAXIMUM_SECRET_BYTES} bytes`);
  const secret = bytes.toString('utf8', 0, lengthBytes).replace(/\r?\n$/, '');
  if (secret === '') throw invalid('the file with the secret is empty');
  if (secret.includes('\n')) throw invalid('the file with the secret has more than one line');
  return secret;
}

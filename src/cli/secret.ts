import { openSync, writeSync } from 'node:fs';
import { ReadStream } from 'node:tty';
import { UsageError } from './errors.ts';
import { printable } from './output.ts';

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
      expected: prompt.replace(/:\s*$/, ''),
      hint: 'Run the command in a terminal. The password of a signing key can also come from --password-file or COSIGN_PASSWORD.',
    });
  }
  const terminal = new ReadStream(fd);
  terminal.setRawMode(true);
  writeSync(fd, printable(prompt));
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

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';

export interface TerminalOptions {
  readonly cwd: string;
  /** Added to this process's environment. */
  readonly env: Readonly<Record<string, string | undefined>>;
  /** What is typed at every question for a passphrase. */
  readonly passphrase: string;
}

/** Runs a script for bash on a terminal of its own, as somebody types it. Gives what stood on the screen. */
export async function onTerminal(script: string, { cwd, env, passphrase }: TerminalOptions) {
  const file = join(cwd, '.script');
  await writeFile(file, script);
  const command = `bash -euo pipefail '${file}'`;
  const child = spawn('script', ['-qec', command, '/dev/null'], { cwd, env: { ...process.env, ...env } });
  let screen = '';
  let answered = 0;
  child.stdout.setEncoding('utf8').on('data', (part: string) => {
    screen += part;
    if (!/(Passphrase.*|again): $/.test(screen.slice(answered))) return;
    answered = screen.length;
    child.stdin.write(`${passphrase}\n`);
  });
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, screen };
}

const PORTOLAN = new URL('../../scripts/portolan', import.meta.url).pathname;

/** Runs `portolan` on a terminal of its own; `answer` gives what is typed at a question, from what stood on the screen since the last one. */
export async function portolanOnTerminal(
  args: readonly string[],
  { cwd, env }: Pick<TerminalOptions, 'cwd' | 'env'>,
  answer: (screen: string) => Promise<string | undefined>,
) {
  const command = [PORTOLAN, ...args].map((word) => `'${word}'`).join(' ');
  const child = spawn('script', ['-qec', command, '/dev/null'], { cwd, env: { ...process.env, ...env } });
  let screen = '';
  let answered = 0;
  child.stdout.setEncoding('utf8').on('data', async (part: string) => {
    screen += part;
    const fresh = screen.slice(answered);
    if (!/(Address|Passphrase.*|again): $/.test(fresh)) return;
    answered = screen.length;
    const typed = await answer(fresh);
    if (typed !== undefined) child.stdin.write(`${typed}\n`);
  });
  const [status] = (await once(child, 'close')) as [number | null];
  return { status, screen };
}

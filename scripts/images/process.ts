import { spawn } from 'node:child_process';

/**
 * Runs a program and returns its standard output. Standard error is shown only in the error, with its last lines.
 * Ends it after `timeoutMs` (ten minutes by default): a dead mirror must not hang a build for ever.
 */
export async function run(
  program: string,
  args: readonly string[],
  options: { readonly cwd?: string; readonly env?: Readonly<Record<string, string>>; readonly timeoutMs?: number } = {},
): Promise<string> {
  const timeoutMs = options.timeoutMs ?? 600_000;
  const child = spawn(program, args, {
    cwd: options.cwd,
    env: { ...process.env, LC_ALL: 'C.UTF-8', ...options.env },
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: timeoutMs,
  });
  let output = '';
  let errors = '';
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    output += text;
  });
  child.stderr.setEncoding('utf8').on('data', (text: string) => {
    errors = (errors + text).slice(-4000);
  });
  const ended = await new Promise<string | undefined>((resolve) => {
    child.on('error', (cause: NodeJS.ErrnoException) =>
      resolve(cause.code === 'ENOENT' ? `${program} is not installed` : cause.message),
    );
    child.on('close', (status, signal) =>
      resolve(
        status === 0
          ? undefined
          : signal
            ? `${program} was ended by ${signal}`
            : `${program} ended with status ${status}`,
      ),
    );
  });
  if (ended !== undefined) throw new Error(`${ended}: ${program} ${args.join(' ')}\n${errors.trim()}`.trim());
  return output;
}

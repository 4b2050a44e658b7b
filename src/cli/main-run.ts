/** Joins one run to this process: its streams, signals, environment and exit status. */

import type { CommandTree } from './command-tree.ts';
import type { CommandContext } from './context.ts';
import { listenForInterruption } from './interruption.ts';
import { createOutput, type LineSink } from './output.ts';
import { errorFields, exitStatusOf, formatError, INTERRUPTED_STATUS } from './output-errors.ts';
import { createProgram, loadCommandTree, runProgram } from './program.ts';
import { createProgress, type TerminalProgress } from './progress.ts';

/** Ends the process with the status of docs/exit-statuses.md. */
export async function runMain(
  args: readonly string[],
  loadTree: () => Promise<CommandTree> = loadCommandTree,
): Promise<never> {
  const stdout = quietSink(process.stdout);
  const stderr = quietSink(process.stderr);
  // An error may come before the options are known; what was typed decides then how it is printed.
  let json = asksForJson(args);
  let progress: TerminalProgress = progressOf(stdout, stderr, json);
  const { signal, interrupt } = listenForInterruption((message) => progress.warn(message));
  const context = (wantsJson: boolean): CommandContext => {
    json = wantsJson;
    progress = progressOf(stdout, stderr, json);
    return {
      progress,
      output: clearingOutput(stdout, json, () => progress.clear()),
      json,
      signal,
      env: process.env,
      cwd: process.cwd(),
      now: Date.now,
      async askSecret(prompt) {
        const secret = await import('./secret.ts');
        progress.clear();
        return secret.askSecret(prompt, { signal, interrupt });
      },
    };
  };
  let status = 0;
  try {
    const host = {
      env: process.env,
      cwd: process.cwd(),
      write: (text: string) => stdout.write(text),
      writeError: (text: string) => stderr.write(text),
      context,
    };
    await runProgram(createProgram(await loadTree(), host), args);
  } catch (error) {
    progress.close();
    status = signal.aborted ? INTERRUPTED_STATUS : exitStatusOf(error);
    const output = createOutput(stdout, json);
    if (signal.aborted && isConsequence(error, signal)) {
      if (json) output.event('interrupted', {});
      else stderr.write('interrupted\n');
    } else if (json) output.event('error', errorFields(error));
    else stderr.write(formatError(error));
  }
  progress.close();
  await Promise.all([flush(process.stdout), flush(process.stderr)]);
  process.exit(status);
}

function progressOf(stdout: LineSink, stderr: LineSink, json: boolean): TerminalProgress {
  return createProgress({ sink: stderr, output: createOutput(stdout, json), json, nowMs: () => performance.now() });
}

/** A result must not be written into a line of progress when both go to one terminal. */
function clearingOutput(stdout: LineSink, json: boolean, clear: () => void): CommandContext['output'] {
  const output = createOutput(stdout, json);
  return {
    event: output.event,
    result(fields, human) {
      clear();
      output.result(fields, human);
    },
  };
}

function asksForJson(args: readonly string[]): boolean {
  const end = args.indexOf('--');
  const variable = (process.env.PORTOLAN_JSON ?? '').toLowerCase();
  return (end === -1 ? args : args.slice(0, end)).includes('--json') || ['true', '1', 'yes', 'on'].includes(variable);
}

/** Whether the error only says that the work was stopped. */
function isConsequence(error: unknown, signal: AbortSignal): boolean {
  for (let depth = 0, cause = error; cause instanceof Error && depth < 5; depth += 1, cause = cause.cause) {
    if (cause === signal.reason || cause.name === 'AbortError') return true;
  }
  return false;
}

/** Drops what a reader no longer wants (`portolan … | head`): the work itself goes on to its end. */
function quietSink(stream: NodeJS.WriteStream): LineSink {
  let gone = false;
  stream.on('error', (error: NodeJS.ErrnoException) => {
    if (error.code !== 'EPIPE') throw error;
    gone = true;
  });
  return {
    write: (text) => gone || stream.write(text),
    get isTTY() {
      return stream.isTTY;
    },
    get columns() {
      return stream.columns;
    },
  };
}

function flush(stream: NodeJS.WriteStream): Promise<void> {
  return new Promise((resolve) => {
    if (stream.destroyed || !stream.writable) resolve();
    else stream.write('', () => resolve());
  });
}

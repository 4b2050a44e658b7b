/** Joins one run to this process: its streams, signals, environment and exit status. */

import { PortolanError } from '../core/errors.ts';
import type { LogEvent, LogExport } from '../ports/log-export.ts';
import type { CommandTree } from './command-tree.ts';
import type { CommandContext } from './context.ts';
import { listenForInterruption } from './interruption.ts';
import { createOutput, type LineSink, type Output } from './output.ts';
import { errorFields, exitStatusOf, formatError, INTERRUPTED_STATUS, placeText } from './output-errors.ts';
import { type ContextSettings, createProgram, loadCommandTree, runProgram } from './program.ts';
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
  let logs: LogExport | undefined;
  const output = () => createOutput({ sink: stdout, json, now: Date.now, tell: (event) => tellLogs(logs, event) });
  let progress: TerminalProgress = progressOf(stderr, output(), json);
  const { signal, interrupt } = listenForInterruption((message) => progress.warn(message));
  const context = async (settings: ContextSettings): Promise<CommandContext> => {
    json = settings.json;
    progress = progressOf(stderr, output(), json);
    logs = await openLogs(settings, progress);
    return {
      progress,
      output: clearingOutput(output(), () => progress.clear()),
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
    const isStop = signal.aborted && isConsequence(error, signal);
    output().event(isStop ? 'interrupted' : 'error', isStop ? {} : errorFields(error));
    if (!json) stderr.write(isStop ? 'interrupted\n' : formatError(error));
  }
  progress.close();
  await closeLogs(logs, progress);
  await Promise.all([flush(process.stdout), flush(process.stderr)]);
  process.exit(status);
}

/** Where a receiver is named. Whatever is wrong with it or its settings is a warning: the work is worth more than its log. */
async function openLogs(
  { telemetry, command }: ContextSettings,
  progress: TerminalProgress,
): Promise<LogExport | undefined> {
  if (telemetry === undefined) return undefined;
  const { openLogExport } = await import('../compose/log-export.ts');
  const { VERSION } = await import('./version.ts');
  try {
    return await openLogExport({ ...telemetry, command, version: VERSION }, { env: process.env, cwd: process.cwd() });
  } catch (error) {
    if (!(error instanceof PortolanError)) throw error;
    const place = placeText(error.at);
    progress.warn(`${error.code}: ${error.message}${place === '' ? '' : ` (${place})`}; no logs are sent`);
    return undefined;
  }
}

/** What moves is for who watches: of a task, its end is told. */
function tellLogs(logs: LogExport | undefined, event: LogEvent): void {
  if (event.level !== 'debug') logs?.add(event);
}

async function closeLogs(logs: LogExport | undefined, progress: TerminalProgress): Promise<void> {
  const missing = await logs?.close();
  if (missing === undefined) return;
  const { logsNotSent } = await import('../compose/log-export.ts');
  const { code, message } = logsNotSent(missing);
  progress.warn(`${code}: ${message}`);
}

function progressOf(stderr: LineSink, output: Output, json: boolean): TerminalProgress {
  return createProgress({ sink: stderr, output, json, nowMs: () => performance.now() });
}

/** A result must not be written into a line of progress when both go to one terminal. */
function clearingOutput(output: Output, clear: () => void): Output {
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

/**
 * Progress on stderr. On a terminal one line is redrawn, with rate and time left; anywhere else only warnings are
 * printed. With `--json` everything is an event on stdout, progress at most once a second.
 */
import type { Progress, ProgressTask } from '../ports/progress.ts';
import { type LineSink, type Output, printable } from './output.ts';
import { formatBytes, formatDuration } from './output-units.ts';

const REDRAW_MS = 100;
const EVENT_MS = 1000;
/** The rate is that of the last seconds: a stick whose cache is full slows down, and the time left must show it. */
const RATE_WINDOW_MS = 4000;

export interface ProgressHost {
  readonly sink: LineSink;
  /** Prints events where they are wanted. */
  readonly output: Output;
  readonly json: boolean;
  /** Monotonic milliseconds. */
  readonly nowMs: () => number;
}

export interface TerminalProgress extends Progress {
  /** Takes the line off the terminal while something else is printed there. */
  clear(): void;
  /** Clears, and draws no more. */
  close(): void;
}

interface TaskState {
  readonly label: string;
  readonly totalBytes: number | undefined;
  readonly startMs: number;
  doneBytes: number;
  /** Samples of the last RATE_WINDOW_MS, the oldest first. */
  readonly samples: { atMs: number; bytes: number }[];
  lastEventMs: number;
}

export function createProgress(host: ProgressHost): TerminalProgress {
  const terminal = host.sink.isTTY === true && !host.json;
  const tasks: TaskState[] = [];
  let drawn = false;
  let timer: NodeJS.Timeout | undefined;

  const clear = () => {
    if (drawn) host.sink.write('\r\x1b[K');
    drawn = false;
  };
  const draw = () => {
    const state = tasks.at(-1);
    if (state === undefined) return clear();
    const line = progressLine(state, host.nowMs());
    host.sink.write(`\r\x1b[K${line.slice(0, Math.max(1, (host.sink.columns || 80) - 1))}`);
    drawn = true;
  };
  const line = (text: string) => {
    clear();
    host.sink.write(`${printable(text)}\n`);
  };
  const emit = (state: TaskState, nowMs: number, done: boolean) => {
    state.lastEventMs = nowMs;
    const rate = rateOf(state, nowMs);
    host.output.event('progress', {
      task: state.label,
      doneBytes: state.doneBytes,
      totalBytes: state.totalBytes,
      bytesPerSecond: rate === undefined ? undefined : Math.round(rate),
      done,
    });
  };

  return {
    task(label, totalBytes): ProgressTask {
      const startMs = host.nowMs();
      const state: TaskState = { label, totalBytes, startMs, doneBytes: 0, samples: [], lastEventMs: startMs };
      state.samples.push({ atMs: startMs, bytes: 0 });
      tasks.push(state);
      if (terminal) {
        timer ??= setInterval(draw, REDRAW_MS).unref();
        draw();
      }
      return {
        advance(bytes) {
          state.doneBytes += bytes;
          const nowMs = host.nowMs();
          sample(state, nowMs);
          if (nowMs - state.lastEventMs >= EVENT_MS) emit(state, nowMs, false);
        },
        done() {
          const index = tasks.indexOf(state);
          if (index === -1) return;
          tasks.splice(index, 1);
          emit(state, host.nowMs(), true);
          if (!terminal) return;
          line(finishedLine(state, host.nowMs()));
          if (tasks.length === 0) {
            clearInterval(timer);
            timer = undefined;
          } else draw();
        },
      };
    },
    note(message) {
      host.output.event('note', { message });
      if (terminal) line(message);
    },
    warn(message) {
      host.output.event('warning', { message });
      if (!host.json) line(`warning: ${message}`);
    },
    clear,
    close() {
      clearInterval(timer);
      timer = undefined;
      tasks.length = 0;
      clear();
    },
  };
}

function sample(state: TaskState, nowMs: number): void {
  const last = state.samples.at(-1);
  // A sample each REDRAW_MS at most, so that a million calls do not keep a million samples.
  if (last !== undefined && nowMs - last.atMs < REDRAW_MS && state.samples.length > 1) last.bytes = state.doneBytes;
  else state.samples.push({ atMs: nowMs, bytes: state.doneBytes });
  while (state.samples.length > 2 && nowMs - (state.samples[1]?.atMs ?? 0) >= RATE_WINDOW_MS) state.samples.shift();
}

/** Bytes a second over the window; undefined while too little is known. */
function rateOf(state: TaskState, nowMs: number): number | undefined {
  const first = state.samples[0];
  if (first === undefined || nowMs - first.atMs < REDRAW_MS) return undefined;
  return ((state.doneBytes - first.bytes) * 1000) / (nowMs - first.atMs);
}

function progressLine(state: TaskState, nowMs: number): string {
  const parts = [printable(state.label)];
  const { totalBytes, doneBytes } = state;
  const rate = rateOf(state, nowMs);
  if (totalBytes !== undefined && totalBytes > 0) {
    parts.push(`${Math.min(100, Math.floor((doneBytes * 100) / totalBytes))} %`);
    parts.push(`${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`);
  } else if (doneBytes > 0) parts.push(formatBytes(doneBytes));
  if (rate !== undefined && rate > 0) {
    parts.push(`${formatBytes(rate)}/s`);
    if (totalBytes !== undefined && totalBytes > doneBytes) {
      parts.push(`${formatDuration(((totalBytes - doneBytes) * 1000) / rate)} left`);
    }
  } else parts.push(formatDuration(nowMs - state.startMs));
  return parts.join('  ');
}

function finishedLine(state: TaskState, nowMs: number): string {
  const took = nowMs - state.startMs;
  const parts = [state.label];
  if (state.doneBytes > 0) parts.push(formatBytes(state.doneBytes));
  parts.push(`in ${formatDuration(took)}`);
  if (state.doneBytes > 0 && took >= REDRAW_MS) parts.push(`${formatBytes((state.doneBytes * 1000) / took)}/s`);
  return parts.join('  ');
}

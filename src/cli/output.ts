/** Results on stdout: text for people or, with `--json`, one event a line. */
import type { LogEvent, LogLevel } from '../ports/log-export.ts';

/** Where lines go: a stream that may be a terminal. */
export interface LineSink {
  write(text: string): unknown;
  readonly isTTY?: boolean;
  readonly columns?: number;
}

export type EventFields = Readonly<Record<string, unknown>>;

export interface Output {
  /**
   * The command's result. With `--json` it is `{"event":"result", …fields}`; else `human()` is printed.
   * A command may give several results, such as one for each bundle of a list.
   */
  result(fields: EventFields, human: () => string): void;
  /** A line that only `--json` prints: `{"event":name, …fields}`. Logs that are sent elsewhere have it, too. */
  event(name: string, fields: EventFields): void;
}

export interface OutputHost {
  readonly sink: LineSink;
  readonly json: boolean;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** Gets every event as well, whatever is printed. */
  readonly tell?: ((event: LogEvent) => void) | undefined;
}

/** Every line begins with `time`, `level` and `event`. A record of the audit journal has a time of its own, which stays. */
export function createOutput({ sink, json, now, tell }: OutputHost): Output {
  const event = (name: string, fields: EventFields) => {
    const timeMs = now();
    const level = levelOf(name, fields);
    const head = { time: new Date(timeMs).toISOString(), level, event: name };
    if (json) sink.write(`${JSON.stringify({ ...head, ...fields })}\n`);
    tell?.({ timeMs, level, event: name, fields });
  };
  return {
    event,
    result(fields, human) {
      event('result', fields);
      if (json) return;
      const text = printable(human());
      sink.write(text.endsWith('\n') ? text : `${text}\n`);
    },
  };
}

function levelOf(name: string, { done }: EventFields): LogLevel {
  if (name === 'progress') return done === true ? 'info' : 'debug';
  return LEVELS[name] ?? 'info';
}

const LEVELS: Readonly<Record<string, LogLevel>> = { warning: 'warn', interrupted: 'warn', error: 'error' };

/**
 * Names inside a bundle, a registry's answers and file names are untrusted: a control sequence in them could rewrite
 * what the terminal shows, and a direction mark could reorder it. Both are shown as escapes; line ends and tabs stay.
 */
export function printable(text: string): string {
  return text.replace(UNPRINTABLE, (character) => `\\u${character.charCodeAt(0).toString(16).padStart(4, '0')}`);
}

// Every control character (Cc) but tab and newline, and the marks of direction of UAX #9.
const UNPRINTABLE = /(?![\t\n])\p{Cc}|[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]/gu;

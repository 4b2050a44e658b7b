/** Sends what a command tells to a receiver of logs elsewhere, beside the work: nothing here rejects, and nobody waits for it. */
export interface LogExport {
  add(event: LogEvent): void;
  /** Sends what is left, within seconds. @returns what did not arrive, or `undefined` when all of it did */
  close(): Promise<LostLogs | undefined>;
}

export type LogLevel = 'debug' | 'info' | 'warn' | 'error';

export interface LogEvent {
  /** Milliseconds since 1970. */
  readonly timeMs: number;
  readonly level: LogLevel;
  /** As in `--json`: result, warning, error … */
  readonly event: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export interface LostLogs {
  readonly lost: number;
  readonly total: number;
  /** Of the last failure; without an answer's text, in which might be what was sent. */
  readonly reason: string;
}

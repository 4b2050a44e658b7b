import type { Progress } from '../ports/progress.ts';
import type { Output } from './output.ts';

/** What the frame hands to a command. */
export interface CommandContext {
  /** On stderr; for use cases. */
  readonly progress: Progress;
  /** On stdout; for the command's result. */
  readonly output: Output;
  /** True with `--json`: everything on stdout is one JSON event a line. */
  readonly json: boolean;
  /** Aborts on SIGINT, SIGTERM and SIGHUP. */
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  /** Absolute. */
  readonly cwd: string;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /**
   * Asks on the terminal itself (not on stdin), without an echo.
   * @throws UsageError NO_TERMINAL when there is none.
   */
  askSecret(prompt: string): Promise<string>;
}

/** How a use case tells what it is doing. The command line renders it on stderr; tests pass `silentProgress`. */
export interface Progress {
  /** Starts a task; `totalBytes` allows rate and time left to be shown. */
  task(label: string, totalBytes?: number): ProgressTask;
  /** One line that a person may want to know. */
  note(message: string): void;
  /** One line that a person should act on. */
  warn(message: string): void;
}

export interface ProgressTask {
  /** Adds `bytes` to what is done. */
  advance(bytes: number): void;
  done(): void;
}

export const silentProgress: Progress = {
  task: () => ({ advance: () => {}, done: () => {} }),
  note: () => {},
  warn: () => {},
};

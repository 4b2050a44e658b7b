/** Works on a few things at once, given one after the other; whoever gives more waits. After a failure nothing further begins. */
export interface Lanes {
  /** Resolves when a lane has taken the work. @throws the first failure of any */
  give(work: () => Promise<void>): Promise<void>;
  /** When everything is done. @throws the first failure of any */
  settled(): Promise<void>;
}

export function createLanes(width: number): Lanes {
  const running = new Set<Promise<void>>();
  let failure: { readonly error: unknown } | undefined;
  let wake: (() => void) | undefined;

  async function run(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      failure ??= { error };
    }
  }
  const check = () => {
    if (failure !== undefined) throw failure.error;
  };
  return {
    async give(work) {
      while (running.size >= width && failure === undefined) {
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
      }
      check();
      const task: Promise<void> = run(work).then(() => {
        running.delete(task);
        wake?.();
      });
      running.add(task);
    },
    async settled() {
      await Promise.all(running);
      check();
    },
  };
}

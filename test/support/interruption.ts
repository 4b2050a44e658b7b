import { fileURLToPath } from 'node:url';

/** Where a run is interrupted: before the `call`-th change below `folder`, or before the first to a path that fits a pattern. */
export type Moment = { readonly call: number } | { readonly path: RegExp };

/** The environment in which the program sends itself a signal at a moment of its work below a folder. */
export function interruptAt(folder: string, signal: NodeJS.Signals, moment: Moment): Record<string, string> {
  const preload = fileURLToPath(new URL('./interruption-point.ts', import.meta.url));
  return {
    NODE_OPTIONS: `--import=${preload}`,
    PORTOLAN_TEST_POINT: JSON.stringify({
      folder,
      signal,
      ...('path' in moment ? { path: moment.path.source } : moment),
    }),
  };
}

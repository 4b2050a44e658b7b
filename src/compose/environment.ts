import { tmpdir, userInfo } from 'node:os';
import { join, resolve } from 'node:path';
import type { Progress } from '../ports/progress.ts';

/** What a composer has from the command line beside its own settings. */
export interface Running {
  readonly progress: Progress;
  readonly signal: AbortSignal;
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly cwd: string;
  readonly now: () => number;
}

/** As child processes and libraries take it: what is not set is not there. */
export function definedOnly(env: Readonly<Record<string, string | undefined>>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(env).flatMap(([name, value]) => (value === undefined ? [] : [[name, value]])),
  );
}

/** Where state lies when there is no cluster and no --state: root's own place, else the user's (XDG base directories). */
export function defaultStateFolder(env: Readonly<Record<string, string | undefined>>): string {
  if (userInfo().uid === 0) return '/var/lib/portolan';
  return join(env.XDG_STATE_HOME || join(env.HOME ?? tmpdir(), '.local', 'state'), 'portolan');
}

/** Where is kept what can be fetched again: `$XDG_CACHE_HOME/portolan`, else `~/.cache/portolan`. */
export function cacheFolder(env: Readonly<Record<string, string | undefined>>, cwd: string): string {
  const base = env.XDG_CACHE_HOME || (env.HOME ? join(env.HOME, '.cache') : undefined);
  return base === undefined ? join(cwd, '.portolan-cache') : join(resolve(cwd, base), 'portolan');
}

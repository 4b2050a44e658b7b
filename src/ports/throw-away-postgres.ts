import type { DatabaseServer } from './database.ts';

/** A PostgreSQL server of this machine for one piece of work, with nothing in it. */
export interface ThrowAwayServer extends AsyncDisposable {
  /** As its superuser. */
  readonly server: DatabaseServer;
  /** The same for who wants an address: without a password, none is asked for. */
  readonly url: string;
  /**
   * As another role, the only one that is let in beside the superuser. It does not exist until somebody makes it, and its name is
   * known to nobody before the server starts: what is restored cannot have made it.
   */
  readonly checker: DatabaseServer;
  /** The folder of its programs: absolute. */
  readonly programs: string;
  /** As the programs print it: `17.5`. */
  readonly version: string;
}

export interface ThrowAwayPostgres {
  /** What may still be written where servers keep their data. */
  freeBytes(): Promise<number>;
  /**
   * Starts a server of just this major version. It ends and is removed with the result, and as well when this process ends in any
   * other way.
   *
   * @throws AdapterError POSTGRES_PROGRAMS_MISSING, POSTGRES_NOT_STARTED, FILE_UNWRITABLE, NO_SPACE; the signal's reason
   */
  start(
    request: { readonly major: number; readonly superuser: string },
    options: { readonly signal: AbortSignal },
  ): Promise<ThrowAwayServer>;
}

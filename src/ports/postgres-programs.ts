import type { DatabaseConnection } from './database-connection.ts';

export type PostgresProgram = 'pg_dump' | 'pg_dumpall' | 'pg_restore' | 'psql' | 'initdb' | 'postgres';

/** The programs of PostgreSQL on this machine, of which there may be several versions. */
export interface PostgresPrograms {
  /**
   * The set that fits a server: its own major version, else the next newer one, which reads older servers.
   *
   * @throws AdapterError POSTGRES_PROGRAMS_MISSING, which names what was found
   */
  find(serverMajor: number, options: FindOptions): Promise<ProgramSet>;
}

export interface FindOptions {
  readonly programs: readonly PostgresProgram[];
  readonly signal?: AbortSignal;
}

export interface ProgramSet {
  /** Absolute. */
  readonly folder: string;
  readonly major: number;
  /** As the programs print it: `15.14`. */
  readonly version: string;
  /**
   * Runs a program and gives what it prints, as it comes. After the last byte it rejects unless the program ended with
   * status 0: who stops reading earlier ends the program, and knows nothing of its work.
   *
   * @throws AdapterError POSTGRES_PROGRAM_FAILED (with the program's own words), POSTGRES_PROGRAM_TIMEOUT; the signal's reason
   */
  output(run: ProgramRun, options?: { readonly signal?: AbortSignal }): AsyncGenerator<Uint8Array, void, void>;
}

export interface ProgramRun {
  readonly program: PostgresProgram;
  /** Never with secrets: everybody on the machine can read them. */
  readonly arguments: readonly string[];
  /** Where it connects to; the password goes by the environment of the program alone. Without it, it connects nowhere. */
  readonly connection?: DatabaseConnection;
  /** Written into the private folder in which it runs, and gone with it: arguments name them as they are. */
  readonly files?: Readonly<Record<string, AsyncIterable<Uint8Array> | Iterable<Uint8Array>>>;
  /** What the server shows of its sessions. `portolan` unless given. */
  readonly applicationName?: string;
  /** For its standard input. */
  readonly input?: AsyncIterable<Uint8Array>;
  /** What it wrote to standard error although it ended well, bounded. */
  readonly onMessages?: (text: string) => void;
  /** How long it may print nothing while it is listened to. An hour unless given. */
  readonly idleTimeoutMs?: number;
  /** Asked each time that this is over: whether it is given as long again. */
  readonly isAtWork?: () => Promise<boolean>;
}

import type { DatabaseConnection } from './database-connection.ts';

/** A PostgreSQL database, as one URL names it. */
export interface Database {
  /** For messages, without secrets: `postgres://user@host:5432/name`. */
  readonly place: string;
  /**
   * One session of its own. A server that is starting or not there yet is tried again for a while.
   *
   * @throws AdapterError DATABASE_UNREACHABLE, DATABASE_TIMEOUT, DATABASE_UNTRUSTED, DATABASE_UNAUTHORIZED,
   *   DATABASE_POOLED, DATABASE_UNSUPPORTED, DATABASE_READ_ONLY
   */
  open(options?: OpenOptions): Promise<DatabaseSession>;
}

export interface OpenOptions {
  /** Aborts what runs: the server is told to cancel it, then the session ends. */
  readonly signal?: AbortSignal;
  /** What the server says meanwhile (`raise notice`). */
  readonly onNotice?: (message: string) => void;
  /** Only reads: a standby is good enough. */
  readonly readOnly?: boolean;
}

export interface DatabaseSession extends AsyncDisposable {
  /** Whether a transaction is open, by the server's last word. */
  readonly transaction: 'none' | 'open' | 'failed';
  /**
   * One statement with its parameters ($1 …); values come as text.
   *
   * @throws AdapterError DATABASE_STATEMENT_FAILED, DATABASE_LOST, DATABASE_TIMEOUT
   */
  query(sql: string, parameters?: readonly (string | null)[]): Promise<readonly Row[]>;
  /**
   * A whole script (as bytes: in UTF-8) by the simple query protocol, as it is. Rows are dropped.
   *
   * @throws AdapterError DATABASE_LOST, DATABASE_TIMEOUT
   */
  run(script: string | Uint8Array): Promise<ScriptOutcome>;
  /** Gives back what a script may have set or left in the session: roles, settings, temporary tables. Locks stay. */
  reset(): Promise<void>;
}

export type Row = Readonly<Record<string, string | null>>;

export type ScriptOutcome = { readonly kind: 'done' } | { readonly kind: 'failed'; readonly failure: StatementFailure };

/** What the server said about a statement (PostgreSQL, "Error and Notice Message Fields"). */
export interface StatementFailure {
  readonly message: string;
  /** Five characters: `42P01`. */
  readonly sqlState: string;
  readonly detail?: string;
  readonly hint?: string;
  /** Where in functions it happened. */
  readonly context?: string;
  /** 1-based, in characters (code points) of the script. */
  readonly position?: number;
  /** How many statements of the script were done before. */
  readonly statementsDone: number;
}

/** A PostgreSQL server, of which a URL names one database and a user. */
export interface DatabaseServer {
  /** Of the URL. */
  readonly name: string;
  readonly user: string;
  /**
   * A database of the server, and how other threads and programs reach it. The password is looked up here; that there is none
   * is no failure, since the server may ask for none.
   *
   * @throws AdapterError FILE_MISSING, FILE_UNREADABLE, FILE_TOO_LARGE
   */
  database(name: string): Promise<ReachableDatabase>;
}

export interface ReachableDatabase {
  readonly name: string;
  readonly database: Database;
  readonly connection: DatabaseConnection;
}

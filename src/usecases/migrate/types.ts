import type { Digest } from '../../core/digest.ts';

/** A module of migrations: where its files come from does not matter here. */
export interface MigrationModule {
  readonly name: string;
  /** Modules that are applied before this one. */
  readonly requires: readonly string[];
  /** In any order. */
  readonly files: readonly MigrationFile[];
}

export interface MigrationFile {
  /** `<digits>_name.sql` or `<digits>_name.contract.sql`. */
  readonly name: string;
  readonly digest: Digest;
  /** The whole content; called when it is needed, so that one file at a time is in memory. */
  read(options?: { readonly signal?: AbortSignal }): Promise<Uint8Array>;
}

/** The release that brings migrations. */
export interface MigrationBundle {
  readonly name: string;
  readonly version: string;
  readonly sequence: number;
  /** Digest of its contents. */
  readonly root: string;
}

/**
 * - `expand`: contract files are recorded as deferred, and wait.
 * - `import`: the same, but those run that came with a release whose import was completed.
 * - `contract`: all of them run.
 */
export type MigrationMode = 'import' | 'expand' | 'contract';

export interface MigrationRequest {
  readonly modules: readonly MigrationModule[];
  readonly mode: MigrationMode;
  readonly bundle?: MigrationBundle;
  /**
   * Mode `import`: the highest sequence of this bundle whose import was completed at the target, 0 for none. Contract files
   * that came with it or before are due: every program of the releases before is gone. Default: the sequence before
   * the bundle's own.
   */
  readonly completedSequence?: number;
  /** New files may have numbers below those that were applied. */
  readonly allowOutOfOrder?: boolean;
  /** `MODULE/FILE` of dirty files whose leftovers were removed: they run again. */
  readonly retry?: readonly string[];
  /** `MODULE/FILE` of dirty files whose effect is there: they count as applied. */
  readonly repaired?: readonly string[];
}

export type MigrationKind = 'expand' | 'contract';
export type LedgerState = 'deferred' | 'applied' | 'dirty' | 'baseline';

/** One line of the ledger. */
export interface LedgerEntry {
  readonly module: string;
  readonly number: bigint;
  readonly name: string;
  readonly digest: string;
  readonly kind: MigrationKind;
  readonly state: LedgerState;
  /** The release that brought it first; none for `migrate up` by hand. */
  readonly seenIn?: MigrationBundle;
  /** As PostgreSQL prints it. */
  readonly seenAt: string;
  readonly appliedIn?: MigrationBundle;
  readonly appliedAt?: string;
}

/** `MODULE/FILE`, as commands take and print it. */
export interface NamedMigration {
  readonly module: string;
  readonly file: string;
}

export function migrationPath({ module, file }: NamedMigration): string {
  return `${module}/${file}`;
}

export type MigrationEvent =
  | { readonly kind: 'waiting-for-lock'; readonly holder: string }
  | ({ readonly kind: 'started'; readonly index: number; readonly total: number } & NamedMigration)
  | ({ readonly kind: 'applied'; readonly durationMs: number } & NamedMigration)
  | ({ readonly kind: 'deferred' } & NamedMigration)
  | ({ readonly kind: 'repaired' } & NamedMigration)
  | ({ readonly kind: 'retry'; readonly reason: string; readonly attempt: number } & NamedMigration)
  /** What the server said while a file ran. */
  | { readonly kind: 'notice'; readonly message: string };

export interface MigrationReport {
  /** In the order in which they ran. */
  readonly applied: readonly NamedMigration[];
  /** Contract files that wait: those recorded now, and those recorded before. */
  readonly deferred: readonly NamedMigration[];
  /** Dirty files that were declared repaired. */
  readonly repaired: readonly NamedMigration[];
  /** Files that were applied before. */
  readonly skipped: number;
  readonly orphans: readonly Orphan[];
}

/** What the ledger holds of a module that is not carried. It is left alone. */
export interface Orphan {
  readonly module: string;
  readonly applied: number;
  readonly deferred: number;
  readonly dirty: number;
}

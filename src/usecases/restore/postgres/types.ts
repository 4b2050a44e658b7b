import type { PortolanError } from '../../../core/errors.ts';
import type { ArchiveItem } from '../../../formats/postgres/archive.ts';
import type { TableEntry } from '../../../formats/repository/contents.ts';
import type { DatabaseRecord, Fact } from '../../../formats/repository/database-record.ts';
import type { ChunkReader, ChunkReaderSettings } from '../../../ports/chunks.ts';
import type { DatabaseServer, ReachableDatabase } from '../../../ports/database.ts';
import type { PostgresPrograms } from '../../../ports/postgres-programs.ts';
import type { Progress } from '../../../ports/progress.ts';
import type { RestoreSelection } from '../selection.ts';
import type { LedgerHead } from './ledger.ts';
import type { Allowance, Need } from './needs.ts';
import type { ChosenPart } from './part-facts.ts';
import type { Difference } from './proof.ts';

export interface PostgresRestoreRequest {
  readonly selection: RestoreSelection;
  readonly allow: ReadonlySet<Allowance>;
  /** Also into a database that has something in it; nothing of it is changed or dropped. */
  readonly intoExisting: boolean;
  /** Everything into the places where the server puts things by itself. */
  readonly noTablespaces: boolean;
  /** Looks at everything and changes nothing. */
  readonly plan: boolean;
  /** Connections that work side by side. As many as the reader has workers, unless given. */
  readonly jobs?: number;
}

export interface PostgresRestoreDependencies {
  /** Its name is where one database goes; `postgres` is only connected to, unless the database has that name. */
  readonly server: DatabaseServer;
  readonly programs: PostgresPrograms;
  readonly createChunkReader: (settings: ChunkReaderSettings) => Promise<ChunkReader>;
  readonly progress: Progress;
  /** When everything was proved, before the ledger of the restore goes: whoever keeps a ledger of his own notes it here. */
  readonly onProved?: () => Promise<void>;
}

/** What is or would be done. */
export interface PostgresRestoreReport {
  /** `WRITER/SEQUENCE`. */
  readonly snapshot: string;
  readonly source: string;
  /** Where it was read from. */
  readonly place: string;
  readonly sourceVersion: string;
  readonly targetVersion: string;
  readonly programVersion: string;
  readonly user: string;
  readonly databases: readonly DatabaseReport[];
  /** That are made. */
  readonly roles: readonly string[];
  readonly tablespaces: readonly string[];
  readonly needs: readonly Need[];
  readonly notes: readonly string[];
  readonly done: boolean;
  /** What is not as the snapshot says, after a restore. */
  readonly differences: readonly (Difference & { readonly database?: string })[];
  /** What stands against it; empty when it was done and proved. */
  readonly problems: readonly PortolanError[];
}

export interface DatabaseReport {
  readonly name: string;
  readonly target: string;
  /** Made new; there and empty; there with something in it; begun by a run before. */
  readonly state: 'new' | 'empty' | 'existing' | 'begun';
  readonly tables: number;
  readonly rows: number;
  readonly sizeBytes: number;
  readonly largeObjects: number;
  readonly extensions: readonly {
    readonly name: string;
    readonly version: string;
    /** That the server would make; undefined when it has none. */
    readonly available: string | undefined;
  }[];
}

/** One database of a restore, with all that its steps need. */
export interface DatabaseTask {
  readonly record: DatabaseRecord;
  readonly report: DatabaseReport;
  readonly reachable: ReachableDatabase;
  readonly chosen: ChosenPart;
  /** Of the archive, in its order. Of a restore that was begun: those that it chose. */
  readonly items: readonly ArchiveItem[];
  readonly contentsBytes: number;
  readonly tables: readonly TableEntry[];
  readonly properties: { readonly database: Fact | undefined; readonly roleSettings: readonly Fact[] };
  /** Ties to tables that are not wanted. */
  readonly leftOut: readonly ArchiveItem[];
  readonly head: LedgerHead;
  /** In pg_catalog of the target. */
  readonly collations: ReadonlySet<string>;
  /** In which the database was. */
  readonly tablespace: string | undefined;
}

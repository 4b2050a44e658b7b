import type { Digest } from '../../core/digest.ts';
import type { PortolanError } from '../../core/errors.ts';
import type { Contents } from '../../formats/bundle/contents.ts';
import type { Trust } from '../../formats/sigstore/trust.ts';
import type { Installed, RestoredFrom } from '../../formats/target/installed.ts';
import type { ChartRenderer } from '../../ports/charts.ts';
import type { Database } from '../../ports/database.ts';
import type { ImageTarget, SpaceNeed } from '../../ports/image-target.ts';
import type { AccessQuestion, Kubernetes } from '../../ports/kubernetes.ts';
import type { Medium } from '../../ports/medium.ts';
import type { Progress } from '../../ports/progress.ts';
import type { Releases } from '../../ports/releases.ts';
import type { SealingEngine } from '../../ports/sealing.ts';
import type { TargetState } from '../../ports/target-state.ts';
import type { WorkFolder } from '../../ports/work-folder.ts';
import type { ConfigurationChange } from '../configuration/types.ts';
import type { PlannedFile } from '../migrate/plan.ts';
import type { MigrationRequest } from '../migrate/types.ts';
import type { PostgresRestoreReport } from '../restore/postgres/types.ts';
import type { MigrationRunner } from './import-migrations.ts';
import type { Rehearsal } from './rehearsal.ts';

export const IMPORT_PARTS = ['images', 'configuration', 'charts', 'migrations'] as const;
export type ImportPart = (typeof IMPORT_PARTS)[number];

export interface ImportRequest {
  readonly tag?: string;
  readonly trust: Trust;
  readonly identities: readonly string[];
  /** What of the bundle is imported; all of it by default. */
  readonly parts: ReadonlySet<ImportPart>;
  readonly allowDowngrade: boolean;
  readonly allowOrphans: boolean;
  /** Maps a reference to where the images went, for clusters whose nodes take no mirrors. */
  readonly rewrite?: (reference: string) => string;
  /** How long a chart may take to get ready. */
  readonly chartTimeoutMs: number;
  /** How long another import is waited for. */
  readonly lockWaitMs: number;
  /** Who imports, for whoever waits: no secret. */
  readonly holder: string;
  /** Documents of `config export` beside those that the bundle carries: of a cluster that was lost. */
  readonly documents?: readonly { readonly path: string; readonly text: string }[];
  /** Under other namespaces, without app charts. */
  readonly rehearsal?: Rehearsal;
  /** helm, when it was named. */
  readonly helmPath?: string;
  /** Of this machine, as in the bundle's `bin/`: `linux-amd64`. */
  readonly host: string;
}

export interface ClusterTools {
  readonly kubernetes: Kubernetes;
  /** Where Portolan keeps its state. */
  readonly stateNamespace: string;
  readonly releases: (helmPath: string) => Releases;
  readonly renderer: (helmPath: string) => ChartRenderer;
  /** Where events and logs of a release that failed go. */
  readonly failureFolder: (release: string) => string;
}

export interface ImportDependencies {
  readonly medium: Medium;
  readonly engine: SealingEngine;
  readonly progress: Progress;
  readonly state: TargetState;
  readonly work: WorkFolder;
  /** Absent when images are left out. */
  readonly images?: ImageTarget;
  /** Absent when neither charts nor configuration are imported. */
  readonly cluster?: ClusterTools;
  /** How the migrations of a bundle reach their database. */
  readonly migrations?: MigrationRunners;
  /** --database: rows of configuration documents are written there. */
  readonly database?: Database;
  /** Fills the databases before the migrations run; an import has none. */
  readonly databases?: DatabaseStep;
  readonly now: () => Date;
}

export type BundleDatabase = NonNullable<Contents['database']>;

/** What fills the databases of a bundle, when its data charts are ready and before its migrations run: a restore. */
export interface DatabaseStep {
  readonly from: RestoredFrom;
  /** What it takes in the cluster. */
  rights(database: BundleDatabase): readonly AccessQuestion[];
  /** What would be brought, and what stands against it at this target. Changes nothing. */
  look(target: DatabaseStepTarget, options: { readonly signal?: AbortSignal }): Promise<DatabaseStepPlan>;
  /**
   * Fills them and proves it; `onProved` is called, and waited for, while a run that is killed would still find everything as it
   * was begun. `wasProved`: a run before this one came so far, and databases that hold something are left alone.
   */
  fill(
    database: BundleDatabase,
    options: {
      readonly wasProved: boolean;
      readonly onProved: () => Promise<void>;
      readonly signal: AbortSignal;
    },
  ): Promise<PostgresRestoreReport | undefined>;
}

export interface DatabaseStepTarget {
  readonly contents: Contents;
  readonly installed: Installed;
  readonly database: BundleDatabase;
  /** What helm would do. */
  readonly charts: ImportPlan['charts'];
  readonly migrations: MigrationRequest;
  /** A run of the same restore was begun here, or ended. */
  readonly isBegun: boolean;
}

export interface DatabaseStepPlan {
  readonly plan: NonNullable<ImportPlan['databases']>;
  readonly problems: readonly PortolanError[];
}

/**
 * How the database is reached: as the command line said, else as the bundle says, with the image as the nodes know it.
 * `undefined` when neither does.
 */
export type MigrationRunners = (database: Contents['database']) => MigrationRunner | undefined;

export type ChartAction = 'install' | 'upgrade' | 'unchanged' | 'uninstall';

/** What an import is going to do. Plain data: `--plan` prints it. */
export interface ImportPlan {
  readonly tag: string;
  readonly name: string;
  readonly version: string;
  readonly sequence: number;
  readonly root: Digest;
  readonly signedBy: { readonly name: string; readonly keyHint: string };
  /** Where Portolan keeps what it remembers. */
  readonly place: string;
  /** What is installed now. */
  readonly from?: { readonly version: string; readonly sequence: number };
  /** An import, a rollback or a removal that did not come to its end. */
  readonly interrupted?: { readonly what: string; readonly version: string; readonly startedAt: string };
  readonly images?: {
    readonly target: string;
    readonly images: number;
    readonly missing: readonly string[];
    readonly blobs: number;
    readonly sizeBytes: number;
    readonly space: readonly SpaceNeed[];
  };
  readonly configuration: readonly {
    readonly namespace: string;
    readonly name: string;
    readonly documents: readonly string[];
    readonly action: 'create' | 'update' | 'unchanged';
  }[];
  /** What `config export` wrote: objects that would be added, changed or are the same, and tables, written after migrations. */
  readonly documents: readonly {
    readonly path: string;
    readonly changes: readonly ConfigurationChange[];
    readonly tables: readonly string[];
  }[];
  readonly charts: readonly {
    readonly name: string;
    readonly release: string;
    readonly namespace: string;
    readonly stage: 'data' | 'app';
    readonly version?: string;
    readonly action: ChartAction;
    readonly revision?: number;
  }[];
  /** Of a restore: the snapshot, and the databases that it brings. */
  readonly databases?: {
    readonly from: RestoredFrom;
    /** RFC 3339: when it was begun. */
    readonly at: string;
    /** Server that was backed up, and its version. */
    readonly place: string;
    readonly serverVersion: string;
    readonly databases: readonly {
      readonly name: string;
      readonly tables: number;
      readonly rows: number;
      readonly sizeBytes: number;
    }[];
    /** The release that its migrations were brought up to: `NAME-VERSION`. */
    readonly release?: { readonly name: string; readonly version: string; readonly sequence: number };
    /** Kinds of what has to be allowed. */
    readonly needs: readonly string[];
    readonly notes: readonly string[];
  };
  readonly migrations?: {
    readonly place: string;
    readonly modules: readonly { readonly name: string; readonly expand: number; readonly contract: number }[];
    /** Contract files that waited for this import: MODULE/FILE, by the ledger or else as the last import left them. */
    readonly due: readonly string[];
    /** Every file and what becomes of it, where the ledger could be asked from here. */
    readonly files?: readonly PlannedFile[];
  };
}

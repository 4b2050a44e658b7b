import type { Contents } from '../../formats/bundle/contents.ts';
import { isContractFile, MODULE_FILE_LIMIT_BYTES } from '../../formats/migration/module-files.ts';
import type { Installed, InstalledRelease } from '../../formats/target/installed.ts';
import { readBlob } from '../bundle/read-blob.ts';
import type { MigrationPlan } from '../migrate/plan.ts';
import type {
  LedgerEntry,
  MigrationEvent,
  MigrationModule,
  MigrationReport,
  MigrationRequest,
} from '../migrate/types.ts';
import type { BlobSource } from './stream-blobs.ts';

/** Runs migrations where the database is: from here, or in a Pod of the cluster. */
export interface MigrationRunner {
  /** For messages, without secrets. */
  readonly place: string;
  apply(
    request: MigrationRequest,
    options?: { readonly signal?: AbortSignal; readonly onEvent?: (event: MigrationEvent) => void },
  ): Promise<MigrationReport>;
  /** Absent where asking would change something: in a cluster it would take a Pod. */
  plan?(request: MigrationRequest, options?: { readonly signal?: AbortSignal }): Promise<MigrationPlan>;
  /** Every line of the database's ledger. */
  ledger(options?: { readonly signal?: AbortSignal }): Promise<readonly LedgerEntry[]>;
}

/** The modules of a bundle. A file is opened, and checked against its digest, when it is about to run. */
export function migrationModulesOf(source: BlobSource): MigrationModule[] {
  const { medium, engine, bundle, lists, identities } = source;
  return lists.contents.modules.map(({ name, requires, files }) => ({
    name,
    requires,
    files: files.map((file) => ({
      name: file.name,
      digest: file.digest,
      read: (options = {}) =>
        readBlob(
          { medium, engine },
          bundle,
          lists,
          { digest: file.digest, maxBytes: MODULE_FILE_LIMIT_BYTES, identities },
          options,
        ),
    })),
  }));
}

/**
 * The sequence whose programs all run, so that what only older ones need may go; 0 when nobody knows. An import that left the
 * charts out completed nothing while programs of the release before are there.
 */
export function completedSequenceOf({ applied, former }: Pick<Installed, 'applied' | 'former'>): number {
  const isComplete = (release: InstalledRelease) => release.parts.includes('charts') || release.charts.length === 0;
  return [applied, former].find((release) => release !== undefined && isComplete(release))?.sequence ?? 0;
}

/** Contract files, as MODULE/FILE, that waited for this import: those of releases that are complete, and still carried. */
export function dueContracts(
  { modules, sequence }: Pick<Contents, 'modules' | 'sequence'>,
  installed: Installed,
): string[] {
  const { applied } = installed;
  if (applied === undefined || sequence <= applied.sequence || completedSequenceOf(installed) < applied.sequence)
    return [];
  const carried = new Set(
    contractsOf(modules).flatMap(({ name, contracts }) => contracts.map((file) => `${name}/${file}`)),
  );
  return applied.deferred.filter((path) => carried.has(path));
}

/** Names of the contract files of each module. */
export function contractsOf(modules: Contents['modules']): { readonly name: string; readonly contracts: string[] }[] {
  return modules.map(({ name, files }) => ({
    name,
    contracts: files.flatMap((file) => (isContractFile(file.name) ? [file.name] : [])),
  }));
}

import type { PortolanError } from '../../core/errors.ts';
import type { Installed } from '../../formats/target/installed.ts';
import type { AccessQuestion } from '../../ports/kubernetes.ts';
import type { PlannedFile } from '../migrate/plan.ts';
import { type MigrationRequest, migrationPath } from '../migrate/types.ts';
import { collect } from '../refuse.ts';
import {
  completedSequenceOf,
  contractsOf,
  dueContracts,
  type MigrationRunner,
  migrationModulesOf,
} from './import-migrations.ts';
import type { BlobSource } from './stream-blobs.ts';
import type { ImportPlan } from './types.ts';

/** What a Job with the migrations takes in the namespace of the database: see `run-in-cluster`. */
export function migrationRights(namespace: string): AccessQuestion[] {
  const question = (group: string, resource: string) => (verb: string) => ({ verb, group, resource, namespace });
  return [
    ...['get', 'create', 'patch', 'delete'].map(question('batch', 'jobs')),
    ...['create'].map(question('', 'configmaps')),
    ...['list'].map(question('', 'pods')),
  ];
}

/** What the migrations of a bundle are asked to do. */
export function migrationRequestOf(source: BlobSource, installed: Installed): MigrationRequest {
  const { contents, root } = source.lists;
  const { name, version, sequence } = contents;
  return {
    modules: migrationModulesOf(source),
    mode: 'import',
    bundle: { name, version, sequence, root },
    completedSequence: completedSequenceOf(installed),
  };
}

/**
 * What would run, and what forbids it, where the database can be asked from here. Behind a Pod it cannot: a plan starts none.
 * `mayCome`: a data chart may bring the database; then one that does not answer yet is no problem.
 */
export async function planOfMigrations(
  source: BlobSource,
  runner: MigrationRunner,
  { installed, mayCome }: { readonly installed: Installed; readonly mayCome: boolean },
  problems: PortolanError[],
  options: { readonly signal?: AbortSignal },
): Promise<NonNullable<ImportPlan['migrations']>> {
  const { contents } = source.lists;
  const found: PortolanError[] = [];
  const { plan } = runner;
  const ahead =
    plan === undefined ? undefined : await collect(found, () => plan(migrationRequestOf(source, installed), options));
  problems.push(...found.filter(({ code }) => !(mayCome && code.startsWith('DATABASE_'))), ...(ahead?.problems ?? []));
  const isDue = ({ kind, action }: PlannedFile) => kind === 'contract' && action === 'apply';
  return {
    place: runner.place,
    modules: contractsOf(contents.modules).map(({ name, contracts }, index) => ({
      name,
      expand: (contents.modules[index]?.files.length ?? 0) - contracts.length,
      contract: contracts.length,
    })),
    due: ahead?.files.filter(isDue).map(migrationPath) ?? dueContracts(contents, installed),
    ...(ahead === undefined ? {} : { files: ahead.files }),
  };
}

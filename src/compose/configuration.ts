import { writeFileDurable } from '../adapters/files/durable.ts';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import { createWorkFolder } from '../adapters/work-folder/work-folder.ts';
import {
  CONFIGURATION_LIMIT_BYTES,
  type ConfigurationDocument,
  decodeConfiguration,
} from '../formats/configuration/document.ts';
import { openConfiguration } from '../formats/configuration/sealed.ts';
import { stringifyValues } from '../formats/configuration/values-file.ts';
import {
  type ExportReport,
  type ExportRequest,
  exportConfiguration,
  requireRecipients,
} from '../usecases/configuration/export.ts';
import { importConfiguration } from '../usecases/configuration/import.ts';
import type { ConfigurationChange, ConfigurationPart, ConfigurationPlaces } from '../usecases/configuration/types.ts';
import { UseCaseError } from '../usecases/errors.ts';
import { helmHere, openReleases } from './installed.ts';
import { type ClusterOptions, openClusterFromOptions } from './kubernetes.ts';
import { composeDatabase, type DatabaseRequest } from './migrate.ts';

/** How the places of a configuration are reached; each is opened only where the work needs it. */
export interface PlaceOptions {
  readonly cluster: ClusterOptions;
  /** --helm. */
  readonly helm: string | undefined;
  /** An existing folder for files that are needed for a moment. */
  readonly temporaryFolder: string;
  readonly database: DatabaseRequest | undefined;
}

interface Running {
  readonly signal: AbortSignal;
}

/** Writes the document, readable by its owner alone. `path` is absolute. */
export async function composeExport(
  request: ExportRequest,
  path: string,
  options: PlaceOptions,
  running: Running,
): Promise<ExportReport & { readonly sizeBytes: number }> {
  requireRecipients(request);
  const { namespaces, configMaps, secrets, releases } = request;
  const need = {
    cluster: namespaces.length + configMaps.length + secrets.length > 0,
    releases: releases.length > 0,
    database: request.tables.length > 0,
  };
  const { bytes, report } = await withPlaces(need, options, (places) => exportConfiguration(request, places, running));
  await writeFileDurable(path, bytes, { mode: 0o600 });
  return { ...report, sizeBytes: bytes.length };
}

export interface ImportOptions {
  readonly parts: readonly ConfigurationPart[];
  readonly identities: readonly string[];
  readonly overwrite: boolean;
  readonly planOnly: boolean;
  /** Absolute; where the values of releases are written to, as NAMESPACE.RELEASE.yaml. */
  readonly valuesFolder: string | undefined;
}

export interface ImportOutcome {
  readonly changes: readonly ConfigurationChange[];
  /** Absolute paths of the files of values. */
  readonly written: readonly string[];
}

export async function readConfiguration(path: string): Promise<ConfigurationDocument> {
  return decodeConfiguration(await createProjectFiles().read(path, CONFIGURATION_LIMIT_BYTES), path);
}

export async function composeImport(
  path: string,
  document: ConfigurationDocument,
  { parts, identities, overwrite, planOnly, valuesFolder }: ImportOptions,
  options: PlaceOptions,
  running: Running,
): Promise<ImportOutcome> {
  const hasSecrets = parts.includes('secrets') && (document.sealed?.secrets.length ?? 0) > 0;
  const hasValues = parts.includes('values') && (document.sealed?.releases.length ?? 0) > 0;
  if ((hasSecrets || hasValues) && identities.length === 0) throw isSealed(path);
  const sealed = hasSecrets || hasValues ? await openConfiguration(document, identities, path) : undefined;
  const need = {
    cluster: hasSecrets || (parts.includes('config-maps') && document.configMaps.length > 0),
    releases: hasValues,
    database: parts.includes('tables') && document.tables.length > 0,
  };
  const changes = await withPlaces(need, options, (places) =>
    importConfiguration(
      { document, parts, overwrite, planOnly, ...(sealed === undefined ? {} : { sealed }) },
      places,
      running,
    ),
  );
  const written: string[] = [];
  if (hasValues && valuesFolder !== undefined && !planOnly) {
    await createProjectFiles().makeFolder(valuesFolder);
    for (const { namespace, release, values } of sealed?.releases ?? []) {
      // Namespaces and releases have no dots and no slashes that could lead anywhere else.
      const file = `${valuesFolder}/${namespace.replace(/[^a-z0-9-]/g, '_')}.${release.replace(/[^a-z0-9.-]/g, '_')}.yaml`;
      await writeFileDurable(file, stringifyValues(values), { mode: 0o600 });
      written.push(file);
    }
  }
  return { changes, written };
}

function isSealed(path: string): UseCaseError {
  return new UseCaseError('CONFIGURATION_SEALED', `${path} holds sealed parts, and no identity was given`, {
    at: { file: path, key: 'sealed' },
    hint: 'Give an identity with -i, or leave them out with --only config-maps --only tables.',
  });
}

async function withPlaces<T>(
  need: { readonly cluster: boolean; readonly releases: boolean; readonly database: boolean },
  options: PlaceOptions,
  work: (places: ConfigurationPlaces) => Promise<T>,
): Promise<T> {
  const database = need.database && options.database !== undefined ? composeDatabase(options.database) : undefined;
  const places = database === undefined ? {} : { database };
  if (!need.cluster && !need.releases) return await work(places);
  const opened = await openClusterFromOptions(options.cluster);
  const { kubernetes } = opened;
  try {
    if (!need.releases) return await work({ ...places, kubernetes });
    await using folder = await createWorkFolder(options.temporaryFolder);
    const helmPath = await helmHere(options.helm, options.cluster.env);
    const releases = openReleases(opened, { helmPath, temporaryFolder: folder.path, env: options.cluster.env });
    return await work({ ...places, kubernetes, releases });
  } finally {
    await kubernetes.close();
  }
}

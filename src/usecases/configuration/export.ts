import {
  CONFIGURATION_LIMIT_BYTES,
  CONFIGURATION_MEDIA_TYPE,
  type ConfigMapEntry,
  encodeConfiguration,
  nameOf,
  type ReleaseEntry,
  type SecretEntry,
  type TableEntry,
} from '../../formats/configuration/document.ts';
import { sealConfiguration } from '../../formats/configuration/sealed.ts';
import type { Kubernetes } from '../../ports/kubernetes.ts';
import { UseCaseError } from '../errors.ts';
import { boundBecause, configMapEntry, isMadeByOthers, secretEntry } from './objects.ts';
import { keyColumns, prepareSession, readColumns, readRows } from './tables.ts';
import { type ConfigurationPlaces, needed, type ObjectName, type TableName } from './types.ts';

export interface ExportRequest {
  /** All ConfigMaps of these, but those that the cluster, a controller or a release makes. */
  readonly namespaces: readonly string[];
  readonly configMaps: readonly ObjectName[];
  readonly secrets: readonly ObjectName[];
  /** `name` is the release's. */
  readonly releases: readonly ObjectName[];
  readonly tables: readonly TableName[];
  /** Who may open Secrets and the values of releases. */
  readonly recipients: readonly string[];
}

export interface ExportReport {
  readonly configMaps: readonly string[];
  readonly secrets: readonly string[];
  readonly releases: readonly string[];
  readonly tables: readonly { readonly name: string; readonly rows: number }[];
}

interface Options {
  readonly signal?: AbortSignal;
}

/** Reads a configuration and gives the document. @throws UseCaseError CONFIGURATION_NEEDS_RECIPIENTS and others */
export async function exportConfiguration(
  request: ExportRequest,
  places: ConfigurationPlaces,
  options: Options = {},
): Promise<{ readonly bytes: Uint8Array; readonly report: ExportReport }> {
  requireRecipients(request);
  const configMaps = await readConfigMaps(request, places, options);
  const secrets: SecretEntry[] = [];
  for (const name of unique(request.secrets)) secrets.push(await readSecret(name, places, options));
  const releases: ReleaseEntry[] = [];
  for (const name of unique(request.releases)) releases.push(await readRelease(name, places, options));
  const tables = request.tables.length === 0 ? [] : await readTables(request.tables, places, options);
  const isSealed = secrets.length + releases.length > 0;
  const bytes = encodeConfiguration({
    mediaType: CONFIGURATION_MEDIA_TYPE,
    configMaps,
    tables,
    ...(isSealed ? { sealed: await sealConfiguration({ secrets, releases }, request.recipients) } : {}),
  });
  if (bytes.length > CONFIGURATION_LIMIT_BYTES) {
    throw new UseCaseError('CONFIGURATION_TOO_LARGE', 'The document would be larger than one that can be read again', {
      expected: `at most ${CONFIGURATION_LIMIT_BYTES} bytes`,
      found: bytes.length,
      hint: 'Name fewer tables or namespaces: what is that large is data, and belongs in a backup.',
    });
  }
  const report = {
    configMaps: configMaps.map(nameOf),
    secrets: secrets.map(nameOf),
    releases: releases.map(({ namespace, release }) => `${namespace}/${release}`),
    tables: tables.map(({ schema, name, rows }) => ({ name: `${schema}.${name}`, rows: rows.length })),
  };
  return { bytes, report };
}

/** What is secret is never written in the clear. @throws UseCaseError CONFIGURATION_NEEDS_RECIPIENTS */
export function requireRecipients({ secrets, releases, recipients }: ExportRequest): void {
  if (secrets.length + releases.length === 0 || recipients.length > 0) return;
  throw new UseCaseError(
    'CONFIGURATION_NEEDS_RECIPIENTS',
    'Secrets and the values of releases are not written in the clear',
    { expected: 'at least one recipient', hint: 'Name who may open them with -r age1… or -R FILE.' },
  );
}

async function readConfigMaps(
  { namespaces, configMaps }: ExportRequest,
  places: ConfigurationPlaces,
  options: Options,
): Promise<ConfigMapEntry[]> {
  const found = new Map<string, ConfigMapEntry>();
  for (const namespace of new Set(namespaces)) {
    const kubernetes = needed(places.kubernetes, 'cluster');
    const objects = await kubernetes.list({ apiVersion: 'v1', kind: 'ConfigMap', namespace }, options);
    // The cluster makes one in each namespace: without any there may be no such namespace, which only some users may ask.
    if (objects.length === 0) await requireNamespace(kubernetes, namespace, options);
    for (const object of objects) {
      if (!isMadeByOthers(object)) found.set(`${namespace}/${object.metadata.name}`, configMapEntry(object));
    }
  }
  for (const { namespace, name } of configMaps) {
    const kubernetes = needed(places.kubernetes, 'cluster');
    const object = await kubernetes.get({ apiVersion: 'v1', kind: 'ConfigMap', namespace, name }, options);
    if (object === undefined) throw notFound(`ConfigMap ${namespace}/${name}`);
    found.set(`${namespace}/${name}`, configMapEntry(object));
  }
  return [...found].sort(byKey).map(([, entry]) => entry);
}

async function requireNamespace(kubernetes: Kubernetes, name: string, options: Options): Promise<void> {
  if ((await kubernetes.get({ apiVersion: 'v1', kind: 'Namespace', name }, options)) === undefined) {
    throw notFound(`namespace ${name}`);
  }
}

async function readSecret(
  { namespace, name }: ObjectName,
  places: ConfigurationPlaces,
  options: Options,
): Promise<SecretEntry> {
  const kubernetes = needed(places.kubernetes, 'cluster');
  const object = await kubernetes.get({ apiVersion: 'v1', kind: 'Secret', namespace, name }, options);
  if (object === undefined) throw notFound(`Secret ${namespace}/${name}`);
  const reason = boundBecause(object);
  if (reason === undefined) return secretEntry(object);
  throw new UseCaseError('CONFIGURATION_NOT_PORTABLE', `The Secret ${namespace}/${name} cannot be carried: ${reason}`, {
    hint: 'Leave it out: the other cluster makes its own.',
  });
}

async function readRelease(
  { namespace, name: release }: ObjectName,
  places: ConfigurationPlaces,
  options: Options,
): Promise<ReleaseEntry> {
  const releases = needed(places.releases, 'releases');
  const status = await releases.status({ namespace, release }, options);
  if (status === undefined) throw notFound(`release ${namespace}/${release}`);
  return {
    namespace,
    release,
    chart: status.chart,
    values: { ...(await releases.values({ namespace, release }, undefined, options)) },
  };
}

async function readTables(names: readonly TableName[], places: ConfigurationPlaces, options: Options) {
  const database = needed(places.database, 'database');
  await using session = await database.open({ ...options, readOnly: true });
  await prepareSession(session);
  // All tables as of one moment.
  await session.query('begin isolation level repeatable read read only');
  const tables: TableEntry[] = [];
  for (const { schema, name } of names) {
    if (tables.some((one) => one.schema === schema && one.name === name)) continue;
    const columns = await readColumns(session, { schema, name }, database.place);
    tables.push({
      schema,
      name,
      columns: columns.map((column) => ({ name: column.name, type: column.type })),
      primaryKey: keyColumns(columns).map((column) => column.name),
      rows: await readRows(session, { schema, name }, columns, database.place),
    });
  }
  await session.query('commit');
  return tables.sort((a, b) => byText(`${a.schema}.${a.name}`, `${b.schema}.${b.name}`));
}

function unique(names: readonly ObjectName[]): ObjectName[] {
  const all = new Map(names.map((name) => [`${name.namespace}/${name.name}`, name]));
  return [...all].sort(byKey).map(([, name]) => name);
}

function byKey([a]: readonly [string, unknown], [b]: readonly [string, unknown]): number {
  return byText(a, b);
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function notFound(what: string): UseCaseError {
  return new UseCaseError('CONFIGURATION_NOT_FOUND', `There is no ${what}`, {
    hint: 'Check the spelling, and that --context leads to the right cluster.',
  });
}

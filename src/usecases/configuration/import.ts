import { canonicalJson } from '../../core/canonical-json.ts';
import { throwProblems } from '../../core/errors.ts';
import {
  type ConfigMapEntry,
  type ConfigurationDocument,
  nameOf,
  type ReleaseEntry,
  type SealedConfiguration,
  type SecretEntry,
  type TableEntry,
} from '../../formats/configuration/document.ts';
import type { DatabaseSession, Row } from '../../ports/database.ts';
import type { Kubernetes, KubernetesObject } from '../../ports/kubernetes.ts';
import { UseCaseError } from '../errors.ts';
import { applyInNamespace } from './apply.ts';
import { configMapObject, differingKeys, isOfHelm, type ReleaseName, secretObject } from './objects.ts';
import {
  type Column,
  inReferenceOrder,
  matchColumns,
  prepareSession,
  quoted,
  readColumns,
  readRows,
  upsertRows,
} from './tables.ts';
import { type ConfigurationChange, type ConfigurationPart, type ConfigurationPlaces, needed } from './types.ts';

export interface ImportRequest {
  readonly document: ConfigurationDocument;
  /** What `openConfiguration` gave; without it Secrets and values are compared by nothing, and must not be among `parts`. */
  readonly sealed?: SealedConfiguration;
  readonly parts: readonly ConfigurationPart[];
  /** Change what is there and differs. Without it such a difference stops the import before anything is written. */
  readonly overwrite: boolean;
  /** Releases that are going to have objects of the document: `ConfigMap NAMESPACE/NAME`, `Secret NAMESPACE/NAME`. */
  readonly owners?: ReadonlyMap<string, ReleaseName>;
  /** Only say what would be done. */
  readonly planOnly: boolean;
}

interface Options {
  readonly signal?: AbortSignal;
}

/**
 * Compares a document with a target and, unless it is a plan, makes the target the same: the tables in one transaction, then
 * ConfigMaps and Secrets by server-side apply. Keys and rows that only the target has stay. The values of releases are compared
 * alone: a release gets its values when it is installed. Run again, it changes nothing.
 *
 * @throws UseCaseError CONFIGURATION_WOULD_OVERWRITE naming each difference, CONFIGURATION_TABLE_UNUSABLE
 */
export async function importConfiguration(
  request: ImportRequest,
  places: ConfigurationPlaces,
  options: Options = {},
): Promise<readonly ConfigurationChange[]> {
  const { document, sealed, parts, planOnly } = request;
  const ownerOf = (kind: string, entry: ConfigMapEntry | SecretEntry) =>
    request.owners?.get(`${kind} ${nameOf(entry)}`);
  const configMaps = parts.includes('config-maps') ? document.configMaps : [];
  const secrets = parts.includes('secrets') ? (sealed?.secrets ?? []) : [];
  const objects: Planned[] = [
    ...configMaps.map((entry) => ({
      ...{ kind: 'ConfigMap' as const, entry },
      object: configMapObject(entry, ownerOf('ConfigMap', entry)),
    })),
    ...secrets.map((entry) => ({
      ...{ kind: 'Secret' as const, entry },
      object: secretObject(entry, ownerOf('Secret', entry)),
    })),
  ];
  const values = parts.includes('values') ? (sealed?.releases ?? []) : [];
  const tables = parts.includes('tables') ? document.tables : [];

  const changes: ConfigurationChange[] = [];
  const missing: KubernetesObject[] = [];
  for (const { entry, object, kind } of objects) {
    const change = await compareObject(needed(places.kubernetes, 'cluster'), kind, entry, options);
    changes.push(change);
    if (change.action !== 'same') missing.push(object);
  }
  for (const release of values) changes.push(await compareRelease(release, places, options));

  if (tables.length === 0) {
    refuseOverwriting(request, changes);
  } else {
    await withTables(tables, places, planOnly, options, async (rows) => {
      changes.push(...rows);
      refuseOverwriting(request, changes);
    });
  }
  if (!planOnly) await applyObjects(missing, places, options);
  return changes;
}

interface Planned {
  readonly kind: 'ConfigMap' | 'Secret';
  readonly entry: ConfigMapEntry | SecretEntry;
  readonly object: KubernetesObject;
}

async function compareObject(
  kubernetes: Kubernetes,
  kind: 'ConfigMap' | 'Secret',
  entry: ConfigMapEntry | SecretEntry,
  options: Options,
): Promise<ConfigurationChange> {
  const { namespace, name } = entry;
  const there = await kubernetes.get({ apiVersion: 'v1', kind, namespace, name }, options);
  if (there === undefined) return { kind, name: nameOf(entry), action: 'added' };
  const keys = differingKeys(entry, there);
  const action = keys.length === 0 ? 'same' : 'changed';
  return {
    kind,
    name: nameOf(entry),
    action,
    ...(keys.length === 0 ? {} : { keys }),
    ...(action === 'changed' && isOfHelm(there) ? { isOfHelm: true as const } : {}),
  };
}

async function compareRelease(
  entry: ReleaseEntry,
  places: ConfigurationPlaces,
  options: Options,
): Promise<ConfigurationChange> {
  const releases = needed(places.releases, 'releases');
  const { namespace, release } = entry;
  const name = `${namespace}/${release}`;
  if ((await releases.status({ namespace, release }, options)) === undefined) {
    return { kind: 'Release', name, action: 'added' };
  }
  const there = await releases.values({ namespace, release }, undefined, options);
  const keys = [...new Set([...Object.keys(entry.values), ...Object.keys(there)])]
    .filter((key) => canonicalJson(entry.values[key]) !== canonicalJson(there[key]))
    .sort();
  return {
    kind: 'Release',
    name,
    action: keys.length === 0 ? 'same' : 'changed',
    ...(keys.length === 0 ? {} : { keys }),
  };
}

/** One transaction: nobody else writes to these tables between the comparison and the end. */
async function withTables(
  tables: readonly TableEntry[],
  places: ConfigurationPlaces,
  planOnly: boolean,
  options: Options,
  judge: (changes: readonly ConfigurationChange[]) => Promise<void>,
): Promise<void> {
  const database = needed(places.database, 'database');
  await using session = await database.open({ ...options, readOnly: planOnly });
  await prepareSession(session);
  await session.query(planOnly ? 'begin isolation level repeatable read read only' : 'begin');
  const ordered = await inReferenceOrder(session, tables);
  const plans: { entry: TableEntry; columns: Column[]; rows: Row[]; change: ConfigurationChange }[] = [];
  for (const entry of ordered) {
    const columns = matchColumns(entry, await readColumns(session, entry, database.place), database.place);
    if (!planOnly) await session.query(`lock table ${quoted(entry)} in share row exclusive mode`);
    plans.push({ entry, columns, ...(await compareTable(session, entry, columns, database.place)) });
  }
  await judge(plans.map(({ change }) => change));
  if (!planOnly) for (const { entry, columns, rows } of plans) await upsertRows(session, entry, columns, rows);
  await session.query('commit');
}

async function compareTable(session: DatabaseSession, entry: TableEntry, columns: readonly Column[], place: string) {
  const keyOf = (row: Row) => JSON.stringify(entry.primaryKey.map((name) => row[name]));
  const there = new Map((await readRows(session, entry, columns, place)).map((row) => [keyOf(row), row]));
  const added: Row[] = [];
  const changed: Row[] = [];
  for (const row of entry.rows) {
    const now = there.get(keyOf(row));
    if (now === undefined) added.push(row);
    else if (entry.columns.some(({ name }) => now[name] !== row[name])) changed.push(row);
  }
  const same = entry.rows.length - added.length - changed.length;
  const change: ConfigurationChange = {
    kind: 'Table',
    name: `${entry.schema}.${entry.name}`,
    action: changed.length > 0 ? 'changed' : added.length > 0 ? 'added' : 'same',
    rows: { added: added.length, changed: changed.length, same },
  };
  return { rows: [...added, ...changed], change };
}

function refuseOverwriting({ overwrite, planOnly }: ImportRequest, changes: readonly ConfigurationChange[]): void {
  if (overwrite || planOnly) return;
  throwProblems(
    changes
      .filter(({ kind, action }) => kind !== 'Release' && action === 'changed')
      .map(
        ({ kind, name, keys, rows }) =>
          new UseCaseError('CONFIGURATION_WOULD_OVERWRITE', `${kind} ${name} is there and differs`, {
            found: rows === undefined ? (keys ?? []).join(', ') : `${rows.changed} rows that differ`,
            hint: 'Look at it with --plan; --overwrite makes it as the document says.',
          }),
      ),
  );
}

async function applyObjects(objects: readonly KubernetesObject[], places: ConfigurationPlaces, options: Options) {
  if (objects.length === 0) return;
  const kubernetes = needed(places.kubernetes, 'cluster');
  for (const object of objects) await applyInNamespace(kubernetes, object, options);
}

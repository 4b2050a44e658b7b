import type { Digest } from '../../core/digest.ts';
import type { PortolanError } from '../../core/errors.ts';
import type { Contents } from '../../formats/bundle/contents.ts';
import { CONFIGURATION_LIMIT_BYTES } from '../../formats/configuration/document.ts';
import type { Installed, RestoredFrom } from '../../formats/target/installed.ts';
import type { TargetImage } from '../../ports/image-target.ts';
import type { AccessQuestion } from '../../ports/kubernetes.ts';
import type { Releases } from '../../ports/releases.ts';
import { readBlob } from '../bundle/read-blob.ts';
import type { ReleaseName } from '../configuration/objects.ts';
import { UseCaseError } from '../errors.ts';
import { nothingInstalled, readInstalled } from '../installed/installed-state.ts';
import { collect } from '../refuse.ts';
import { historyProblems } from './check-history.ts';
import {
  type CarriedDocument,
  documentRights,
  planDocuments,
  readCarriedConfiguration,
  readDocument,
} from './configuration-documents.ts';
import { type ConfigurationMap, configurationAction, configurationMapsOf } from './configuration-maps.ts';
import type { PreparedChart } from './import-charts.ts';
import type { MigrationRunner } from './import-migrations.ts';
import { type OpenedBundle, openForImport, verifyUsedPieces } from './open-bundle.ts';
import { planCharts } from './plan-charts.ts';
import { planImages } from './plan-images.ts';
import { migrationRequestOf, migrationRights, planOfMigrations } from './plan-migrations.ts';
import { type Rehearsal, rehearsedContents, rehearsedDatabaseProblems, rehearsedDocument } from './rehearsal.ts';
import { targetImagesOf } from './target-images.ts';
import type { BundleDatabase, ClusterTools, ImportDependencies, ImportPlan, ImportRequest } from './types.ts';

/** In the journal: the databases were filled, and proved. */
export const DATABASES_DONE = 'databases';

/** Everything that an import needs, looked at and held ready; nothing was changed yet. */
export interface PreparedImport {
  readonly source: OpenedBundle;
  readonly installed: Installed;
  readonly images: readonly TargetImage[];
  readonly configuration: readonly ConfigurationMap[];
  readonly documents: readonly CarriedDocument[];
  readonly charts: readonly PreparedChart[];
  /** Which release is going to have an object: `KIND NAMESPACE/NAME`. */
  readonly owners: ReadonlyMap<string, ReleaseName>;
  readonly releases?: Releases;
  readonly migrations?: MigrationRunner;
  readonly database: Contents['database'];
  readonly plan: ImportPlan;
  /** Everything that stands against it. */
  readonly problems: readonly PortolanError[];
}

/**
 * Opens the bundle, looks at the target, and plans. A bundle that is damaged or that nobody trusted signed ends it at once;
 * what stands against the import at this target is gathered whole.
 */
export async function prepareImport(
  request: ImportRequest,
  dependencies: ImportDependencies,
  options: { readonly signal?: AbortSignal } = {},
): Promise<PreparedImport> {
  const { state, cluster, progress, engine, medium } = dependencies;
  const problems: PortolanError[] = [];
  const opened = await openForImport(request, { medium, engine }, problems);
  const source = request.rehearsal === undefined ? opened : inRehearsal(opened, request.rehearsal);
  if (request.rehearsal !== undefined) problems.push(...rehearsedDatabaseProblems(opened.lists.contents));
  const { bundle, lists } = source;
  const { contents, root } = lists;
  const task = progress.task('Checking');
  await verifyUsedPieces(source, { ...options, onBytes: (bytes) => task.advance(bytes) });

  // A target that cannot be asked is a problem beside the others; what was not learned stays out of the plan.
  const known = await collect(problems, () => readInstalled(state, contents.name, options));
  const installed = known ?? nothingInstalled(contents.name);
  const allow = { downgrade: request.allowDowngrade, orphans: request.allowOrphans };
  problems.push(...historyProblems({ contents, root }, installed, allow));

  const images = request.parts.has('images') ? targetImagesOf(contents) : [];
  const imagePlan = images.length === 0 ? undefined : await planImages(images, dependencies, problems, options);

  const readText = async (digest: Digest) => {
    const wanted = { digest, maxBytes: CONFIGURATION_LIMIT_BYTES, identities: source.identities };
    return new TextDecoder().decode(await readBlob({ medium, engine }, bundle, lists, wanted, options));
  };
  const { texts, documents: carried } = request.parts.has('configuration')
    ? await readCarriedConfiguration(contents, readText, source.identities, problems)
    : { texts: {}, documents: [] as CarriedDocument[] };
  for (const { path, text } of request.documents ?? []) {
    const read = await collect(problems, () => readDocument(path, text, source.identities));
    if (read !== undefined) carried.push(read);
  }
  const { databases } = dependencies;
  const { rehearsal } = request;
  const documents = carried.map((one) => {
    // Rows come with the database that is restored.
    const read = databases === undefined ? one : { ...one, document: { ...one.document, tables: [] } };
    return rehearsal === undefined ? read : rehearsedDocument(read, rehearsal);
  });
  const configuration = (await collect(problems, async () => configurationMapsOf(contents, texts))) ?? [];
  const wantsCharts = request.parts.has('charts') && contents.charts.length > 0;
  if (cluster === undefined && (wantsCharts || configuration.length + documents.length > 0)) throw noCluster();
  const configurationPlan: ImportPlan['configuration'][number][] = [];
  for (const map of configuration) {
    const action = await collect(problems, () => configurationAction(clusterOf(cluster).kubernetes, map, options));
    const { namespace, name, documents } = map;
    configurationPlan.push({ namespace, name, documents: Object.keys(documents), action: action ?? 'create' });
  }

  const { database: ownDatabase } = dependencies;
  const places = ownDatabase === undefined ? {} : { database: ownDatabase };
  const documentPlan =
    cluster === undefined
      ? []
      : await planDocuments(documents, { kubernetes: cluster.kubernetes, ...places }, problems, options);

  const database = mappedDatabase(contents, request);
  const wantsMigrations = request.parts.has('migrations') && contents.modules.length > 0;
  const inPod = wantsMigrations && ownDatabase === undefined ? database : undefined;
  const rights = [
    ...configurationRights(configuration),
    ...documentRights(documents),
    ...(inPod === undefined ? [] : migrationRights(inPod.namespace)),
    ...(databases === undefined || database === undefined ? [] : databases.rights(database)),
  ];
  const charts =
    wantsCharts && cluster !== undefined
      ? await planCharts(
          { source, installed, rights, originals: opened.lists.contents.charts.map(({ namespace }) => namespace) },
          request,
          { ...dependencies, cluster },
          problems,
          options,
        )
      : undefined;

  const migrations = wantsMigrations
    ? await collect(problems, async () => runnerOf(dependencies, database))
    : undefined;
  // A data chart that is not as it will be may bring the database.
  const mayCome = (charts?.plan ?? []).some(({ stage, action }) => stage === 'data' && action !== 'unchanged');
  const migrationPlan =
    migrations === undefined
      ? undefined
      : await planOfMigrations(source, migrations, { installed, mayCome }, problems, options);
  const databasePlan =
    databases === undefined
      ? undefined
      : await collect(problems, () =>
          databases.look(
            {
              ...{ contents, installed, charts: charts?.plan ?? [], migrations: migrationRequestOf(source, installed) },
              database: databaseOf(database),
              isBegun: restoredSoFar(installed, root, databases.from) !== 'not',
            },
            options,
          ),
        );
  problems.push(...(databasePlan?.problems ?? []));
  task.done();
  const { running, applied } = installed;
  return {
    source,
    installed,
    images,
    configuration,
    documents,
    charts: charts?.charts ?? [],
    owners: charts?.owners ?? new Map(),
    ...(charts === undefined ? {} : { releases: charts.releases }),
    ...(migrations === undefined ? {} : { migrations }),
    database,
    problems,
    plan: {
      tag: bundle.tag,
      name: contents.name,
      version: contents.version,
      sequence: contents.sequence,
      root,
      signedBy: source.signedBy,
      place: state.place,
      ...(applied === undefined ? {} : { from: { version: applied.version, sequence: applied.sequence } }),
      ...(running === undefined ? {} : { interrupted: running }),
      ...(imagePlan === undefined ? {} : { images: imagePlan }),
      configuration: configurationPlan,
      documents: documentPlan,
      charts: charts?.plan ?? [],
      ...(databasePlan === undefined ? {} : { databases: databasePlan.plan }),
      ...(migrationPlan === undefined ? {} : { migrations: migrationPlan }),
    },
  };
}

/**
 * How far the same restore came at this target. One that ended is `proved` as well: who was told nothing of its end runs it
 * again, and finds everything there.
 */
export function restoredSoFar(
  { running, applied }: Installed,
  root: Digest,
  from: RestoredFrom,
): 'not' | 'begun' | 'proved' {
  const isSame = (other: RestoredFrom | undefined) =>
    other?.digest === from.digest && other.repository === from.repository;
  if (running === undefined) return applied?.root === root && isSame(applied.restored) ? 'proved' : 'not';
  if (running.root !== root || !isSame(running.restore)) return 'not';
  return running.done.includes(DATABASES_DONE) ? 'proved' : 'begun';
}

/** The signed contents, as far as they are rehearsed, and elsewhere. */
function inRehearsal(opened: OpenedBundle, rehearsal: Rehearsal): OpenedBundle {
  const { lists } = opened;
  return { ...opened, lists: { ...lists, contents: rehearsedContents(lists.contents, rehearsal) } };
}

function databaseOf(database: Contents['database']): BundleDatabase {
  if (database !== undefined) return database;
  throw new UseCaseError('TARGET_NOT_SAID', 'The bundle does not say where its database is', {
    hint: 'Ask the publisher for a bundle whose bundle.yaml has `database`. `bundle import`, then `restore --to postgres://…`, does it by hand.',
  });
}

function runnerOf({ migrations }: ImportDependencies, database: Contents['database']): MigrationRunner {
  const runner = migrations?.(database);
  if (runner !== undefined) return runner;
  throw new UseCaseError('TARGET_NOT_SAID', 'It is not said where the database of the migrations is', {
    hint: 'Say --database URL. A bundle.yaml with `database` lets an import reach it inside of the cluster.',
  });
}

/** With the image as it is called where the nodes find it. */
function mappedDatabase({ database }: Contents, { rewrite }: ImportRequest): Contents['database'] {
  return database === undefined || rewrite === undefined ? database : { ...database, image: rewrite(database.image) };
}

function clusterOf(cluster: ClusterTools | undefined): ClusterTools {
  if (cluster === undefined) throw noCluster();
  return cluster;
}

function configurationRights(maps: readonly ConfigurationMap[]): AccessQuestion[] {
  return maps.flatMap(({ namespace }) =>
    ['get', 'create', 'patch', 'delete'].map((verb) => ({ verb, group: '', resource: 'configmaps', namespace })),
  );
}

function noCluster(): UseCaseError {
  return new UseCaseError('TARGET_NOT_SAID', 'Charts and configuration need a cluster, and none is known', {
    hint: 'Give --kubeconfig or --context, or bring the images alone with --only images.',
  });
}

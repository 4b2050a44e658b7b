import type { Digest } from '../../core/digest.ts';
import type { PortolanError } from '../../core/errors.ts';
import type { Contents } from '../../formats/bundle/contents.ts';
import { type ChartPlace, INSTALLED_MEDIA_TYPE, type Installed } from '../../formats/target/installed.ts';
import type { ImageTarget, SpaceNeed, TargetBlob, TargetImage } from '../../ports/image-target.ts';
import type { AccessQuestion } from '../../ports/kubernetes.ts';
import type { Releases } from '../../ports/releases.ts';
import type { WorkFolder } from '../../ports/work-folder.ts';
import { readBlob } from '../bundle/read-blob.ts';
import { UseCaseError } from '../errors.ts';
import { readInstalled } from '../installed/installed-state.ts';
import { collect } from '../refuse.ts';
import { chartProblems } from './check-charts.ts';
import { historyProblems } from './check-history.ts';
import { type ConfigurationMap, configurationAction, configurationMapsOf } from './configuration-maps.ts';
import { chartAction, extract, type PreparedChart, prepareCharts } from './import-charts.ts';
import { contractsOf, type MigrationRunner } from './import-migrations.ts';
import { type OpenedBundle, openForImport, verifyUsedPieces } from './open-bundle.ts';
import { missingOf, targetImagesOf } from './target-images.ts';
import type { ClusterTools, ImportDependencies, ImportPlan, ImportRequest } from './types.ts';

/** A JSON document of the configuration, in bytes: what a ConfigMap can hold. */
const DOCUMENT_MAX_BYTES = 1024 * 1024;
/** What unpacked layers take beside their compressed blobs, by experience. */
const UNPACKED_FACTOR = 2.5;

/** The file of the work folder that holds the bundle's helm, once it was needed. */
export const CARRIED_HELM = 'helm';

/** Everything that an import needs, looked at and held ready; nothing was changed yet. */
export interface PreparedImport {
  readonly source: OpenedBundle;
  readonly installed: Installed;
  readonly images: readonly TargetImage[];
  readonly configuration: readonly ConfigurationMap[];
  readonly charts: readonly PreparedChart[];
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
  const { state, work, cluster, progress, engine, medium } = dependencies;
  const problems: PortolanError[] = [];
  const source = await openForImport(request, { medium, engine }, problems);
  const { bundle, lists } = source;
  const { contents, root } = lists;
  const task = progress.task('Checking');
  await verifyUsedPieces(source, { ...options, onBytes: (bytes) => task.advance(bytes) });

  // A target that cannot be asked is a problem beside the others; what was not learned stays out of the plan.
  const known = await collect(problems, () => readInstalled(state, contents.name, options));
  const installed = known ?? { mediaType: INSTALLED_MEDIA_TYPE, name: contents.name, brought: [] };
  const allow = { downgrade: request.allowDowngrade, orphans: request.allowOrphans };
  problems.push(...historyProblems({ contents, root }, installed, allow));

  const images = request.parts.has('images') ? targetImagesOf(contents) : [];
  const imagePlan = images.length === 0 ? undefined : await planImages(images, dependencies, problems, options);

  const readText = async (digest: Digest) => {
    const wanted = { digest, maxBytes: DOCUMENT_MAX_BYTES, identities: source.identities };
    return new TextDecoder().decode(await readBlob({ medium, engine }, bundle, lists, wanted, options));
  };
  const configuration = request.parts.has('configuration') ? await configurationMapsOf(contents, readText) : [];
  const wantsCharts = request.parts.has('charts') && contents.charts.length > 0;
  if (cluster === undefined && (wantsCharts || configuration.length > 0)) throw noCluster();
  const configurationPlan: ImportPlan['configuration'][number][] = [];
  for (const map of configuration) {
    const action = await collect(problems, () => configurationAction(clusterOf(cluster).kubernetes, map, options));
    const { namespace, name, documents } = map;
    configurationPlan.push({ namespace, name, documents: Object.keys(documents), action: action ?? 'create' });
  }

  let charts: readonly PreparedChart[] = [];
  let releases: Releases | undefined;
  const chartPlan: ImportPlan['charts'][number][] = [];
  if (wantsCharts && cluster !== undefined) {
    const helmPath = await findHelm(request, source, work, options);
    const helm = cluster.releases(helmPath);
    releases = helm;
    charts = await prepareCharts(source, work, request.rewrite, options);
    for (const prepared of charts) {
      const { name, release, namespace, stage, version } = prepared.chart;
      const found = await collect(problems, () => chartAction(helm, prepared, options));
      chartPlan.push({ name, release, namespace, stage, version, ...(found ?? { action: 'install' }) });
    }
    for (const { name, release, namespace, stage, revision } of droppedCharts(installed, charts)) {
      const now = revision === undefined ? {} : { revision };
      chartPlan.push({ name, release, namespace, stage, action: 'uninstall', ...now });
    }
    const renderer = cluster.renderer(helmPath);
    const present = chartPlan.filter(({ action }) => action === 'upgrade' || action === 'unchanged');
    const found = await chartProblems(
      {
        source,
        contents,
        charts,
        present: new Set(present.map(({ namespace, release }) => `${namespace}/${release}`)),
        ...(request.rewrite === undefined ? {} : { rewrite: request.rewrite }),
        kubernetes: cluster.kubernetes,
        renderer,
        progress,
        stateNamespace: cluster.stateNamespace,
        rights: configurationRights(configuration),
      },
      options,
    );
    problems.push(...found);
  }

  const database = mappedDatabase(contents, request);
  const wantsMigrations = request.parts.has('migrations') && contents.modules.length > 0;
  const migrations = wantsMigrations
    ? await collect(problems, async () => runnerOf(dependencies, database))
    : undefined;
  task.done();
  const { running, applied } = installed;
  return {
    source,
    installed,
    images,
    configuration,
    charts,
    ...(releases === undefined ? {} : { releases }),
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
      charts: chartPlan,
      ...(migrations === undefined
        ? {}
        : {
            migrations: {
              place: migrations.place,
              modules: contractsOf(contents.modules).map(({ name, contracts }, index) => ({
                name,
                expand: (contents.modules[index]?.files.length ?? 0) - contracts.length,
                contract: contracts.length,
              })),
              due: applied?.deferred ?? [],
            },
          }),
    },
  };
}

async function planImages(
  images: readonly TargetImage[],
  { images: target }: ImportDependencies,
  problems: PortolanError[],
  options: { readonly signal?: AbortSignal },
): Promise<ImportPlan['images']> {
  if (target === undefined) {
    throw new UseCaseError('TARGET_NOT_SAID', 'It is not said where the images go', {
      hint: 'Say --images containerd, k3s-images, registry=HOST or folder=DIR. No k3s was found on this machine.',
    });
  }
  const found = await target.check({ ...options, images });
  problems.push(...found, ...platformProblems(images, target));
  const survey = found.length > 0 ? undefined : await collect(problems, () => target.survey(images, options));
  const missing = missingOf(images, survey ?? { blobs: new Set(), images: new Set() });
  const space = survey === undefined ? undefined : await collect(problems, () => spaceOf(target, missing.blobs));
  for (const { path, freeBytes, neededBytes } of space ?? []) {
    if (freeBytes >= neededBytes) continue;
    problems.push(
      new UseCaseError('TARGET_TOO_SMALL', 'There is too little free space for the images', {
        at: { file: path },
        expected: `${neededBytes} bytes`,
        found: `${freeBytes} bytes`,
        hint: '`portolan bundle gc` takes away images that no release needs any more. Nothing was written.',
      }),
    );
  }
  return {
    target: target.name,
    images: images.length,
    missing: missing.images.map(({ reference }) => reference),
    blobs: missing.blobs.length,
    sizeBytes: missing.sizeBytes,
    space: space ?? [],
  };
}

/** Of images for several nodes some may be for others; an image for none of this target's platform starts nowhere. */
function platformProblems(images: readonly TargetImage[], { name, platform }: ImageTarget): UseCaseError[] {
  if (platform === undefined) return [];
  // A variant (arm64/v8) does not show in what a target names.
  const fits = (carried: string) => carried === platform || carried.startsWith(`${platform}/`);
  const foreign = images.filter(({ platforms }) => platforms.length > 0 && !platforms.some(fits));
  if (foreign.length === 0) return [];
  const platforms = [...new Set(foreign.flatMap((image) => image.platforms))].sort();
  const named = foreign.slice(0, 10).map(({ reference }) => reference);
  return [
    new UseCaseError('PLATFORM_NOT_CARRIED', `The bundle carries no images for the node of ${name}`, {
      expected: platform,
      found: `${platforms.join(', ')}: ${named.join(', ')}`,
      hint: 'Ask the publisher for a bundle with this platform.',
    }),
  ];
}

function spaceOf(target: ImageTarget, missing: readonly TargetBlob[]): Promise<readonly SpaceNeed[]> {
  const bytesOf = (blobs: readonly TargetBlob[]) => blobs.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const layers = missing.filter(({ role }) => role === 'image-layer');
  return target.space(bytesOf(missing), Math.ceil(bytesOf(layers) * UNPACKED_FACTOR));
}

/** helm as it was named, else the one that the bundle carries for this machine, else the one on the search path. */
async function findHelm(
  { helmPath, host }: ImportRequest,
  source: OpenedBundle,
  work: WorkFolder,
  options: { readonly signal?: AbortSignal },
): Promise<string> {
  if (helmPath !== undefined) return helmPath;
  const carried = source.lists.contents.files.find(({ path }) => path === `bin/${host}/helm`);
  if (carried === undefined) return 'helm'; // looked for on PATH
  return await extract(source, work, CARRIED_HELM, carried.digest, { ...options, mode: 0o700 });
}

/** What the present release, or an import that did not end, has and the new one has not. */
export function droppedCharts(
  { applied, running }: Installed,
  charts: readonly PreparedChart[],
): (ChartPlace & { readonly revision?: number })[] {
  const keyOf = ({ namespace, release }: Pick<ChartPlace, 'namespace' | 'release'>) => `${namespace}/${release}`;
  const kept = new Set(charts.map(({ chart }) => keyOf(chart)));
  const present = [...(running?.charts ?? []), ...(applied?.charts ?? [])].map(
    (chart) => [keyOf(chart), chart] as const,
  );
  return [...new Map(present).values()].filter((chart) => !kept.has(keyOf(chart)));
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
    ['get', 'patch', 'delete'].map((verb) => ({ verb, group: '', resource: 'configmaps', namespace })),
  );
}

function noCluster(): UseCaseError {
  return new UseCaseError('TARGET_NOT_SAID', 'Charts and configuration need a cluster, and none is known', {
    hint: 'Give --kubeconfig or --context, or bring the images alone with --only images.',
  });
}

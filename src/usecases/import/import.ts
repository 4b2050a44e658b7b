import type { Digest } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import type {
  ChartPlace,
  Installed,
  InstalledChart,
  InstalledRelease,
  RestoredFrom,
} from '../../formats/target/installed.ts';
import type { TargetSurvey } from '../../ports/image-target.ts';
import type { Progress } from '../../ports/progress.ts';
import { readInstalled } from '../installed/installed-state.ts';
import { type Outcome, openJournal } from '../installed/journal.ts';
import { withTargetLock } from '../installed/locked.ts';
import { type MigrationReport, type MigrationRequest, migrationPath } from '../migrate/types.ts';
import { refuseProblems } from '../refuse.ts';
import type { PostgresRestoreReport } from '../restore/postgres/types.ts';
import { historyProblems } from './check-history.ts';
import { applyDocumentObjects, applyDocumentTables } from './configuration-documents.ts';
import { applyConfiguration } from './configuration-maps.ts';
import { importCharts } from './import-charts.ts';
import { importImages } from './import-images.ts';
import { contractsOf, type MigrationRunner } from './import-migrations.ts';
import { droppedCharts } from './plan-charts.ts';
import { migrationRequestOf } from './plan-migrations.ts';
import { DATABASES_DONE, type PreparedImport, prepareImport, restoredSoFar } from './prepare.ts';
import { makeReceipt } from './receipt.ts';
import type { ImportDependencies, ImportPlan, ImportRequest } from './types.ts';

export interface ImportReport {
  readonly tag: string;
  readonly root: Digest;
  readonly signedBy: { readonly name: string; readonly keyHint: string };
  readonly place: string;
  readonly images: { readonly target: string; readonly sent: number; readonly sentBytes: number } | undefined;
  readonly charts: readonly InstalledChart[];
  readonly migrations: MigrationReport | undefined;
  /** Of a restore; undefined where a run before had filled them. */
  readonly databases: PostgresRestoreReport | undefined;
  /** What each part took, in the order of the work. */
  readonly took: readonly { readonly part: string; readonly durationMs: number }[];
  /** The receipt, sealed where the bundle names recipients. */
  readonly receipt: Uint8Array;
  readonly receiptSealed: boolean;
}

/** Looks at bundle and target, and changes nothing. @throws what `prepareImport` throws; UseCaseError IMPORT_REFUSED with every problem */
export async function planImport(
  request: ImportRequest,
  dependencies: ImportDependencies,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Pick<PreparedImport, 'plan' | 'problems'>> {
  const { plan, problems } = await fromMedium(dependencies, () => prepareImport(request, dependencies, options));
  return { plan, problems };
}

/**
 * Imports a bundle: images, configuration, data charts until they are ready, migrations, app charts until they are ready,
 * receipt. Every step looks at what is there first and does what is missing, and is noted when it is done: killed
 * anywhere and run again, it comes to the same end.
 *
 * @throws what `prepareImport` throws; UseCaseError IMPORT_REFUSED; AdapterError TARGET_LOCKED, RELEASE_FAILED, and what the target,
 *   the cluster and the database throw
 */
export async function importBundle(
  request: ImportRequest,
  dependencies: ImportDependencies,
  options: { readonly signal?: AbortSignal; readonly onPlan?: (plan: ImportPlan) => void } = {},
): Promise<ImportReport> {
  const prepared = await fromMedium(dependencies, () => prepareImport(request, dependencies, options));
  options.onPlan?.(prepared.plan);
  refuseProblems(prepared.problems);
  return await withTargetLock(request, dependencies, options, (signal) =>
    fromMedium(dependencies, () => runImport(prepared, request, dependencies, signal)),
  );
}

/** Where a file of the bundle failed, a stick that was pulled out is what the error names. */
async function fromMedium<T>({ medium }: ImportDependencies, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const isFile = ({ code }: PortolanError) => /^(?:FILE|BLOB|LAYOUT)_/.test(code);
    if (error instanceof PortolanError && [error, ...error.others].some(isFile)) await medium.assertThere();
    throw error;
  }
}

async function runImport(
  prepared: PreparedImport,
  request: ImportRequest,
  dependencies: ImportDependencies,
  signal: AbortSignal,
): Promise<ImportReport> {
  const { source, images, configuration, documents, charts, releases, migrations } = prepared;
  const { state, progress, cluster, images: target, databases, now } = dependencies;
  const { contents, root } = source.lists;
  const { name, version, sequence } = contents;

  // Somebody may have imported while this one waited for the lock.
  const installed = await readInstalled(state, name, { signal });
  const allow = { downgrade: request.allowDowngrade, orphans: request.allowOrphans };
  refuseProblems(historyProblems({ contents, root }, installed, allow));

  const wasProved = databases !== undefined && restoredSoFar(installed, root, databases.from) === 'proved';
  const took: { part: string; durationMs: number }[] = [];
  let sinceMs = now().getTime();
  const ended = (part: string) => {
    const nowMs = now().getTime();
    took.push({ part, durationMs: nowMs - sinceMs });
    sinceMs = nowMs;
  };
  const startedAt = now().toISOString();
  const begin = {
    running: {
      ...{ what: 'import' as const, root, version, sequence, startedAt, by: request.holder },
      done: wasProved ? [DATABASES_DONE] : [],
      ...(databases === undefined ? {} : { restore: databases.from }),
      charts: charts.map(({ chart }) => placeOf(chart)),
      images: images.map(named),
      configuration: configuration.map(({ namespace, name }) => ({ namespace, name })),
    },
    brought: target === undefined ? [] : images.map((image) => ({ ...named(image), target: target.name })),
  };
  const journal = await openJournal(installed, state, begin, signal);

  let sent: { sent: number; sentBytes: number; survey: TargetSurvey } | undefined;
  if (target !== undefined && images.length > 0) {
    sent = await importImages(images, target, source, progress, { signal });
    await journal.done('images');
    ended('images');
  }
  if (cluster !== undefined && request.parts.has('configuration')) {
    const former = [...(installed.applied?.configuration ?? []), ...(installed.running?.configuration ?? [])];
    await applyConfiguration(cluster.kubernetes, configuration, former, name, { signal });
    await applyDocumentObjects(documents, cluster.kubernetes, progress, { signal, owners: prepared.owners });
    await journal.done('configuration');
    ended('configuration');
  }
  const installedCharts: InstalledChart[] = [];
  const installStage = async (stage: 'data' | 'app') => {
    if (releases === undefined || cluster === undefined) return;
    const staged = charts.filter(({ chart }) => chart.stage === stage);
    const tools = { releases, tools: cluster, timeoutMs: request.chartTimeoutMs, progress };
    installedCharts.push(...(await importCharts(staged, tools, { signal })));
    await journal.done(`charts: ${stage}`);
    if (staged.length > 0) ended(`${stage} charts`);
  };
  await installStage('data');
  let filled: PostgresRestoreReport | undefined;
  if (databases !== undefined && prepared.database !== undefined) {
    const onProved = () => journal.done(DATABASES_DONE);
    filled = await databases.fill(prepared.database, { wasProved, onProved, signal });
    ended('databases');
  }
  let report: MigrationReport | undefined;
  if (migrations !== undefined) {
    report = await migrate(migrations, migrationRequestOf(source, installed), progress, signal);
    await journal.done('migrations');
    ended('migrations');
  }
  if (await applyDocumentTables(documents, dependencies.database, { signal })) await journal.done('tables');
  await installStage('app');
  if (releases !== undefined) {
    for (const { release, namespace, revision } of droppedCharts(installed, charts)) {
      // Its volumes stay, and so does the history of what ran: a rollback brings it back.
      const keepHistory = revision !== undefined;
      await releases.uninstall({ release, namespace }, request.chartTimeoutMs, { signal, keepHistory });
    }
  }

  const applied = releaseOf({ ...prepared, installed }, request, {
    restored: databases?.from,
    charts: installedCharts,
    report,
    at: now().toISOString(),
  });
  const receipt = await makeReceipt({ prepared, applied, report, survey: sent?.survey }, dependencies, { signal });
  await journal.finish(outcomeOf(installed, applied));
  return {
    tag: source.bundle.tag,
    root,
    signedBy: source.signedBy,
    place: state.place,
    images:
      sent === undefined || target === undefined
        ? undefined
        : { target: target.name, sent: sent.sent, sentBytes: sent.sentBytes },
    charts: installedCharts,
    migrations: report,
    databases: filled,
    took,
    ...receipt,
  };
}

/** What ran before becomes the former release; the same bundle once more leaves that as it was. */
function outcomeOf({ applied: before, former, highest }: Installed, applied: InstalledRelease): Outcome {
  const { sequence, root, version } = applied;
  const goneBackTo = before === undefined || before.root === root ? former : before;
  return {
    applied,
    ...(goneBackTo === undefined ? {} : { former: goneBackTo }),
    highest: highest !== undefined && highest.sequence > sequence ? highest : { sequence, root, version },
  };
}

/** What is left out of this import stays as the release before left it. */
function releaseOf(
  { source, installed, configuration, releases, database, migrations }: PreparedImport,
  request: ImportRequest,
  done: {
    readonly restored: RestoredFrom | undefined;
    readonly charts: readonly InstalledChart[];
    readonly report: MigrationReport | undefined;
    readonly at: string;
  },
): InstalledRelease {
  const { contents, root } = source.lists;
  const { applied: before } = installed;
  return {
    version: contents.version,
    sequence: contents.sequence,
    root,
    at: done.at,
    // Parts that came one after the other make one release.
    parts: [...new Set([...(before?.root === root ? before.parts : []), ...request.parts])],
    features: contents.features,
    charts: releases === undefined ? (before?.charts ?? []) : [...done.charts],
    // Whoever brought them: what the charts name must not be cleared away.
    images: contents.images.map(named),
    modules: migrations === undefined ? (before?.modules ?? []) : contractsOf(contents.modules),
    deferred: done.report === undefined ? (before?.deferred ?? []) : done.report.deferred.map(migrationPath),
    ...(database === undefined ? {} : { database }),
    ...(done.restored === undefined ? {} : { restored: done.restored }),
    configuration: request.parts.has('configuration')
      ? configuration.map((map) => ({ ...map }))
      : (before?.configuration ?? []),
  };
}

async function migrate(
  migrations: MigrationRunner,
  request: MigrationRequest,
  progress: Progress,
  signal: AbortSignal,
): Promise<MigrationReport> {
  const task = progress.task(`Migrations of ${migrations.place}`);
  const report = await migrations.apply(request, {
    signal,
    onEvent: (event) => {
      if (event.kind === 'applied') progress.note(`applied ${migrationPath(event)}`);
      if (event.kind === 'waiting-for-lock') progress.note(`Waiting for ${event.holder}, who migrates`);
    },
  });
  task.done();
  return report;
}

function placeOf({ name, release, namespace, stage }: ChartPlace): ChartPlace {
  return { name, release, namespace, stage };
}

function named({ reference, digest }: { readonly reference: string; readonly digest: Digest }) {
  return { reference, digest };
}

import {
  type ChartPlace,
  type Installed,
  type InstalledChart,
  type InstalledRelease,
  releaseKey,
} from '../../formats/target/installed.ts';
import type { Kubernetes } from '../../ports/kubernetes.ts';
import type { Releases } from '../../ports/releases.ts';
import { UseCaseError } from '../errors.ts';
import { applyConfiguration } from '../import/configuration-maps.ts';
import { descriptionOf } from '../import/import-charts.ts';
import type { MigrationRunners } from '../import/types.ts';
import { isDone, pathOf } from '../migrate/decide.ts';
import { contractsUnknownTo } from '../migrate/plan.ts';
import type { LedgerEntry } from '../migrate/types.ts';
import { openJournal } from './journal.ts';
import { requireInstalled, withTargetLock } from './locked.ts';
import type { InstalledDependencies, LockedRequest } from './types.ts';

export interface RollbackRequest extends LockedRequest {
  readonly name: string;
  readonly chartTimeoutMs: number;
}

interface RollbackDependencies extends InstalledDependencies {
  readonly cluster: { readonly kubernetes: Kubernetes; readonly releases: Releases };
  readonly migrations: MigrationRunners;
}

export interface RollbackReport {
  readonly name: string;
  readonly from: { readonly version: string; readonly sequence: number };
  readonly to: { readonly version: string; readonly sequence: number };
  readonly charts: readonly InstalledChart[];
  readonly removed: readonly string[];
}

/**
 * Back to the former release: app charts, data charts, configuration. Tables stay as they are: expand migrations keep the
 * former program working, and once a contract migration ran that it does not know, there is no way back. After an import
 * that did not end, that is the release that ran before it.
 *
 * @throws UseCaseError BUNDLE_NOT_INSTALLED, NOTHING_TO_ROLL_BACK, ROLLBACK_REFUSED; what cluster and database throw
 */
export async function rollbackBundle(
  request: RollbackRequest,
  dependencies: RollbackDependencies,
  options: { readonly signal?: AbortSignal } = {},
): Promise<RollbackReport> {
  const { state, cluster, progress, now } = dependencies;
  return await withTargetLock(request, dependencies, options, async (signal) => {
    const installed = await requireInstalled(dependencies, request.name, { signal });
    const { applied, running: interrupted } = installed;
    const undoes = undoesInterrupted(installed);
    const to = undoes ? applied : installed.former;
    if (applied === undefined || to === undefined) throw nothingToRollBack(request.name);
    const ledger = await readableLedger(request.name, applied, to, dependencies, signal);
    const { root, version, sequence } = to;
    const startedAt = now().toISOString();
    const running = { what: 'rollback' as const, root, version, sequence, startedAt, by: request.holder, done: [] };
    const journal = await openJournal(installed, state, { running }, signal);

    const charts: InstalledChart[] = [];
    for (const chart of inRollbackOrder(to.charts)) {
      const task = progress.task(`Release ${releaseKey(chart)}`);
      const revision = await goBack(chart, cluster.releases, request.chartTimeoutMs, signal);
      task.done();
      charts.push({ ...chart, revision });
    }
    await journal.done('charts');
    const removed: string[] = [];
    const order = new Map(to.charts.map((chart, index) => [releaseKey(chart), index]));
    for (const chart of inRollbackOrder([...applied.charts, ...(interrupted?.charts ?? [])])) {
      if (order.has(releaseKey(chart))) continue;
      const { release, namespace } = chart;
      if (await cluster.releases.uninstall({ release, namespace }, request.chartTimeoutMs, { signal })) {
        removed.push(releaseKey(chart));
      }
    }
    await journal.done('removed');
    const present = [...applied.configuration, ...(interrupted?.configuration ?? [])];
    await applyConfiguration(cluster.kubernetes, to.configuration, present, request.name, { signal });
    await journal.done('configuration');
    const place = (chart: InstalledChart) => order.get(releaseKey(chart)) ?? 0;
    await journal.finish({
      applied: {
        ...to,
        charts: [...charts].sort((a, b) => place(a) - place(b)),
        // What waited then may have run since: the former release knew it, and works without what it took away.
        deferred: to.deferred.filter((path) => ledger.some((entry) => pathOf(entry) === path && !isDone(entry))),
        at: startedAt,
      },
      ...(undoes && installed.former !== undefined ? { former: installed.former } : {}),
      ...(installed.highest === undefined ? {} : { highest: installed.highest }),
    });
    const from = undoes && interrupted?.what === 'import' ? interrupted : applied;
    return { name: request.name, from: factsOf(from), to: factsOf(to), charts, removed };
  });
}

/** Whether what stands half done is an import of something else than what ran, or its undoing. */
function undoesInterrupted({ applied, running }: Installed): boolean {
  if (applied === undefined || running === undefined) return false;
  if (running.what === 'import') return running.root !== applied.root;
  return running.what === 'rollback' && running.root === applied.root;
}

/** What a killed run has rolled back already, or what was not touched, is left as it is. */
async function goBack(
  chart: InstalledChart,
  releases: Releases,
  timeoutMs: number,
  signal: AbortSignal,
): Promise<number> {
  const name = { release: chart.release, namespace: chart.namespace };
  const status = await releases.status(name, { signal });
  const isThere = status?.status === 'deployed';
  if (isThere && (status.revision === chart.revision || status.description === descriptionOf(chart))) {
    return status.revision;
  }
  const { revision } = await releases.rollback(name, chart.revision, timeoutMs, { signal });
  return revision;
}

/** Programs before what they stand on. */
export function inRollbackOrder<Chart extends ChartPlace>(charts: readonly Chart[]): Chart[] {
  const backwards = [...charts].reverse();
  return [...backwards.filter(({ stage }) => stage === 'app'), ...backwards.filter(({ stage }) => stage === 'data')];
}

/**
 * The ledger, once it is sure that the former release can work with the schema that it tells of.
 *
 * @throws UseCaseError ROLLBACK_REFUSED, TARGET_NOT_SAID; what the database throws
 */
async function readableLedger(
  bundle: string,
  applied: InstalledRelease,
  former: InstalledRelease,
  { migrations }: RollbackDependencies,
  signal: AbortSignal,
): Promise<readonly LedgerEntry[]> {
  if (former.modules.length === 0) return [];
  const runner = migrations(applied.database);
  if (runner === undefined) {
    throw new UseCaseError('TARGET_NOT_SAID', 'It is not said where the database of the migrations is', {
      hint: 'Say --database URL: whether a rollback is safe stands in its ledger.',
    });
  }
  const modules = former.modules.map(({ name, contracts }) => ({
    name,
    files: contracts.map((contract) => ({ name: contract })),
  }));
  // Tables of a module that the former release does not have are nothing to it.
  const ledger = (await runner.ledger({ signal })).filter(({ module }) => modules.some(({ name }) => name === module));
  const unknown = contractsUnknownTo({ bundle: { name: bundle }, modules }, ledger);
  if (unknown.length === 0) return ledger;
  throw new UseCaseError('ROLLBACK_REFUSED', `There is no way back to ${former.version}: what it needs was removed`, {
    found: unknown.map(({ module, name }) => `${module}/${name}`).join(', '),
    hint: 'Import a newer bundle that mends what is wrong, or restore a backup from before that migration.',
  });
}

function factsOf({ version, sequence }: Pick<InstalledRelease, 'version' | 'sequence'>) {
  return { version, sequence };
}

function nothingToRollBack(name: string): UseCaseError {
  return new UseCaseError('NOTHING_TO_ROLL_BACK', `No former release of ${name} is remembered`, {
    hint: 'A rollback goes one release back, once. To run an older one, import its bundle with --allow-downgrade.',
  });
}

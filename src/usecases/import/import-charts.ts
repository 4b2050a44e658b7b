import { canonicalJson } from '../../core/canonical-json.ts';
import { type Digest, digestOf, hexOf } from '../../core/digest.ts';
import type { Contents } from '../../formats/bundle/contents.ts';
import { type InstalledChart, releaseKey } from '../../formats/target/installed.ts';
import type { Progress } from '../../ports/progress.ts';
import type { Releases } from '../../ports/releases.ts';
import type { WorkFolder } from '../../ports/work-folder.ts';
import { readBlob } from '../bundle/read-blob.ts';
import { rewriteImageValues } from './image-values.ts';
import { type BlobSource, streamBlobs } from './stream-blobs.ts';
import type { ChartAction, ClusterTools } from './types.ts';

/** The largest merged values that are read, in bytes. */
const VALUES_MAX_BYTES = 8 * 1024 * 1024;

/** A chart as helm is going to be given it. */
export interface PreparedChart {
  readonly chart: Contents['charts'][number];
  /** The packaged chart in the work folder. */
  readonly path: string;
  readonly values: Readonly<Record<string, unknown>>;
  readonly valuesDigest: Digest;
  /** In the release's history: says what the revision was made of, so that a later run knows it. */
  readonly description: string;
}

export async function prepareCharts(
  source: BlobSource,
  work: WorkFolder,
  rewrite: ((reference: string) => string) | undefined,
  options: { readonly signal?: AbortSignal },
): Promise<PreparedChart[]> {
  const { medium, engine, bundle, lists, identities } = source;
  const prepared: PreparedChart[] = [];
  for (const chart of lists.contents.charts) {
    const request = { digest: chart.values, maxBytes: VALUES_MAX_BYTES, identities };
    const bytes = await readBlob({ medium, engine }, bundle, lists, request, options);
    const merged = JSON.parse(new TextDecoder().decode(bytes)) as Record<string, unknown>;
    const values = rewrite === undefined ? merged : rewriteImageValues(merged, chart.imageValues ?? [], rewrite);
    const valuesDigest = digestOf(canonicalJson(values));
    prepared.push({
      chart,
      path: await extract(source, work, `${chart.name}.tgz`, chart.digest, options),
      values,
      valuesDigest,
      description: descriptionOf({ chart: chart.digest, values: valuesDigest }),
    });
  }
  return prepared;
}

/** What a revision of that chart with those values is described by. */
export function descriptionOf({ chart, values }: { readonly chart: Digest; readonly values: Digest }): string {
  return `portolan chart ${hexOf(chart).slice(0, 16)} values ${hexOf(values).slice(0, 16)}`;
}

/** Writes one blob into the work folder, checked against its digest before the last byte is written. */
export async function extract(
  source: BlobSource,
  work: WorkFolder,
  name: string,
  digest: Digest,
  options: { readonly signal?: AbortSignal; readonly mode?: number },
): Promise<string> {
  const { signal, mode } = options;
  const blobs = streamBlobs([{ digest, sizeBytes: source.lists.sizes.get(digest) ?? 0 }], source, {
    ...(signal === undefined ? {} : { signal }),
    hash: true,
  });
  let path: string | undefined;
  for await (const { bytes } of blobs) path = await work.write(name, bytes, mode === undefined ? {} : { mode });
  if (path === undefined) throw new Error(`blob ${digest} was not extracted`);
  return path;
}

/** What helm is going to do, by what it has now. */
export async function chartAction(
  releases: Releases,
  { chart, description }: PreparedChart,
  options: { readonly signal?: AbortSignal },
): Promise<{ readonly action: ChartAction; readonly revision?: number }> {
  const status = await releases.status({ release: chart.release, namespace: chart.namespace }, options);
  if (status === undefined || status.status === 'uninstalled') return { action: 'install' };
  const same = status.status === 'deployed' && status.description === description;
  return { action: same ? 'unchanged' : 'upgrade', revision: status.revision };
}

/** Installs or upgrades one stage's charts in their order, each until it is ready. What is there already stays. */
export async function importCharts(
  charts: readonly PreparedChart[],
  {
    releases,
    tools,
    timeoutMs,
    progress,
  }: { releases: Releases; tools: ClusterTools; timeoutMs: number; progress: Progress },
  options: { readonly signal?: AbortSignal },
): Promise<InstalledChart[]> {
  const installed: InstalledChart[] = [];
  for (const prepared of charts) {
    const { chart, path, values, valuesDigest, description } = prepared;
    const { name, release, namespace, stage } = chart;
    let { action, revision } = await chartAction(releases, prepared, options);
    if (action !== 'unchanged' || revision === undefined) {
      const task = progress.task(`Release ${releaseKey(chart)}`);
      const failureFolder = tools.failureFolder(`${namespace}-${release}`);
      const request = { release, namespace, chartPath: path, values, timeoutMs, description, failureFolder };
      ({ revision } = await releases.upgrade(request, options));
      task.done();
    }
    installed.push({ name, release, namespace, stage, chart: chart.digest, values: valuesDigest, revision });
  }
  return installed;
}

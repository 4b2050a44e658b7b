import type { PortolanError } from '../../core/errors.ts';
import type { Contents } from '../../formats/bundle/contents.ts';
import { releaseKey } from '../../formats/target/installed.ts';
import type { ChartRenderer } from '../../ports/charts.ts';
import type { AccessQuestion, Kubernetes } from '../../ports/kubernetes.ts';
import type { Progress } from '../../ports/progress.ts';
import { chartKubeVersion, type RenderedChart } from './chart-objects.ts';
import { checkCluster } from './check-cluster.ts';
import { imagesNotRewritten } from './image-values.ts';
import type { PreparedChart } from './import-charts.ts';
import { rehearsalProblems } from './rehearsal.ts';
import type { BlobSource } from './stream-blobs.ts';

export interface ChartsCheck {
  readonly source: BlobSource;
  readonly contents: Contents;
  readonly charts: readonly PreparedChart[];
  /** `NAMESPACE/RELEASE` of what helm has already. */
  readonly present: ReadonlySet<string>;
  /** Where the references of the bundle went, when values were rewritten. */
  readonly rewrite?: (reference: string) => string;
  readonly kubernetes: Kubernetes;
  readonly renderer: ChartRenderer;
  readonly progress: Progress;
  readonly stateNamespace: string;
  /** Rights that other parts of the import need. */
  readonly rights?: readonly AccessQuestion[];
  /** Of a rehearsal: the namespaces that its own stand for. */
  readonly originals?: readonly string[];
}

/** What stands against the charts of a bundle on this cluster: see `checkCluster`; and images that were not rewritten. */
export async function chartProblems(
  { source, contents, charts, present, rewrite, kubernetes, renderer, progress, stateNamespace, ...more }: ChartsCheck,
  options: { readonly signal?: AbortSignal } = {},
): Promise<{ readonly problems: readonly PortolanError[]; readonly rendered: readonly (RenderedChart | undefined)[] }> {
  const { rights, originals } = more;
  const wanted = [];
  for (const { chart, path, values } of charts) {
    const { name, release, namespace } = chart;
    const kubeVersion = await chartKubeVersion(source, chart, options);
    const upgrade = present.has(releaseKey(chart));
    const common = { name, release, namespace, chartPath: path, values, upgrade };
    wanted.push(kubeVersion === undefined ? common : { ...common, kubeVersion });
  }
  const {
    problems: found,
    warnings,
    rendered,
  } = await checkCluster(
    { charts: wanted, platforms: contents.platforms, stateNamespace, ...(rights === undefined ? {} : { rights }) },
    { kubernetes, renderer },
    options,
  );
  for (const warning of warnings) progress.warn(warning);
  const places = charts.map(({ chart: { name, namespace } }, index) => ({
    ...{ name, namespace, rendered: rendered[index] },
  }));
  const reaching = originals === undefined ? [] : await rehearsalProblems(places, originals, kubernetes, options);
  const problems = [...found, ...reaching];
  if (rewrite === undefined) return { problems, rendered };
  const there = new Set(contents.images.map(({ reference }) => rewrite(reference)));
  const left = charts.flatMap(({ chart }, index) =>
    imagesNotRewritten(rendered[index]?.text ?? '', chart.name, (reference) => there.has(reference)),
  );
  return { problems: [...problems, ...left], rendered };
}

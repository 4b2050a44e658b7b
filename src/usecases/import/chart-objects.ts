import { PortolanError } from '../../core/errors.ts';
import type { Contents } from '../../formats/bundle/contents.ts';
import { inspectChartArchive } from '../../formats/helm/chart-archive.ts';
import { type RenderedObject, renderedObjects } from '../../formats/helm/rendered-objects.ts';
import type { ChartRenderer } from '../../ports/charts.ts';
import { type BlobSource, streamBlobs } from './stream-blobs.ts';

/** A chart as it is going to be given to helm. */
export interface ChartToRender {
  readonly name: string;
  readonly release: string;
  readonly namespace: string;
  readonly chartPath: string;
  readonly values: Readonly<Record<string, unknown>>;
  /** Whether the release is there already. */
  readonly upgrade: boolean;
}

export interface ClusterVersions {
  /** Such as `v1.34.4+k3s1`. */
  readonly kubeVersion: string;
  readonly apiVersions: readonly string[];
}

export interface RenderedChart {
  readonly text: string;
  readonly objects: readonly RenderedObject[];
}

/**
 * Renders a chart for one cluster, as the installation or upgrade that is to come, and lists its objects. Templates cannot
 * look into the cluster here; a chart that refuses to render as an upgrade without that is rendered as an installation.
 *
 * @throws AdapterError HELM_…; FormatError RENDERED_INVALID.
 */
export async function chartObjects(
  chart: ChartToRender,
  versions: ClusterVersions,
  renderer: ChartRenderer,
  options: { readonly signal?: AbortSignal } = {},
): Promise<RenderedChart> {
  const { name, release, namespace, chartPath, values, upgrade } = chart;
  const request = { chartPath, release, namespace, values, ...versions };
  const text = await renderer
    .render({ ...request, ...(upgrade ? { upgrade } : { includeCrds: true }) }, options)
    .catch((cause: unknown) => {
      options.signal?.throwIfAborted();
      if (!upgrade || !(cause instanceof PortolanError) || cause.code !== 'HELM_FAILED') throw cause;
      return renderer.render(request, options);
    });
  return { text, objects: renderedObjects(text, name) };
}

/** `kubeVersion` of Chart.yaml: the versions of Kubernetes that a chart of the bundle takes. */
export async function chartKubeVersion(
  source: BlobSource,
  { name, digest }: Contents['charts'][number],
  options: { readonly signal?: AbortSignal } = {},
): Promise<string | undefined> {
  const blob = { digest, sizeBytes: source.lists.sizes.get(digest) ?? 0 };
  let range: string | undefined;
  for await (const { bytes } of streamBlobs([blob], source, { ...options, hash: true })) {
    range = (await inspectChartArchive(bytes, `${name}.tgz`, options)).kubeVersion;
  }
  return range;
}

import { createHash } from 'node:crypto';
import { digestFromHex } from '../../core/digest.ts';
import { gzipStored } from '../../formats/archive/gzip-stored.ts';
import { encodeTar, type TarFile } from '../../formats/archive/tar.ts';
import type { SelectedChart } from '../../formats/bundle/definition-select.ts';
import type { Condition } from '../../formats/bundle/definition-types.ts';
import type { KeyPath } from '../../formats/bundle/definition-yaml.ts';
import { FormatError } from '../../formats/errors.ts';
import { inspectChartArchive } from '../../formats/helm/chart-archive.ts';
import type { ChartMetadata } from '../../formats/helm/chart-yaml.ts';
import type { LocalBlob } from '../../ports/blobs.ts';
import { collectChart } from './lock-chart-files.ts';
import { type Project, requireInput } from './lock-definition.ts';
import type { LockDependencies, LockOptions } from './lock-types.ts';

export interface PackedChart {
  readonly metadata: ChartMetadata;
  /** The .tgz, in the blob store: what is rendered is what is carried. */
  readonly archive: LocalBlob;
}

/**
 * Packs a chart folder, or takes a .tgz as it is.
 *
 * @throws FormatError DEFINITION_INVALID, CHART_INVALID, CHART_UNSAFE, DEPENDENCY_CYCLE, DEPENDENCY_MISSING.
 */
export async function packChart(
  project: Project,
  chart: SelectedChart,
  dependencies: LockDependencies,
  options: LockOptions,
): Promise<PackedChart> {
  const input = await requireInput(project, chart.path, [...chart.key, 'path'], 'file or folder', dependencies.files);
  if (input.kind === 'folder') return packFolder(project, chart, input.path, dependencies, options);
  if (chart.parts.length > 0) {
    throw new FormatError('DEFINITION_INVALID', '`parts` is for chart folders: an archive is carried byte for byte.', {
      at: project.place([...chart.key, 'parts']),
      hint: 'Unpack the chart into a folder, or remove `parts`.',
    });
  }
  return takeArchive(input.path, dependencies, options);
}

async function takeArchive(path: string, dependencies: LockDependencies, options: LockOptions): Promise<PackedChart> {
  const sum = createHash('sha256');
  let sizeBytes = 0;
  const counted = async function* () {
    for await (const chunk of dependencies.files.open(path, options)) {
      sum.update(chunk);
      sizeBytes += chunk.length;
      yield chunk;
    }
  };
  const metadata = await inspectChartArchive(counted(), path, options);
  const digest = digestFromHex(sum.digest('hex'));
  const open = async (offsetBytes: number) => skip(dependencies.files.open(path, options), offsetBytes);
  return { metadata, archive: await dependencies.store.putStream({ digest, sizeBytes }, open, options) };
}

async function packFolder(
  project: Project,
  chart: SelectedChart,
  folder: string,
  dependencies: LockDependencies,
  options: LockOptions,
): Promise<PackedChart> {
  const { metadata, files } = await collectChart(folder, dependencies.files, options);
  const kept = withoutParts(project, chart, metadata.name, files);
  const archive = () => gzipStored(encodeTar(kept));
  const sum = createHash('sha256');
  let sizeBytes = 0;
  try {
    for await (const chunk of archive()) {
      sum.update(chunk);
      sizeBytes += chunk.length;
    }
  } catch (cause) {
    throw changed(cause, folder);
  }
  const digest = digestFromHex(sum.digest('hex'));
  const open = async (offsetBytes: number) => skip(archive(), offsetBytes);
  return { metadata, archive: await dependencies.store.putStream({ digest, sizeBytes }, open, options) };
}

function withoutParts(
  project: Project,
  chart: SelectedChart,
  name: string,
  files: readonly TarFile[],
): readonly TarFile[] {
  const isUnder = (path: string, part: string) => path === `${name}/${part}` || path.startsWith(`${name}/${part}/`);
  const lost: { path: string; when: Condition; key: KeyPath } | undefined = chart.parts.find(
    (part) => !files.some((file) => isUnder(file.path, part.path)),
  );
  if (lost !== undefined) {
    throw new FormatError('DEFINITION_INVALID', `The chart \`${chart.name}\` has no \`${lost.path}\`.`, {
      found: lost.path,
      at: project.place([...lost.key, 'path']),
      hint: 'Write the path as it is in the folder of the chart.',
    });
  }
  return files.filter((file) => !chart.leftOut.some((part) => isUnder(file.path, part)));
}

async function* skip(source: AsyncIterable<Uint8Array>, bytes: number): AsyncGenerator<Uint8Array> {
  let rest = bytes;
  for await (const chunk of source) {
    if (rest < chunk.length) yield rest === 0 ? chunk : chunk.subarray(rest);
    rest = Math.max(0, rest - chunk.length);
  }
}

function changed(cause: unknown, folder: string): unknown {
  if (!(cause instanceof RangeError)) return cause;
  return new FormatError('CHART_INVALID', 'The chart changed while it was packed, or cannot be packed.', {
    cause,
    at: { file: folder },
    hint: 'Run the command again while nothing writes to the folder.',
  });
}

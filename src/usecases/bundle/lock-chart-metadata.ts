import { basename, join, resolve } from 'node:path';
import semver from 'semver';
import { FormatError } from '../../formats/errors.ts';
import {
  CHART_YAML_LIMIT_BYTES,
  type ChartDependency,
  type ChartMetadata,
  decodeChartYaml,
  decodeRequirements,
} from '../../formats/helm/chart-yaml.ts';
import type { ProjectFiles } from '../../ports/project-files.ts';
import { decodeText } from './lock-definition.ts';

/** Chart.yaml of a folder, with the dependencies of requirements.yaml. @throws FormatError CHART_INVALID. */
export async function readMetadata(folder: string, files: ProjectFiles): Promise<ChartMetadata> {
  const file = join(folder, 'Chart.yaml');
  if ((await files.kind(file)) !== 'file') {
    throw new FormatError('CHART_INVALID', `${basename(folder)} is not a chart: it holds no Chart.yaml.`, {
      at: { file },
      hint: 'Name the folder that holds Chart.yaml.',
    });
  }
  const metadata = decodeChartYaml(
    decodeText(await files.read(file, CHART_YAML_LIMIT_BYTES), file, 'CHART_INVALID'),
    file,
  );
  const older = join(folder, 'requirements.yaml');
  if ((await files.kind(older)) !== 'file') return metadata;
  const text = decodeText(await files.read(older, CHART_YAML_LIMIT_BYTES), older, 'CHART_INVALID');
  return { ...metadata, dependencies: [...metadata.dependencies, ...decodeRequirements(text, older)] };
}

/** The folder of a `file://` dependency. */
export function localFolder(folder: string, { repository }: ChartDependency): string | undefined {
  return repository.startsWith('file://') ? resolve(folder, repository.slice('file://'.length)) : undefined;
}

/** @throws FormatError CHART_INVALID when the folder of a dependency holds another chart or version. */
export function checkDependency(
  wanted: ChartDependency,
  found: ChartMetadata,
  at: { file: string; key: string },
): void {
  if (wanted.name !== found.name) {
    throw new FormatError('CHART_INVALID', 'The folder of a dependency holds another chart.', {
      expected: wanted.name,
      found: found.name,
      at,
      hint: 'Correct `name` or `repository` of the dependency.',
    });
  }
  const range = wanted.version.trim();
  if (range === '' || semver.validRange(range, { loose: true }) === null) return;
  if (semver.satisfies(found.version, range, { loose: true, includePrerelease: true })) return;
  throw new FormatError('CHART_INVALID', `The dependency \`${wanted.name}\` has another version than is asked for.`, {
    expected: range,
    found: found.version,
    at,
    hint: 'Change `version` of the dependency, or the version in its own Chart.yaml.',
  });
}

export function missingDependency(
  wanted: ChartDependency,
  from: string | undefined,
  folder: string,
  at: { file: string; key: string },
): FormatError {
  return new FormatError('DEPENDENCY_MISSING', `The dependency \`${wanted.name}\` of a chart is not there.`, {
    expected: from ?? `charts/${wanted.name}-VERSION.tgz or charts/${wanted.name}/`,
    found: 'nothing',
    at,
    hint:
      from === undefined
        ? `Run \`helm dependency update ${folder}\` on a machine that reaches ${wanted.repository || 'its repository'}.`
        : 'Correct the `file://` path; it is relative to the folder of Chart.yaml.',
  });
}

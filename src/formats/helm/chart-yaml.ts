import semver from 'semver';
import { z } from 'zod';
import { FormatError } from '../errors.ts';
import { parseHelmYaml } from './yaml.ts';

/** Chart.yaml (helm, "Charts", "The Chart.yaml File"): what packaging and the lock need of it. */
export interface ChartMetadata {
  readonly name: string;
  readonly version: string;
  readonly dependencies: readonly ChartDependency[];
  /** The range of Kubernetes versions that the chart takes. */
  readonly kubeVersion?: string;
}

export interface ChartDependency {
  readonly name: string;
  /** A SemVer range. Empty: any. */
  readonly version: string;
  /** `file://…`, `https://…`, `oci://…`, `@alias`, or empty: the dependency lies in `charts/` already. */
  readonly repository: string;
  readonly alias?: string;
}

export const CHART_YAML_LIMIT_BYTES = 1024 * 1024;

const dependencies = z
  .array(
    z.looseObject({
      name: z.string().min(1),
      version: z.coerce.string().default(''),
      repository: z.string().nullish(),
      alias: z.string().nullish(),
    }),
  )
  .nullish();

const schema = z.looseObject({
  apiVersion: z.string().min(1),
  name: z.string().regex(/^(?!\.{1,2}$)[^/\\\0]+$/, 'a name without `/`'),
  version: z.coerce.string().refine((text) => semver.valid(text, { loose: true }) !== null, 'a SemVer version'),
  kubeVersion: z.coerce.string().nullish(),
  dependencies,
});

/** @throws FormatError CHART_INVALID. `file` is the name that errors give it. */
export function decodeChartYaml(text: string, file: string): ChartMetadata {
  const [document] = parseHelmYaml(text, file, 'CHART_INVALID');
  const metadata = parse(schema, document?.value ?? {}, file);
  const { name, version, kubeVersion } = metadata;
  const range = kubeVersion === undefined || kubeVersion === null || kubeVersion === '' ? {} : { kubeVersion };
  return { name, version, dependencies: clean(metadata.dependencies), ...range };
}

/** requirements.yaml of an apiVersion v1 chart. @throws FormatError CHART_INVALID. */
export function decodeRequirements(text: string, file: string): readonly ChartDependency[] {
  const [document] = parseHelmYaml(text, file, 'CHART_INVALID');
  return clean(parse(z.looseObject({ dependencies }), document?.value ?? {}, file).dependencies);
}

function parse<T>(type: z.ZodType<T>, value: unknown, file: string): T {
  const parsed = type.safeParse(value);
  if (parsed.success) return parsed.data;
  const issue = parsed.error.issues[0];
  throw new FormatError('CHART_INVALID', 'Chart.yaml is not right.', {
    ...(issue === undefined ? {} : { expected: issue.message }),
    at: { file, key: issue?.path.join('.') ?? '' },
    hint: 'Correct the key in this file; `helm lint` says more.',
  });
}

function clean(list: z.output<typeof dependencies>): ChartDependency[] {
  return (list ?? []).map(({ name, version, repository, alias }) => ({
    name,
    version,
    repository: repository ?? '',
    ...(typeof alias === 'string' && alias !== '' ? { alias } : {}),
  }));
}

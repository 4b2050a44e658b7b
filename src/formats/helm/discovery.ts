import { FormatError } from '../errors.ts';
import { splitDocuments } from './rendered-documents.ts';
import { isValuesMap, type ValuesMap } from './values.ts';
import { parseHelmYaml } from './yaml.ts';

/**
 * Finds the images in what `helm template` prints: a stream of documents, each after `---` and a line `# Source: CHART/PATH`
 * (a subchart under `charts/`, by its alias where it has one). Hooks are in that stream like everything else.
 */

export interface FoundImage {
  /** As the template wrote it. */
  readonly reference: string;
  /** The path of helm's `# Source:` comment; empty where there is none. */
  readonly template: string;
  /** Such as `spec.template.spec.containers[0].image`. */
  readonly path: string;
}

export interface ResourceImagePath {
  readonly kind: string;
  readonly apiVersion?: string;
  /** Keys joined by dots, lists as `[]`, `[*]` or `[0]`. */
  readonly path: string;
}

/** Where each kind of Kubernetes carries a Pod's spec (Kubernetes API reference, "Workload Resources"). */
const POD_SPEC: Readonly<Record<string, readonly string[]>> = {
  Pod: ['spec'],
  PodTemplate: ['template', 'spec'],
  Deployment: ['spec', 'template', 'spec'],
  StatefulSet: ['spec', 'template', 'spec'],
  DaemonSet: ['spec', 'template', 'spec'],
  ReplicaSet: ['spec', 'template', 'spec'],
  ReplicationController: ['spec', 'template', 'spec'],
  Job: ['spec', 'template', 'spec'],
  CronJob: ['spec', 'jobTemplate', 'spec', 'template', 'spec'],
};

/** The Pod's spec that an object carries, if it is of a kind that does. */
export function podSpecOf(object: ValuesMap): ValuesMap | undefined {
  const path =
    typeof object.kind === 'string' && Object.hasOwn(POD_SPEC, object.kind) ? POD_SPEC[object.kind] : undefined;
  const spec = path?.reduce<unknown>((value, key) => (isValuesMap(value) ? value[key] : undefined), object);
  return isValuesMap(spec) ? spec : undefined;
}

const POD_IMAGES = [
  'initContainers[].image',
  'containers[].image',
  'ephemeralContainers[].image',
  'volumes[].image.reference',
] as const;

const LIST_DEPTH_LIMIT = 8;

/**
 * Images in the order in which they stand.
 *
 * @param chart - The chart's name, for the place of errors.
 * @throws FormatError RENDERED_INVALID when a document is not YAML, or an image is not a string.
 */
export function discoverImages(
  rendered: string,
  chart: string,
  paths: readonly ResourceImagePath[] = [],
): readonly FoundImage[] {
  const found: FoundImage[] = [];
  const seen = new Set<string>();
  for (const part of splitDocuments(rendered)) {
    // A definition of resources is large, and holds none itself.
    if (/^kind:\s*["']?CustomResourceDefinition["']?\s*$/m.test(part.text)) continue;
    const file = part.template === '' ? `${chart} (rendered)` : part.template;
    for (const { value } of parseHelmYaml(part.text, file, 'RENDERED_INVALID', part.line)) {
      collect(value, [], { template: part.template, file, line: part.line, paths, found, seen }, 0);
    }
  }
  return found;
}

interface Context {
  readonly template: string;
  readonly file: string;
  readonly line: number;
  readonly paths: readonly ResourceImagePath[];
  readonly found: FoundImage[];
  /** Template, path and reference: a configured path may name what is found anyway. */
  readonly seen: Set<string>;
}

function collect(resource: unknown, at: readonly string[], context: Context, depth: number): void {
  if (!isValuesMap(resource) || typeof resource.kind !== 'string') return;
  const kind = resource.kind;
  if (Array.isArray(resource.items) && kind.endsWith('List')) {
    if (depth >= LIST_DEPTH_LIMIT) throw invalid('Lists of resources are nested too deeply.', at, context);
    const itemKind = kind === 'List' ? undefined : kind.slice(0, -'List'.length);
    for (const [index, item] of resource.items.entries()) {
      // The items of a DeploymentList may leave their kind out.
      const whole = isValuesMap(item) && itemKind !== undefined ? { kind: itemKind, ...item } : item;
      collect(whole, [...at, `items[${index}]`], context, depth + 1);
    }
    return;
  }
  const spec = Object.hasOwn(POD_SPEC, kind) ? POD_SPEC[kind] : undefined;
  if (spec !== undefined) {
    const prefix = spec.join('.');
    for (const path of POD_IMAGES) take(resource, `${prefix}.${path}`, at, context);
  }
  for (const { kind: wanted, apiVersion, path } of context.paths) {
    if (wanted === kind && (apiVersion === undefined || apiVersion === resource.apiVersion))
      take(resource, path, at, context);
  }
}

function take(resource: unknown, path: string, at: readonly string[], context: Context): void {
  for (const { value, trail } of walk(resource, steps(path), '')) {
    const full = [...at, trail].join('.');
    if (value === undefined || value === null || value === '') continue;
    if (typeof value !== 'string') throw invalid('An image must be a string.', [full], context, JSON.stringify(value));
    const reference = value.trim();
    const key = JSON.stringify([context.template, full, reference]);
    if (context.seen.has(key)) continue;
    context.seen.add(key);
    context.found.push({ reference, template: context.template, path: full });
  }
}

/** `a.b[].c` as `a`, `b`, `[]`, `c`. */
function steps(path: string): string[] {
  return path.split('.').flatMap((part) => {
    const [name, ...brackets] = part.split('[');
    return [name ?? '', ...brackets.map((inside) => `[${inside}`)];
  });
}

function* walk(value: unknown, rest: readonly string[], trail: string): Generator<{ value: unknown; trail: string }> {
  const [step, ...after] = rest;
  if (step === undefined) {
    yield { value, trail };
  } else if (step.startsWith('[')) {
    if (!Array.isArray(value)) return;
    const wanted = /^\[(\d+)\]$/.exec(step)?.[1];
    for (const [index, item] of value.entries()) {
      if (wanted === undefined || Number(wanted) === index) yield* walk(item, after, `${trail}[${index}]`);
    }
  } else if (isValuesMap(value) && Object.hasOwn(value, step)) {
    yield* walk(value[step], after, trail === '' ? step : `${trail}.${step}`);
  }
}

function invalid(message: string, at: readonly string[], context: Context, found?: string): FormatError {
  return new FormatError('RENDERED_INVALID', message, {
    ...(found === undefined ? {} : { found: found.slice(0, 120) }),
    at: { file: context.file, line: context.line, key: at.join('.') },
    hint: 'Correct the template or the values that it takes.',
  });
}

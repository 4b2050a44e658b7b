import { FormatError } from '../errors.ts';
import { splitDocuments } from './rendered-documents.ts';
import { isValuesMap, type ValuesMap } from './values.ts';
import { parseHelmYaml } from './yaml.ts';

/** A Kubernetes object as a chart renders it. */
export interface RenderedObject {
  readonly apiVersion: string;
  readonly kind: string;
  /** Absent when the template names none: the release's, or none for kinds that have none. */
  readonly namespace?: string;
  /** Empty when the server makes it up (`generateName`). */
  readonly name: string;
  /** The path of helm's `# Source:` comment; empty where there is none. */
  readonly template: string;
  /** Whether it is a hook, which helm applies at its own time. */
  readonly isHook: boolean;
  readonly body: ValuesMap;
}

const LIST_DEPTH_LIMIT = 8;

/**
 * Objects in the order in which they stand; the items of lists in their place. What has no kind is no object.
 *
 * @param chart - The chart's or release's name, for the place of errors.
 * @throws FormatError RENDERED_INVALID.
 */
export function renderedObjects(rendered: string, chart: string): readonly RenderedObject[] {
  const found: RenderedObject[] = [];
  for (const { template, text, line } of splitDocuments(rendered)) {
    const file = template === '' ? `${chart} (rendered)` : template;
    for (const { value } of parseHelmYaml(text, file, 'RENDERED_INVALID', line)) {
      collect(value, { template, file, line }, found, 0);
    }
  }
  return found;
}

interface Origin {
  readonly template: string;
  readonly file: string;
  readonly line: number;
}

function collect(value: unknown, origin: Origin, found: RenderedObject[], depth: number): void {
  if (!isValuesMap(value) || typeof value.kind !== 'string' || typeof value.apiVersion !== 'string') return;
  if (Array.isArray(value.items) && value.kind.endsWith('List')) {
    if (depth >= LIST_DEPTH_LIMIT) {
      throw new FormatError('RENDERED_INVALID', 'Lists of resources are nested too deeply.', {
        at: { file: origin.file, line: origin.line },
        hint: 'Correct the template or the values that it takes.',
      });
    }
    const kind = value.kind === 'List' ? undefined : value.kind.slice(0, -'List'.length);
    for (const item of value.items) {
      // The items of a DeploymentList may leave both out.
      const whole = isValuesMap(item) && kind !== undefined ? { kind, apiVersion: value.apiVersion, ...item } : item;
      collect(whole, origin, found, depth + 1);
    }
    return;
  }
  const metadata = isValuesMap(value.metadata) ? value.metadata : {};
  const annotations = isValuesMap(metadata.annotations) ? metadata.annotations : {};
  found.push({
    apiVersion: value.apiVersion,
    kind: value.kind,
    ...(typeof metadata.namespace === 'string' && metadata.namespace !== '' ? { namespace: metadata.namespace } : {}),
    name: typeof metadata.name === 'string' ? metadata.name : '',
    template: origin.template,
    isHook: Object.hasOwn(annotations, 'helm.sh/hook'),
    body: value,
  });
}

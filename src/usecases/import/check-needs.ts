import { podSpecOf } from '../../formats/helm/discovery.ts';
import type { RenderedObject } from '../../formats/helm/rendered-objects.ts';
import { isValuesMap } from '../../formats/helm/values.ts';

/** What the objects of a chart need of a cluster. Pure. */

export interface CheckedChart {
  readonly name: string;
  readonly release: string;
  readonly namespace: string;
  readonly upgrade: boolean;
  /** Of Chart.yaml. */
  readonly kubeVersion?: string;
  readonly objects: readonly RenderedObject[];
}

/** Where something stands, for a person: chart and template. */
export interface Origin {
  readonly chart: string;
  readonly template: string;
}

export interface NeededKind extends Origin {
  readonly apiVersion: string;
  readonly kind: string;
  /** What its objects say; the release's where they say nothing. Meaningless for kinds that have none. */
  readonly namespaces: ReadonlySet<string>;
}

export interface NeededClaim extends Origin {
  /** `undefined`: the default class. */
  readonly className: string | undefined;
  /** The object that asks for it. An object that is there already has its volume. */
  readonly by: {
    readonly apiVersion: string;
    readonly kind: string;
    readonly namespace: string;
    readonly name: string;
  };
}

export interface NeededIngress extends Origin {
  readonly className: string | undefined;
  readonly name: string;
}

/** `apiVersion/kind`, as `helm --api-versions` writes it. */
export function kindKey(apiVersion: string, kind: string): string {
  return `${apiVersion}/${kind}`;
}

/** Each kind once, at the first chart and template that has it. What the charts themselves define is left out. */
export function neededKinds(charts: readonly CheckedChart[]): readonly NeededKind[] {
  const defined = new Set(charts.flatMap(({ objects }) => objects.flatMap(definedKinds)));
  const needed = new Map<string, NeededKind & { readonly namespaces: Set<string> }>();
  for (const chart of charts) {
    for (const { apiVersion, kind, namespace = chart.namespace, template } of chart.objects) {
      const key = kindKey(apiVersion, kind);
      if (defined.has(key)) continue;
      const entry = needed.get(key) ?? { apiVersion, kind, chart: chart.name, template, namespaces: new Set() };
      entry.namespaces.add(namespace);
      needed.set(key, entry);
    }
  }
  return [...needed.values()];
}

/** What a CustomResourceDefinition makes known. */
function definedKinds({ kind, body }: RenderedObject): string[] {
  if (kind !== 'CustomResourceDefinition' || !isValuesMap(body.spec)) return [];
  const { group, names, versions, version } = body.spec;
  const defined = isValuesMap(names) ? names.kind : undefined;
  const listed = Array.isArray(versions) ? versions.filter(isValuesMap).map(({ name }) => name) : [version];
  return listed.map((name) => kindKey(`${group}/${name}`, String(defined)));
}

/** Claims, templates of claims, and ephemeral volumes that a class has to make a volume for. */
export function neededClaims(charts: readonly CheckedChart[]): readonly NeededClaim[] {
  return charts.flatMap((chart) =>
    chart.objects.flatMap((object) => {
      const { apiVersion, kind, name, template, namespace = chart.namespace } = object;
      const by = { apiVersion, kind, namespace, name };
      return claimSpecs(object).flatMap((spec) => {
        // A volume that is chosen by hand needs no class; an empty class says so.
        if (spec.volumeName !== undefined || spec.selector !== undefined || spec.storageClassName === '') return [];
        const className = typeof spec.storageClassName === 'string' ? spec.storageClassName : undefined;
        return [{ chart: chart.name, template, by, className }];
      });
    }),
  );
}

function claimSpecs({ kind, body }: RenderedObject): Readonly<Record<string, unknown>>[] {
  const specOf = (claim: unknown) => (isValuesMap(claim) && isValuesMap(claim.spec) ? [claim.spec] : []);
  if (kind === 'PersistentVolumeClaim') return specOf(body);
  const templates =
    kind === 'StatefulSet' && isValuesMap(body.spec) && Array.isArray(body.spec.volumeClaimTemplates)
      ? body.spec.volumeClaimTemplates
      : [];
  const volumes = podSpecOf(body)?.volumes;
  const ephemeral = (Array.isArray(volumes) ? volumes : []).flatMap((volume) =>
    isValuesMap(volume) && isValuesMap(volume.ephemeral) ? [volume.ephemeral.volumeClaimTemplate] : [],
  );
  return [...templates, ...ephemeral].flatMap(specOf);
}

/** Ingresses that some controller has to serve. One with the annotation of older days needs no class. */
export function neededIngresses(charts: readonly CheckedChart[]): readonly NeededIngress[] {
  return charts.flatMap((chart) =>
    chart.objects.flatMap(({ kind, name, template, body }) => {
      if (kind !== 'Ingress') return [];
      const metadata = isValuesMap(body.metadata) ? body.metadata : {};
      const annotations = isValuesMap(metadata.annotations) ? metadata.annotations : {};
      if (typeof annotations['kubernetes.io/ingress.class'] === 'string') return [];
      const className = isValuesMap(body.spec) ? body.spec.ingressClassName : undefined;
      return [{ chart: chart.name, template, name, className: typeof className === 'string' ? className : undefined }];
    }),
  );
}

/** The namespaces of the releases and of all their objects. */
export function neededNamespaces(charts: readonly CheckedChart[], kinds: readonly NeededKind[]): ReadonlySet<string> {
  return new Set([...charts.map(({ namespace }) => namespace), ...kinds.flatMap(({ namespaces }) => [...namespaces])]);
}

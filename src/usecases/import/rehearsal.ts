/**
 * A bundle in namespaces of a rehearsal (docs/restore.md, "Rehearse it"): its data charts, its configuration and its database under
 * other namespaces, and nothing that reaches out of them. App charts stay out: programs of a product that runs a second time send
 * mail, take traffic and work on queues.
 */
import type { PortolanError } from '../../core/errors.ts';
import type { Contents } from '../../formats/bundle/contents.ts';
import { isValuesMap } from '../../formats/helm/values.ts';
import type { CallOptions, Kubernetes } from '../../ports/kubernetes.ts';
import { UseCaseError } from '../errors.ts';
import type { RenderedChart } from './chart-objects.ts';
import type { CarriedDocument } from './configuration-documents.ts';

export interface Rehearsal {
  /** What stands for a namespace of the bundle. */
  namespaceOf(namespace: string): string;
}

export function rehearsedContents(contents: Contents, { namespaceOf }: Rehearsal): Contents {
  const { charts, database, ...rest } = contents;
  return {
    ...rest,
    charts: charts.flatMap((chart) =>
      chart.stage === 'data' ? [{ ...chart, namespace: namespaceOf(chart.namespace) }] : [],
    ),
    ...(database === undefined
      ? {}
      : { database: { ...database, namespace: namespaceOf(database.namespace), host: hostOf(database, namespaceOf) } }),
  };
}

/** `SERVICE.NAMESPACE` and what may follow. */
function hostOf({ host, namespace }: NonNullable<Contents['database']>, namespaceOf: Rehearsal['namespaceOf']): string {
  const [service = '', ...further] = host.split('.');
  return further[0] === namespace ? [service, namespaceOf(namespace), ...further.slice(1)].join('.') : host;
}

/** A database that the rehearsal does not bring itself is one that works in earnest. */
export function rehearsedDatabaseProblems({ charts, database }: Contents): readonly PortolanError[] {
  if (database === undefined) return [];
  const { host, namespace } = database;
  const [, own] = host.split('.');
  const isBrought = charts.some((chart) => chart.stage === 'data' && chart.namespace === namespace);
  if (isBrought && (own === undefined || own === namespace)) return [];
  return [
    new UseCaseError('REHEARSAL_IMPOSSIBLE', 'The database is not one that the data charts bring', {
      expected: `a Service in the namespace of a data chart`,
      found: `${host} in the namespace ${namespace}`,
      hint: 'Restore the databases alone by `portolan backup drill`, or into another server.',
    }),
  ];
}

/** Objects of documents go where the charts are that need them. */
export function rehearsedDocument(carried: CarriedDocument, { namespaceOf }: Rehearsal): CarriedDocument {
  const moved = <T extends { readonly namespace: string }>(entry: T): T => ({
    ...entry,
    namespace: namespaceOf(entry.namespace),
  });
  const { document, sealed } = carried;
  return {
    ...carried,
    document: { ...document, configMaps: document.configMaps.map(moved) },
    ...(sealed === undefined ? {} : { sealed: { ...sealed, secrets: sealed.secrets.map(moved) } }),
  };
}

/** What of the charts would reach out of the namespaces of the rehearsal, to what runs there in earnest. */
export async function rehearsalProblems(
  charts: readonly {
    readonly name: string;
    readonly namespace: string;
    readonly rendered: RenderedChart | undefined;
  }[],
  originals: readonly string[],
  kubernetes: Kubernetes,
  options: CallOptions,
): Promise<readonly PortolanError[]> {
  const found: string[] = [];
  for (const { name, namespace, rendered } of charts) {
    for (const { apiVersion, kind, name: object, namespace: own = namespace, body } of rendered?.objects ?? []) {
      const resource = await kubernetes.resource(apiVersion, kind, options);
      const spec = isValuesMap(body.spec) ? body.spec : {};
      if (resource?.namespaced === false) found.push(`${kind} ${object} of ${name} belongs to the whole cluster`);
      else if (own !== namespace) found.push(`${kind} ${object} of ${name} lies in ${own}`);
      else if (kind === 'Ingress' || kind === 'HTTPRoute') found.push(`${kind} ${object} of ${name} takes traffic`);
      else if (kind === 'Service' && (spec.type === 'LoadBalancer' || spec.type === 'NodePort')) {
        found.push(`Service ${object} of ${name} takes traffic (${spec.type})`);
      }
    }
    for (const original of originals) {
      if (rendered?.text.includes(`.${original}.svc`) === true) found.push(`${name} names services of ${original}`);
    }
  }
  if (found.length === 0) return [];
  return [
    new UseCaseError('REHEARSAL_IMPOSSIBLE', 'The data charts would reach out of the namespace of a rehearsal', {
      expected: 'charts whose objects lie in the namespace of their release',
      found: found.slice(0, 20).join('; '),
      hint: 'Rehearse on another cluster without --rehearse, or with `portolan backup drill`.',
    }),
  ];
}

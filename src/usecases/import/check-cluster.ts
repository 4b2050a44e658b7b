import type { PortolanError } from '../../core/errors.ts';
import type { ChartRenderer } from '../../ports/charts.ts';
import type { AccessQuestion, Kubernetes } from '../../ports/kubernetes.ts';
import { UseCaseError } from '../errors.ts';
import { collect } from '../refuse.ts';
import { type ChartToRender, chartObjects, type RenderedChart } from './chart-objects.ts';
import { type ClassFact, type ClusterFacts, clusterFacts } from './check-facts.ts';
import { type CheckedChart, kindKey, type Origin } from './check-needs.ts';
import { versionFit } from './kube-version.ts';

export interface ClusterFindings {
  /** What stands against the import. */
  readonly problems: readonly PortolanError[];
  /** What a person should know, and nothing stands against. */
  readonly warnings: readonly string[];
  /** In the order of the charts; `undefined` for one that did not render. */
  readonly rendered: readonly (RenderedChart | undefined)[];
}

export interface ClusterCheck {
  readonly charts: readonly (ChartToRender & { readonly kubeVersion?: string })[];
  /** Of the bundle, such as `linux/amd64`. */
  readonly platforms: readonly string[];
  readonly stateNamespace: string;
  /** Rights that other parts of the import need. */
  readonly rights?: readonly AccessQuestion[];
}

/** Holds the charts of a bundle against the live cluster; everything that is wrong at once. Changes nothing. */
export async function checkCluster(
  { charts, platforms, stateNamespace, rights = [] }: ClusterCheck,
  { kubernetes, renderer }: { readonly kubernetes: Kubernetes; readonly renderer: ChartRenderer },
  options: { readonly signal?: AbortSignal } = {},
): Promise<ClusterFindings> {
  const problems: PortolanError[] = [];
  const versions = await collect(problems, async () => ({
    kubeVersion: (await kubernetes.version(options)).gitVersion,
    apiVersions: await kubernetes.apiVersions(options),
  }));
  // A cluster that does not answer has nothing else to say.
  if (versions === undefined) return { problems, warnings: [], rendered: charts.map(() => undefined) };
  const rendered: (RenderedChart | undefined)[] = [];
  const checked: CheckedChart[] = [];
  for (const chart of charts) {
    const { kubeVersion, ...wanted } = chart;
    const fit = kubeVersion === undefined ? 'fits' : versionFit(versions.kubeVersion, kubeVersion);
    if (fit === 'too-old' || fit === 'too-new') {
      problems.push(wrongVersion(chart.name, fit, kubeVersion ?? '', versions.kubeVersion));
      rendered.push(undefined);
      continue;
    }
    const one = await collect(problems, () => chartObjects(wanted, versions, renderer, options));
    rendered.push(one);
    if (one !== undefined) checked.push({ ...wanted, objects: one.objects });
  }
  const facts = await collect(problems, () =>
    clusterFacts({ charts: checked, stateNamespace, rights }, kubernetes, options),
  );
  if (facts === undefined) return { problems, warnings: [], rendered };
  const judged = judgeCluster(facts, platforms);
  return { problems: [...problems, ...judged.problems], warnings: judged.warnings, rendered };
}

/** Pure. */
export function judgeCluster(
  facts: ClusterFacts,
  platforms: readonly string[],
): { readonly problems: readonly UseCaseError[]; readonly warnings: readonly string[] } {
  const nodes = judgeNodes(facts, platforms);
  return {
    problems: [
      ...nodes.problems,
      ...unknownKinds(facts),
      ...missingStorage(facts),
      ...missingIngress(facts),
      ...terminating(facts),
      ...missingRights(facts),
    ],
    warnings: [
      ...nodes.warnings,
      ...(facts.storageClasses === undefined && facts.claims.length > 0
        ? ['Storage classes were not checked: this user may not list them.']
        : []),
      ...(facts.ingressClasses === undefined && facts.ingresses.length > 0
        ? ['Ingress classes were not checked: this user may not list them.']
        : []),
    ],
  };
}

function wrongVersion(chart: string, fit: 'too-old' | 'too-new', range: string, found: string): UseCaseError {
  const code = fit === 'too-old' ? 'CLUSTER_TOO_OLD' : 'CLUSTER_TOO_NEW';
  return new UseCaseError(code, `The chart ${chart} does not take this version of Kubernetes.`, {
    expected: range,
    found,
    at: { file: `${chart}/Chart.yaml`, key: 'kubeVersion' },
    hint:
      fit === 'too-old'
        ? 'Upgrade the cluster, or ask the publisher for charts that take this version.'
        : 'Ask the publisher for charts that take this version.',
  });
}

function judgeNodes(
  { nodes }: ClusterFacts,
  platforms: readonly string[],
): { problems: UseCaseError[]; warnings: string[] } {
  if (nodes === undefined) return { problems: [], warnings: ['Nodes were not checked: this user may not list them.'] };
  const ready = nodes.filter(({ isReady, takesPods }) => isReady && takesPods);
  if (ready.length === 0) {
    const names = nodes.map(({ name, isReady }) => `${name} (${isReady ? 'cordoned' : 'not ready'})`);
    return {
      problems: [
        new UseCaseError('NODES_NOT_READY', 'No node of the cluster is ready to take Pods.', {
          expected: 'a node that is ready and not cordoned',
          found: names.length === 0 ? 'no node' : names.slice(0, 10).join(', '),
          hint: 'Look at `kubectl describe nodes`, and run the command again when one is ready.',
        }),
      ],
      warnings: [],
    };
  }
  // A variant (arm/v7) does not show in what a node tells.
  const carried = new Set(platforms.map((platform) => platform.split('/').slice(0, 2).join('/')));
  const others = ready.filter(({ platform }) => !carried.has(platform));
  const named = others.slice(0, 10).map(({ name, platform }) => `${name} (${platform})`);
  if (others.length === ready.length) {
    return {
      problems: [
        new UseCaseError('PLATFORM_NOT_CARRIED', 'The bundle carries no images for the nodes of this cluster.', {
          expected: platforms.join(', '),
          found: named.join(', '),
          hint: 'Ask the publisher for a bundle with this platform.',
        }),
      ],
      warnings: [],
    };
  }
  const unready = nodes.filter((node) => !ready.includes(node)).map(({ name }) => name);
  return {
    problems: [],
    warnings: [
      ...(others.length === 0 ? [] : [`The bundle carries no images for these nodes: ${named.join(', ')}.`]),
      ...(unready.length === 0 ? [] : [`Nodes that take no Pods now: ${unready.slice(0, 10).join(', ')}.`]),
    ],
  };
}

function unknownKinds({ kinds, resources, server }: ClusterFacts): UseCaseError[] {
  return kinds
    .filter(({ apiVersion, kind }) => !resources.has(kindKey(apiVersion, kind)))
    .map(({ apiVersion, kind, ...origin }) => {
      const isBuiltIn = !apiVersion.includes('/') || /(?:^[a-z]+|\.k8s\.io)\/v/.test(apiVersion);
      return new UseCaseError('KIND_UNKNOWN', `The cluster does not know ${kind} of ${apiVersion}.`, {
        found: kindKey(apiVersion, kind),
        at: { ...placeOf(origin), url: server },
        hint: isBuiltIn
          ? 'Ask the publisher for charts that fit the version of this cluster.'
          : 'Install what defines this kind first, or ask for a bundle with the feature that needs it switched off.',
      });
    });
}

function missingStorage({ claims, storageClasses }: ClusterFacts): UseCaseError[] {
  if (storageClasses === undefined) return [];
  return claims.flatMap(({ className, by, ...origin }) =>
    classProblem(
      'STORAGE_CLASS_MISSING',
      'StorageClass',
      `A volume of ${by.kind} ${by.name}`,
      className,
      storageClasses,
      origin,
    ),
  );
}

function missingIngress({ ingresses, ingressClasses }: ClusterFacts): UseCaseError[] {
  if (ingressClasses === undefined) return [];
  return ingresses.flatMap(({ className, name, ...origin }) =>
    classProblem('INGRESS_CLASS_MISSING', 'IngressClass', `The Ingress ${name}`, className, ingressClasses, origin),
  );
}

function classProblem(
  code: 'STORAGE_CLASS_MISSING' | 'INGRESS_CLASS_MISSING',
  kind: string,
  who: string,
  className: string | undefined,
  classes: readonly ClassFact[],
  origin: Origin,
): UseCaseError[] {
  const there = classes.map(({ name, isDefault }) => (isDefault ? `${name} (default)` : name)).join(', ') || 'none';
  if (className === undefined) {
    if (classes.some(({ isDefault }) => isDefault)) return [];
    return [
      new UseCaseError(code, `${who} names no ${kind}, and the cluster has no default one.`, {
        expected: `a default ${kind}`,
        found: there,
        at: placeOf(origin),
        hint: `Mark a ${kind} as the default, or ask for a bundle whose values name one of this cluster.`,
      }),
    ];
  }
  if (classes.some(({ name }) => name === className)) return [];
  return [
    new UseCaseError(code, `${who} wants the ${kind} ${className}, which the cluster does not have.`, {
      expected: className,
      found: there,
      at: placeOf(origin),
      hint: `Make the ${kind}, or ask for a bundle that was built for this kind of cluster (--provider) or names another one.`,
    }),
  ];
}

function terminating({ namespaces }: ClusterFacts): UseCaseError[] {
  return [...namespaces].flatMap(([name, is]) =>
    is === 'terminating'
      ? [
          new UseCaseError('NAMESPACE_TERMINATING', `The namespace ${name} is being deleted.`, {
            found: name,
            hint: `Wait until it is gone (\`kubectl get namespace ${name}\`), and run the command again.`,
          }),
        ]
      : [],
  );
}

/** One problem for each resource and place, with all that may not be done there. */
function missingRights({ refused }: ClusterFacts): UseCaseError[] {
  const groups = new Map<string, AccessQuestion[]>();
  for (const question of refused) {
    const { group, resource, subresource = '', namespace = '', name = '' } = question;
    const key = JSON.stringify([group, resource, subresource, namespace, name]);
    groups.set(key, [...(groups.get(key) ?? []), question]);
  }
  return [...groups.values()].flatMap((questions) => {
    const [first] = questions;
    if (first === undefined) return [];
    const { group, resource, subresource, namespace, name } = first;
    const plural = subresource === undefined ? resource : `${resource}/${subresource}`;
    const what = `${group === '' ? plural : `${plural}.${group}`}${name === undefined ? '' : ` ${name}`}`;
    const where = namespace === undefined ? 'in the whole cluster' : `in the namespace ${namespace}`;
    return [
      new UseCaseError(
        'RIGHTS_MISSING',
        `This user may not ${questions.map(({ verb }) => verb).join(', ')} ${what} ${where}.`,
        {
          hint: 'Give the user of the kubeconfig this right by a Role and a RoleBinding, or use another user.',
        },
      ),
    ];
  });
}

function placeOf({ chart, template }: Origin): { readonly file: string } {
  return { file: template === '' ? chart : template };
}

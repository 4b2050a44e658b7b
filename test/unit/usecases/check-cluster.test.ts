import { describe, expect, it } from 'vitest';
import { renderedObjects } from '../../../src/formats/helm/rendered-objects.ts';
import { judgeCluster } from '../../../src/usecases/import/check-cluster.ts';
import type { ClusterFacts } from '../../../src/usecases/import/check-facts.ts';
import {
  kindKey,
  neededClaims,
  neededIngresses,
  neededKinds,
  neededNamespaces,
} from '../../../src/usecases/import/check-needs.ts';
import { versionFit } from '../../../src/usecases/import/kube-version.ts';

const RENDERED = `---
# Source: app/templates/web.yaml
apiVersion: apps/v1
kind: Deployment
metadata: { name: web }
spec:
  template:
    spec:
      volumes:
        - ephemeral: { volumeClaimTemplate: { spec: { storageClassName: scratch } } }
        - emptyDir: {}
---
# Source: app/templates/db.yaml
apiVersion: apps/v1
kind: StatefulSet
metadata: { name: db, namespace: other }
spec:
  volumeClaimTemplates:
    - spec: { resources: {} }
    - spec: { storageClassName: fast }
    - spec: { storageClassName: '' }
---
# Source: app/templates/list.yaml
apiVersion: v1
kind: PersistentVolumeClaimList
items:
  - metadata: { name: files }
    spec: { storageClassName: slow }
  - metadata: { name: chosen }
    spec: { volumeName: pv-1 }
---
# Source: app/templates/ingress.yaml
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: site }
spec: { ingressClassName: traefik }
---
# Source: app/templates/ingress.yaml
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: old, annotations: { kubernetes.io/ingress.class: gce } }
---
# Source: app/templates/ingress.yaml
apiVersion: networking.k8s.io/v1
kind: Ingress
metadata: { name: any }
---
# Source: app/templates/crd.yaml
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: { name: boats.example.com }
spec: { group: example.com, names: { kind: Boat }, versions: [{ name: v1 }, { name: v2 }] }
---
# Source: app/templates/boat.yaml
apiVersion: example.com/v2
kind: Boat
metadata: { name: a }
---
# Source: app/templates/anchor.yaml
apiVersion: example.com/v2
kind: Anchor
metadata: { name: a }
--- # nothing
`;

const CHART = {
  name: 'app',
  release: 'app',
  namespace: 'cms',
  upgrade: false,
  objects: renderedObjects(RENDERED, 'app'),
};

const FACTS: ClusterFacts = {
  server: 'https://cluster.example:6443',
  gitVersion: 'v1.34.4',
  kinds: [],
  resources: new Map(),
  claims: [],
  ingresses: [],
  storageClasses: [{ name: 'local-path', isDefault: true }],
  ingressClasses: [],
  nodes: [{ name: 'one', platform: 'linux/amd64', isReady: true, takesPods: true }],
  namespaces: new Map(),
  refused: [],
};
const codes = (facts: Partial<ClusterFacts>, platforms = ['linux/amd64']) =>
  judgeCluster({ ...FACTS, ...facts }, platforms).problems.map(({ code }) => code);

describe('what charts need of a cluster', () => {
  it('each kind once, without those that the charts define themselves', () => {
    const kinds = neededKinds([CHART]);
    expect(kinds.map(({ apiVersion, kind }) => kindKey(apiVersion, kind))).toEqual([
      'apps/v1/Deployment',
      'apps/v1/StatefulSet',
      'v1/PersistentVolumeClaim',
      'networking.k8s.io/v1/Ingress',
      'apiextensions.k8s.io/v1/CustomResourceDefinition',
      'example.com/v2/Anchor',
    ]);
    expect([...neededNamespaces([CHART], kinds)].sort()).toEqual(['cms', 'other']);
  });

  it('a class for each volume that is not chosen by hand', () => {
    expect(neededClaims([CHART]).map(({ className, by }) => [by.kind, by.namespace, by.name, className])).toEqual([
      ['Deployment', 'cms', 'web', 'scratch'],
      ['StatefulSet', 'other', 'db', undefined],
      ['StatefulSet', 'other', 'db', 'fast'],
      ['PersistentVolumeClaim', 'cms', 'files', 'slow'],
    ]);
  });

  it('a class for each Ingress but those with the old annotation', () => {
    expect(neededIngresses([CHART]).map(({ name, className }) => [name, className])).toEqual([
      ['site', 'traefik'],
      ['any', undefined],
    ]);
  });
});

describe('the judgement of a cluster', () => {
  const claim = neededClaims([CHART]);
  const ingress = neededIngresses([CHART]);

  it('finds nothing on a cluster that fits', () => {
    expect(judgeCluster(FACTS, ['linux/amd64'])).toEqual({ problems: [], warnings: [] });
  });

  it('names every class that is missing, and its template', () => {
    const { problems } = judgeCluster({ ...FACTS, claims: claim, ingresses: ingress }, ['linux/amd64']);
    expect(problems.map(({ code, expected, at }) => [code, expected, at?.file])).toEqual([
      ['STORAGE_CLASS_MISSING', 'scratch', 'app/templates/web.yaml'],
      ['STORAGE_CLASS_MISSING', 'fast', 'app/templates/db.yaml'],
      ['STORAGE_CLASS_MISSING', 'slow', 'app/templates/list.yaml'],
      ['INGRESS_CLASS_MISSING', 'traefik', 'app/templates/ingress.yaml'],
      ['INGRESS_CLASS_MISSING', 'a default IngressClass', 'app/templates/ingress.yaml'],
    ]);
  });

  it('asks for a default class only where none is named', () => {
    const none = { storageClasses: [{ name: 'fast', isDefault: false }] };
    const unnamed = claim.filter(({ className }) => className === undefined);
    expect(codes({ ...none, claims: unnamed })).toEqual(['STORAGE_CLASS_MISSING']);
    expect(codes({ ...none, claims: claim.filter(({ className }) => className === 'fast') })).toEqual([]);
  });

  it('warns where it may not look', () => {
    const blind = { storageClasses: undefined, ingressClasses: undefined, nodes: undefined };
    const judged = judgeCluster({ ...FACTS, ...blind, claims: claim, ingresses: ingress }, ['linux/amd64']);
    expect(judged.problems).toEqual([]);
    expect(judged.warnings).toHaveLength(3);
  });

  it('tells nodes of another platform and nodes that take no Pods', () => {
    const arm = { name: 'arm', platform: 'linux/arm64', isReady: true, takesPods: true };
    const down = { name: 'down', platform: 'linux/amd64', isReady: false, takesPods: true };
    const cordoned = { name: 'off', platform: 'linux/amd64', isReady: true, takesPods: false };
    expect(codes({ nodes: [arm, down] })).toEqual(['PLATFORM_NOT_CARRIED']);
    expect(codes({ nodes: [arm] }, ['linux/arm64/v8'])).toEqual([]);
    expect(codes({ nodes: [down, cordoned] })).toEqual(['NODES_NOT_READY']);
    const mixed = judgeCluster({ ...FACTS, nodes: [arm, down, ...(FACTS.nodes ?? [])] }, ['linux/amd64']);
    expect([mixed.problems.length, mixed.warnings.length]).toEqual([0, 2]);
  });

  it('names kinds that the server does not know', () => {
    const kinds = neededKinds([CHART]);
    const deployments = { name: 'deployments', group: 'apps', version: 'v1', namespaced: true, verbs: [] };
    const resources = new Map(
      kinds.filter(({ kind }) => kind !== 'Anchor').map((one) => [kindKey(one.apiVersion, one.kind), deployments]),
    );
    const { problems } = judgeCluster({ ...FACTS, kinds, resources }, ['linux/amd64']);
    expect(problems.map(({ code, found, at }) => [code, found, at?.file])).toEqual([
      ['KIND_UNKNOWN', 'example.com/v2/Anchor', 'app/templates/anchor.yaml'],
    ]);
  });

  it('gathers rights by resource and place, and names namespaces that go away', () => {
    const deployments = { group: 'apps', resource: 'deployments', namespace: 'cms' };
    const refused = [
      { verb: 'create', ...deployments },
      { verb: 'patch', ...deployments },
      { verb: 'create', group: '', resource: 'namespaces' },
    ];
    const found = codes({ refused, namespaces: new Map([['cms', 'terminating'] as const, ['x', 'absent'] as const]) });
    expect(found).toEqual(['NAMESPACE_TERMINATING', 'RIGHTS_MISSING', 'RIGHTS_MISSING']);
  });
});

describe('the version of Kubernetes', () => {
  it.each([
    ['v1.34.4', '>=1.27.0-0', 'fits'],
    ['v1.34.4+k3s1', '>= 1.27.0', 'fits'],
    ['v1.33.4-gke.1245000', '>=1.33.0', 'fits'],
    ['v1.26.9', '>=1.27.0-0', 'too-old'],
    ['v1.34.4', '>=1.20, <1.30', 'too-new'],
    ['v1.34.4', '>=1.20 <1.30 || >=1.34', 'fits'],
    ['v1.34.4', '>=1.20.0, != 1.34.4', 'too-old'],
    ['v1.34.4', '~1.34', 'fits'],
    ['v1.34.4', 'whatever', 'unknown'],
    ['main', '>=1.20', 'unknown'],
  ] as const)('%s against %s %s', (version, range, fit) => {
    expect(versionFit(version, range)).toBe(fit);
  });
});

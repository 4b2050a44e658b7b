import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { FormatError } from '../../../../src/formats/errors.ts';
import { discoverImages } from '../../../../src/formats/helm/discovery.ts';
import { raised, raisedCodes } from '../../../support/raised.ts';

const document = (template: string, body: unknown) => `---\n# Source: ${template}\n${JSON.stringify(body)}\n`;
const pod = { containers: [{ name: 'a', image: 'r.example/a:1' }] };
const found = (text: string, paths = [] as Parameters<typeof discoverImages>[2]) =>
  discoverImages(text, 'chart', paths).map(({ reference, template, path }) => `${template}|${path}|${reference}`);

describe('image discovery', () => {
  it.each<[string, object, string]>([
    ['Pod', { spec: pod }, 'spec'],
    ['PodTemplate', { template: { spec: pod } }, 'template.spec'],
    ...['Deployment', 'StatefulSet', 'DaemonSet', 'ReplicaSet', 'ReplicationController', 'Job'].map(
      (kind): [string, object, string] => [kind, { spec: { template: { spec: pod } } }, 'spec.template.spec'],
    ),
    [
      'CronJob',
      { spec: { jobTemplate: { spec: { template: { spec: pod } } } } },
      'spec.jobTemplate.spec.template.spec',
    ],
  ])('looks into a %s', (kind, body, path) => {
    expect(found(document('c/templates/a.yaml', { kind, ...body }))).toEqual([
      `c/templates/a.yaml|${path}.containers[0].image|r.example/a:1`,
    ]);
  });

  it('finds every container of a Pod and image volumes', () => {
    const spec = {
      initContainers: [{ image: 'i:1' }],
      containers: [{ image: 'c:1' }, { image: 'd:1' }],
      ephemeralContainers: [{ image: 'e:1' }],
      volumes: [{ emptyDir: {} }, { image: { reference: 'v:1' } }],
    };
    expect(found(document('t', { kind: 'Pod', spec }))).toEqual([
      't|spec.initContainers[0].image|i:1',
      't|spec.containers[0].image|c:1',
      't|spec.containers[1].image|d:1',
      't|spec.ephemeralContainers[0].image|e:1',
      't|spec.volumes[1].image.reference|v:1',
    ]);
  });

  it('opens lists, also those whose items leave their kind out', () => {
    const item = { kind: 'Pod', spec: pod };
    const list = { kind: 'List', items: [{ kind: 'ConfigMap' }, { kind: 'List', items: [item] }] };
    expect(found(document('t', list))).toEqual(['t|items[1].items[0].spec.containers[0].image|r.example/a:1']);
    expect(found(document('t', { kind: 'PodList', items: [{ spec: pod }] }))).toEqual([
      't|items[0].spec.containers[0].image|r.example/a:1',
    ]);
  });

  it('names subcharts by the path that helm prints, and hooks like everything else', () => {
    const hook = {
      kind: 'Job',
      metadata: { annotations: { 'helm.sh/hook': 'pre-install' } },
      spec: { template: { spec: pod } },
    };
    const text =
      document('top/charts/alias/templates/a.yaml', { kind: 'Pod', spec: pod }) +
      document('top/templates/h.yaml', hook);
    expect(found(text).map((line) => line.split('|')[0])).toEqual([
      'top/charts/alias/templates/a.yaml',
      'top/templates/h.yaml',
    ]);
  });

  it('does not believe a comment of a template', () => {
    const text = '---\n# Source: real.yaml\n# Source: forged.yaml\nkind: Pod\nspec: {containers: [{image: "a:1"}]}\n';
    expect(found(text)).toEqual(['real.yaml|spec.containers[0].image|a:1']);
  });

  it('looks where bundle.yaml says for other kinds', () => {
    const resource = {
      apiVersion: 'pg.example/v1',
      kind: 'Cluster',
      spec: { imageName: 'pg:17', pods: [{ image: 'x:1' }, { image: 'y:1' }] },
    };
    const paths = [
      { kind: 'Cluster', path: 'spec.imageName' },
      { kind: 'Cluster', apiVersion: 'pg.example/v1', path: 'spec.pods[].image' },
      { kind: 'Cluster', path: 'spec.pods[1].image' },
      { kind: 'Cluster', apiVersion: 'pg.example/v2', path: 'spec' },
      { kind: 'Cluster', path: 'spec.missing.image' },
    ];
    expect(found(document('t', resource), paths)).toEqual([
      't|spec.imageName|pg:17',
      't|spec.pods[0].image|x:1',
      't|spec.pods[1].image|y:1',
    ]);
    expect(found(document('t', resource))).toEqual([]);
  });

  it('passes over kinds without Pods, empty documents and definitions of resources', () => {
    const definition = `---\n# Source: t\nkind: CustomResourceDefinition\nspec: [not: valid\n`;
    expect(
      found(`---\n# Source: a\n---\n# only a comment\n${definition}${document('b', { kind: 'Service', spec: pod })}`),
    ).toEqual([]);
  });

  it('names template, line and key of what is wrong', async () => {
    const broken = `---\n# Source: good.yaml\nkind: Pod\n---\n# Source: bad.yaml\nkind: Pod\nspec: [\n`;
    const error = await raised(() => found(broken));
    expect([error.code, error.at?.file, (error.at?.line ?? 0) >= 7]).toEqual(['RENDERED_INVALID', 'bad.yaml', true]);
    const odd = document('t', { kind: 'Pod', spec: { containers: [{ image: { repository: 'a' } }] } });
    expect((await raised(() => found(odd))).at).toMatchObject({ file: 't', key: 'spec.containers[0].image' });
  });

  it('refuses lists in lists without end', async () => {
    let list: unknown = { kind: 'Pod', spec: pod };
    for (let depth = 0; depth < 12; depth++) list = { kind: 'List', items: [list] };
    expect(await raisedCodes(() => found(document('t', list)))).toEqual(['FormatError RENDERED_INVALID']);
  });

  it('finds each image at the path that it names', () => {
    const image = fc.stringMatching(/^[a-z]{1,8}:[0-9]{1,3}$/);
    const containers = fc.array(fc.record({ image }), { maxLength: 3 });
    const spec = fc.record({ initContainers: containers, containers, ephemeralContainers: containers });
    fc.assert(
      fc.property(fc.array(spec, { maxLength: 4 }), (specs) => {
        const text = specs.map((one, index) => document(`t${index}`, { kind: 'Pod', spec: one })).join('');
        const results = discoverImages(text, 'chart');
        expect(results).toHaveLength(specs.flatMap((one) => Object.values(one).flat()).length);
        for (const { reference, template, path } of results) {
          const [, list = '', index = ''] = /^spec\.(\w+)\[(\d+)\]\.image$/.exec(path) ?? [];
          const one = specs[Number(template.slice(1))] as Record<string, { image: string }[]>;
          expect(one[list]?.[Number(index)]?.image).toBe(reference);
        }
      }),
    );
  });

  it('raises nothing but its own error, whatever helm prints', () => {
    const text = fc.string({ unit: fc.constantFrom(...'kind: Pod\n---[]{}spec#Source&*!|>'), maxLength: 200 });
    fc.assert(
      fc.property(text, (rendered) => {
        try {
          discoverImages(rendered, 'chart', [{ kind: 'Pod', path: 'spec[].image' }]);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

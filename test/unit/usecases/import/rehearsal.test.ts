import { describe, expect, it, test } from 'vitest';
import type { Contents } from '../../../../src/formats/bundle/contents.ts';
import { renderedObjects } from '../../../../src/formats/helm/rendered-objects.ts';
import type { Kubernetes } from '../../../../src/ports/kubernetes.ts';
import {
  rehearsalProblems,
  rehearsedContents,
  rehearsedDatabaseProblems,
  rehearsedDocument,
} from '../../../../src/usecases/import/rehearsal.ts';

const REHEARSAL = { namespaceOf: (namespace: string) => `rehearsal-${namespace}` };

function contentsOf(host: string, stage: 'data' | 'app' = 'data', namespace = 'cms'): Contents {
  return {
    name: 'cms',
    charts: [
      { name: 'data', release: 'cms-data', namespace, stage },
      { name: 'app', release: 'cms-app', namespace, stage: 'app' },
    ],
    database: { namespace: 'cms', host, port: 5432, name: 'cms', user: 'postgres' },
  } as unknown as Contents;
}

describe('a bundle that is rehearsed', () => {
  it('has its data charts and its database elsewhere, and no app charts', () => {
    const { charts, database } = rehearsedContents(contentsOf('cms-data'), REHEARSAL);
    expect(charts).toMatchObject([{ release: 'cms-data', namespace: 'rehearsal-cms' }]);
    expect(database).toMatchObject({ namespace: 'rehearsal-cms', host: 'cms-data' });
  });

  test.each([
    ['cms-data', 'cms-data'],
    ['cms-data.cms', 'cms-data.rehearsal-cms'],
    ['cms-data.cms.svc.cluster.local', 'cms-data.rehearsal-cms.svc.cluster.local'],
  ])('%s becomes %s', (host, expected) => {
    expect(rehearsedContents(contentsOf(host), REHEARSAL).database?.host).toBe(expected);
    expect(rehearsedDatabaseProblems(contentsOf(host))).toEqual([]);
  });

  test.each([
    contentsOf('db.example.org'),
    contentsOf('cms-data.other.svc'),
    contentsOf('cms-data', 'app'),
    contentsOf('cms-data', 'data', 'other'),
  ])('a database that the data charts do not bring is refused: %#', (contents) => {
    expect(rehearsedDatabaseProblems(contents)).toMatchObject([{ code: 'REHEARSAL_IMPOSSIBLE' }]);
  });

  it('has the objects of its documents elsewhere', () => {
    const entry = { namespace: 'cms', name: 'site', data: { a: 'b' } };
    const secret = { namespace: 'cms', name: 'auth', type: 'Opaque', data: {} };
    const carried = {
      path: 'x.json',
      document: { configMaps: [entry], tables: [] },
      sealed: { secrets: [secret], releases: [] },
    } as unknown as Parameters<typeof rehearsedDocument>[0];
    const moved = rehearsedDocument(carried, REHEARSAL);
    expect(moved.document.configMaps).toEqual([{ ...entry, namespace: 'rehearsal-cms' }]);
    expect(moved.sealed?.secrets).toEqual([{ ...secret, namespace: 'rehearsal-cms' }]);
  });
});

describe('what a chart may not have in a rehearsal', () => {
  const kubernetes = {
    resource: async (_: string, kind: string) => ({ namespaced: !kind.startsWith('Cluster') }),
  } as unknown as Kubernetes;
  const found = async (yaml: string) => {
    const rendered = { text: yaml, objects: renderedObjects(yaml, 'data') };
    const charts = [{ name: 'data', namespace: 'rehearsal-cms', rendered }];
    const [problem] = await rehearsalProblems(charts, ['cms'], kubernetes, {});
    return problem === undefined ? '' : `${problem.code} ${problem.found}`;
  };
  const object = (kind: string, more = '') => `apiVersion: v1\nkind: ${kind}\nmetadata: { name: x }\n${more}`;

  test.each([
    [object('ClusterRole'), 'belongs to the whole cluster'],
    ['apiVersion: v1\nkind: Secret\nmetadata: { name: x, namespace: cms }\n', 'lies in cms'],
    [object('Ingress'), 'takes traffic'],
    [object('Service', 'spec: { type: NodePort }\n'), 'takes traffic (NodePort)'],
    [object('ConfigMap', 'data: { url: "http://web.cms.svc/" }\n'), 'names services of cms'],
  ])('%s', async (yaml, expected) => {
    expect(await found(yaml)).toContain('REHEARSAL_IMPOSSIBLE');
    expect(await found(yaml)).toContain(expected);
  });

  it('everything else may be there', async () => {
    const yaml = [
      object('Secret'),
      object('Service', 'spec: { clusterIP: None }\n'),
      object('ConfigMap', 'data: { url: "http://web.rehearsal-cms.svc/" }\n'),
      'apiVersion: v1\nkind: Secret\nmetadata: { name: y, namespace: rehearsal-cms }\n',
    ].join('---\n');
    expect(await found(yaml)).toBe('');
  });
});

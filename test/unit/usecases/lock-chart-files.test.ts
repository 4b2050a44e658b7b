import { chmod, mkdir, symlink } from 'node:fs/promises';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { collectChart } from '../../../src/usecases/bundle/lock-chart-files.ts';
import { chartYaml, createProjectFixture, type ProjectFixture } from '../../support/project-fixture.ts';
import { raised, raisedCodes } from '../../support/raised.ts';

let project: ProjectFixture;
beforeEach(async () => {
  project = await createProjectFixture();
});
afterEach(() => project.dispose());

const collect = (name = 'web') => collectChart(project.path(name), project.dependencies.files);
const paths = async (name = 'web') => (await collect(name)).files.map((file) => file.path);
const depends = (...lines: string[]) => `dependencies:\n${lines.map((line) => `  - ${line}\n`).join('')}`;
const on = (name: string, path = `../${name}`) => `{name: ${name}, version: ">=0.1.0", repository: "file://${path}"}`;

describe('the files of a chart folder', () => {
  it('are sorted by code units, hidden and ignored ones left out as helm does', async () => {
    await project.write({
      'web/Chart.yaml': chartYaml('web'),
      'web/.helmignore': 'docs/\n*.bak\n',
      'web/docs/a.md': '',
      'web/a.bak': '',
      'web/templates/.hidden': '',
      'web/templates/Z.yaml': '',
      'web/templates/a.yaml': '',
      'web/values.yaml': '',
    });
    expect(await paths()).toEqual([
      'web/.helmignore',
      'web/Chart.yaml',
      'web/templates/Z.yaml',
      'web/templates/a.yaml',
      'web/values.yaml',
    ]);
  });

  it('lie under the name of the chart, not of the folder, and keep what may be executed', async () => {
    await project.write({ 'web/Chart.yaml': chartYaml('site'), 'web/run.sh': '' });
    await chmod(project.path('web/run.sh'), 0o700);
    expect((await collect()).files.map(({ path, executable }) => [path, executable])).toEqual([
      ['site/Chart.yaml', false],
      ['site/run.sh', true],
    ]);
  });

  it('take local dependencies along, with theirs, once for two aliases', async () => {
    await project.write({
      'web/Chart.yaml': chartYaml(
        'web',
        depends(on('lib').replace('}', ', alias: a}'), on('lib').replace('}', ', alias: b}')),
      ),
      'lib/Chart.yaml': chartYaml('lib', depends(on('deep', '../far/deep'))),
      'lib/.helmignore': 'ignored',
      'lib/ignored': '',
      'far/deep/Chart.yaml': chartYaml('deep'),
    });
    expect(await paths()).toEqual([
      'web/Chart.yaml',
      'web/charts/lib/.helmignore',
      'web/charts/lib/Chart.yaml',
      'web/charts/lib/charts/deep/Chart.yaml',
    ]);
  });

  it('take a dependency from its folder rather than the older copy in charts/', async () => {
    await project.write({
      'web/Chart.yaml': chartYaml('web', depends(on('lib'))),
      'web/charts/lib-0.0.9.tgz': 'old',
      'web/charts/library-1.0.0.tgz': 'another chart',
      'lib/Chart.yaml': chartYaml('lib'),
    });
    expect(await paths()).toEqual(['web/Chart.yaml', 'web/charts/lib/Chart.yaml', 'web/charts/library-1.0.0.tgz']);
  });

  it('take what is in charts/ already for a dependency of a repository', async () => {
    const remote = '{name: REMOTE, version: 1.x.x, repository: "https://charts.example"}';
    await project.write({
      'web/Chart.yaml': chartYaml('web', depends(remote.replace('REMOTE', 'packed'), remote.replace('REMOTE', 'open'))),
      'web/charts/packed-1.2.3.tgz': '',
      'web/charts/folder/Chart.yaml': chartYaml('open'),
    });
    expect(await paths()).toHaveLength(3);
  });

  it('read requirements.yaml of older charts', async () => {
    await project.write({
      'web/Chart.yaml': 'apiVersion: v1\nname: web\nversion: 0.1.0\n',
      'web/requirements.yaml': depends(on('lib')),
      'lib/Chart.yaml': chartYaml('lib'),
    });
    expect(await paths()).toContain('web/charts/lib/Chart.yaml');
  });

  it('follow links inside the chart', async () => {
    await project.write({ 'web/Chart.yaml': chartYaml('web'), 'web/files/a': 'a' });
    await symlink('files/a', project.path('web/b'));
    await symlink('files', project.path('web/c'));
    expect(await paths()).toEqual(['web/Chart.yaml', 'web/b', 'web/c/a', 'web/files/a']);
  });

  it.each([
    ['out of the chart', '../secret'],
    ['to nowhere', 'missing'],
    ['to an absolute path', '/etc/hostname'],
    ['back up', '.'],
  ])('are refused with a link %s', async (_, target) => {
    await project.write({ 'web/Chart.yaml': chartYaml('web'), secret: 'secret' });
    await symlink(target, project.path('web/link'));
    expect(await raisedCodes(() => collect())).toEqual(['FormatError CHART_UNSAFE']);
  });

  it('spell out a loop of dependencies', async () => {
    await project.write({
      'web/Chart.yaml': chartYaml('web', depends(on('a'))),
      'a/Chart.yaml': chartYaml('a', depends(on('b'))),
      'b/Chart.yaml': chartYaml('b', depends(on('a'))),
    });
    const error = await raised(() => collect());
    expect([error.name, error.code]).toEqual(['FormatError', 'DEPENDENCY_CYCLE']);
    expect(error.message).toContain('a → b → a');
  });

  it('see a loop through a link', async () => {
    await project.write({ 'web/Chart.yaml': chartYaml('web', depends(on('a', '../other'))) });
    await symlink('web', project.path('other'));
    expect(await raisedCodes(() => collect())).toEqual(['FormatError CHART_INVALID']);
    await project.write({ 'web/Chart.yaml': chartYaml('web', depends(on('web', '../other'))) });
    expect(await raisedCodes(() => collect())).toEqual(['FormatError DEPENDENCY_CYCLE']);
  });

  it.each<[string, Record<string, string>, string]>([
    ['no Chart.yaml', { 'web/values.yaml': '' }, 'CHART_INVALID'],
    ['a Chart.yaml without a name', { 'web/Chart.yaml': 'apiVersion: v2\nversion: 1.0.0\n' }, 'CHART_INVALID'],
    ['a bad version', { 'web/Chart.yaml': 'apiVersion: v2\nname: web\nversion: one\n' }, 'CHART_INVALID'],
    ['a bad .helmignore', { 'web/Chart.yaml': chartYaml('web'), 'web/.helmignore': '**' }, 'CHART_INVALID'],
    [
      'a local dependency that is not there',
      { 'web/Chart.yaml': chartYaml('web', depends(on('lib'))) },
      'DEPENDENCY_MISSING',
    ],
    [
      'a remote dependency that is not vendored',
      {
        'web/Chart.yaml': chartYaml('web', depends('{name: pg, version: 1.0.0, repository: "oci://r.example/charts"}')),
      },
      'DEPENDENCY_MISSING',
    ],
    [
      'a dependency of another version',
      {
        'web/Chart.yaml': chartYaml('web', depends('{name: lib, version: ^2.0.0, repository: "file://../lib"}')),
        'lib/Chart.yaml': chartYaml('lib'),
      },
      'CHART_INVALID',
    ],
  ])('are refused with %s', async (_, files, code) => {
    await mkdir(project.path('web'));
    await project.write(files);
    expect(await raisedCodes(() => collect())).toEqual([`FormatError ${code}`]);
  });
});

import { expect, test } from 'vitest';
import { fileOfInterest, normalPath, whiteoutOf } from '../../../../src/formats/packages/interest.ts';
import {
  decodeLayerPackages,
  encodeLayerPackages,
  type LayerPackages,
  overlayLayers,
} from '../../../../src/formats/packages/layer-packages.ts';
import { packageUrl } from '../../../../src/formats/packages/purl.ts';

const layer = (parts: Partial<LayerPackages>): LayerPackages => ({
  status: 'read',
  reasons: [],
  files: [],
  removed: [],
  emptied: [],
  ...parts,
});
const npm = (name: string, folder = 'app') => ({
  path: `${folder}/node_modules/${name}/package.json`,
  packages: [{ type: 'npm', name, version: '1.0.0' } as const],
});
const names = (...layers: LayerPackages[]) => overlayLayers(layers).packages.map(({ name }) => name);

test.each([
  ['var/lib/dpkg/status', 'dpkg'],
  ['var/lib/dpkg/status.d/base', 'dpkg'],
  ['var/lib/dpkg/status.d/base.md5sums', undefined],
  ['var/lib/dpkg/status-old', undefined],
  ['lib/apk/db/installed', 'apk'],
  ['usr/lib/apk/db/installed', 'apk'],
  ['etc/os-release', 'os-release'],
  ['node_modules/a/package.json', 'npm'],
  ['srv/node_modules/@s/a/node_modules/b/package.json', 'npm'],
  ['node_modules/.pnpm/a@1/node_modules/a/package.json', 'npm'],
  ['node_modules/a/dist/package.json', undefined],
  ['node_modules/@s/package.json', undefined],
  ['app/package.json', undefined],
  ['constructor', undefined],
])('%s is of interest as %s', (path, kind) => expect(fileOfInterest(path)).toBe(kind));

test.each([
  ['./etc//os-release', 'etc/os-release'],
  ['/etc/./os-release/', 'etc/os-release'],
  ['../etc/os-release', undefined],
  ['etc/../etc/os-release', undefined],
  ['./', undefined],
  ['a/'.repeat(3000), undefined],
])('the path %s', (name, path) => expect(normalPath(name)).toBe(path));

test.each([
  ['a/.wh.b', { kind: 'remove', path: 'a/b' }],
  ['.wh.a', { kind: 'remove', path: 'a' }],
  ['a/.wh..wh..opq', { kind: 'empty', path: 'a' }],
  ['.wh..wh..opq', { kind: 'empty', path: '' }],
  ['.wh..wh.plnk', undefined],
  ['a/.wh.', undefined],
  ['a/b', undefined],
])('the whiteout %s', (path, whiteout) => expect(whiteoutOf(path)).toEqual(whiteout));

test('a later layer replaces a file', () => {
  const [old, fresh] = ['1', '2'].map((version) =>
    layer({ files: [{ path: 'var/lib/dpkg/status', packages: [{ type: 'dpkg', name: 'a', version }] }] }),
  ) as [LayerPackages, LayerPackages];
  expect(overlayLayers([old, fresh]).packages).toEqual([{ type: 'dpkg', name: 'a', version: '2' }]);
});

test('a whiteout takes a file, or a folder with all below, from lower layers only', () => {
  const lower = layer({ files: [npm('a'), npm('b'), npm('ab')] });
  expect(names(lower, layer({ removed: ['app/node_modules/a'] }))).toEqual(['b', 'ab']);
  expect(names(lower, layer({ removed: ['app/node_modules/a/package.json'] }))).toEqual(['b', 'ab']);
  expect(names(lower, layer({ removed: ['app'] }))).toEqual([]);
  expect(names(lower, layer({ removed: ['app/node_modules/a'], files: [npm('a')] }))).toEqual(['b', 'ab', 'a']);
});

test('an opaque folder takes what was in it, and keeps what its own layer has', () => {
  const lower = layer({ files: [npm('a'), npm('b', 'srv')] });
  expect(names(lower, layer({ emptied: ['app/node_modules'], files: [npm('c')] }))).toEqual(['b', 'c']);
  expect(names(lower, layer({ emptied: [''] }))).toEqual([]);
});

test('etc/os-release counts before usr/lib/os-release', () => {
  const release = (path: string, id: string) => ({ path, distribution: { id } });
  const both = layer({ files: [release('usr/lib/os-release', 'debian'), release('etc/os-release', 'custom')] });
  expect(overlayLayers([both]).distribution).toEqual({ id: 'custom' });
  expect(overlayLayers([both, layer({ removed: ['etc/os-release'] })]).distribution).toEqual({ id: 'debian' });
  expect(overlayLayers([]).distribution).toBeUndefined();
});

test('a cached layer reads back, and anything else is no entry', () => {
  const full = layer({
    status: 'partial',
    reasons: ['malformed'],
    files: [npm('a'), { path: 'etc/os-release', distribution: { id: 'debian', versionId: '12' } }],
    removed: ['x'],
    emptied: [''],
  });
  const text = encodeLayerPackages(full);
  expect(decodeLayerPackages(text)).toEqual(full);
  for (let length = 0; length < text.length; length += 1) {
    expect(decodeLayerPackages(text.slice(0, length))).toBeUndefined();
  }
  expect(decodeLayerPackages(text.replace('"version":1', '"version":2'))).toBeUndefined();
});

test.each([
  [
    { type: 'dpkg', name: 'libstdc++6', version: '12.2.0-14+deb12u1', architecture: 'amd64' },
    'pkg:deb/debian/libstdc%2B%2B6@12.2.0-14%2Bdeb12u1?arch=amd64&distro=debian-12',
  ],
  [{ type: 'dpkg', name: 'a', version: '1:2~rc1' }, 'pkg:deb/debian/a@1:2~rc1?distro=debian-12'],
  [
    { type: 'apk', name: 'musl', version: '1.2.5-r9', architecture: 'x86_64' },
    'pkg:apk/debian/musl@1.2.5-r9?arch=x86_64&distro=debian-12',
  ],
  [{ type: 'npm', name: '@angular/animation', version: '12.3.1' }, 'pkg:npm/%40angular/animation@12.3.1'],
  [{ type: 'npm', name: 'JSONStream', version: "1.0.0-(a)'" }, 'pkg:npm/JSONStream@1.0.0-%28a%29%27'],
] as const)('the Package URL of %o', (found, purl) => {
  expect(packageUrl(found, { id: 'debian', versionId: '12' })).toBe(purl);
});

test('without a distribution its name is guessed from the kind, and no version is claimed', () => {
  expect(packageUrl({ type: 'apk', name: 'a', version: '1' })).toBe('pkg:apk/alpine/a@1');
  expect(packageUrl({ type: 'dpkg', name: 'a', version: '1' }, { id: 'wolfi' })).toBe('pkg:deb/wolfi/a@1');
});

import { generateKeyPairSync } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { digestOf } from '../../../src/core/digest.ts';
import { encodeLock } from '../../../src/formats/bundle/lock.ts';
import { keyHint } from '../../../src/formats/sigstore/public-key.ts';
import { prepareFrozen } from '../../../src/usecases/bundle/frozen.ts';
import { lockBundle, saveLock } from '../../../src/usecases/bundle/lock.ts';
import type { Selection } from '../../../src/usecases/bundle/lock-types.ts';
import { createContent, writeLayout } from '../../support/image-content.ts';
import { createProjectFixture, HEAD, type ProjectFixture } from '../../support/project-fixture.ts';
import { raised, raisedCodes } from '../../support/raised.ts';

let project: ProjectFixture;
beforeEach(async () => {
  project = await createProjectFixture();
});
afterEach(() => project.dispose());

const lock = (selection: Selection = {}) => lockBundle(project.folder, selection, project.dependencies);
const frozen = () => prepareFrozen(project.folder, project.dependencies);
const save = async (selection: Selection = {}) => {
  const prepared = await lock(selection);
  return saveLock(project.folder, prepared.lock, project.dependencies);
};

const FILES = {
  'bundle.yaml': `${HEAD}
features: { shop: { default: false } }
providers: { k3s: { values: [k3s.yaml] }, aws: { values: [aws.yaml] } }
images: { layouts: [../images], list: [registry.example/web:1.0, { reference: registry.example/shop:1.0, when: features.shop }] }
modules: [{ name: shop, path: modules/shop, requires: [core], when: features.shop }, { name: core, path: modules/core }]
configuration: { json: [site.json, { source: shop.json, when: features.shop }] }
files: [{ path: bin/tool, source: ../tool, mode: '0755' }, { path: shop.bin, source: shop.json, when: features.shop }]
`,
  'k3s.yaml': 'a: 1\n',
  'aws.yaml': 'a: 2\n',
  'site.json': '{}',
  'shop.json': '{"shop":true}',
  'modules/core/1_a.sql': 'SELECT 1;',
  'modules/core/2_b.contract.sql': 'SELECT 2;',
  'modules/shop/1_a.sql': 'SELECT 3;',
  '../tool': 'tool',
};

async function writeProject(webLayer = 'web'): Promise<void> {
  await project.write(FILES);
  const content = createContent();
  content.tag('registry.example/web:1.0', content.image({ layers: [content.blob(webLayer)] }));
  content.tag('registry.example/shop:1.0', content.image({ layers: [content.blob('shop')] }));
  await rm(join(project.root, 'images'), { recursive: true, force: true });
  await writeLayout(join(project.root, 'images'), content, (tag) => tag);
}

describe('a lock', () => {
  it('pins everything that is on, and has a file for each blob', async () => {
    await writeProject();
    const { lock: locked, blobs, images } = await lock({ provider: 'k3s' });
    expect(locked.features).toEqual({ shop: false });
    expect(locked.images).toMatchObject([
      { reference: 'registry.example/web:1.0', found: ['list'], platforms: ['linux/amd64'] },
    ]);
    expect(locked.modules.map(({ name, files }) => [name, files.map((file) => file.name)])).toEqual([
      ['core', ['1_a.sql', '2_b.contract.sql']],
    ]);
    expect(locked.configuration.map(({ path, provider }) => [path, provider])).toEqual([
      ['json/site.json', undefined],
      ['values/k3s/1.yaml', 'k3s'],
    ]);
    expect(locked.files).toEqual([
      { path: 'bin/tool', source: '../tool', mode: 0o755, digest: digestOf('tool'), sizeBytes: 4 },
    ]);
    const pinned = [...locked.files, ...locked.configuration, ...locked.modules.flatMap(({ files }) => files)];
    for (const { digest, sizeBytes } of pinned) expect(blobs.get(digest)?.sizeBytes).toBe(sizeBytes);
    for (const { digest } of images.flatMap((image) => image.blobs)) expect(blobs.has(digest)).toBe(true);
  });

  it('has no trace of what is off but the switch itself', async () => {
    await writeProject();
    const { lock: locked, blobs } = await lock();
    expect(encodeLock({ ...locked, features: {} })).not.toContain('shop');
    expect(blobs.has(digestOf('shop'))).toBe(false);
    const on = await lock({ features: { shop: true } });
    expect(on.lock.images).toHaveLength(2);
    expect(on.blobs.has(digestOf('shop'))).toBe(true);
  });

  it('is the same again, and from the file itself as from its folder', async () => {
    await writeProject();
    const first = encodeLock((await lock()).lock);
    expect(encodeLock((await lockBundle(project.path('bundle.yaml'), {}, project.dependencies)).lock)).toBe(first);
  });

  it('is written only when it changes, and tells what moved', async () => {
    await writeProject();
    expect((await save()).changes).toBeUndefined();
    expect((await save()).changes).toEqual([]);
    await project.write({ 'modules/core/3_c.sql': 'SELECT 4;', 'site.json': '[]' });
    await writeProject('web, rebuilt');
    await project.write({ 'site.json': '[]' });
    const changes = (await save({ features: { shop: true } })).changes ?? [];
    expect(changes.map(({ what, name }) => `${what} ${name}`)).toEqual([
      'feature shop',
      'image registry.example/shop:1.0',
      'image registry.example/web:1.0',
      'migration core/3_c.sql',
      'migration shop',
      'migration shop/1_a.sql',
      'configuration json/shop.json',
      'configuration json/site.json',
      'file shop.bin',
    ]);
  });

  const AGENT = 'images: { layouts: [../images], list: [registry.example/web:1.0, registry.example/shop:1.0] }';
  const MIGRATED = `${HEAD}features: { shop: { default: true } }
modules: [{ name: core, path: modules/core, when: features.shop }]
receipt: { recipients: [age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p] }
database: { namespace: cms, host: db, name: cms, user: postgres, password: { secret: auth, key: password }, image: registry.example/shop:1.0 }
`;

  it('says how migrations reach their database, only while there are migrations', async () => {
    await writeProject();
    await project.write({ 'bundle.yaml': `${MIGRATED}${AGENT}\n` });
    const locked = (await lock()).lock;
    expect(locked.database).toMatchObject({ host: 'db', image: 'registry.example/shop:1.0' });
    expect(locked.receipt?.recipients).toHaveLength(1);
    expect((await lock({ features: { shop: false } })).lock.database).toBeUndefined();
    await save();
    expect((await frozen()).lock).toEqual(locked);
    await project.write({ 'bundle.yaml': `${MIGRATED.replace('host: db', 'host: other')}${AGENT}\n` });
    expect(await raisedCodes(frozen)).toEqual(['UseCaseError LOCK_STALE']);
  });

  it('refuses an image that migrates and is not carried, or that cannot be told', async () => {
    await writeProject();
    await project.write({ 'bundle.yaml': `${MIGRATED.replace('shop:1.0', 'shp:1.0')}${AGENT}\n` });
    const unknown = await raised(() => lock());
    expect([unknown.code, unknown.at?.key]).toEqual(['DEFINITION_INVALID', 'database.image']);
    expect(unknown.hint).toContain('registry.example/shop:1.0');
    await project.write({ 'bundle.yaml': `${MIGRATED.replace(', image: registry.example/shop:1.0', '')}${AGENT}\n` });
    expect(await raisedCodes(() => lock())).toEqual(['FormatError DEFINITION_INVALID']);
  });

  it('names the publishers that may sign by the hints of their keys', async () => {
    const { publicKey } = generateKeyPairSync('ec', { namedCurve: 'prime256v1' });
    await project.write({
      'bundle.yaml': `${HEAD}signers: [cosign.pub]\n`,
      'cosign.pub': publicKey.export({ type: 'spki', format: 'pem' }) as string,
    });
    expect((await lock()).lock.signers).toEqual([keyHint(publicKey)]);
  });

  it.each<[string, Record<string, string | Uint8Array>, Selection, string]>([
    ['malformed YAML', { 'bundle.yaml': 'name: [' }, {}, 'FormatError DEFINITION_INVALID'],
    ['an unknown key', { 'bundle.yaml': `${HEAD}chart: []` }, {}, 'FormatError DEFINITION_INVALID'],
    ['text that is not UTF-8', { 'bundle.yaml': Uint8Array.of(0x61, 0xff) }, {}, 'FormatError DEFINITION_INVALID'],
    ['an unknown feature', { 'bundle.yaml': HEAD }, { features: { shop: true } }, 'UseCaseError SELECTION_UNKNOWN'],
    ['an unknown provider', { 'bundle.yaml': HEAD }, { provider: 'k3s' }, 'UseCaseError SELECTION_UNKNOWN'],
    [
      'a file that is not there',
      { 'bundle.yaml': `${HEAD}files: [{path: a, source: a}]` },
      {},
      'FormatError DEFINITION_INVALID',
    ],
    [
      'a folder for a file',
      { 'bundle.yaml': `${HEAD}files: [{path: a, source: .}]` },
      {},
      'FormatError DEFINITION_INVALID',
    ],
    [
      'JSON with a comma too many',
      { 'bundle.yaml': `${HEAD}configuration: {json: [a.json]}`, 'a.json': '{"a":1,}' },
      {},
      'FormatError CONFIGURATION_NOT_JSON',
    ],
    [
      'a stranger in a module',
      { 'bundle.yaml': `${HEAD}modules: [{name: a, path: m}]`, 'm/README.md': '' },
      {},
      'FormatError MODULE_INVALID',
    ],
    [
      'a folder in a module',
      { 'bundle.yaml': `${HEAD}modules: [{name: a, path: m}]`, 'm/x/1_a.sql': '' },
      {},
      'FormatError MODULE_INVALID',
    ],
    [
      'one number twice',
      { 'bundle.yaml': `${HEAD}modules: [{name: a, path: m}]`, 'm/1_a.sql': '', 'm/01_b.sql': '' },
      {},
      'FormatError DUPLICATE',
    ],
    [
      'an image without a tag',
      { 'bundle.yaml': `${HEAD}images: {list: [registry.example/web]}` },
      {},
      'FormatError IMAGE_FLOATING',
    ],
    [
      'an image with latest',
      { 'bundle.yaml': `${HEAD}images: {list: ['registry.example/web:latest']}` },
      {},
      'FormatError IMAGE_FLOATING',
    ],
    ['no image reference', { 'bundle.yaml': `${HEAD}images: {list: ['a b']}` }, {}, 'FormatError REFERENCE_INVALID'],
    [
      'an image that no source has',
      { 'bundle.yaml': `${HEAD}images: {list: ['registry.example/no:1']}` },
      {},
      'AdapterError IMAGE_NOT_FOUND',
    ],
    [
      'a signer that is no key',
      { 'bundle.yaml': `${HEAD}signers: [a.pub]`, 'a.pub': 'hello' },
      {},
      'FormatError PUBLIC_KEY_INVALID',
    ],
    [
      'parts of an archive',
      {
        'bundle.yaml': `${HEAD}features: {x: {}}\ncharts: [{name: a, path: a.tgz, parts: [{path: b, when: features.x}]}]`,
        'a.tgz': '',
      },
      {},
      'FormatError DEFINITION_INVALID',
    ],
    [
      'an archive that is none',
      { 'bundle.yaml': `${HEAD}charts: [{name: a, path: a.tgz}]`, 'a.tgz': 'hello' },
      {},
      'FormatError CHART_INVALID',
    ],
  ])('is not made of %s, and nothing is written', async (_, files, selection, code) => {
    await project.write(files);
    const before = await project.snapshot();
    expect(await raisedCodes(() => lock(selection))).toEqual([code]);
    expect(await project.snapshot()).toEqual(before);
  });

  it('leads to bundle.yaml from a fault of an image in the list', async () => {
    await project.write({
      'bundle.yaml': `${HEAD}images:\n  list:\n    - registry.example/a:1\n    - registry.example/b\n`,
    });
    expect((await raised(() => lock())).at).toEqual({
      file: project.path('bundle.yaml'),
      line: 7,
      column: 7,
      key: 'images.list[1]',
    });
  });

  it('names each of several images that cannot be had', async () => {
    await project.write({ 'bundle.yaml': `${HEAD}images: {list: ['registry.example/a:1', 'registry.example/b:1']}` });
    expect(await raisedCodes(() => lock())).toEqual([
      'UseCaseError IMAGES_MISSING',
      'AdapterError IMAGE_NOT_FOUND',
      'AdapterError IMAGE_NOT_FOUND',
    ]);
  });

  it('takes floating images when they are allowed, and pins them', async () => {
    await writeProject();
    const content = createContent();
    content.tag('registry.example/web:latest', content.image());
    await writeLayout(join(project.root, 'latest'), content, (tag) => tag);
    await project.write({
      'bundle.yaml': `${HEAD}images: { allowFloating: true, layouts: [../latest], list: [registry.example/web] }`,
    });
    expect((await lock()).lock.images[0]?.digest).toBe(content.tags.get('registry.example/web:latest')?.digest);
  });
});

describe('a frozen build', () => {
  it('is prepared from the lock as it was locked, tags not asked for', async () => {
    await writeProject();
    const selection = { features: { shop: true }, provider: 'aws', valuesFiles: [project.path('k3s.yaml')] };
    const locked = await lock(selection);
    await save(selection);
    const again = await frozen();
    expect(again.lock).toEqual(locked.lock);
    expect(again.lock.valuesFiles).toEqual(['k3s.yaml']);
    expect(new Set(again.blobs.keys())).toEqual(new Set(locked.blobs.keys()));
  });

  it('needs a lock', async () => {
    await writeProject();
    expect(await raisedCodes(frozen)).toEqual(['UseCaseError LOCK_MISSING']);
    await project.write({ 'bundle.lock.json': '{}' });
    expect(await raisedCodes(frozen)).toEqual(['FormatError LOCK_INVALID']);
  });

  it.each<[string, Record<string, string>, string]>([
    ['a migration', { 'modules/core/1_a.sql': 'SELECT 9;' }, 'modules/core/1_a.sql'],
    ['a new migration', { 'modules/core/3_c.sql': 'SELECT 9;' }, 'modules/core/3_c.sql'],
    ['a JSON document', { 'site.json': '[]' }, 'site.json'],
    ['values of a provider', { 'aws.yaml': 'a: 3\n' }, 'aws.yaml'],
    ['a file', { '../tool': 'another' }, '../tool'],
  ])('is refused when %s has changed, and names it', async (_, files, name) => {
    await writeProject();
    await save();
    await project.write(files);
    const error = await raised(frozen);
    expect([error.name, error.code, error.at?.file]).toEqual([
      'UseCaseError',
      'LOCK_STALE',
      join(project.folder, name),
    ]);
  });

  it.each<[string, string, string]>([
    ['another sequence', 'sequence: 1', 'sequence: 2'],
    ['another image in the list', 'registry.example/web:1.0,', 'registry.example/web:1.0, registry.example/shop:1.0,'],
    ['no feature any more', 'features: { shop: { default: false } }', 'features: { shop: {}, more: {} }'],
    ['another mode', "mode: '0755'", "mode: '0644'"],
    ['another order', 'modules: [', 'modules: [{ name: first, path: modules/shop }, '],
  ])('is refused when bundle.yaml has %s', async (_, from, to) => {
    await writeProject();
    await save();
    await project.write({ 'bundle.yaml': FILES['bundle.yaml'].replace(from, to) });
    const codes = await raisedCodes(frozen);
    expect(codes[0]).toBe('UseCaseError LOCK_STALE');
  });

  it('uses the image of the lock although its tag has moved', async () => {
    await writeProject();
    const locked = await lock();
    await save();
    const content = createContent();
    content.tag('registry.example/old:1', content.image({ layers: [content.blob('web')] }));
    content.tag('registry.example/web:1.0', content.image({ layers: [content.blob('web, rebuilt')] }));
    await writeLayout(join(project.root, 'images'), content, (tag) => tag);
    expect((await frozen()).images[0]?.root.digest).toBe(locked.lock.images[0]?.digest);
  });
});

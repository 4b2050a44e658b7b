import { generateHybridIdentity, generateX25519Identity, identityToRecipient } from 'age-encryption';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { decodeDefinition } from '../../../../src/formats/bundle/definition.ts';
import { DEFINITION_LIMIT_BYTES } from '../../../../src/formats/bundle/definition-yaml.ts';
import { FormatError } from '../../../../src/formats/errors.ts';
import { raised, raisedCodes } from '../../../support/raised.ts';

const MINIMAL = 'name: demo\nversion: 1.0.0\nsequence: 1\n';
const decode = (text: string) => decodeDefinition(text, 'bundle.yaml');

/** Made for this test; nobody has their identities. */
const CLASSIC = 'age1ql3z7hjy54pw3hyww5ayyfg7zqgvc7w3j2elw8zmrj2kg5sfn9aqmcac8p';

const FULL = `${MINIMAL}
audience: [plant-7]
platforms: [linux/amd64, linux/arm64]
pieceSize: 64MiB
signers: [cosign.pub]
provider: k3s
providers: { k3s: { values: [k3s.yaml] }, aws: { values: [] } }
kubernetes: { version: '1.33', apiVersions: [monitoring.coreos.com/v1] }
features: { shop: { default: true, on: { enableShop: true }, off: { enableShop: false } } }
charts:
  - { name: db, path: ../charts/db, stage: data, values: { size: 3 } }
  - name: web
    path: web.tgz
    release: site
    namespace: cms
    values: [web.yaml, { replicas: 2 }]
    imageValues: [{ path: 'image.a\\.b', image: 'nginx:1', part: repository, when: features.shop }, { path: i, image: 'x.example/a:1' }]
    when: '!features.shop'
images:
  list: [registry.example/a:1, { reference: registry.example/b:1, when: features.shop }]
  layouts: [../images]
  paths: [{ kind: Cluster, path: 'spec.pods[].image' }]
registries: { 'registry.example:5000': { plainHttp: true, caFile: ca.pem } }
modules: [{ name: core, path: m }, { name: shop, path: s, requires: [core] }]
database: { namespace: cms, host: db, name: cms, user: postgres, password: { secret: db-auth, key: password } }
configuration: { json: [a/site.json, { source: b.json, path: c/d.json }] }
files: [{ path: bin/k3s, source: ../k3s, mode: '0755' }]
receipt: { recipients: [${CLASSIC}] }
`;

const DATABASE = '{namespace: cms, host: db, name: cms, user: u, password: {secret: auth, key: k}}';
const MODULE = `${MINIMAL}modules: [{name: core, path: m}]\n`;

describe('bundle.yaml', () => {
  it('takes a definition with every key', () => {
    const { definition } = decode(FULL);
    expect(definition.pieceSizeBytes).toBe(64 * 1024 * 1024);
    expect(definition.charts.map(({ release, namespace, stage }) => [release, namespace, stage])).toEqual([
      ['db', 'default', 'data'],
      ['site', 'cms', 'app'],
    ]);
    expect(definition.charts[1]?.values).toEqual([
      { file: 'web.yaml', key: ['charts', 1, 'values', 0] },
      { inline: { replicas: 2 } },
    ]);
    expect(definition.charts[1]?.when).toEqual({ feature: 'shop', wanted: false });
    expect(definition.files[0]?.mode).toBe(0o755);
    expect(definition.configuration.map(({ path }) => path)).toEqual(['json/site.json', 'json/c/d.json']);
    expect(definition.registries.get('registry.example:5000')).toEqual({ plainHttp: true, caFile: 'ca.pem' });
    expect(definition.charts[1]?.imageValues).toMatchObject([
      { path: 'image.a\\.b', image: 'docker.io/library/nginx:1', part: 'repository', when: { feature: 'shop' } },
      { path: 'i', image: 'x.example/a:1', part: 'reference' },
    ]);
    expect(definition.database).toMatchObject({ port: 5432, sslMode: 'prefer', password: { secret: 'db-auth' } });
    expect(definition.receipt.recipients).toEqual([CLASSIC]);
  });

  it('fills in what is left out', () => {
    const { definition } = decode(MINIMAL);
    expect(definition).toMatchObject({
      audience: [],
      platforms: ['linux/amd64'],
      pieceSizeBytes: 32 * 1024 * 1024,
      images: { list: [], allowFloating: false },
    });
  });

  it('names line, column and key of an unknown key and suggests the nearest', async () => {
    const error = await raised(() => decode(`${MINIMAL}charts:\n  - name: web\n    path: web\n    namespce: x\n`));
    expect([error.name, error.code]).toEqual(['FormatError', 'DEFINITION_INVALID']);
    expect(error.at).toEqual({ file: 'bundle.yaml', line: 7, column: 5, key: 'charts[0].namespce' });
    expect(error.hint).toContain('namespace');
  });

  it('suggests keys inside maps with free names', async () => {
    const error = await raised(() => decode(`${MINIMAL}features:\n  shop: { defualt: true }\n`));
    expect(error.at).toMatchObject({ line: 5, key: 'features.shop.defualt' });
    expect(error.hint).toContain('default');
  });

  it('reports all problems at once, each with its place', async () => {
    const error = await raised(() => decode('name: Demo\nversion: one\nsequence: 0\nimages:\n  lst: []\n'));
    const places = [error, ...error.others].map(({ at }) => `${at?.line}:${at?.column} ${at?.key}`);
    expect(places.sort()).toEqual(['1:7 name', '2:10 version', '3:11 sequence', '5:3 images.lst']);
  });

  it('points at the parent of a key that is missing', async () => {
    const error = await raised(() => decode(`${MINIMAL}charts:\n  - name: web\n`));
    expect(error.at).toEqual({ file: 'bundle.yaml', line: 5, column: 5, key: 'charts[0].path' });
  });

  it('looks into the form of a union that was meant', async () => {
    const error = await raised(() => decode(`${MINIMAL}images:\n  list:\n    - { reference: a:1, wen: features.x }\n`));
    expect(error.at?.key).toBe('images.list[0].wen');
    expect(error.hint).toContain('when');
  });

  it.each([
    ['two documents', `${MINIMAL}---\nname: x\n`],
    ['a key twice', `${MINIMAL}name: other\n`],
    ['a key that is a map', `${MINIMAL}? {a: 1}\n: 2\n`],
    ['a key __proto__', `${MINIMAL}features: {shop: {on: {__proto__: {a: 1}}}}\n`],
    ['a tab as indentation', `${MINIMAL}charts:\n\t- name: web\n`],
    ['a tag', `${MINIMAL}audience: !!binary aGk=\n`],
    ['an unclosed bracket', `${MINIMAL}audience: [a\n`],
    ['nothing', ''],
    ['a list', '- a\n'],
    ['a word that helm reads as a boolean', `${MINIMAL}features: {shop: {on: {enable: yes}}}\n`],
    ['a number that helm reads as octal', `${MINIMAL}features: {shop: {on: {mode: 0755}}}\n`],
    ['a number that JSON cannot hold', `${MINIMAL}features: {shop: {on: {id: 12345678901234567890}}}\n`],
    ['an infinity', `${MINIMAL}features: {shop: {on: {id: .inf}}}\n`],
    ['a version as a number', 'name: a\nversion: 1.0\nsequence: 1\n'],
    ['build metadata in the version', 'name: a\nversion: 1.0.0+x\nsequence: 1\n'],
    ['a piece size that is no power of two', `${MINIMAL}pieceSize: 48MiB\n`],
    ['a piece size below the least', `${MINIMAL}pieceSize: 512\n`],
    ['an absolute source', `${MINIMAL}charts: [{name: a, path: /etc}]\n`],
    ['a path that leaves the bundle', `${MINIMAL}files: [{path: ../a, source: a}]\n`],
    ['a path with a backslash', `${MINIMAL}files: [{path: 'a\\b', source: a}]\n`],
    ['a mode without quotes', `${MINIMAL}files: [{path: a, source: a, mode: 755}]\n`],
    ['a feature that is not defined', `${MINIMAL}modules: [{name: a, path: a, when: features.shop}]\n`],
    ['a provider that is not defined', `${MINIMAL}provider: k3s\n`],
    ['a module that is not defined', `${MINIMAL}modules: [{name: a, path: a, requires: [b]}]\n`],
    ['a platform twice', `${MINIMAL}platforms: [linux/amd64, linux/amd64]\n`],
    ['a database without modules', `${MINIMAL}database: ${DATABASE}\n`],
    ['a port that is none', `${MODULE}database: ${DATABASE.replace('}', ', port: 70000}')}\n`],
    ['a Secret with capitals', `${MODULE}database: ${DATABASE.replace('auth', 'Auth')}\n`],
    ['a mode of TLS that is not known', `${MODULE}database: ${DATABASE.replace('}', ', sslMode: allow}')}\n`],
    ['an image of the database that is none', `${MODULE}database: ${DATABASE.replace('}', ', image: "A B"}')}\n`],
    [
      'an image value that is no reference',
      `${MINIMAL}charts: [{name: a, path: a, imageValues: [{path: i, image: 'a b'}]}]\n`,
    ],
    ['a path with an empty key', `${MINIMAL}charts: [{name: a, path: a, imageValues: [{path: i..j, image: 'a:1'}]}]\n`],
    [
      'a part that is not known',
      `${MINIMAL}charts: [{name: a, path: a, imageValues: [{path: i, image: 'a:1', part: name}]}]\n`,
    ],
    ['an empty list of recipients', `${MINIMAL}receipt: {recipients: []}\n`],
    ['a recipient that is cut', `${MINIMAL}receipt: {recipients: [${CLASSIC.slice(0, -1)}]}\n`],
    ['a recipient twice', `${MINIMAL}receipt: {recipients: [${CLASSIC}, ${CLASSIC}]}\n`],
    ['a kind that is no path', `${MINIMAL}images: {paths: [{kind: A, path: 'spec..image'}]}\n`],
  ])('refuses %s', async (_, text) => {
    expect(new Set(await raisedCodes(() => decode(text)))).toEqual(new Set(['FormatError DEFINITION_INVALID']));
  });

  it('refuses recipients of both kinds, and never repeats a secret key', async () => {
    const hybrid = await generateHybridIdentity().then(identityToRecipient);
    const mixed = await raised(() => decode(`${MINIMAL}receipt:\n  recipients:\n    - ${CLASSIC}\n    - ${hybrid}\n`));
    expect([mixed.code, mixed.at?.line, mixed.at?.key]).toEqual(['DEFINITION_INVALID', 7, 'receipt.recipients[1]']);
    const identity = await generateX25519Identity();
    const secret = await raised(() => decode(`${MINIMAL}receipt: { recipients: [${identity}] }\n`));
    expect(secret.at?.key).toBe('receipt.recipients[0]');
    expect(JSON.stringify({ ...secret, message: secret.message })).not.toContain(identity.slice(-20));
  });

  it('suggests a feature and a module by their names', async () => {
    const text = `${MINIMAL}features: {shop: {}}\nmodules:\n  - {name: core, path: a, when: features.shpo}\n  - {name: b, path: b, requires: [cor]}\n`;
    const error = await raised(() => decode(text));
    expect([error, ...error.others].map(({ hint }) => hint)).toEqual([
      expect.stringContaining('shop'),
      expect.stringContaining('core'),
    ]);
  });

  it('refuses an alias bomb and a file above the limit', async () => {
    const layers = Array.from(
      { length: 9 },
      (_, i) => `l${i}: &l${i} [${Array(9).fill(i === 0 ? 'x' : `*l${i - 1}`)}]`,
    );
    const bomb = `${MINIMAL}features: {shop: {on: {\n${layers.join(',\n')}}}}\n`;
    const large = `${MINIMAL}# ${'x'.repeat(DEFINITION_LIMIT_BYTES)}`;
    for (const text of [bomb, large]) expect((await raised(() => decode(text))).code).toBe('DEFINITION_INVALID');
  });

  it('stays quick on hostile shapes', async () => {
    const shapes = [
      `${MINIMAL}a: ${'['.repeat(50_000)}`,
      `${MINIMAL}${Array.from({ length: 60_000 }, (_, i) => `k${i}: 1`).join('\n')}`,
      '- '.repeat(50_000),
    ];
    for (const text of shapes) expect((await raised(() => decode(text))).code).toBe('DEFINITION_INVALID');
  });

  it('raises nothing but its own error, whatever the text', () => {
    const mutations = fc
      .tuple(fc.nat(FULL.length), fc.nat(40), fc.string({ maxLength: 8 }))
      .map(([at, cut, put]) => FULL.slice(0, at) + put + FULL.slice(at + cut));
    fc.assert(
      fc.property(fc.oneof(fc.string(), mutations), (text) => {
        try {
          decode(text);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
          expect((error as FormatError).at?.file).toBe('bundle.yaml');
        }
      }),
      { numRuns: 300 },
    );
  });

  it('is right or refused at every length', () => {
    for (let length = 0; length < FULL.length; length++) {
      try {
        decode(FULL.slice(0, length));
      } catch (error) {
        expect(error).toBeInstanceOf(FormatError);
      }
    }
  });
});

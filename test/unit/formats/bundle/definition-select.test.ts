import { describe, expect, it } from 'vitest';
import { decodeDefinition } from '../../../../src/formats/bundle/definition.ts';
import { selectFrom } from '../../../../src/formats/bundle/definition-select.ts';
import { raised, raisedCodes } from '../../../support/raised.ts';

const select = (rest: string, features: Record<string, boolean> = {}, provider?: string) => {
  const placed = decodeDefinition(`name: demo\nversion: 1.0.0\nsequence: 1\n${rest}`, 'bundle.yaml');
  return selectFrom(placed, { features, platforms: ['linux/amd64'], ...(provider === undefined ? {} : { provider }) });
};

const SHOP = `
features: { shop: { on: { shop: { open: true } }, off: { plain: 1 } } }
charts: [{ name: web, path: web, parts: [{ path: templates/shop.yaml, when: features.shop }] }, { name: shop, path: shop, when: features.shop }]
images: { list: [{ reference: registry.example/shop:1, when: features.shop }, registry.example/web:1] }
modules: [{ name: shop, path: s, requires: [core], when: features.shop }, { name: core, path: c }]
configuration: { json: [{ source: shop.json, when: features.shop }] }
files: [{ path: shop.bin, source: shop.bin, when: features.shop }, { path: plain.bin, source: p, when: '!features.shop' }]
`;

describe('the selection of a definition', () => {
  it('carries nothing of a feature that is off, not even its name', () => {
    const { features, charts, ...rest } = select(SHOP, { shop: false });
    expect(features).toEqual({ shop: false });
    expect(charts.map(({ name, leftOut }) => [name, leftOut])).toEqual([['web', ['templates/shop.yaml']]]);
    expect(JSON.stringify({ ...rest, files: rest.files.map(({ path }) => path) })).not.toContain('shop');
    expect(rest.files.map(({ path }) => path)).toEqual(['plain.bin']);
    expect(rest.featureValues).toEqual([{ plain: 1 }]);
  });

  it('carries everything of a feature that is on, modules after what they require', () => {
    const selected = select(SHOP, { shop: true });
    expect(selected.charts.map(({ name, leftOut }) => [name, leftOut])).toEqual([
      ['web', []],
      ['shop', []],
    ]);
    expect(selected.modules.map(({ name }) => name)).toEqual(['core', 'shop']);
    expect(selected.images).toHaveLength(2);
    expect(selected.featureValues).toEqual([{ shop: { open: true } }]);
    expect(selected.files.map(({ path }) => path)).toEqual(['shop.bin']);
  });

  it("takes the chosen provider's values, or those of all while none is chosen", () => {
    const text = 'providers: { a: { values: [a.yaml] }, b: { values: [b.yaml, c.yaml] } }\n';
    expect(select(text, {}, 'b').providerValues.map(({ file }) => file)).toEqual(['b.yaml', 'c.yaml']);
    expect(select(text).providerValues.map(({ provider }) => provider)).toEqual(['a', 'b', 'b']);
  });

  it.each([
    ['two charts of one name', 'charts: [{name: a, path: a}, {name: a, path: b, release: c}]', ['DUPLICATE']],
    ['two releases of one name', 'charts: [{name: a, path: a}, {name: b, path: b, release: a}]', ['DUPLICATE']],
    ['two modules of one name', 'modules: [{name: a, path: a}, {name: a, path: b}]', ['DUPLICATE']],
    ['paths that differ in case', 'files: [{path: Bin/a, source: a}, {path: bin/A, source: b}]', ['DUPLICATE']],
    ['a file where a folder is', 'files: [{path: bin, source: a}, {path: bin/a, source: b}]', ['DUPLICATE']],
    ['two documents of one name', 'configuration: {json: [a/x.json, b/x.json]}', ['DUPLICATE']],
    [
      'modules in a circle',
      'modules: [{name: a, path: a, requires: [b]}, {name: b, path: b, requires: [a]}]',
      ['DEPENDENCY_CYCLE'],
    ],
  ])('refuses %s', async (_, text, codes) => {
    expect(await raisedCodes(() => select(text))).toEqual(codes.map((code) => `FormatError ${code}`));
  });

  it('lets one release have two charts of which one is on', () => {
    const text = `features: {big: {}}\ncharts: [{name: a, path: a, when: features.big}, {name: a, path: b, when: '!features.big'}]`;
    expect(select(text, { big: true }).charts.map(({ path }) => path)).toEqual(['a']);
    expect(select(text, { big: false }).charts.map(({ path }) => path)).toEqual(['b']);
  });

  it('refuses a module that requires one that is off, and points at it', async () => {
    const text =
      'features: {x: {}}\nmodules:\n  - {name: a, path: a, requires: [b]}\n  - {name: b, path: b, when: features.x}';
    const error = await raised(() => select(text, { x: false }));
    expect([error.code, error.at?.line, error.at?.key]).toEqual(['DEPENDENCY_MISSING', 6, 'modules[0].requires']);
  });

  it('spells the loop out', async () => {
    const text =
      'modules: [{name: a, path: a, requires: [b]}, {name: b, path: b, requires: [c]}, {name: c, path: c, requires: [b]}]';
    expect((await raised(() => select(text))).message).toContain('b → c → b');
  });
});

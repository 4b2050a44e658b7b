import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../../../src/core/canonical-json.ts';
import { isValuesMap, mergeAllValues, mergeValues, type ValuesMap } from '../../../../src/formats/helm/values.ts';

const json = fc.letrec((tie) => ({
  map: fc.dictionary(fc.constantFrom('a', 'b', 'c', '__proto__', 'constructor'), tie('value'), { maxKeys: 4 }),
  value: fc.oneof({ depthSize: 'small' }, fc.constant(null), fc.boolean(), fc.nat(9), fc.array(fc.nat(9)), tie('map')),
}));
const values = json.map as fc.Arbitrary<ValuesMap>;
const same = (a: unknown, b: unknown) => expect(canonicalJson(a)).toBe(canonicalJson(b));

describe('merged values', () => {
  it('merge maps and replace lists', () => {
    same(mergeValues({ a: { x: 1, y: [1, 2] }, b: 1 }, { a: { y: [3] } }), { a: { x: 1, y: [3] }, b: 1 });
  });

  it("keep a null, which makes helm delete the chart's default", () => {
    same(mergeValues({ a: { x: 1 } }, { a: null }), { a: null });
    same(mergeValues({ a: null }, { a: { x: 1 } }), { a: { x: 1 } });
  });

  it('are as if nothing had been merged when a side is empty', () => {
    fc.assert(
      fc.property(values, (map) => {
        same(mergeValues(map, {}), map);
        same(mergeValues({}, map), map);
        same(mergeValues(map, map), map);
      }),
    );
  });

  it('hold every value of the upper side where no map of it lies below', () => {
    const leaves = (map: ValuesMap, path: string[] = []): [string[], unknown][] =>
      Object.entries(map).flatMap(([key, value]) =>
        isValuesMap(value) && Object.keys(value).length > 0 ? leaves(value, [...path, key]) : [[[...path, key], value]],
      );
    const at = (map: unknown, path: string[]) =>
      path.reduce<unknown>(
        (inner, key) => (isValuesMap(inner) && Object.hasOwn(inner, key) ? inner[key] : undefined),
        map,
      );
    fc.assert(
      fc.property(values, values, (lower, upper) => {
        const merged = mergeValues(lower, upper);
        for (const [path, value] of leaves(upper)) if (!isValuesMap(value)) same(at(merged, path), value);
        expect(Object.keys(merged).sort()).toEqual([...new Set([...Object.keys(lower), ...Object.keys(upper)])].sort());
      }),
    );
  });

  it('leave their inputs and the prototype of objects alone', () => {
    fc.assert(
      fc.property(fc.array(values, { maxLength: 4 }), (layers) => {
        const before = canonicalJson(layers);
        mergeAllValues(layers);
        expect(canonicalJson(layers)).toBe(before);
        expect(Object.keys(Object.prototype)).toEqual([]);
      }),
    );
  });
});

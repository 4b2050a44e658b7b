import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { canonicalJson } from '../../../../src/core/canonical-json.ts';
import { FormatError } from '../../../../src/formats/errors.ts';
import { decodeValues } from '../../../../src/formats/helm/yaml.ts';
import { raised, raisedCodes } from '../../../support/raised.ts';

const read = (text: string) => JSON.parse(canonicalJson(decodeValues(text, 'values.yaml'))) as unknown;

describe('a values file', () => {
  it('is read as helm reads it: the scalars of YAML 1.1', () => {
    expect(
      read(
        'a: yes\nb: Off\nc: n\nd: "yes"\ne: 0755\nf: 0b11\ng: 1_000\nh: 0x1F\ni: 1.5\nj: 2020-01-02\nk: 08\nl: ~\nm:',
      ),
    ).toEqual({
      a: true,
      b: false,
      c: false,
      d: 'yes',
      e: 493,
      f: 3,
      g: 1000,
      h: 31,
      i: 1.5,
      j: '2020-01-02',
      k: 8,
      l: null,
      m: null,
    });
  });

  it('follows anchors and merge keys, and merges its documents', () => {
    expect(read('base: &b {a: 1, c: 2}\nuse: {<<: *b, c: 3}\n')).toEqual({ base: { a: 1, c: 2 }, use: { a: 1, c: 3 } });
    expect(read('a: {x: 1}\n---\na: {z: 2}\n')).toEqual({ a: { x: 1, z: 2 } });
    expect(read('')).toEqual({});
    expect(read('# nothing\n')).toEqual({});
  });

  it('lets the last of two equal keys win, as helm does', () => {
    expect(read('a: 1\na: 2\n')).toEqual({ a: 2 });
  });

  it.each([
    ['a list', '- a\n'],
    ['a word', 'hello'],
    ['broken YAML', 'a: [1\n'],
    ['a number without a JSON form', 'a: {b: [.inf]}\n'],
    ['an integer that would lose digits', 'a: 9007199254740993\n'],
  ])('is refused when it is %s', async (_, text) => {
    expect(await raisedCodes(() => read(text))).toEqual(['FormatError VALUES_INVALID']);
  });

  it('names the line of what is wrong', async () => {
    expect((await raised(() => read('a: 1\nb: [1\nc: 2\n'))).at).toMatchObject({ file: 'values.yaml', line: 3 });
    expect((await raised(() => read('a: {b: [1, .nan]}\n'))).at?.key).toBe('a.b[1]');
  });

  it('reads back what JSON says', () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string(), fc.jsonValue()), (value) => {
        fc.pre(!/\d{16}|e\+|__proto__/.test(canonicalJson(value)));
        expect(read(JSON.stringify(value))).toEqual(JSON.parse(canonicalJson(value)));
      }),
    );
  });

  it('raises nothing but its own error, whatever the text', () => {
    fc.assert(
      fc.property(fc.string({ unit: fc.constantFrom(...'a:-[]{}&*!|>\'"%@`#,?~ \n\t01.') }), (text) => {
        try {
          read(text);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
      { numRuns: 500 },
    );
  });
});

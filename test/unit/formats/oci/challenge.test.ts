import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseChallenges } from '../../../../src/formats/oci/challenge.ts';

const parsed = (header: string | string[] | undefined) =>
  parseChallenges(header).map(({ scheme, parameters }) => [scheme, Object.fromEntries(parameters)]);

describe('WWW-Authenticate', () => {
  it('reads what registries send', () => {
    const header =
      'Bearer realm="https://auth.example/token",service="registry.example",scope="repository:a/b:pull,push"';
    const parameters = {
      realm: 'https://auth.example/token',
      service: 'registry.example',
      scope: 'repository:a/b:pull,push',
    };
    expect(parsed(header)).toEqual([['bearer', parameters]]);
    expect(parsed('BASIC Realm=registry')).toEqual([['basic', { realm: 'registry' }]]);
    expect(parsed('Basic')).toEqual([['basic', {}]]);
    expect(parsed(undefined)).toEqual([]);
  });

  it('reads several challenges in one header, and in several', () => {
    const both = [
      ['basic', { realm: 'a, b' }],
      ['bearer', { realm: 'c', scope: 'd' }],
    ];
    expect(parsed('Basic realm="a, b", Bearer realm="c" , scope = d')).toEqual(both);
    expect(parsed(['Basic realm="a, b"', 'Bearer realm="c",scope="d"'])).toEqual(both);
    expect(parsed('Negotiate, Basic realm="x"')).toEqual([
      ['negotiate', {}],
      ['basic', { realm: 'x' }],
    ]);
  });

  it('undoes escapes, and takes the first of two realms', () => {
    expect(parsed('Basic realm="a\\"b\\\\c"')).toEqual([['basic', { realm: 'a"b\\c' }]]);
    expect(parsed('Bearer realm="first",realm="second"')).toEqual([['bearer', { realm: 'first' }]]);
  });

  it('ends where it cannot go on, and gives up on endless headers', () => {
    expect(parsed('Bearer realm="open')).toEqual([['bearer', {}]]);
    expect(parsed('=')).toEqual([]);
    expect(parsed(`Bearer realm="${'x'.repeat(10_000)}"`)).toEqual([]);
  });

  it('reads what was written (property)', () => {
    const token = fc.stringMatching(/^[a-z][a-z0-9-]{0,10}$/);
    const value = fc.string({ unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)) });
    const quote = (text: string) => `"${text.replace(/[\\"]/g, (character) => `\\${character}`)}"`;
    fc.assert(
      fc.property(token, fc.dictionary(token, value, { minKeys: 1, noNullPrototype: true }), (scheme, parameters) => {
        const header = `${scheme} ${Object.entries(parameters)
          .map(([name, text]) => `${name}=${quote(text)}`)
          .join(',')}`;
        expect(parsed(header)).toEqual([[scheme, parameters]]);
      }),
    );
  });

  it('ends with any text (property)', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => Array.isArray(parseChallenges(text))));
  });
});

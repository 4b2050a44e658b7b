import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { clashingPaths, foldBundlePath, isBundlePath } from '../../../../src/formats/bundle/bundle-path.ts';

describe('a path inside a bundle', () => {
  it.each(['a', 'a/b.txt', 'bin/k3s-v1.33.0+k3s1', '.hidden', 'ünïcode/ß', 'a b'])('may be %s', (path) => {
    expect(isBundlePath(path)).toBe(true);
  });

  it.each([
    '',
    '/a',
    'a/',
    'a//b',
    '.',
    '..',
    'a/../b',
    'a/./b',
    'a\\b',
    'C:/a',
    'a\u0000',
    'a\nb',
    'a.',
    'a ',
    'con',
    'x/NUL.txt',
    'a?',
    'a*',
    '"',
    'x'.repeat(241),
    '\ud800',
  ])('may not be %j', (path) => {
    expect(isBundlePath(path)).toBe(false);
  });

  it('clashes exactly with paths that are the same without regard to case, or lie below', () => {
    const part = fc.constantFrom('a', 'A', 'b', 'B', 'c');
    const path = fc.array(part, { minLength: 1, maxLength: 3 }).map((parts) => parts.join('/'));
    fc.assert(
      fc.property(fc.array(path, { maxLength: 8 }), (paths) => {
        const clash = (a: string, b: string) => {
          const [x, y] = [foldBundlePath(a), foldBundlePath(b)];
          return x === y || x.startsWith(`${y}/`) || y.startsWith(`${x}/`);
        };
        const expected = paths.flatMap((path, index) =>
          paths.slice(0, index).some((one) => clash(one, path)) ? [index] : [],
        );
        expect(clashingPaths(paths).map(([later]) => later)).toEqual(expected);
      }),
    );
  });
});

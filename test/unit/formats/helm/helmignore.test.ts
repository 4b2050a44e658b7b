import { describe, expect, it } from 'vitest';
import { decodeHelmignore } from '../../../../src/formats/helm/helmignore.ts';
import { raisedCodes } from '../../../support/raised.ts';

describe('.helmignore', () => {
  it.each<[string, string, boolean, boolean]>([
    // rules, path, is a folder, ignored
    ['*.bak', 'a/b.bak', false, true],
    ['*.bak', 'a.bak/b', false, false],
    ['docs/', 'docs', true, true],
    ['docs/', 'docs', false, false],
    ['docs/', 'a/docs', true, true],
    ['/docs', 'docs', true, true],
    ['/docs', 'a/docs', true, false],
    ['a/*.txt', 'a/x.txt', false, true],
    ['a/*.txt', 'b/a/x.txt', false, false],
    ['a/*', 'a/b/c', false, false],
    ['x?z', 'xyz', false, true],
    ['x?z', 'x/z', false, false],
    ['[a-c].txt', 'b.txt', false, true],
    ['[^a-c].txt', 'b.txt', false, false],
    ['[^a-c].txt', 'd.txt', false, true],
    ['\\*.txt', '*.txt', false, true],
    ['\\*.txt', 'a.txt', false, false],
    ['# *.txt\n\n  b.txt  ', 'b.txt', false, true],
    ['# *.txt', 'a.txt', false, false],
    ['\uFEFF*.txt', 'a.txt', false, true],
    ['a.b', 'axb', false, false],
    ['', 'templates/.hidden', false, true],
    ['', 'templates/.', false, false],
    ['', '.hidden', false, false],
    // A negative rule ignores all that it does not match: helm's way, not git's.
    ['!keep.txt', 'other.txt', false, true],
    ['!keep.txt', 'keep.txt', false, false],
    ['!keep.txt\nkeep.txt', 'keep.txt', false, true],
  ])('%j: %s (folder: %s) is ignored: %s', (rules, path, isFolder, ignored) => {
    expect(decodeHelmignore(rules, '.helmignore').ignores(path, isFolder)).toBe(ignored);
  });

  it.each(['a/**', '[a', 'a\\', '[]', '[a-]', '[-a]', '[^]'])('%j is refused, as helm refuses it', async (rules) => {
    expect(await raisedCodes(() => decodeHelmignore(rules, '.helmignore'))).toEqual(['FormatError CHART_INVALID']);
  });

  it('takes many stars without backtracking for ever', () => {
    const rules = decodeHelmignore(`*${'a*'.repeat(200)}b`, '.helmignore');
    expect(rules.ignores('a'.repeat(5000), false)).toBe(false);
  });
});

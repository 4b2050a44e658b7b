import { expect, test } from 'vitest';
import { createExclusions } from '../../../../src/usecases/backup/files/exclusions.ts';

test.each([
  { pattern: '*.tmp', yes: ['a.tmp', 'd/e/.tmp', 'line\nend.tmp'], no: ['a.tmpx', 'a.tmp/x.txt'] },
  { pattern: 'cache', yes: ['cache', 'd/cache'], no: ['caches', 'cache/x', 'my cache'] },
  { pattern: 'cache/', yes: ['cache', 'd/cache'], no: ['caches'] },
  { pattern: '/cache', yes: ['cache'], no: ['d/cache'] },
  { pattern: './cache', yes: ['cache'], no: ['d/cache'] },
  { pattern: 'a/b?', yes: ['a/b1', 'a/b é'.replace(' ', '')], no: ['a/b', 'x/a/b1', 'a/b/c'] },
  { pattern: 'a/*/c', yes: ['a/b/c'], no: ['a/c', 'a/b/b/c'] },
  { pattern: 'a/**/c', yes: ['a/c', 'a/b/c', 'a/b/b/c'], no: ['c', 'b/a/c', 'a/bc'] },
  { pattern: '**/c', yes: ['c', 'a/c', 'a/b/c'], no: ['a/bc'] },
  { pattern: 'a/**', yes: ['a/b', 'a/b/c'], no: ['a', 'b/a/c'] },
  { pattern: '[x]+(y)|$^\\', yes: ['[x]+(y)|$^\\'], no: ['x', 'xx', 'y'] },
  { pattern: '?', yes: ['🐘', 'é'], no: ['ab'] },
])('the pattern $pattern', ({ pattern, yes, no }) => {
  const { excludes } = createExclusions([pattern]);
  expect(yes.filter((path) => !excludes(path))).toEqual([]);
  expect(no.filter((path) => excludes(path))).toEqual([]);
});

test('a pattern is used once it fitted something', () => {
  const exclusions = createExclusions(['*.log', '*.tmp']);
  expect(exclusions.unused()).toEqual(['*.log', '*.tmp']);
  expect(exclusions.excludes('a.tmp')).toBe(true);
  expect(exclusions.unused()).toEqual(['*.log']);
});

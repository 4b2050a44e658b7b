import fc from 'fast-check';
import { expect, test } from 'vitest';
import {
  connectionValue,
  exactPatterns,
  quoteName,
  quoteRelation,
  quoteText,
  settingInSql,
} from '../../../../src/formats/postgres/names.ts';
import { parseSchemaPattern, parseTablePattern } from '../../../../src/formats/postgres/pattern.ts';
import { raisedCodes } from '../../../support/raised.ts';

const name = fc
  .string({ unit: 'binary', minLength: 1, maxLength: 20 })
  .filter((text) => !text.includes('\0') && text.isWellFormed());

test('quotes', () => {
  expect(quoteName('a "b" c')).toBe('"a ""b"" c"');
  expect(quoteText("it's \\n")).toBe("'it''s \\n'");
  expect(quoteRelation({ schema: 'S', name: 'a.b' })).toBe('"S"."a.b"');
});

test('a quoted name is a pattern that fits itself and nothing else', () => {
  fc.assert(
    fc.property(name, name, name, (schema, table, other) => {
      const pattern = parseTablePattern(quoteRelation({ schema, name: table }));
      expect(pattern.fits(schema, table)).toBe(true);
      expect(pattern.fits(schema, other)).toBe(other === table);
      expect(pattern.fits(other, table)).toBe(other === schema);
    }),
  );
});

test.each([
  ['log_*', 'public', 'log_2024', true],
  ['log_*', 'public', 'logs', false],
  ['LOG_*', 'any', 'log_x', true],
  ['public.log?', 'public', 'logs', true],
  ['public.log?', 'public', 'log', false],
  ['public.log?', 'other', 'logs', false],
  ['"Log*"', 'public', 'Log*', true],
  ['"Log*"', 'public', 'Logs', false],
  ['a"B".c', 'aB', 'c', true],
  ['a+(b)$.c', 'a+(b)$', 'c', true],
  ['*.*', 'x\ny', 'z', true],
  ['🐘?', 'x', '🐘🐘', true],
])('%s and %s.%s: %s', (pattern, schema, table, fits) => {
  expect(parseTablePattern(pattern).fits(schema, table)).toBe(fits);
});

test('of schemas', () => {
  expect(parseSchemaPattern('pg*').fits('pgx', '')).toBe(true);
  expect(parseSchemaPattern('"a.b"').fits('a.b', '')).toBe(true);
});

test.each(['', '.', 'a.', '.b', '"', 'a"b', 'a.b.c'])('not well formed: %s', async (pattern) => {
  expect(await raisedCodes(() => parseTablePattern(pattern))).toEqual(['FormatError DATABASE_PATTERN_INVALID']);
  expect(await raisedCodes(() => parseSchemaPattern(`${pattern}.x`))).toEqual(['FormatError DATABASE_PATTERN_INVALID']);
});

test('patterns for pg_dump hold every relation once, in bounded lengths', () => {
  fc.assert(
    fc.property(fc.array(fc.record({ schema: name, name }), { maxLength: 40 }), (relations) => {
      const patterns = exactPatterns(relations, 60);
      // Read as pg_dump reads them: outside of quotes | parts names, parentheses hold them.
      const read = patterns.flatMap((pattern) => {
        const tokens = [...pattern.matchAll(/"((?:[^"]|"")*)"/gsu)].map((match) =>
          (match[1] as string).replaceAll('""', '"'),
        );
        expect(pattern.replaceAll(/"(?:[^"]|"")*"/gsu, 'N')).toMatch(/^N\.\(N(?:\|N)*\)$/);
        return tokens.slice(1).map((token) => JSON.stringify([tokens[0], token]));
      });
      expect(read.sort()).toEqual(relations.map((one) => JSON.stringify([one.schema, one.name])).sort());
      for (const pattern of patterns) expect(pattern.length).toBeLessThan(60 + 4 * 44);
    }),
  );
});

test.each([
  ['work_mem=5MB', `set "work_mem" to '5MB'`],
  ["my.setting=it's = so", `set "my.setting" to 'it''s = so'`],
  ['search_path=public, "Odd, ""path"""', `set "search_path" to 'public', 'Odd, "path"'`],
  ['search_path="$user", public', `set "search_path" to '$user', 'public'`],
  ['search_path=""', `set "search_path" to ''`],
  ['search_path=', `set "search_path" to ''`],
])('a setting as it is kept, %s, becomes SQL', (line, sql) => {
  expect(settingInSql(line)).toBe(sql);
});

test('a value in a connection string keeps what it is', () => {
  expect(connectionValue(`it's a \\ = name`)).toBe(`'it\\'s a \\\\ = name'`);
});

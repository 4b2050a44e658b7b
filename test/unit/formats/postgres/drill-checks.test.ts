import { describe, expect, test } from 'vitest';
import { parseDrillChecks } from '../../../../src/formats/postgres/drill-checks.ts';

const parse = (text: string) => parseDrillChecks(Buffer.from(text), 'checks.sql');

describe('a file of checks', () => {
  test('gives each query with the comment above it, its line and its database', () => {
    const text = [
      'select 1; -- not a name',
      '-- first',
      'select true;',
      '',
      '-- of the next one',
      '-- second; with a semicolon',
      "select 'a;b' = $$c;d$$",
      '  or true /* ; */;',
      '\\connect shop',
      '-- third',
      '  select count(*) > 0 from "T;x"',
      '\\c "Odd ""name"""',
      '--fourth',
      'select true',
    ].join('\r\n');
    expect(parse(text.slice(text.indexOf('-- first')))).toEqual([
      { name: 'first', sql: 'select true;\n\n-- of the next one\n-- second; with a semicolon', line: 2 },
      { name: 'second; with a semicolon', sql: "select 'a;b' = $$c;d$$\n  or true /* ; */;", line: 6 },
      { name: 'third', sql: 'select count(*) > 0 from "T;x"', line: 10, database: 'shop' },
      { name: 'fourth', sql: 'select true', line: 13, database: 'Odd "name"' },
    ]);
  });

  test.each([
    ['nothing', ''],
    ['a comment alone', '-- nothing\n'],
    ['a query without a name', 'select true;'],
    ['a name that is not right above', '-- name\n\nselect true;'],
    ['a name in the same line as the query before', '-- one\nselect true; -- two\nselect true;'],
    ['a second query in the line of the first', '-- one\nselect true; select true;'],
    ['an empty name', '--\nselect true;'],
    ['another command of psql', '\\include other.sql\n-- one\nselect true;'],
    ['too many', '-- one\nselect true;\n'.repeat(1001)],
  ])('is refused: %s', (_, text) => {
    expect(() => parse(text)).toThrow(expect.objectContaining({ code: 'DRILL_CHECKS_INVALID' }));
  });

  test('is refused when it is not UTF-8', () => {
    expect(() => parseDrillChecks(Buffer.from([0x2d, 0x2d, 0xff]), 'checks.sql')).toThrow(
      expect.objectContaining({ code: 'DRILL_CHECKS_INVALID' }),
    );
  });
});

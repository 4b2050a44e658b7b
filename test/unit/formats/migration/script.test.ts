import fc from 'fast-check';
import { describe, expect, it, test } from 'vitest';
import { parseMigrationScript } from '../../../../src/formats/migration/script.ts';
import { lineAndColumn, offsetOfCharacter, sqlStatements } from '../../../../src/formats/migration/sql-statements.ts';
import { raised, raisedCodes } from '../../../support/raised.ts';

const bytesOf = (text: string) => new TextEncoder().encode(text);
const statements = (sql: string) =>
  [...sqlStatements(bytesOf(sql))].map(({ offset, words }) => [offset, words[0] ?? '']);
const parse = (sql: string) => parseMigrationScript(bytesOf(sql), 'core/1_a.sql');

describe('statements', () => {
  test.each([
    ['nothing', ' ;; -- a;\n/* b; /* c; */ d; */ ;', []],
    ['several', 'select 1; insert into a values (2)', ['select', 'insert']],
    ['text', "select ';''; ' ; select 2", ['select', 'select']],
    ['a backslash in standard text ends nothing', "select '\\'; select 2", ['select', 'select']],
    ['escapes', "select E'\\';' ; select e'a''\\';b'; select 3", ['select', 'select', 'select']],
    ['a name that ends in e', "select type'x;' ; select 2", ['select', 'select']],
    ['quoted names', 'select "a;""b" ; select 2', ['select', 'select']],
    ['dollar quotes', 'do $$ begin; end $$; do $a$ $$; $b$; $a$; select 2', ['do', 'do', 'select']],
    ['a dollar that opens nothing', 'prepare p as select $1; select a$b$c; select 2', ['prepare', 'select', 'select']],
    ['a rule', 'create rule r as on insert to a do also (select 1; select 2); select 3', ['create', 'select']],
    [
      'a function in SQL',
      'create or replace function f() returns int begin atomic select 1; select case when true then 2 else 3 end; end; select 2',
      ['create', 'select'],
    ],
    ['a procedure', 'create procedure p() begin atomic insert into a values (1); end; select 2', ['create', 'select']],
    [
      'begin that is no body',
      'begin; select 1; end; select case when true then 1 end; select 2',
      ['begin', 'select', 'end', 'select', 'select'],
    ],
    ['words of other languages', 'select é; select 選; é;', ['select', 'select', expect.any(String)]],
    ['what never ends', "select 'a; select 2", ['select']],
    ['a comment that never ends', 'select 1 /* ; select 2', ['select']],
  ] as const)('%s', (_, sql, words) => {
    expect(statements(sql).map(([, word]) => word)).toEqual(words);
  });

  it('are found wherever quoted parts stand between them', () => {
    const part = fc.oneof(
      fc.string().map((text) => `'${text.replaceAll("'", "''")}'`),
      fc.string().map((text) => `"${text.replaceAll('"', '""')}"`),
      fc.string().map((text) => `$t$${text.replaceAll('$', '')}$t$`),
      fc.string().map((text) => `/*${text.replaceAll(/[*/]/g, '')}*/`),
      fc.string().map((text) => `--${text.replaceAll(/[\r\n]/g, '')}\n`),
    );
    fc.assert(
      fc.property(fc.array(fc.array(part, { maxLength: 4 }), { minLength: 1, maxLength: 6 }), (parts) => {
        const script = parts.map((inner) => `select ${inner.join(' ')}`).join(';\n');
        expect(statements(script).map(([, word]) => word)).toEqual(parts.map(() => 'select'));
      }),
    );
  });

  it('end whatever the script is, and lie in order', () => {
    const bits = fc.constantFrom(
      "'",
      '"',
      '$$',
      '$a$',
      ';',
      '--',
      '/*',
      '*/',
      '\n',
      'begin',
      'end',
      '(',
      ')',
      'e',
      'create function',
      ' ',
      '\\',
      'é',
    );
    fc.assert(
      fc.property(fc.array(bits, { maxLength: 60 }), (chosen) => {
        const script = chosen.join('');
        const offsets = statements(script).map(([offset]) => offset as number);
        expect(offsets).toEqual([...new Set(offsets)].sort((a, b) => a - b));
        for (const offset of offsets) expect(offset).toBeLessThan(bytesOf(script).length);
      }),
    );
  });
});

describe('places', () => {
  it('count characters as PostgreSQL does, not UTF-16 units', () => {
    const text = "select '𝄞é',\n ö wrong";
    const bytes = bytesOf(text);
    const position = [...text].indexOf('w') + 1;
    expect(lineAndColumn(bytes, offsetOfCharacter(bytes, position))).toEqual({ line: 2, column: 4 });
    expect(offsetOfCharacter(bytes, 1)).toBe(0);
    expect(offsetOfCharacter(bytes, 10_000)).toBe(bytes.length);
  });
});

describe('a migration', () => {
  it('runs in a transaction unless its first line says otherwise', () => {
    expect(parse('create table a ();').inTransaction).toBe(true);
    const alone = parse('-- portolan: no-transaction\r\ncreate index concurrently i on a (b);\n');
    expect(alone).toMatchObject({ inTransaction: false, statementOffsets: [29] });
    expect(parse('').statementOffsets).toEqual([]);
    expect(parse('savepoint a; rollback to a; rollback work to savepoint a; release a').statementOffsets).toHaveLength(
      4,
    );
    expect(parse("select 'x\n-- portolan: no-transaction\n';").inTransaction).toBe(true);
    expect(parse('\ufeffselect 1').sql).toEqual(bytesOf('select 1'));
  });

  test.each([
    ['begin; select 1; commit;', 2],
    ['start transaction; select 1', 1],
    ['/* x */ COMMIT AND CHAIN', 1],
    ['rollback', 1],
    ['prepare transaction $$a$$', 1],
    ['end', 1],
    ['abort', 1],
    ['\\connect other', 1],
    ['-- portolan: no-transaction\nselect 1; select 2', 1],
    ['-- portolan: no-transaction\n-- nothing', 1],
    ['-- a note\n-- portolan: no-transaction\nselect 1', 1],
    ['-- portolan: no-transactions\nselect 1', 1],
    ['select 1\0', 1],
  ])('%j is refused', async (sql, problems) => {
    expect(await raisedCodes(() => parse(sql))).toEqual(Array(problems).fill('FormatError SCRIPT_INVALID'));
  });

  it('names the place', async () => {
    expect(await raised(() => parse('select 1;\n  commit;'))).toMatchObject({
      at: { file: 'core/1_a.sql', line: 2, column: 3 },
    });
  });

  it('is UTF-8', async () => {
    expect(await raisedCodes(() => parseMigrationScript(Uint8Array.of(0xff, 0x41), 'f'))).toEqual([
      'FormatError SCRIPT_INVALID',
    ]);
  });
});

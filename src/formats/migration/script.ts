/**
 * The content of a migration: SQL in UTF-8. Its first line may be
 *
 *     -- portolan: no-transaction
 *
 * which makes it one statement that runs outside of a transaction (`create index concurrently`). Everything else runs in a
 * transaction of Portolan's, so it holds no `begin` or `commit` of its own. docs/migrations.md, "Files".
 */
import { isUtf8 } from 'node:buffer';
import { FormatError } from '../errors.ts';
import { lineAndColumn, sqlStatements } from './sql-statements.ts';

export interface MigrationScript {
  /** UTF-8 without a byte order mark. */
  readonly sql: Uint8Array;
  readonly inTransaction: boolean;
  /** Where each statement starts, in bytes: numbers alone, for a file may hold a million of them. */
  readonly statementOffsets: readonly number[];
}

const DIRECTIVE = /^--[ \t]*portolan:(.*)$/;
/** More of the same tell nothing new. */
const PROBLEMS_LIMIT = 20;
/** Of a line that may be an instruction. */
const LINE_LIMIT_BYTES = 1000;
const BACKSLASH = 0x5c;
const NO_TRANSACTION = 'no-transaction';

/**
 * @param file - For the place of errors.
 * @throws FormatError SCRIPT_INVALID, all problems at once.
 */
export function parseMigrationScript(bytes: Uint8Array, file: string): MigrationScript {
  const sql = checkedText(bytes, file);
  const problems: FormatError[] = [];
  const problem = (message: string, offset: number, expected: string, hint: string) => {
    problems.push(
      new FormatError('SCRIPT_INVALID', message, { expected, hint, at: { file, ...lineAndColumn(sql, offset) } }),
    );
  };
  let inTransaction = true;
  for (const { text, offset } of lines(sql)) {
    const directive = DIRECTIVE.exec(text)?.[1]?.trim();
    if (directive === undefined) continue;
    if (directive === NO_TRANSACTION && offset === 0) inTransaction = false;
    else {
      problem(
        directive === NO_TRANSACTION
          ? 'The instruction stands too late in the file'
          : `There is no instruction ${JSON.stringify(directive.slice(0, 80))}`,
        offset,
        `-- portolan: ${NO_TRANSACTION}, as the first line`,
        'Correct the line, or make it an ordinary comment.',
      );
    }
  }
  const statementOffsets: number[] = [];
  for (const { words, offset } of sqlStatements(sql)) {
    statementOffsets.push(offset);
    if (problems.length >= PROBLEMS_LIMIT) continue;
    if (sql[offset] === BACKSLASH) {
      problem('This is a command of psql, not SQL', offset, 'SQL', 'Write it in SQL; psql does not run migrations.');
      continue;
    }
    const control = transactionControl(words);
    if (control === undefined) continue;
    problem(
      `The file begins or ends a transaction itself: ${control}`,
      offset,
      'no transaction control: every file runs in one transaction together with its line in the ledger',
      `Remove it. A statement that cannot run in a transaction stands alone in a file that starts with -- portolan: ${NO_TRANSACTION}.`,
    );
  }
  if (!inTransaction && statementOffsets.length !== 1) {
    problem(
      `A file outside of a transaction holds ${statementOffsets.length} statements`,
      statementOffsets[1] ?? 0,
      'exactly one statement, so that its failure leaves one thing to look at',
      'Give each statement a file of its own.',
    );
  }
  const [first, ...others] = problems;
  if (first === undefined) return { sql, inTransaction, statementOffsets };
  throw new FormatError(first.code, first.message, {
    ...(first.expected === undefined ? {} : { expected: first.expected }),
    ...(first.hint === undefined ? {} : { hint: first.hint }),
    ...(first.at === undefined ? {} : { at: first.at }),
    others,
  });
}

/** Savepoints are fine: they end with the transaction. */
function transactionControl([first = '', second = '', third = '']: readonly string[]): string | undefined {
  if (first === 'rollback' && (second === 'to' || third === 'to')) return undefined;
  if (['begin', 'commit', 'end', 'abort', 'rollback'].includes(first)) return first;
  if ((first === 'start' || first === 'prepare') && second === 'transaction') return `${first} ${second}`;
  return undefined;
}

/** Those before the first statement: what follows may be text inside quotes. */
function* lines(sql: Uint8Array): Generator<{ text: string; offset: number }> {
  for (let offset = 0; offset < sql.length; ) {
    const end = sql.indexOf(0x0a, offset);
    const line = sql.subarray(offset, Math.min(end < 0 ? sql.length : end, offset + LINE_LIMIT_BYTES));
    const text = new TextDecoder().decode(line).replace(/\r$/, '');
    yield { text, offset };
    if (end < 0 || !/^\s*(--.*)?$/.test(text)) return;
    offset = end + 1;
  }
}

/** Valid UTF-8 without zeros. */
function checkedText(bytes: Uint8Array, file: string): Uint8Array {
  if (!isUtf8(bytes)) {
    throw new FormatError('SCRIPT_INVALID', 'The file is not UTF-8', {
      expected: 'SQL in UTF-8',
      at: { file },
      hint: 'Save it in UTF-8.',
    });
  }
  const hasMark = bytes[0] === 0xef && bytes[1] === 0xbb && bytes[2] === 0xbf;
  const sql = hasMark ? bytes.subarray(3) : bytes;
  const zero = sql.indexOf(0);
  if (zero < 0) return sql;
  throw new FormatError('SCRIPT_INVALID', 'The file holds a zero character, which PostgreSQL cannot take', {
    expected: 'SQL in UTF-8',
    at: { file, ...lineAndColumn(sql, zero) },
    hint: 'Save it in UTF-8, without zero characters.',
  });
}

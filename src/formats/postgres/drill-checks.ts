/**
 * What a person asks of a restored database (docs/backups.md, "Drills"): a file that psql runs as well.
 *
 *     \connect shop                     the database that the checks below are asked of; needed when there are several
 *     -- every order has a customer     the name of the check
 *     select not exists (select from orders where customer is null);
 *
 * Each check is one query whose only row has one boolean.
 */
import { FormatError } from '../errors.ts';
import { lineAndColumn, sqlStatements } from '../migration/sql-statements.ts';
import { NAME_IN_SQL, nameFromSql } from './names.ts';

export const DRILL_CHECKS_MAX_BYTES = 1024 * 1024;
const CHECKS_MAX = 1000;
const NAME_MAX = 200;

export interface DrillCheck {
  /** The comment line above the query. */
  readonly name: string;
  readonly sql: string;
  /** As `\connect` said; undefined where none stands above. */
  readonly database?: string;
  /** 1-based, of the query's first line. */
  readonly line: number;
}

const CONNECT = new RegExp(`^\\\\c(?:onnect)?[ \\t]+(${NAME_IN_SQL})[ \\t]*$`);

/** @throws FormatError DRILL_CHECKS_INVALID */
export function parseDrillChecks(bytes: Uint8Array, file: string): readonly DrillCheck[] {
  const checks: DrillCheck[] = [];
  for (const { text, line, database } of sectionsOf(decode(bytes, file), file)) {
    const script = Buffer.from(text);
    const statements = [...sqlStatements(script)];
    for (const [index, { offset }] of statements.entries()) {
      const at = line - 1 + lineAndColumn(script, offset).line;
      const sql = script
        .subarray(offset, statements[index + 1]?.offset)
        .toString()
        .trimEnd();
      const name = nameAbove(script.subarray(0, offset).toString());
      if (name === undefined) throw invalid('a query has no name', 'a line above it: -- what must be true', file, at);
      checks.push({ name, sql, line: at, ...(database === undefined ? {} : { database }) });
    }
  }
  if (checks.length === 0)
    throw invalid('it holds no query', 'queries, each below its name: -- what must be true', file);
  if (checks.length > CHECKS_MAX) throw invalid('it holds too many queries', `at most ${CHECKS_MAX}`, file);
  return checks;
}

interface Section {
  readonly text: string;
  /** Of its first line, 1-based. */
  readonly line: number;
  readonly database?: string;
}

/** What stands between the lines that begin with a backslash. */
function sectionsOf(text: string, file: string): readonly Section[] {
  const sections: { lines: string[]; line: number; database?: string }[] = [{ lines: [], line: 1 }];
  for (const [index, line] of text.split(/\r?\n/).entries()) {
    if (!line.startsWith('\\')) {
      sections.at(-1)?.lines.push(line);
      continue;
    }
    const name = CONNECT.exec(line)?.[1];
    if (name === undefined)
      throw invalid('a command of psql that is not known here', '\\connect DATABASE', file, index + 1);
    sections.push({ lines: [], line: index + 2, database: nameFromSql(name) });
  }
  return sections.map(({ lines, ...section }) => ({ ...section, text: lines.join('\n') }));
}

/** The comment right above a query. */
function nameAbove(before: string): string | undefined {
  const lines = before.split('\n');
  // What stands before the query in its own line.
  if ((lines.pop() ?? '').trim() !== '') return undefined;
  const name = /^\s*--+\s*(.*?)\s*$/.exec(lines.at(-1) ?? '')?.[1];
  return name ? name.slice(0, NAME_MAX) : undefined;
}

function decode(bytes: Uint8Array, file: string): string {
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw invalid('it is not UTF-8', 'a file of SQL in UTF-8', file);
  }
}

function invalid(what: string, expected: string, file: string, line?: number): FormatError {
  return new FormatError('DRILL_CHECKS_INVALID', `The file of checks cannot be used: ${what}`, {
    expected,
    at: { file, ...(line === undefined ? {} : { line }) },
    hint: 'Correct the file: a query for each check, whose only row has one boolean, below a comment that names it.',
  });
}

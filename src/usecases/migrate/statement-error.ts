import type { ErrorDetails } from '../../core/errors.ts';
import type { MigrationScript } from '../../formats/migration/script.ts';
import { lineAndColumn, offsetOfCharacter } from '../../formats/migration/sql-statements.ts';
import type { StatementFailure } from '../../ports/database.ts';
import { UseCaseError } from '../errors.ts';
import { pathOf } from './decide.ts';
import type { OrderedFile } from './modules.ts';

/** What can be done about a state, where the server itself does not say it (PostgreSQL, "Error Codes"). */
const HINTS: Readonly<Record<string, string>> = {
  '25001':
    'This statement cannot run in a transaction: let it stand alone in a file that starts with -- portolan: no-transaction.',
  '55P04': 'A new value of an enumeration can be used only after it was committed: add it in a file of its own before.',
  '55P03': 'Somebody else held a lock for longer than --lock-timeout.',
  '57014': 'It was cancelled, or took longer than --statement-timeout.',
  '42501': 'Use a user with this right, or the owner of the object.',
  '53100': 'The disk of the server is full: free space there.',
  '2D000': 'A migration runs in a transaction, in which nothing can commit.',
};

/**
 * The server's words about a statement, with the place in the file. A mistake in the text has a position; what fails while it
 * runs has none: then the place is the start of the statement.
 *
 * @param addition - A further sentence for the hint.
 */
export function migrationFailed(
  file: OrderedFile,
  script: MigrationScript,
  failure: StatementFailure,
  addition?: string,
): UseCaseError {
  const hints = [failure.hint, HINTS[failure.sqlState], addition, remedy(file, script)];
  const found = [`${failure.sqlState}: ${failure.message}`, failure.detail, failure.context];
  const details: ErrorDetails = {
    found: found.filter((part) => part !== undefined).join(' — '),
    hint: hints.filter((part) => part !== undefined).join(' '),
    at: { file: pathOf(file), ...placeOf(script, failure) },
  };
  return new UseCaseError('MIGRATION_FAILED', 'The server refused a statement of a migration', details);
}

function remedy(file: OrderedFile, { inTransaction }: MigrationScript): string {
  const path = pathOf(file);
  return inTransaction
    ? 'Nothing of this file is in the database. When the reason is gone, run the command again: it goes on here.'
    : `It ran outside of a transaction and is recorded as dirty: remove what it left and run portolan migrate up --retry ${path}; or, when its effect is there whole, --repaired ${path}.`;
}

function placeOf({ sql, statementOffsets }: MigrationScript, failure: StatementFailure) {
  if (failure.position !== undefined) return lineAndColumn(sql, offsetOfCharacter(sql, failure.position));
  const offset = statementOffsets[failure.statementsDone];
  return offset === undefined ? {} : lineAndColumn(sql, offset);
}

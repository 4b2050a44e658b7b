import { canonicalJson } from '../../../core/canonical-json.ts';
import { digestOf } from '../../../core/digest.ts';
import { quoteName } from '../../../formats/postgres/names.ts';
import type { DatabaseRecord } from '../../../formats/repository/database-record.ts';
import { UseCaseError } from '../../errors.ts';
import type { OpenedSnapshot } from '../../repository/open-snapshot.ts';
import type { RestoreSelection } from '../selection.ts';
import type { LedgerHead } from './ledger.ts';
import type { PostgresSnapshot } from './snapshot-source.ts';
import type { PostgresRestoreRequest } from './types.ts';

/** The one source that is meant. @throws UseCaseError RESTORE_NAME_UNKNOWN */
export function chooseSource(all: readonly PostgresSnapshot[], { sources }: RestoreSelection): PostgresSnapshot {
  const chosen = sources.length === 0 ? all : all.filter(({ source }) => sources.includes(source));
  const [first] = chosen;
  if (first !== undefined && chosen.length === 1) return first;
  const names = all.map(({ source, place }) => `${source} (${place})`).join(', ') || 'none';
  throw new UseCaseError(
    'RESTORE_NAME_UNKNOWN',
    chosen.length > 1 ? 'The snapshot holds several database servers' : 'The snapshot holds no such database server',
    { expected: names, found: sources.join(', ') || 'no choice', hint: 'Name one by --source.' },
  );
}

export interface ChosenDatabase {
  readonly record: DatabaseRecord;
  /** Its name at the target. */
  readonly target: string;
}

/** What one goes into unless it has that name: databases are made from there. */
const OWN_DATABASE = 'postgres';

/** @throws UseCaseError RESTORE_NAME_UNKNOWN */
export function chooseDatabases(
  { end }: PostgresSnapshot,
  { databases }: RestoreSelection,
  into: string,
): readonly ChosenDatabase[] {
  const unknown = databases.find((name) => !end.databases.some((record) => record.name === name));
  if (unknown !== undefined) {
    throw new UseCaseError('RESTORE_NAME_UNKNOWN', `The snapshot holds no database ${quoteName(unknown)}`, {
      expected: end.databases.map(({ name }) => name).join(', '),
      hint: 'Correct the name.',
    });
  }
  const records = end.databases.filter(({ name }) => databases.length === 0 || databases.includes(name));
  const keepsNames = into === OWN_DATABASE || records.some(({ name }) => name === into);
  if (records.length === 1) return records.map((record) => ({ record, target: keepsNames ? record.name : into }));
  if (keepsNames) return records.map((record) => ({ record, target: record.name }));
  throw new UseCaseError('RESTORE_NAME_UNKNOWN', 'Several databases do not fit into one', {
    expected: `one database, by --database, or /${OWN_DATABASE} in --to: then all keep their names`,
    found: `${records.map(({ name }) => quoteName(name)).join(', ')} into ${quoteName(into)}`,
    hint: 'Name one of them, or correct the address.',
  });
}

/** By which a restore that was begun is known again. */
export function ledgerHead(
  { found, snapshot }: OpenedSnapshot,
  source: PostgresSnapshot,
  databases: readonly ChosenDatabase[],
  { selection, intoExisting, noTablespaces }: PostgresRestoreRequest,
): LedgerHead {
  const names = databases.map(({ record, target }) => [record.name, target]);
  const facts = {
    snapshot: snapshot.digest,
    source: source.source,
    names,
    schemas: [...selection.schemas],
    tables: [...selection.tables],
    intoExisting,
    noTablespaces,
  };
  const part = [...selection.schemas, ...selection.tables];
  return {
    restore: digestOf(Buffer.from(canonicalJson(facts))),
    what: `${found.info.writer}/${found.info.sequence}, ${names.map(([name]) => quoteName(name ?? '')).join(', ')}${part.length === 0 ? '' : `: ${part.join(', ')}`}`,
  };
}

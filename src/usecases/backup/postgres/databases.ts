import { quoteName } from '../../../formats/postgres/names.ts';
import type { DatabaseSession } from '../../../ports/database.ts';
import { UseCaseError } from '../../errors.ts';

/** Named ones, or all of the server that take connections and are no templates. */
export type DatabaseChoice = { readonly names: readonly string[] } | 'all';

export interface ChosenDatabases {
  readonly names: readonly string[];
  readonly notes: readonly string[];
}

/** @throws UseCaseError BACKUP_DATABASE_UNUSABLE */
export async function chooseDatabases(
  session: DatabaseSession,
  choice: DatabaseChoice,
  place: string,
): Promise<ChosenDatabases> {
  const rows = await session.query(
    `select d.datname::text as name, d.datallowconn::text as allowed, d.datistemplate::text as template,
       pg_catalog.has_database_privilege(d.oid, 'CONNECT')::text as mine, (d.datconnlimit = -2)::text as broken
     from pg_catalog.pg_database d order by d.datname collate pg_catalog."C"`,
  );
  const isOpen = (row: (typeof rows)[number]) => row.allowed === 'true' && row.broken === 'false';
  if (choice === 'all') {
    const own = rows.filter(({ template }) => template === 'false');
    const unreachable = own.filter((row) => isOpen(row) && row.mine === 'false').map(({ name }) => name ?? '');
    if (unreachable.length > 0) throw noConnection(unreachable, place);
    return {
      names: own.filter(isOpen).map(({ name }) => name ?? ''),
      notes: own
        .filter((row) => !isOpen(row))
        .map(({ name }) => `${quoteName(name ?? '')}: left out, since it allows no connections`),
    };
  }
  const names = [...new Set(choice.names)];
  for (const name of names) {
    const row = rows.find((one) => one.name === name);
    if (row === undefined || !isOpen(row)) {
      throw new UseCaseError(
        'BACKUP_DATABASE_UNUSABLE',
        `There is no database ${quoteName(name)} that takes connections`,
        {
          expected: rows
            .filter(isOpen)
            .map((one) => one.name)
            .join(', '),
          at: { url: place },
          hint: 'Correct the name.',
        },
      );
    }
  }
  return { names, notes: [] };
}

function noConnection(names: readonly string[], place: string): UseCaseError {
  return new UseCaseError('BACKUP_RIGHTS_MISSING', 'The role may not connect to databases of the server', {
    found: names.map(quoteName).join(', '),
    at: { url: place },
    hint: `As their owner or a superuser run: grant connect on database ${names.map(quoteName).join(', ')} to ROLE; or name the databases that are wanted.`,
  });
}

import { printable } from '../../../core/printable.ts';
import { quoteName } from '../../../formats/postgres/names.ts';
import type { DatabaseRecord } from '../../../formats/repository/database-record.ts';
import type { DatabaseSession } from '../../../ports/database.ts';
import type { ProgramSet } from '../../../ports/postgres-programs.ts';
import type { FactNotes } from './fact-notes.ts';
import type { Leader } from './leader.ts';

const WARNINGS_LIMIT = 20;

/** Extensions whose secrets open with a key outside of the database. */
const VAULTS = new Set(['pgsodium', 'supabase_vault']);

/** What pg_dump warns of although it ends well, such as foreign keys in a circle. */
export function warningsIn(messages: string): readonly string[] {
  return messages
    .split('\n')
    .filter((line) => /^pg_dump(?:all)?: (?:warning|detail|hint):/.test(line))
    .slice(0, WARNINGS_LIMIT)
    .map((line) => printable(line));
}

/** Of what a database is made, which a restore has to make again. Columns differ from version to version. */
export async function readDatabaseIdentity(
  session: DatabaseSession,
): Promise<
  Pick<DatabaseRecord, 'owner' | 'collate' | 'characterType' | 'localeProvider' | 'locale' | 'collationVersion'>
> {
  const [row] = await session.query(
    `select pg_catalog.pg_get_userbyid(d.datdba)::text as owner, d.datcollate::text as collate, d.datctype::text as ctype,
       x.j ->> 'datlocprovider' as provider, coalesce(x.j ->> 'datlocale', x.j ->> 'daticulocale') as locale,
       x.j ->> 'datcollversion' as version
     from pg_catalog.pg_database d, lateral (select pg_catalog.to_jsonb(d) as j) x
     where d.datname = pg_catalog.current_database()`,
  );
  const providers: Readonly<Record<string, string>> = { i: 'icu', b: 'builtin' };
  return {
    owner: row?.owner ?? '',
    collate: row?.collate ?? '',
    characterType: row?.ctype ?? '',
    localeProvider: providers[row?.provider ?? ''] ?? 'libc',
    ...(typeof row?.locale === 'string' ? { locale: row.locale } : {}),
    ...(typeof row?.version === 'string' ? { collationVersion: row.version } : {}),
  };
}

/** What a person should know of this database in this snapshot. */
export function databaseNotes(
  record: DatabaseRecord,
  leader: Leader,
  { programs, facts }: { readonly programs: ProgramSet; readonly facts: FactNotes },
): string[] {
  const notes: string[] = [];
  const say = (text: string): void => {
    notes.push(`${quoteName(record.name)}: ${text}`);
  };
  const serverMajor = Math.floor(leader.facts.versionNumber / 10_000);
  if (programs.major !== serverMajor) {
    say(
      `the archive is of pg_dump ${programs.version}: it can be restored by programs of version ${programs.major} and newer`,
    );
  }
  const { list } = leader;
  if (list.excludedSchemas.length > 0) say(`left out: schemas ${list.excludedSchemas.map(quoteName).join(', ')}`);
  if (list.excludedTables.length > 0) say(`left out: ${list.excludedTables.length} tables`);
  const unlogged = leader.facts.isStandby
    ? list.tables.filter(({ persistence }) => persistence === 'unlogged').length
    : 0;
  if (unlogged > 0) say(`left out: rows of ${unlogged} unlogged tables, which a standby does not have`);
  const byWish = list.excludedRows.length - unlogged;
  if (byWish > 0) say(`left out: rows of ${byWish} tables`);
  for (const pattern of list.unusedPatterns) say(`the pattern ${printable(pattern)} fits nothing`);
  const foreign = facts.foreignTables();
  if (foreign > 0) say(`${foreign} foreign tables come without rows, which are on other servers`);
  if (!leader.facts.isSuperuser) {
    say('passwords of user mappings and definitions of subscriptions may be missing: the role is no superuser');
  }
  if (record.systemSchemas.length > 0) {
    say(`schemas that Supabase makes itself: ${record.systemSchemas.map(quoteName).join(', ')}`);
  }
  if (record.systemSchemas.includes('vault') || record.extensions.some(({ name }) => VAULTS.has(name))) {
    say(
      'secrets of the Vault are sealed by a key that is a file of the server, not in the database: keep pgsodium_root.key too',
    );
  }
  return notes;
}

import type { ArchiveItem } from '../../../formats/postgres/archive.ts';
import { quoteName, quoteText, settingInSql } from '../../../formats/postgres/names.ts';
import type { DatabaseRecord, Fact } from '../../../formats/repository/database-record.ts';
import { majorOf } from './target-server.ts';

/**
 * The database with nothing in it. Its rights come when everything is in it; its owner at once, since whoever is to own
 * something in the schema public must be allowed to make it there.
 */
export function createDatabaseSql(
  name: string,
  record: DatabaseRecord,
  { versionNumber, tablespace }: { readonly versionNumber: number; readonly tablespace: string | undefined },
): string {
  const { encoding, collate, characterType, localeProvider, locale } = record;
  const parts = [
    `create database ${quoteName(name)} owner ${quoteName(record.owner)} template template0`,
    `encoding ${quoteText(encoding)}`,
    `lc_collate ${quoteText(collate)}`,
    `lc_ctype ${quoteText(characterType)}`,
  ];
  if (localeProvider !== 'libc' && majorOf(versionNumber) >= 15) {
    parts.push(`locale_provider ${localeProvider}`);
    if (locale !== undefined) {
      parts.push(`${localeProvider === 'icu' ? 'icu_locale' : 'builtin_locale'} ${quoteText(locale)}`);
    }
  }
  if (tablespace !== undefined) parts.push(`tablespace ${quoteName(tablespace)}`);
  return parts.join(' ');
}

/** What belongs to a database itself, by its facts and by what the archive says beside it. All of it may be done again. */
export function propertiesSql(
  name: string,
  facts: { readonly database: Fact | undefined; readonly roleSettings: readonly Fact[] },
  items: readonly ArchiveItem[],
  record: DatabaseRecord,
): string[] {
  const database = quoteName(name);
  const statements: string[] = [];
  for (const { kind, definition } of items) {
    if (definition === undefined || (kind !== 'COMMENT' && kind !== 'SECURITY LABEL')) continue;
    const renamed = withOtherName(definition, record.name, name);
    if (renamed !== undefined) statements.push(renamed);
  }
  const value = facts.database?.value ?? {};
  for (const line of (value.settings ?? []) as string[]) {
    statements.push(`alter database ${database} ${settingInSql(line)}`);
  }
  for (const {
    name: [role = ''],
    value: own,
  } of facts.roleSettings) {
    for (const line of own.settings as string[]) {
      statements.push(`alter role ${quoteName(role)} in database ${database} ${settingInSql(line)}`);
    }
  }
  if (typeof value.connectionLimit === 'number') {
    statements.push(`alter database ${database} connection limit ${value.connectionLimit}`);
  }
  if (value.isTemplate === true) statements.push(`alter database ${database} is_template true`);
  statements.push(`alter database ${database} owner to ${quoteName(record.owner)}`);
  statements.push(...rightsSql(database, record.owner, value.rights));
  return statements;
}

function rightsSql(database: string, owner: string, rights: unknown): string[] {
  if (!Array.isArray(rights)) return [];
  const grants = (rights as string[]).map((right) => {
    const at = right.lastIndexOf('=');
    const role = right.slice(0, at);
    const mayPassOn = right.endsWith('*');
    const what = right.slice(at + 1, mayPassOn ? -1 : undefined);
    return `grant ${what} on database ${database} to ${role === '' ? 'public' : quoteName(role)}${mayPassOn ? ' with grant option' : ''}`;
  });
  return [
    `revoke all on database ${database} from public`,
    `revoke all on database ${database} from ${quoteName(owner)}`,
    ...grants,
  ];
}

/** `COMMENT ON DATABASE NAME IS …`, for a database of another name. */
function withOtherName(definition: string, from: string, to: string): string | undefined {
  for (const written of [quoteName(from), from]) {
    const [before, after] = [`ON DATABASE ${written} IS `, `ON DATABASE ${quoteName(to)} IS `];
    if (definition.includes(before)) return definition.replace(before, () => after);
  }
  return undefined;
}

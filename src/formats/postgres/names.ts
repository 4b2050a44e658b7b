/** Names and texts within SQL (PostgreSQL, "Lexical Structure") and within patterns of psql and pg_dump ("Patterns"). */

export interface QualifiedName {
  readonly schema: string;
  readonly name: string;
}

/** Any name, as it is: `"Odd ""name"""`. */
export function quoteName(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Also the pattern that fits exactly this relation: within double quotes nothing but the quote has a meaning there either. */
export function quoteRelation({ schema, name }: QualifiedName): string {
  return `${quoteName(schema)}.${quoteName(name)}`;
}

/** Under `standard_conforming_strings = on`. */
export function quoteText(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/**
 * Patterns that fit exactly these relations, as few as there can be: each costs pg_dump a query. Relations of one schema stand
 * side by side as in a regular expression.
 */
export function exactPatterns(relations: readonly QualifiedName[], maxLength = 8192): string[] {
  const bySchema = new Map<string, string[]>();
  for (const { schema, name } of relations) {
    const names = bySchema.get(schema);
    if (names === undefined) bySchema.set(schema, [quoteName(name)]);
    else names.push(quoteName(name));
  }
  const patterns: string[] = [];
  for (const [schema, names] of bySchema) {
    let group: string[] = [];
    let length = 0;
    const close = (): void => {
      if (group.length > 0) patterns.push(`${quoteName(schema)}.(${group.join('|')})`);
      group = [];
      length = 0;
    };
    for (const name of names) {
      if (length + name.length > maxLength) close();
      group.push(name);
      length += name.length + 1;
    }
    close();
  }
  return patterns;
}

/** A name as pg_dump and pg_dumpall write it: plain where that is enough. For regular expressions. */
export const NAME_IN_SQL = '(?:"(?:[^"]|"")*"|[a-z_][a-z0-9_]*)';

export function nameFromSql(text: string): string {
  return text.startsWith('"') ? text.slice(1, -1).replaceAll('""', '"') : text;
}

/** Of `current_setting`, whose values are lists of names: each is a text of its own where one is set. */
const LISTS = new Set([
  'local_preload_libraries',
  'search_path',
  'session_preload_libraries',
  'shared_preload_libraries',
  'temp_tablespaces',
  'unix_socket_directories',
]);

/** `SET …` of a line of pg_db_role_setting: `search_path=public, "Odd name"`. */
export function settingInSql(line: string): string {
  const at = line.indexOf('=');
  const [name, value] = [line.slice(0, at), line.slice(at + 1)];
  const values = LISTS.has(name.toLowerCase()) ? listedNames(value).map(quoteText).join(', ') : quoteText(value);
  return `set ${quoteName(name)} to ${values}`;
}

function listedNames(list: string): string[] {
  const names = [...list.matchAll(/"((?:[^"]|"")*)"|[^\s,"][^,"]*/g)];
  if (names.length === 0) return [''];
  return names.map(([all, quoted]) => (quoted === undefined ? all.trim() : quoted.replaceAll('""', '"')));
}

/** A value in a connection string of libpq. */
export function connectionValue(text: string): string {
  return `'${text.replace(/[\\']/g, '\\$&')}'`;
}

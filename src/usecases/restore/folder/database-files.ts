import { quoteName, quoteRelation } from '../../../formats/postgres/names.ts';
import type { TableEntry } from '../../../formats/repository/contents.ts';
import { type DatabaseRecord, decodeEndRecord, type EndRecord } from '../../../formats/repository/database-record.ts';

/**
 * Texts that lie beside the streams of a database server, for whoever restores with PostgreSQL's own programs:
 *
 *     SOURCE/README.txt      what to run, in which order
 *     SOURCE/N/rows.sh       loads the rows of database number N
 */
export interface DatabaseFiles {
  table(entry: TableEntry): void;
  /** Paths below the source's folder, and what they hold. */
  texts(end: unknown): readonly { readonly path: string; readonly text: string }[];
}

export function createDatabaseFiles(source: string): DatabaseFiles {
  const loads = new Map<string, string[]>();
  return {
    table({ database, schema, table, columns, streams }) {
      const list = columns.length === 0 ? '' : `(${columns.map(quoteName).join(', ')}) `;
      const copy = `copy ${quoteRelation({ schema, name: table })} ${list}from stdin`;
      const lines = streams.map((stream) => `load ${quoteShell(copy)} ${quoteShell(withinDatabase(stream))}`);
      const known = loads.get(database);
      if (known === undefined) loads.set(database, lines);
      else known.push(...lines);
    },
    texts(end) {
      const record = decodeEndRecord(end);
      return [
        { path: 'README.txt', text: readme(source, record) },
        ...record.databases.map((database) => ({
          path: `${database.number}/rows.sh`,
          text: rowsScript(database, loads.get(database.name) ?? []),
        })),
      ];
    },
  };
}

/** `SOURCE/N/data/…` as seen from `SOURCE/N`. */
function withinDatabase(stream: string): string {
  return stream.split('/').slice(2).join('/');
}

function quoteShell(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}

function rowsScript({ name, clientEncoding, moneyLocale }: DatabaseRecord, lines: readonly string[]): string {
  const settings = [
    ['client_min_messages', 'warning'],
    ['search_path', ''],
    ['row_security', 'off'],
    ['datestyle', 'ISO'],
    ['intervalstyle', 'postgres'],
    ['xmloption', 'content'],
    ['lc_monetary', moneyLocale],
    ['statement_timeout', '0'],
  ];
  const options = settings.map(([key, value]) => `-c ${key}=${(value as string).replace(/[\\ ]/g, '\\$&')}`).join(' ');
  return `${[
    '#!/bin/sh',
    `# Rows of the database ${JSON.stringify(name)}: between the sections pre-data and data of archive.dump.`,
    'set -eu',
    'cd "$(dirname "$0")"',
    `export PGCLIENTENCODING=${clientEncoding} PGOPTIONS=${quoteShell(options)}`,
    `load() { psql -X -q -v ON_ERROR_STOP=1 -d ${quoteShell(connectionOf(name))} -c "$1" < "$2"; }`,
    ...lines,
  ].join('\n')}\n`;
}

/** A name alone that has `=` in it would be read as connection options. */
function connectionOf(database: string): string {
  return `dbname='${database.replace(/[\\']/g, '\\$&')}'`;
}

function readme(source: string, { databases }: EndRecord): string {
  const steps = databases.map(({ name, number }) => {
    const target = quoteShell(connectionOf(name));
    return [
      `Database ${JSON.stringify(name)}:`,
      '',
      `    pg_restore --create --section=pre-data --exit-on-error -d postgres ${number}/archive.dump`,
      `    sh ${number}/rows.sh`,
      `    pg_restore --section=data --exit-on-error -d ${target} ${number}/archive.dump`,
      `    pg_restore --section=post-data --exit-on-error -d ${target} ${number}/archive.dump`,
    ].join('\n');
  });
  return `${[
    `Databases of a PostgreSQL server, restored by Portolan as files: ${source}`,
    '',
    'Tell psql where the new server is (PGHOST, PGPORT, PGUSER: a superuser), and use its own version of the programs, or a newer one.',
    'First the roles and tablespaces; that a role is there already may be passed over:',
    '',
    '    psql -X -d postgres -f globals.sql',
    '',
    steps.join('\n\n'),
    '',
    'A database that exists already: leave out --create, and name it with -d.',
    'Then look whether all is there: N/facts.ndjson says what there was.',
  ].join('\n')}\n`;
}

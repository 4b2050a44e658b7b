import type { PortolanError } from '../../../core/errors.ts';
import { NAME_IN_SQL, nameFromSql, quoteName, quoteText } from '../../../formats/postgres/names.ts';
import type { Fact } from '../../../formats/repository/database-record.ts';
import { UseCaseError } from '../../errors.ts';
import type { DatabaseSurvey } from './survey.ts';
import type { TargetServer } from './target-server.ts';
import type { DatabaseTask } from './types.ts';

const IN_TABLESPACE = new RegExp(`^CREATE DATABASE .* TABLESPACE = (${NAME_IN_SQL})`, 's');

/** In which a database lies; undefined for the one that the server has by itself. */
export function tablespaceOfDatabase({ contents }: Pick<DatabaseSurvey, 'contents'>): string | undefined {
  const made = contents.items.find(({ kind }) => kind === 'DATABASE')?.definition ?? '';
  const name = IN_TABLESPACE.exec(made)?.[1];
  return name === undefined ? undefined : nameFromSql(name);
}

/** Those that what is restored lies in, but for the server's own. */
export function tablespacesOf(tasks: readonly DatabaseTask[]): ReadonlySet<string> {
  const names = tasks.flatMap(({ items, tablespace, report }) => [
    ...items.map((item) => item.tablespace),
    ...(report.state === 'new' ? [tablespace] : []),
  ]);
  return new Set(names.flatMap((name) => (name === undefined || name.startsWith('pg_') ? [] : [name])));
}

/** The folder of a tablespace is not made by the server: it has to be there, and to be empty. */
export async function tablespaceProblems(
  target: TargetServer,
  made: readonly string[],
  facts: AsyncIterable<Fact>,
  signal: AbortSignal,
): Promise<readonly PortolanError[]> {
  // Only a superuser makes one, and only a superuser may look there.
  if (made.length === 0 || !target.isSuperuser) return [];
  await using session = await target.own.database.open({ readOnly: true, signal });
  const lacking: string[] = [];
  for await (const { kind, name, value } of facts) {
    if (kind !== 'tablespace' || !made.includes(name[0] ?? '')) continue;
    const location = String(value.location);
    const [row] = await session.query(
      `select (pg_catalog.pg_stat_file(${quoteText(location)}, true)).isdir::text as folder`,
    );
    if (row?.folder !== 'true') lacking.push(`${quoteName(name[0] ?? '')} ${location}`);
  }
  if (lacking.length === 0) return [];
  return [
    new UseCaseError('RESTORE_TABLESPACE_MISSING', 'Folders of tablespaces are not on the machine of the server', {
      expected: lacking.join(', '),
      at: { url: target.own.database.place },
      hint: 'Make empty folders there that belong to the account of the server; or put everything into the default one by --no-tablespaces.',
    }),
  ];
}

/** Locales and collations that a restore needs, and what of them the server has. */
import type { PortolanError } from '../../../core/errors.ts';
import { quoteName, quoteText } from '../../../formats/postgres/names.ts';
import type { DatabaseRecord } from '../../../formats/repository/database-record.ts';
import type { DatabaseSession } from '../../../ports/database.ts';
import { UseCaseError } from '../../errors.ts';
import type { TargetServer } from './target-server.ts';
import type { DatabaseTask } from './types.ts';

/** What stands against the databases; `moneyLocale` where there are values of the type money. */
export async function localeProblems(
  target: TargetServer,
  tasks: readonly DatabaseTask[],
  moneyLocale: string | undefined,
  signal: AbortSignal,
): Promise<readonly PortolanError[]> {
  await using session = await target.own.database.open({ readOnly: true, signal });
  const problems: PortolanError[] = [];
  for (const { record, report, items, collations: there } of tasks) {
    const lacking: string[] = [];
    const needLocale = async (what: string, locale: string): Promise<void> => {
      if (!(await hasLocale(session, locale))) lacking.push(`${what} ${quoteText(locale)}`);
    };
    if (report.state === 'new') {
      await needLocale('lc_collate', record.collate);
      if (record.characterType !== record.collate) await needLocale('lc_ctype', record.characterType);
      if (record.localeProvider === 'icu' && !(await hasIcu(session))) lacking.push('locale provider icu');
    }
    for (const locale of new Set(items.flatMap(({ locales = [] }) => locales))) await needLocale('locale', locale);
    for (const collation of new Set(items.flatMap(({ collations = [] }) => collations))) {
      if (!there.has(collation)) lacking.push(`collation pg_catalog.${quoteName(collation)}`);
    }
    if (lacking.length === 0) continue;
    problems.push(
      new UseCaseError('RESTORE_LOCALE_MISSING', `The database ${quoteName(report.target)} cannot be made as it was`, {
        expected: lacking.join(', '),
        found: `none of them; there are: ${await knownLocales(session)}`,
        at: { url: target.own.database.place },
        hint: "Install the locale on the machine of the server, restart it, and run `select pg_import_system_collations('pg_catalog')`. Or make an empty database with another locale, and name it in --to.",
      }),
    );
  }
  if (moneyLocale !== undefined && !(await hasLocale(session, moneyLocale))) {
    problems.push(
      new UseCaseError(
        'RESTORE_LOCALE_MISSING',
        'Values of the type money were written in a locale that the server has not',
        {
          expected: moneyLocale,
          hint: HINT,
        },
      ),
    );
  }
  return problems;
}

const HINT =
  "Install the locale on the machine of the server, and restart it. A new database has no collation that came later: make an empty one, run select pg_import_system_collations('pg_catalog') in it, and name it in --to. An empty one that has another locale does as well.";

async function hasLocale(session: DatabaseSession, locale: string): Promise<boolean> {
  const outcome = await session.run(`set lc_monetary = ${quoteText(locale)}`);
  return outcome.kind === 'done';
}

async function hasIcu(session: DatabaseSession): Promise<boolean> {
  const rows = await session.query(`select from pg_catalog.pg_collation c where c.collprovider = 'i' limit 1`);
  return rows.length > 0;
}

const SHOWN = 10;

async function knownLocales(session: DatabaseSession): Promise<string> {
  const rows = await session.query(
    `select distinct c.collcollate::text as name from pg_catalog.pg_collation c where c.collprovider = 'c' order by 1`,
  );
  const names = rows.map(({ name }) => name ?? '');
  return `${names.slice(0, SHOWN).join(', ')}${names.length > SHOWN ? ` and ${names.length - SHOWN} more` : ''}`;
}

const PROVIDERS: Readonly<Record<string, string>> = { libc: 'c', icu: 'i', builtin: 'b' };

/** Where another version of ICU or of the operating system may sort in another way. */
export async function collationNotes(
  target: TargetServer,
  tasks: readonly DatabaseTask[],
  signal: AbortSignal,
): Promise<readonly string[]> {
  await using session = await target.own.database.open({ readOnly: true, signal });
  const notes: string[] = [];
  for (const { record, report } of tasks) {
    const { localeProvider, collationVersion } = record;
    const version = collationVersion === undefined ? undefined : await collationVersionOf(session, record);
    if (version === undefined || version === collationVersion) continue;
    notes.push(
      `${quoteName(report.target)}: texts were sorted by ${localeProvider} ${collationVersion} and are by ${version}: indexes are built anew; look at partitions by ranges of texts`,
    );
  }
  return notes;
}

/** Of its locale, or of another one of the same provider. */
async function collationVersionOf(
  session: DatabaseSession,
  { localeProvider, locale, collate }: DatabaseRecord,
): Promise<string | undefined> {
  const [row] = await session.query(
    `select x.version from (
       select pg_catalog.pg_collation_actual_version(c.oid) as version, pg_catalog.to_jsonb(c) as j
       from pg_catalog.pg_collation c where c.collprovider = ${quoteText(PROVIDERS[localeProvider] ?? 'c')}) x
     where x.version is not null
     order by coalesce(x.j ->> 'colllocale', x.j ->> 'colliculocale', x.j ->> 'collcollate') = ${quoteText(locale ?? collate)} desc
     limit 1`,
  );
  return row?.version ?? undefined;
}

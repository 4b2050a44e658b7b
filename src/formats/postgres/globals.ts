/**
 * The script of `pg_dumpall --globals-only`: roles with their attributes, passwords, settings, comments and memberships, and
 * tablespaces, one statement after the other. Newer versions put `\restrict WORD` before it and `\unrestrict WORD` after it,
 * which are for psql; behind the latter there are only remarks.
 */
import { sqlStatements } from '../migration/sql-statements.ts';
import { NAME_IN_SQL, nameFromSql } from './names.ts';

export type GlobalStatement =
  /** Makes a role, or changes, sets, describes it. */
  | { readonly kind: 'role'; readonly role: string; readonly sql: string }
  | { readonly kind: 'membership'; readonly role: string; readonly member: string; readonly sql: string }
  | { readonly kind: 'tablespace'; readonly tablespace: string; readonly sql: string }
  /** Settings of the session, and what later versions may add. */
  | { readonly kind: 'other'; readonly sql: string };

const FORMS: readonly (readonly ['role' | 'membership' | 'tablespace', RegExp])[] = [
  ['role', new RegExp(`^(?:create|alter|comment on) role (${NAME_IN_SQL})`, 'i')],
  ['role', new RegExp(`^security label for ${NAME_IN_SQL} on role (${NAME_IN_SQL})`, 'i')],
  ['tablespace', new RegExp(`^(?:create|alter|comment on) tablespace (${NAME_IN_SQL})`, 'i')],
  ['tablespace', new RegExp(`^(?:grant|revoke) .* on tablespace (${NAME_IN_SQL})`, 'is')],
  ['membership', new RegExp(`^grant (${NAME_IN_SQL}) to (${NAME_IN_SQL})`, 'i')],
];

/** In their order, each with its semicolon. */
export function parseGlobals(script: string): GlobalStatement[] {
  const end = script.lastIndexOf('\n\\unrestrict ');
  const text = (end < 0 ? script : script.slice(0, end)).replace(/^\\restrict .*$/m, '');
  const bytes = Buffer.from(text);
  const offsets = [...sqlStatements(bytes)].map(({ offset }) => offset);
  return offsets.map((offset, index) =>
    classify(withoutRemarks(bytes.subarray(offset, offsets[index + 1]).toString())),
  );
}

function classify(sql: string): GlobalStatement {
  for (const [kind, form] of FORMS) {
    const match = form.exec(sql);
    if (match === null) continue;
    const name = nameFromSql(match[1] as string);
    if (kind === 'tablespace') return { kind, tablespace: name, sql };
    if (kind === 'membership') return { kind, role: name, member: nameFromSql(match[2] as string), sql };
    return { kind, role: name, sql };
  }
  return { kind: 'other', sql };
}

/** Up to the statement's own semicolon: remarks that stand between it and the next one are lines of their own. */
function withoutRemarks(text: string): string {
  let rest = text.trimEnd();
  let whole = rest;
  for (;;) {
    const line = rest.slice(rest.lastIndexOf('\n') + 1);
    if (!line.startsWith('--')) return rest.endsWith(';') ? rest : whole;
    if (rest.endsWith(';')) whole = rest;
    rest = rest.slice(0, rest.length - line.length).trimEnd();
  }
}

/** What only a superuser may say, even where it takes something away. */
const SUPERUSER_WORDS = /\b(?:NO)?(?:SUPERUSER|REPLICATION|BYPASSRLS)\b ?/g;

/** `alter role … with …` for whoever is no superuser: its attributes stand before the first text. */
export function withoutSuperuserWords(sql: string): string {
  const match = new RegExp(`^ALTER ROLE ${NAME_IN_SQL} WITH [A-Z ]+`).exec(sql);
  if (match === null) return sql;
  const head = new RegExp(`^ALTER ROLE ${NAME_IN_SQL} WITH `).exec(sql)?.[0] ?? '';
  return head + match[0].slice(head.length).replace(SUPERUSER_WORDS, '') + sql.slice(match[0].length);
}

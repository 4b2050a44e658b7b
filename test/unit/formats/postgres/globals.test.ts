import { expect, test } from 'vitest';
import { parseGlobals, withoutSuperuserWords } from '../../../../src/formats/postgres/globals.ts';

const SCRIPT = String.raw`--
-- PostgreSQL database cluster dump
--

\restrict WgbJ0O2pTfYvL

SET default_transaction_read_only = off;

--
-- Roles
--

CREATE ROLE "nasty; owner";
ALTER ROLE "nasty; owner" WITH NOSUPERUSER INHERIT NOCREATEROLE NOCREATEDB LOGIN NOREPLICATION NOBYPASSRLS PASSWORD 'SCRAM-SHA-256$4096:a;''SUPERUSER ';
COMMENT ON ROLE "nasty; owner" IS 'one
-- not a remark;
two';
CREATE ROLE reader;
ALTER ROLE reader SET statement_timeout TO '5min';

--
-- Role memberships
--

GRANT reader TO "nasty; owner" WITH ADMIN OPTION GRANTED BY postgres;


--
-- Tablespaces
--

CREATE TABLESPACE fast OWNER reader LOCATION '/srv/fast';
GRANT ALL ON TABLESPACE fast TO "nasty; owner";


\unrestrict WgbJ0O2pTfYvL

--
-- PostgreSQL database cluster dump complete
--
`;

test('a script is taken apart into statements, each with what it is about', () => {
  const statements = parseGlobals(SCRIPT);
  expect(statements.map(({ sql, ...rest }) => rest)).toEqual([
    { kind: 'other' },
    ...[1, 2, 3].map(() => ({ kind: 'role', role: 'nasty; owner' })),
    ...[1, 2].map(() => ({ kind: 'role', role: 'reader' })),
    { kind: 'membership', role: 'reader', member: 'nasty; owner' },
    ...[1, 2].map(() => ({ kind: 'tablespace', tablespace: 'fast' })),
  ]);
  expect(statements[3]?.sql).toBe(`COMMENT ON ROLE "nasty; owner" IS 'one\n-- not a remark;\ntwo';`);
  expect(statements[5]?.sql).toBe(`ALTER ROLE reader SET statement_timeout TO '5min';`);
  expect(statements.at(-1)?.sql).toBe('GRANT ALL ON TABLESPACE fast TO "nasty; owner";');
});

test('what only a superuser may say is taken out of the attributes, and nothing else', () => {
  const [, , alter, comment] = parseGlobals(SCRIPT);
  expect(withoutSuperuserWords(alter?.sql ?? '')).toBe(
    `ALTER ROLE "nasty; owner" WITH INHERIT NOCREATEROLE NOCREATEDB LOGIN PASSWORD 'SCRAM-SHA-256$4096:a;''SUPERUSER ';`,
  );
  expect(withoutSuperuserWords(comment?.sql ?? '')).toBe(comment?.sql);
});

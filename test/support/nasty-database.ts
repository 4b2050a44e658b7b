/** Everything that a dump of PostgreSQL may stumble over, side by side. */
import type { PostgresServer } from './postgres-server.ts';

/** 63 bytes: the longest name there can be. */
const LONGEST_NAME = `longest ${'ü'.repeat(27)}x`;
/** Names that mean something to shells, patterns, SQL and regular expressions. */
export const ODD_SCHEMA = 'Odd.schema "quoted" $1 *';
export const ODD_TABLES = [
  'Upper Case',
  'dot.dot',
  'star*?',
  '"in quotes"',
  "apostrophe's",
  'back\\slash',
  'new\nline',
  'tab\tand comma,',
  '[a-z]+|(b){2}^$',
  'naïve 表 🐘',
  'select',
  '--comment',
  LONGEST_NAME,
];

const ident = (name: string) => `"${name.replaceAll('"', '""')}"`;
const literal = (text: string) =>
  `${text.includes('\\') ? ' E' : ''}'${text.replaceAll('\\', '\\\\').replaceAll("'", "''")}'`;

const ROLES = `
do $$ begin
  create role "nasty owner" nologin;
  create role nasty_limited login connection limit 3 valid until '2040-01-01';
  create role nasty_reader nologin;
exception when duplicate_object then null; end $$;
alter role nasty_reader set statement_timeout = '5min';
grant nasty_reader to nasty_limited with admin option;
`;

const TYPES = `
create type public.mood as enum ('sad', 'o''k', 'ha"ppy', 'ünïcode');
create domain public.positive as numeric(12, 3) default 1 check (value > 0);
create type public.address as (street text, "No." int, tags text[]);
create type public.float_range as range (subtype = float8, subtype_diff = float8mi);
create domain public.short_words as text[] check (array_length(value, 1) < 10);
create collation public.german (provider = icu, locale = 'de-u-kn-true', deterministic = true);
create collation public.no_case (provider = icu, locale = 'und-u-ks-level2', deterministic = false);

create table public.every_type (
  id bigint generated always as identity (start with 1000 increment by 7) primary key,
  a_bool bool, a_int2 int2, a_int4 int4, a_int8 int8, a_numeric numeric, a_float4 float4, a_float8 float8, a_money money,
  a_text text, a_varchar varchar(40), a_char char(8), a_bpchar bpchar, a_name name, a_internal "char", a_bytea bytea,
  a_date date, a_time time, a_timetz timetz, a_timestamp timestamp, a_timestamptz timestamptz, a_interval interval,
  a_uuid uuid, a_json json, a_jsonb jsonb, a_jsonpath jsonpath, a_xml text, a_inet inet, a_cidr cidr, a_mac macaddr, a_mac8 macaddr8,
  a_point point, a_line line, a_lseg lseg, a_box box, a_path path, a_polygon polygon, a_circle circle,
  a_bit bit(5), a_varbit bit varying, a_tsvector tsvector, a_tsquery tsquery,
  a_int4range int4range, a_numrange numrange, a_tsrange tsrange, a_tstzrange tstzrange, a_daterange daterange, a_int8multirange int8multirange,
  a_mood public.mood, a_positive public.positive, a_address public.address, a_own_range public.float_range, a_words public.short_words,
  a_moods public.mood[], a_matrix int[][], a_addresses public.address[], a_texts text[], a_dates date[],
  a_oid oid, a_regclass regclass, a_regtype regtype, a_lsn pg_lsn, a_snapshot pg_snapshot, a_tid tid, a_xid8 xid8, a_int2vector int2vector,
  a_sum numeric generated always as (coalesce(a_int4, 0) * 2.5) stored,
  a_collated text collate public.german
);
insert into public.every_type (
  a_bool, a_int2, a_int4, a_int8, a_numeric, a_float4, a_float8, a_money, a_text, a_varchar, a_char, a_bpchar, a_name, a_internal, a_bytea,
  a_date, a_time, a_timetz, a_timestamp, a_timestamptz, a_interval, a_uuid, a_json, a_jsonb, a_jsonpath, a_xml, a_inet, a_cidr, a_mac, a_mac8,
  a_point, a_line, a_lseg, a_box, a_path, a_polygon, a_circle, a_bit, a_varbit, a_tsvector, a_tsquery,
  a_int4range, a_numrange, a_tsrange, a_tstzrange, a_daterange, a_int8multirange, a_mood, a_positive, a_address, a_own_range, a_words,
  a_moods, a_matrix, a_addresses, a_texts, a_dates, a_oid, a_regclass, a_regtype, a_lsn, a_snapshot, a_tid, a_xid8, a_int2vector, a_collated)
values
  (true, -32768, -2147483648, -9223372036854775808, 'NaN', 'Infinity', '2.2250738585072014e-308', '-12.34', E'tab\\t newline\\n back\\\\slash \\r\\b\\f\\v 🐘', '', 'a', 'b  ',
   'name', 'x', '\\x00ff5c0a', '-infinity', '24:00:00', '23:59:59.999999-15:59', '4713-01-01 00:00:00 BC', 'infinity', '-178000000 years',
   '00000000-0000-0000-0000-000000000000', '{"a":  1, "a": 2}', '{"b": [1, 2.50, null, "\\u00e9"]}', '$.a[*] ? (@ > 1)', '<a>&amp;</a>', '::1/64', '10.0.0.0/8',
   '08:00:2b:01:02:03', '08:00:2b:01:02:03:04:05', '(1.5,-0)', '{1,2,3}', '[(0,0),(1,1)]', '((1,1),(0,0))', '[(0,0),(1,1)]', '((0,0),(1,1),(1,0))', '<(0,0),1e-300>',
   B'10101', B'', $$'a':1A 'b c':2,3B$$, $$'a' & !('b' | 'c':*)$$, 'empty', '(,)', '[2020-01-01, 2020-01-02)', '(,2020-01-01 00:00:00+00]', '[2020-01-01,)', '{[1,3),[5,7)}',
   'ha"ppy', 0.001, row('Main, "St"', 7, array['x,y', null, '']), '[0.1,0.2]', array['{', '}', 'null', null], array['sad', 'ünïcode']::public.mood[],
   '[0:1][2:3]={{1,2},{3,null}}', array[row('a\\b', null, null)::public.address], array['', null, 'NULL', '"'], array['infinity', null]::date[],
   4294967295, 'pg_class', 'integer', 'FF/FFFFFFFF', '10:20:10,14,15', '(4294967294,65535)', '18446744073709551615', '1 2 3', 'Straße 10'),
  (false, 32767, 2147483647, 9223372036854775807, 1e-1000, '-0', 'NaN', '92233720368547758.07', repeat('x', 100000), repeat('ü', 40), '', '', '', '', '',
   'infinity', '00:00', '00:00+14', '294276-12-31 23:59:59.999999', '-infinity', '178000000 years', 'ffffffff-ffff-ffff-ffff-ffffffffffff', 'null', 'null', 'strict $', '', '0.0.0.0', '::/0',
   null, null, '(NaN,Infinity)', null, null, null, '((0,0),(1,1))', null, null, null, null, '', '', null, null, null, null, null, '{}', 'o''k', 99, null, null, '{}', '{}', '{}', '{}', '{}', '{}', null, null, null, null, null, null, null, null, 'Straße 9'),
  (null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null,
   null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null, null);
alter table public.every_type owner to "nasty owner";
`;

const TABLES = `
create schema sales authorization "nasty owner";
create table sales.orders (id int, at date not null, region text not null, amount numeric, note text default 'none') partition by range (at);
create table sales.orders_2023 partition of sales.orders for values from ('2023-01-01') to ('2024-01-01') partition by list (region);
create table sales.orders_2023_eu partition of sales.orders_2023 for values in ('eu', 'uk');
create table sales.orders_2023_rest partition of sales.orders_2023 default partition by hash (id);
create table sales.orders_2023_rest_0 partition of sales.orders_2023_rest for values with (modulus 2, remainder 0);
create table sales.orders_2023_rest_1 partition of sales.orders_2023_rest for values with (modulus 2, remainder 1);
create table sales.orders_2024 (note text default 'none', region text not null, gone int, amount numeric, at date not null, id int);
alter table sales.orders_2024 drop column gone;
alter table sales.orders attach partition sales.orders_2024 for values from ('2024-01-01') to ('2025-01-01');
create table sales.orders_other partition of sales.orders default;
alter table sales.orders add primary key (id, at, region);
create index on sales.orders (amount) where amount > 10;
insert into sales.orders select n, date '2022-06-01' + n, (array['eu','uk','us','jp'])[1 + n % 4], n * 1.5, case n % 3 when 0 then null else 'n' || n end from generate_series(1, 1000) n;

create table public.animals (id serial primary key, name text not null check (name <> ''));
create table public.birds (wings int default 2) inherits (public.animals);
create table public.penguins (swims bool) inherits (public.birds);
insert into public.animals (name) values ('cow'), ('dog');
insert into public.birds (name) values ('sparrow');
insert into public.penguins (name, swims) values ('pingu', true), ('tux', null);

create table public.dropped_columns (a int, b text, c int, d text);
insert into public.dropped_columns values (1, 'b', 3, 'd');
alter table public.dropped_columns drop column b, add column e int default 5, add column "Quoted ""col""" text;
create table public.no_columns ();
insert into public.no_columns default values; insert into public.no_columns default values;
create table public.only_generated (a int generated always as (1 + 1) stored);
insert into public.only_generated default values;
create table public.empty_table (id int primary key);
create unlogged table public.scratch (id int, v text);
insert into public.scratch select n, 'v' || n from generate_series(1, 50) n;
create table public.parents (id int primary key, favourite int);
create table public.children (id int primary key, parent int references public.parents deferrable initially deferred);
alter table public.parents add foreign key (favourite) references public.children not valid;
begin; insert into public.parents values (1, null), (2, null); insert into public.children values (1, 1), (2, 2); update public.parents set favourite = 3 - id; commit;
create table public.exclusive (room int, during tsrange, exclude using gist (during with &&));
insert into public.exclusive values (1, '[2020-01-01,2020-01-02)');
create table public.identities (a int generated by default as identity (sequence name public."odd seq" minvalue -5 start with -5), b text);
insert into public.identities (b) values ('x'), ('y');
create table public.replica (id int not null, v text);
create unique index replica_id on public.replica (id);
alter table public.replica replica identity using index replica_id;
create table public.stored_apart (id int, v text) with (fillfactor = 70, autovacuum_enabled = off);
alter table public.stored_apart alter column v set storage external, alter column v set statistics 500, alter column v set compression pglz;
comment on table public.animals is E'a ''comment'' with "quotes"\\nand lines';
comment on column public.animals.name is 'named';
grant select on public.animals to nasty_reader;
grant select (a), update (e) on public.dropped_columns to nasty_reader;
grant all on public.parents to "nasty owner" with grant option;
revoke all on public.children from public;
alter default privileges in schema sales grant select on tables to nasty_reader;
alter default privileges for role "nasty owner" revoke execute on functions from public;

create table public.bloated (id int, filler text) with (autovacuum_enabled = off);
insert into public.bloated select n, repeat('x', 700) from generate_series(1, 20000) n;
delete from public.bloated where id % 40 <> 0;
update public.bloated set filler = 'y' || id;
create table public.huge_rows (id int primary key, v text, b bytea);
alter table public.huge_rows alter v set storage external, alter b set storage external;
insert into public.huge_rows select n, repeat(chr(96 + n) || E'\\t', 10 * 1024 * 1024), decode(repeat('00ff', 10), 'hex') from generate_series(1, 3) n;
`;

const SEQUENCES = `
create sequence public.counts_down increment by -3 minvalue -1000 maxvalue 50 start with 50 cycle;
select nextval('public.counts_down'), nextval('public.counts_down');
create sequence public.untouched as smallint start with 7 cache 20;
create sequence public.at_its_end as bigint; select setval('public.at_its_end', 9223372036854775807, true);
create sequence public.set_not_called; select setval('public.set_not_called', 42, false);
alter sequence public.untouched owner to "nasty owner";
grant usage on sequence public.untouched to nasty_reader;
`;

const LARGE_OBJECTS = `
select lo_from_bytea(900001, decode(repeat('00ff0a5c', 5000), 'hex'));
select lo_from_bytea(900002, ''); select lo_from_bytea(900003, decode(repeat('ab', 300000), 'hex'));
alter large object 900002 owner to "nasty owner";
grant select on large object 900001 to nasty_reader;
comment on large object 900003 is 'a big one';
create table public.documents (id int primary key, body oid);
insert into public.documents values (1, 900001), (2, 900002), (3, 900003);
`;

const SECURITY = `
create table public.secrets (id int primary key, owner_name text, body text);
insert into public.secrets values (1, 'nasty owner', 'mine'), (2, 'other', 'yours');
alter table public.secrets owner to "nasty owner";
alter table public.secrets enable row level security, force row level security;
create policy own_rows on public.secrets for all to public using (owner_name = current_user) with check (owner_name = current_user);
create policy readers on public.secrets as restrictive for select to nasty_reader, nasty_limited using (id < 100);
create policy "writes; drop" on public.secrets for insert to nasty_limited with check (body <> '');
create table public.rls_without_force (id int);
alter table public.rls_without_force enable row level security;
create view public.safe_secrets with (security_barrier = true) as select id, body from public.secrets where id > 0 with local check option;
`;

/** Since 15. */
const INVOKER = 'create view public.invoker_secrets with (security_invoker = true) as select id from public.secrets;';

const CODE = `
create function public.add_up(a int, b int default 2) returns int language sql immutable strict parallel safe return a + b;
create procedure public.do_nothing(inout x int) language plpgsql as $body$ begin x := x; end $body$;
create function public.touch() returns trigger language plpgsql security definer set search_path = '' as $body$ begin return new; end $body$;
create trigger touched before update on public.animals for each row when (old.* is distinct from new.*) execute function public.touch();
create trigger asleep before insert on public.animals for each row execute function public.touch();
alter table public.animals disable trigger asleep;
create trigger replicas after insert on public.birds for each row execute function public.touch();
alter table public.birds enable always trigger replicas;
create constraint trigger late after insert on public.children deferrable initially deferred for each row execute function public.touch();
create rule no_delete as on delete to public.parents do instead nothing;
create aggregate public.product(numeric) (sfunc = numeric_mul, stype = numeric, initcond = '1');
create operator public.@+@ (leftarg = int, rightarg = int, function = public.add_up, commutator = operator(public.@+@));
create function public.mood_to_int(public.mood) returns int language sql immutable return 1;
create cast (public.mood as int) with function public.mood_to_int(public.mood) as assignment;
create text search dictionary public.plain (template = simple, stopwords = english);
create text search configuration public.wordy (copy = pg_catalog.english);
alter text search configuration public.wordy alter mapping for asciiword with public.plain;
create statistics public.correlated (dependencies, ndistinct) on id, at from sales.orders_2024;
create index expression_index on public.animals (lower(name) text_pattern_ops) include (id);
create materialized view public.by_region as select region, sum(amount) total from sales.orders group by region;
create materialized view public.by_total as select total from public.by_region where total > 1 with data;
create unique index on public.by_region (region);
create materialized view public.unpopulated as select 1 as one with no data;
create view public.recursive_view as with recursive t(n) as (values (1) union all select n + 1 from t where n < 3) select n from t;
create function public.log_ddl() returns event_trigger language plpgsql as $body$ begin raise notice 'ddl'; end $body$;
create event trigger nasty_events on ddl_command_end when tag in ('CREATE TABLE') execute function public.log_ddl();
alter event trigger nasty_events disable;
grant execute on function public.add_up(int, int) to nasty_reader;
revoke execute on procedure public.do_nothing(int) from public;
create publication nasty_some for table public.animals, public.parents with (publish = 'insert, update');
create publication nasty_all for all tables;
`;

const EXTENSIONS = `
create schema extras;
create extension citext with schema extras;
create extension hstore with schema extras;
create extension pg_trgm;
create extension file_fdw;
create extension postgres_fdw;
create table public.with_extensions (id int primary key, c extras.citext unique, h extras.hstore);
insert into public.with_extensions values (1, 'CamelCase', '"a"=>"1", "b"=>NULL');
create index on public.with_extensions using gin ((c::text) gin_trgm_ops);
create server files foreign data wrapper file_fdw;
create foreign table public.from_file (line text) server files options (filename '/etc/hostname');
create server elsewhere foreign data wrapper postgres_fdw options (host 'db.example', dbname 'x');
create user mapping for nasty_reader server elsewhere options (user 'u', password 'p');
create foreign table public.far_away (id int) server elsewhere options (table_name 'far');
grant usage on foreign server elsewhere to nasty_reader;
`;

/** Tables in a schema of odd names; the rows hold the name itself. */
function oddTables(): string {
  const statements = ODD_TABLES.map((name) => {
    const table = `${ident(ODD_SCHEMA)}.${ident(name)}`;
    return (
      `create table ${table} (id serial, ${ident(`${name.slice(0, 10)} "c"`)} text);` +
      `insert into ${table} (${ident(`${name.slice(0, 10)} "c"`)}) select ${literal(name)} || n from generate_series(1, 5) n;`
    );
  });
  return `create schema ${ident(ODD_SCHEMA)}; ${statements.join('\n')} grant usage on schema ${ident(ODD_SCHEMA)} to nasty_reader;`;
}

/** Settings, owner and rights of the database itself. */
function databaseFacts(name: string): string {
  return `
alter database ${ident(name)} set work_mem = '5MB';
alter database ${ident(name)} set search_path = 'public', 'extras';
alter role nasty_limited in database ${ident(name)} set work_mem = '6MB';
alter database ${ident(name)} owner to "nasty owner";
comment on database ${ident(name)} is 'a nasty one';
grant connect, temporary on database ${ident(name)} to nasty_reader;
revoke connect on database ${ident(name)} from public;
`;
}

/** A database that has a piece of everything, with names and values that break careless programs. About 65 MB. */
export async function createNastyDatabase(server: PostgresServer, name: string): Promise<void> {
  await server.query(ROLES);
  await server.query(`create database ${ident(name)} template template0`);
  for (const part of [TYPES, EXTENSIONS, TABLES, SEQUENCES, LARGE_OBJECTS, SECURITY, CODE, oddTables()]) {
    await server.query(part, { database: name });
  }
  if (server.major >= 15) await server.query(INVOKER, { database: name });
  await server.query(databaseFacts(name));
}

/**
 * A server that is shaped as an initialised, self-hosted Supabase is: who owns what, which roles there are and what they may,
 * what hangs together across schemas. It is not the product: neither its extensions (pgsodium, supabase_vault, pg_graphql,
 * pg_net) nor supautils are in it.
 */
import { type PostgresMajor, type PostgresServer, startPostgres } from './postgres-server.ts';

/** Who runs the server; `postgres` is no superuser there. */
export const ADMIN = 'supabase_admin';

/** An empty server, as initdb leaves it: its init scripts are off. */
export function startEmptySupabase(major: PostgresMajor): Promise<PostgresServer> {
  return startPostgres({ major, superuser: ADMIN });
}

/** A server after its init scripts, with nothing of a user in it. */
export async function startSupabase(major: PostgresMajor): Promise<PostgresServer> {
  const server = await startEmptySupabase(major);
  for (const part of [ROLES, SCHEMAS, SERVICES, RIGHTS]) await server.query(part);
  return server;
}

const ROLES = `
create role postgres login createdb createrole replication bypassrls;
create role anon nologin noinherit;
create role authenticated nologin noinherit;
create role service_role nologin noinherit bypassrls;
create role authenticator login noinherit;
create role supabase_auth_admin login noinherit createrole;
create role supabase_storage_admin login noinherit createrole;
create role supabase_replication_admin login replication;
create role supabase_read_only_user login bypassrls;
create role dashboard_user nologin createdb createrole replication;
create role pgbouncer login;
grant anon, authenticated, service_role to authenticator;
grant anon, authenticated, service_role to postgres with admin option;
grant authenticator to supabase_storage_admin;
grant pg_read_all_data to supabase_read_only_user;
grant pg_monitor, pg_read_all_data, pg_signal_backend to postgres;
alter role anon set statement_timeout = '3s';
alter role authenticated set statement_timeout = '8s';
alter role authenticator set lock_timeout = '8s';
alter role supabase_admin set search_path = "$user", public, auth, extensions;
alter role supabase_auth_admin set search_path = auth;
alter role supabase_storage_admin set search_path = storage;
alter role postgres set search_path = "$user", public, extensions;
alter database postgres set "app.settings.jwt_exp" = '3600';
grant all on database postgres to postgres;
`;

const SCHEMAS = `
create schema extensions;
create schema auth;
create schema storage;
create schema realtime;
create schema _realtime;
create schema graphql;
create schema graphql_public;
create schema vault;
create schema supabase_functions;
create schema pgbouncer authorization pgbouncer;
create extension pgcrypto with schema extensions;
create extension "uuid-ossp" with schema extensions;
create extension pg_stat_statements with schema extensions;
`;

const SERVICES = `
create table auth.users (id uuid primary key, email text unique, raw_user_meta_data jsonb);
create table auth.schema_migrations (version text primary key);
insert into auth.schema_migrations values ('20230101000000'), ('20240101000000');
create function auth.uid() returns uuid language sql stable
  as $$ select (nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub')::uuid $$;
create function auth.role() returns text language sql stable
  as $$ select nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'role' $$;
alter table auth.users owner to supabase_auth_admin;
alter table auth.schema_migrations owner to supabase_auth_admin;
alter function auth.uid() owner to supabase_auth_admin;
alter function auth.role() owner to supabase_auth_admin;

create table storage.buckets (id text primary key, name text not null unique, public bool default false);
create table storage.objects (
  id uuid primary key default extensions.uuid_generate_v4(), bucket_id text references storage.buckets, name text, owner uuid);
create function storage.foldername(name text) returns text[] language plpgsql immutable
  as $$ begin return (string_to_array(name, '/'))[:array_upper(string_to_array(name, '/'), 1) - 1]; end $$;
alter table storage.objects enable row level security;
alter table storage.buckets owner to supabase_storage_admin;
alter table storage.objects owner to supabase_storage_admin;
alter function storage.foldername(text) owner to supabase_storage_admin;

create table realtime.subscription (id bigint generated always as identity, entity regclass);
create table _realtime.tenants (id uuid primary key, external_id text);
create table vault.secrets (
  id uuid primary key default extensions.gen_random_uuid(), name text unique, secret text not null, nonce bytea);
create function graphql_public.graphql(query text) returns jsonb language plpgsql
  as $$ begin return jsonb_build_object('errors', jsonb_build_array('not enabled')); end $$;

create publication supabase_realtime;
alter publication supabase_realtime owner to postgres;
create function extensions.tell_of_change() returns event_trigger language plpgsql as $$ begin notify pgrst, 'reload schema'; end $$;
create event trigger tell_of_change on ddl_command_end execute function extensions.tell_of_change();
create event trigger tell_of_drop on sql_drop execute function extensions.tell_of_change();
`;

/** In the schema public also for whatever either administrator makes later. */
const RIGHTS = `
grant usage on schema public, extensions, graphql_public, storage to postgres, anon, authenticated, service_role;
grant usage on schema auth to postgres, anon, authenticated, service_role;
grant all on schema auth to supabase_auth_admin, dashboard_user;
grant all on schema storage to supabase_storage_admin, dashboard_user;
grant all on all tables in schema auth to postgres, dashboard_user;
grant all on all tables in schema storage to postgres, anon, authenticated, service_role;
grant usage on schema vault to postgres;
grant select, delete on vault.secrets to postgres;
alter default privileges for role supabase_admin in schema public grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public grant all on functions to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_admin in schema public grant all on sequences to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on tables to postgres, anon, authenticated, service_role;
alter default privileges for role postgres in schema public grant all on sequences to postgres, anon, authenticated, service_role;
alter default privileges for role supabase_auth_admin in schema auth grant all on tables to postgres, dashboard_user;
grant create on schema public to postgres;
`;

export const ANN = '00000000-0000-4000-8000-00000000000a';
export const BEN = '00000000-0000-4000-8000-00000000000b';

/** What a user makes: as `postgres`, by migrations; one table as the administrator, as the dashboard of a self-hosted server does. */
export async function addApplication(server: PostgresServer): Promise<void> {
  await server.query(
    `insert into auth.users values ('${ANN}', 'ann@example.org', '{"name": "Ann"}'), ('${BEN}', 'ben@example.org', '{}');
     insert into storage.buckets values ('avatars', 'avatars', true);
     insert into storage.objects (bucket_id, name, owner) values ('avatars', '${ANN}/me.png', '${ANN}');
     insert into vault.secrets (name, secret) values ('mail key', 'c2VhbGVk');
     create table public.made_in_dashboard (id int primary key, note text);
     insert into public.made_in_dashboard values (1, 'by the administrator')`,
  );
  await server.query(APPLICATION, { role: 'postgres' });
  await server.query(
    `create trigger on_user_made after insert on auth.users for each row execute function public.make_profile();
     create policy own_folder on storage.objects for select to authenticated
       using (bucket_id = 'avatars' and (storage.foldername(name))[1] = auth.uid()::text);`,
  );
}

const APPLICATION = `
create schema app;
grant usage on schema app to authenticated, service_role;
create table public.profiles (id uuid primary key references auth.users on delete cascade, name text);
create table public.messages (
  id bigint generated by default as identity primary key, author uuid not null default auth.uid() references public.profiles,
  body text not null, token text default encode(extensions.gen_random_bytes(6), 'hex'));
create table app.settings (key text primary key, value jsonb);
insert into public.profiles values ('${ANN}', 'Ann'), ('${BEN}', 'Ben');
insert into public.messages (author, body) select case n % 3 when 0 then '${ANN}' else '${BEN}' end::uuid, 'm' || n from generate_series(1, 300) n;
insert into app.settings values ('theme', '"dark"');
alter table public.profiles enable row level security;
alter table public.messages enable row level security, force row level security;
alter table app.settings enable row level security;
create policy "Profiles are for everybody who is known" on public.profiles for select to authenticated using (true);
create policy "Own messages" on public.messages for all to authenticated
  using (auth.uid() = author) with check ((select auth.uid()) = author);
create policy "Services only" on app.settings to service_role using (auth.role() = 'service_role');
grant select on app.settings to service_role;
create view public.my_messages with (security_invoker = true) as select id, body from public.messages;
create function public.make_profile() returns trigger language plpgsql security definer set search_path = ''
  as $$ begin insert into public.profiles values (new.id, new.raw_user_meta_data ->> 'name'); return new; end $$;
alter publication supabase_realtime add table public.messages;
create function public.keep_out() returns int language sql return 1;
revoke execute on function public.keep_out() from public, anon, authenticated;
create sequence public.kept_numbers;
create table public.kept (id int);
revoke all on sequence public.kept_numbers from anon, authenticated, service_role;
revoke all on public.kept from anon, authenticated, service_role, postgres;
grant all on public.kept to postgres;
`;

create schema core;
grant usage on schema core to anon, authenticated, service_role;

-- Who is asking: the subject of the token that the gateway has checked and put into the setting. Null for anon.
create function core.user_id() returns uuid
language sql stable
as $$
  select nullif(nullif(current_setting('request.jwt.claims', true), '')::jsonb ->> 'sub', '')::uuid
$$;

create table core.profiles (
  id uuid primary key,
  display_name text not null check (length(display_name) between 1 and 80),
  is_editor boolean not null default false,
  created_at timestamptz not null default now()
);

create table core.pages (
  id bigint generated always as identity primary key,
  title text not null check (length(title) between 1 and 200),
  intro text not null default '',
  position integer not null default 0,
  published boolean not null default false,
  updated_at timestamptz not null default now()
);

-- The product's own configuration.
create table core.settings (
  name text primary key,
  value jsonb not null
);

-- Asked inside policies: as its owner, or the policy of core.profiles would be asked again for each row.
create function core.is_editor() returns boolean
language sql stable security definer
set search_path = ''
as $$
  select exists (select from core.profiles where id = core.user_id() and is_editor)
$$;
revoke execute on function core.is_editor() from public;
grant execute on function core.is_editor() to anon, authenticated, service_role;

alter table core.profiles enable row level security;
alter table core.pages enable row level security;
alter table core.settings enable row level security;

grant select on core.profiles to authenticated;
-- Not is_editor: nobody makes himself an editor.
grant insert (id, display_name), update (display_name) on core.profiles to authenticated;
grant select on core.pages to anon, authenticated;
grant insert, update, delete on core.pages to authenticated;
grant select on core.settings to anon, authenticated;
grant all on all tables in schema core to service_role;

create policy profiles_read on core.profiles for select to authenticated using (id = core.user_id() or core.is_editor());
create policy profiles_insert on core.profiles for insert to authenticated with check (id = core.user_id());
create policy profiles_update on core.profiles for update to authenticated
  using (id = core.user_id()) with check (id = core.user_id());

create policy pages_read on core.pages for select to anon, authenticated using (published or core.is_editor());
create policy pages_write on core.pages for all to authenticated using (core.is_editor()) with check (core.is_editor());

create policy settings_read on core.settings for select to anon, authenticated using (name !~ '^private[.]');

insert into core.pages (title, intro, published) values ('Welcome', 'This page came with the installation.', true);

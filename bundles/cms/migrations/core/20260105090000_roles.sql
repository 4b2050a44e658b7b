-- The roles that Supabase has too. On a server that has them already nothing changes: roles belong to the whole
-- server, and another database of it may have made them.
do $$
begin
  if not exists (select from pg_roles where rolname = 'anon') then
    create role anon nologin noinherit;
  end if;
  if not exists (select from pg_roles where rolname = 'authenticated') then
    create role authenticated nologin noinherit;
  end if;
  if not exists (select from pg_roles where rolname = 'service_role') then
    create role service_role nologin noinherit bypassrls;
  end if;
end
$$;

-- The publishers' login, where the installation has made it: it may become anon and nothing else.
do $$
begin
  if exists (select from pg_roles where rolname = 'cms_web') then
    grant anon to cms_web;
  end if;
end
$$;

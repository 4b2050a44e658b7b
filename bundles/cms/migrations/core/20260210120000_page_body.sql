-- `intro` becomes `body`. Both stand until every program writes the new one: the trigger keeps them equal, whichever
-- of the two a program of either version sets.
alter table core.pages add column body text;
update core.pages set body = intro;

create function core.pages_intro_is_body() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  if tg_op = 'INSERT' then
    new.body := coalesce(new.body, new.intro);
    new.intro := new.body;
  elsif new.body is distinct from old.body then
    new.intro := coalesce(new.body, '');
  elsif new.intro is distinct from old.intro then
    new.body := new.intro;
  end if;
  return new;
end
$$;
create trigger pages_intro_is_body before insert or update on core.pages
  for each row execute function core.pages_intro_is_body();

-- What the publishers read; with the rights of who asks, so that row-level security holds.
create view core.published_pages with (security_invoker = true) as
  select title, body, position from core.pages where published;
grant select on core.published_pages to anon, authenticated, service_role;

-- A readable address for each post. Programs of the former version do not set it, so it is made for them.
alter table blog.posts add column slug text;

create function blog.slug_of(title text, id bigint) returns text
language sql immutable
as $$
  select coalesce(nullif(trim(both '-' from regexp_replace(lower(title), '[^a-z0-9]+', '-', 'g')), '') || '-', '') || id
$$;

create function blog.posts_set_slug() returns trigger
language plpgsql
set search_path = ''
as $$
begin
  new.slug := coalesce(nullif(new.slug, ''), blog.slug_of(new.title, new.id));
  return new;
end
$$;
create trigger posts_set_slug before insert or update on blog.posts
  for each row execute function blog.posts_set_slug();

update blog.posts set slug = blog.slug_of(title, id);

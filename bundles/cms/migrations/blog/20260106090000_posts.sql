create schema blog;
grant usage on schema blog to anon, authenticated, service_role;

create table blog.posts (
  id bigint generated always as identity primary key,
  author_id uuid not null references core.profiles (id) on delete restrict,
  title text not null check (length(title) between 1 and 200),
  body text not null default '',
  published_at timestamptz,
  created_at timestamptz not null default now()
);
create index posts_published_at on blog.posts (published_at desc) where published_at is not null;
create index posts_author_id on blog.posts (author_id);

alter table blog.posts enable row level security;

grant select on blog.posts to anon, authenticated;
grant insert, update, delete on blog.posts to authenticated;
grant all on all tables in schema blog to service_role;

-- A post with a time to come is not out yet.
create policy posts_read on blog.posts for select to anon, authenticated using (published_at <= now());
create policy posts_own on blog.posts for all to authenticated
  using (author_id = core.user_id()) with check (author_id = core.user_id());
create policy posts_editor on blog.posts for all to authenticated
  using (core.is_editor()) with check (core.is_editor());

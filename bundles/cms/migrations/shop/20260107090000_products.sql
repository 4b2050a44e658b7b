create schema shop;
grant usage on schema shop to anon, authenticated, service_role;

create table shop.products (
  id bigint generated always as identity primary key,
  name text not null check (length(name) between 1 and 200),
  description text not null default '',
  price_cents bigint not null check (price_cents >= 0),
  currency char(3) not null default 'EUR' check (currency ~ '^[A-Z]{3}$'),
  stock integer not null default 0 check (stock >= 0),
  on_sale boolean not null default false
);

alter table shop.products enable row level security;

grant select on shop.products to anon, authenticated;
grant insert, update, delete on shop.products to authenticated;
grant all on all tables in schema shop to service_role;

create policy products_read on shop.products for select to anon, authenticated using (on_sale or core.is_editor());
create policy products_write on shop.products for all to authenticated
  using (core.is_editor()) with check (core.is_editor());

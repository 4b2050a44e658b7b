create table shop.orders (
  id uuid primary key default gen_random_uuid(),
  customer_id uuid not null references core.profiles (id) on delete restrict,
  product_id bigint not null references shop.products (id) on delete restrict,
  quantity integer not null check (quantity between 1 and 1000),
  price_cents bigint not null,
  ordered_at timestamptz not null default now()
);
create index orders_customer_id on shop.orders (customer_id);
create index orders_product_id on shop.orders (product_id);

alter table shop.orders enable row level security;
grant select on shop.orders to authenticated;
grant all on shop.orders to service_role;

create policy orders_read on shop.orders for select to authenticated
  using (customer_id = core.user_id() or core.is_editor());

-- The one way to order: a customer must not name a price, or take what is not there.
create function shop.place_order(product bigint, quantity integer) returns uuid
language plpgsql security definer
set search_path = ''
as $$
declare
  chosen shop.products;
  placed uuid;
begin
  if core.user_id() is null then
    raise exception 'Only a customer can order.' using errcode = 'insufficient_privilege';
  end if;
  update shop.products set stock = stock - place_order.quantity
    where id = place_order.product and on_sale and place_order.quantity > 0 and stock >= place_order.quantity
    returning * into chosen;
  if not found then
    raise exception 'There are not that many of this product.' using errcode = 'check_violation';
  end if;
  insert into shop.orders (customer_id, product_id, quantity, price_cents)
    values (core.user_id(), chosen.id, place_order.quantity, chosen.price_cents)
    returning id into placed;
  return placed;
end
$$;
revoke execute on function shop.place_order(bigint, integer) from public;
grant execute on function shop.place_order(bigint, integer) to authenticated, service_role;

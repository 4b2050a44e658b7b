-- A stock-keeping unit of the customer's own choice beside the number.
alter table shop.products add column sku text;
update shop.products set sku = 'P' || id;
create unique index products_sku on shop.products (sku);

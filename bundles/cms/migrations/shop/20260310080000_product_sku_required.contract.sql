update shop.products set sku = 'P' || id where sku is null;
alter table shop.products alter column sku set not null;

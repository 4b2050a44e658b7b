-- No program reads or writes `intro` any more. There is no way back to the version that did.
drop trigger pages_intro_is_body on core.pages;
drop function core.pages_intro_is_body();
update core.pages set body = '' where body is null;
alter table core.pages alter column body set not null, alter column body set default '', drop column intro;

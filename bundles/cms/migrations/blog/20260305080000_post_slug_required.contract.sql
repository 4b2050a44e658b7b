alter table blog.posts alter column slug set not null;

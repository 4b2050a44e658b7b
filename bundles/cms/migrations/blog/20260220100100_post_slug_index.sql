-- portolan: no-transaction
create unique index concurrently posts_slug on blog.posts (slug);

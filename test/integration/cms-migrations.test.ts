/** The migrations of bundles/cms on a real PostgreSQL: expand in order, the policies as each role, contract after. */
import { readdir, readFile } from 'node:fs/promises';
import { basename, join, resolve } from 'node:path';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';

const FOLDER = resolve(import.meta.dirname, '../../bundles/cms');
const ANNA = '00000000-0000-4000-8000-00000000000a';
const BERT = '00000000-0000-4000-8000-00000000000b';
const EDITOR = '00000000-0000-4000-8000-00000000000e';

let server: PostgresServer;
let databases = 0;
let database: string;

beforeAll(async () => {
  server = await startPostgres();
  await server.query('create role cms_web login noinherit');
});
afterAll(() => server?.stop());
beforeEach(async () => {
  databases += 1;
  database = `cms_${databases}`;
  await server.query(`create database ${database}`);
});

/** Applies modules in numeric order of their files. */
async function apply(modules: readonly string[], kind: 'expand' | 'contract'): Promise<void> {
  const files: string[] = [];
  for (const module of modules) {
    const folder = join(FOLDER, 'migrations', module);
    for (const name of await readdir(folder)) {
      if (name.endsWith('.contract.sql') === (kind === 'contract')) files.push(join(folder, name));
    }
  }
  files.sort((a, b) => (basename(a) < basename(b) ? -1 : 1));
  for (const file of files) await server.runFile(file, { database });
}

const admin = (sql: string) => server.query(sql, { database });

/** Runs SQL as a role of the gateway, for the user whose token it has checked. */
function as(role: 'anon' | 'authenticated' | 'service_role', sql: string, user?: string): Promise<string> {
  const claims = user === undefined ? '' : JSON.stringify({ sub: user, role });
  return server.query(`set role ${role}; set request.jwt.claims = '${claims}'; ${sql}`, { database });
}

/** insufficient_privilege: a grant or a policy said no. */
const denied = (work: Promise<string>) => expect(work).rejects.toThrow('42501');

async function people(): Promise<void> {
  await admin(`insert into core.profiles (id, display_name, is_editor)
    values ('${ANNA}', 'Anna', false), ('${BERT}', 'Bert', false), ('${EDITOR}', 'Editor', true)`);
}

describe('core', () => {
  test('the roles are made once for the server, and a second database finds them', async () => {
    await apply(['core'], 'expand');
    await server.query(`create database ${database}_second`);
    database = `${database}_second`;
    await apply(['core'], 'expand');
    const roles = await admin(
      "select rolname, rolcanlogin, rolbypassrls from pg_roles where rolname in ('anon', 'authenticated', 'service_role') order by 1",
    );
    expect(roles.split('\n')).toEqual(['anon|f|f', 'authenticated|f|f', 'service_role|f|t']);
    expect(
      await admin("select pg_has_role('cms_web', 'anon', 'member'), pg_has_role('cms_web', 'service_role', 'member')"),
    ).toBe('t|f');
  });

  test('anon reads what is published, and writes nothing', async () => {
    await apply(['core'], 'expand');
    await admin("insert into core.pages (title, published) values ('draft', false)");
    await admin(`insert into core.settings values ('title', '"Harbour"'), ('private.token', '"x"')`);
    expect(await as('anon', 'select title from core.pages')).toBe('Welcome');
    expect(await as('anon', 'select title from core.published_pages')).toBe('Welcome');
    expect(await as('anon', 'select name from core.settings')).toBe('title');
    await denied(as('anon', "insert into core.pages (title) values ('x')"));
    await denied(as('anon', 'select * from core.profiles'));
  });

  test('a user sees and changes his own profile, and makes nobody an editor', async () => {
    await apply(['core'], 'expand');
    await people();
    expect(await as('authenticated', 'select display_name from core.profiles', ANNA)).toBe('Anna');
    expect(await as('authenticated', 'select count(*) from core.profiles', EDITOR)).toBe('3');
    await as('authenticated', "update core.profiles set display_name = 'changed'", ANNA);
    expect(await admin("select count(*) from core.profiles where display_name = 'changed'")).toBe('1');
    await denied(as('authenticated', 'update core.profiles set is_editor = true', ANNA));
    const other = '00000000-0000-4000-8000-0000000000ff';
    await denied(as('authenticated', `insert into core.profiles (id, display_name) values ('${other}', 'x')`, ANNA));
    expect(await as('authenticated', 'select count(*) from core.profiles')).toBe('0');
  });

  test('editors write pages, others do not', async () => {
    await apply(['core'], 'expand');
    await people();
    await as('authenticated', "insert into core.pages (title, body) values ('By an editor', 'text')", EDITOR);
    await denied(as('authenticated', "insert into core.pages (title) values ('By Anna')", ANNA));
    await as('authenticated', "update core.pages set title = 'changed'", ANNA);
    expect(await admin("select count(*) from core.pages where title = 'changed'")).toBe('0');
    expect(await as('service_role', 'select count(*) from core.pages')).toBe('2');
  });

  test('before the contract programs of both versions write, after it only the new one', async () => {
    await apply(['core'], 'expand');
    await admin("insert into core.pages (title, intro) values ('old', 'by the old version')");
    await admin("insert into core.pages (title, body) values ('new', 'by the new version')");
    await admin("update core.pages set intro = 'changed by the old version' where title = 'new'");
    const before = await admin("select title, intro, body from core.pages where title in ('old', 'new') order by 1");
    expect(before.split('\n')).toEqual([
      'new|changed by the old version|changed by the old version',
      'old|by the old version|by the old version',
    ]);
    await apply(['core'], 'contract');
    await admin("insert into core.pages (title, body) values ('after', 'text')");
    await expect(admin("insert into core.pages (title, intro) values ('x', 'y')")).rejects.toThrow('42703');
    expect(await as('anon', 'select title, body from core.published_pages')).toBe(
      'Welcome|This page came with the installation.',
    );
  });
});

describe('blog', () => {
  test('a post is out when its time has come, and its author alone sees it before', async () => {
    await apply(['core', 'blog'], 'expand');
    await people();
    const insert = (title: string, time: string) =>
      as(
        'authenticated',
        `insert into blog.posts (author_id, title, published_at) values ('${ANNA}', '${title}', ${time})`,
        ANNA,
      );
    await insert('Out', "now() - interval '1 minute'");
    await insert('To come', "now() + interval '1 hour'");
    await insert('Draft', 'null');
    expect(await as('anon', 'select title from blog.posts')).toBe('Out');
    expect(await as('authenticated', 'select title from blog.posts', BERT)).toBe('Out');
    expect((await as('authenticated', 'select title from blog.posts order by 1', ANNA)).split('\n')).toEqual([
      'Draft',
      'Out',
      'To come',
    ]);
    expect(await as('authenticated', 'select count(*) from blog.posts', EDITOR)).toBe('3');
    await as('authenticated', "update blog.posts set title = 'taken'; delete from blog.posts", BERT);
    expect(await admin("select count(*) from blog.posts where title <> 'taken'")).toBe('3');
    const forged = `insert into blog.posts (author_id, title) values ('${ANNA}', 'forged')`;
    await denied(as('authenticated', forged, BERT));
    await denied(as('anon', forged));
  });

  test('each post has an address of its own, also where no program sets one', async () => {
    await apply(['core', 'blog'], 'expand');
    await people();
    for (const title of ['Über uns!', 'Same', 'Same', '???']) {
      await as('authenticated', `insert into blog.posts (author_id, title) values ('${ANNA}', '${title}')`, ANNA);
    }
    await apply(['core', 'blog'], 'contract');
    const slugs = (await admin('select slug from blog.posts order by id')).split('\n');
    expect(slugs).toEqual(['ber-uns-1', 'same-2', 'same-3', '4']);
    await expect(admin("update blog.posts set slug = 'same-2' where id = 3")).rejects.toThrow('23505');
  });
});

describe('shop', () => {
  test('customers order what is there at its price, and see their own orders only', async () => {
    await apply(['core', 'shop'], 'expand');
    await people();
    await admin(
      `insert into shop.products (name, price_cents, stock, on_sale) values ('Mug', 950, 3, true), ('Secret', 1, 9, false)`,
    );
    expect(await as('anon', 'select name from shop.products')).toBe('Mug');
    await as('authenticated', 'select shop.place_order(1, 2)', ANNA);
    expect(await as('authenticated', 'select quantity, price_cents from shop.orders', ANNA)).toBe('2|950');
    expect(await as('authenticated', 'select count(*) from shop.orders', BERT)).toBe('0');
    expect(await admin('select stock from shop.products where id = 1')).toBe('1');
    // More than there is, nothing, less than nothing, not on sale.
    for (const [product, quantity] of [
      [1, 2],
      [1, 0],
      [1, -5],
      [2, 1],
    ]) {
      await expect(as('authenticated', `select shop.place_order(${product}, ${quantity})`, BERT)).rejects.toThrow(
        '23514',
      );
    }
    await denied(as('authenticated', 'select shop.place_order(1, 1)'));
    await denied(as('anon', 'select shop.place_order(1, 1)'));
    await denied(
      as(
        'authenticated',
        `insert into shop.orders (customer_id, product_id, quantity, price_cents) values ('${BERT}', 1, 1, 0)`,
        BERT,
      ),
    );
    expect(await admin('select stock from shop.products order by id')).toBe('1\n9');
  });

  test('only editors change products', async () => {
    await apply(['core', 'shop'], 'expand');
    await people();
    await as('authenticated', "insert into shop.products (name, price_cents) values ('Cap', 1500)", EDITOR);
    await as('authenticated', 'update shop.products set price_cents = 1', ANNA);
    expect(await admin('select price_cents from shop.products')).toBe('1500');
    await denied(as('authenticated', "insert into shop.products (name, price_cents) values ('Free', 0)", ANNA));
    await apply(['core', 'shop'], 'contract');
    expect(await admin('select sku from shop.products')).toMatch(/^P\d+$/);
  });
});

test.each([['blog'], ['shop']])('core and %s apply without the other module, and contract', async (module) => {
  await apply(['core', module], 'expand');
  await apply(['core', module], 'contract');
  const schemas = await admin("select nspname from pg_namespace where nspname in ('core', 'blog', 'shop') order by 1");
  expect(schemas.split('\n')).toEqual([module, 'core'].sort());
});

test('every table has row-level security', async () => {
  await apply(['core', 'blog', 'shop'], 'expand');
  await apply(['core', 'blog', 'shop'], 'contract');
  const open = await admin(`select count(*), count(*) filter (where not relrowsecurity) from pg_class
    where relkind = 'r' and relnamespace in ('core'::regnamespace, 'blog'::regnamespace, 'shop'::regnamespace)`);
  expect(open).toBe('6|0');
});

test('the publishers read with their own login what the pages show', async () => {
  await apply(['core', 'blog', 'shop'], 'expand');
  await people();
  await admin(
    `insert into blog.posts (author_id, title, published_at) values ('${ANNA}', 'Out', now() - interval '1 day'), ('${ANNA}', 'Draft', null)`,
  );
  await admin("insert into shop.products (name, price_cents, on_sale) values ('Mug', 950, true), ('Secret', 1, false)");
  for (const kind of ['expand', 'contract'] as const) {
    if (kind === 'contract') await apply(['core', 'blog', 'shop'], kind);
    for (const [section, expected] of [
      ['core', [{ title: 'Welcome' }]],
      ['blog', [{ title: 'Out' }]],
      ['shop', [{ title: 'Mug', note: '9.50 EUR' }]],
    ] as const) {
      const { query } = parse(await readFile(join(FOLDER, `charts/app/sections/${section}.yaml`), 'utf8'));
      const rows = JSON.parse(await server.query(`set role anon; ${query}`, { role: 'cms_web', database }));
      expect(rows).toHaveLength(expected.length);
      expect(rows).toMatchObject(expected);
      await denied(server.query(query, { role: 'cms_web', database }));
    }
    await denied(server.query('set role service_role', { role: 'cms_web', database }));
  }
});

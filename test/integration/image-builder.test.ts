/** scripts/image: the images are built, built again, and run. */
import { spawn } from 'node:child_process';
import { closeSync, openSync } from 'node:fs';
import { chmod, copyFile, cp, mkdir, mkdtemp, readdir, readFile, symlink, writeFile } from 'node:fs/promises';
import { homedir, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import { type BuiltImage, buildImage } from '../../scripts/images/image.ts';
import { recipes } from '../../scripts/images/recipes.ts';
import { scanLayer } from '../../src/adapters/packages/scan-layer.ts';
import { hexOf } from '../../src/core/digest.ts';
import type { Descriptor } from '../../src/formats/oci/types.ts';
import { freePort } from '../support/free-port.ts';
import {
  ending,
  removeRoot,
  runInImage,
  startInImage,
  type UnpackedImage,
  unpackImage,
} from '../support/image-rootfs.ts';

const REPOSITORY = resolve(import.meta.dirname, '../..');
const CACHE = join(process.env.XDG_CACHE_HOME || join(homedir(), '.cache'), 'portolan/image-parts');
const ARCHITECTURE = process.arch === 'arm64' ? 'arm64' : 'amd64';
const NAMES = ['pause', 'postgres', 'web', 'shop', 'portolan'] as const;
type Name = (typeof NAMES)[number];

let folder: string;
let layout: string;
const built = {} as Record<Name, BuiltImage>;
const images = {} as Record<Name, UnpackedImage>;

function build(name: string, from: string, layoutFolder: string, cacheFolder: string): Promise<BuiltImage> {
  const recipe = recipes[name];
  if (recipe === undefined) throw new Error(`no recipe ${name}`);
  return buildImage({ recipe, architectures: [ARCHITECTURE], layoutFolder, cacheFolder, repositoryFolder: from });
}

/** What images are made of, so that a checkout may be edited while the tests run. */
async function copyCheckout(from: string, to: string): Promise<void> {
  for (const name of ['src', 'scripts', 'package.json', 'package-lock.json', '.npmrc', 'LICENSE']) {
    await cp(join(from, name), join(to, name), { recursive: true });
  }
}

async function manifestOf(name: Name) {
  return JSON.parse(await readFile(join(layout, 'blobs/sha256', hexOf(built[name].descriptor.digest)), 'utf8'));
}

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-images-'));
  // Other users of the images enter it.
  await chmod(folder, 0o755);
  layout = join(folder, 'layout');
  await copyCheckout(REPOSITORY, join(folder, 'checkout'));
  for (const name of NAMES) {
    built[name] = await build(name, join(folder, 'checkout'), layout, CACHE);
    images[name] = await unpackImage(layout, built[name].descriptor.digest, join(folder, name));
  }
}, 900_000);
afterAll(() => removeRoot(folder));

test('built once more from another folder, without cached layers, every digest is the same', async () => {
  const cacheFolder = join(folder, 'cache');
  await mkdir(cacheFolder);
  await copyCheckout(join(folder, 'checkout'), join(folder, 'elsewhere'));
  // What was fetched, not what was made of it: other versions would be another image.
  for (const name of await readdir(CACHE)) {
    if (name !== 'layers') await symlink(join(CACHE, name), join(cacheFolder, name));
  }
  for (const name of NAMES) {
    const again = await build(name, join(folder, 'elsewhere'), join(folder, 'again'), cacheFolder);
    expect([name, again.descriptor.digest]).toEqual([name, built[name].descriptor.digest]);
  }
}, 900_000);

test('images with packages share their base layer, and shop names web as its base', async () => {
  const layers = async (name: Name) => (await manifestOf(name)).layers.map(({ digest }: Descriptor) => digest);
  const [base] = await layers('web');
  for (const name of ['postgres', 'shop', 'portolan'] as const) expect((await layers(name))[0]).toBe(base);
  const { annotations } = await manifestOf('shop');
  expect(annotations['org.opencontainers.image.base.name']).toBe(recipes.web?.reference);
  expect(annotations['org.opencontainers.image.base.digest']).toBe(built.web.descriptor.digest);
});

test('the packages that the manifest names are those that the layers hold, with their licences', async () => {
  const found: string[] = [];
  for (const { digest, size, mediaType } of (await manifestOf('postgres')).layers) {
    const path = join(layout, 'blobs/sha256', hexOf(digest));
    const layer = await scanLayer({ digest, sizeBytes: size, path }, mediaType);
    expect(layer).toMatchObject({ status: 'read', reasons: [] });
    for (const file of layer.files) {
      if ('packages' in file) found.push(...file.packages.map(({ name, version }) => `${name}=${version}`));
    }
  }
  expect(found.sort()).toEqual([...built.postgres.packages].sort());
  expect(found).toContainEqual(expect.stringMatching(/^postgresql-15=/));
  expect(await readFile(join(images.postgres.root, 'usr/share/doc/postgresql-15/copyright'), 'utf8')).toContain(
    'PostgreSQL',
  );
});

test('no image holds what belongs to the machine that built it', async () => {
  for (const name of NAMES) {
    const found = await ending(
      spawn('grep', ['-rlF', '-e', REPOSITORY, '-e', folder, '-e', CACHE, images[name].root], {
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    expect([name, found.output]).toEqual([name, '']);
  }
});

test('a stock tool takes every blob as the manifest says', async () => {
  for (const name of NAMES) {
    const source = `${layout}@${built[name].descriptor.digest}`;
    const target = `${join(folder, 'copied')}:${name}`;
    const copied = await ending(
      spawn('oras', ['cp', '--from-oci-layout', source, '--to-oci-layout', target], {
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    expect(copied).toMatchObject({ status: 0 });
  }
});

describe('pause', () => {
  test.each(['SIGTERM', 'SIGINT'] as const)('waits until %s, then ends well', async (signal) => {
    const child = spawn(join(images.pause.root, 'pause'), { stdio: ['ignore', 'pipe', 'pipe'] });
    const ended = ending(child);
    expect(await Promise.race([ended, sleep(2000, 'waiting')])).toBe('waiting');
    child.kill(signal);
    expect(await ended).toMatchObject({ status: 0, output: '' });
  });
});

describe('portolan', () => {
  test('tells its version and has the client programs', async () => {
    const { version } = JSON.parse(await readFile(join(REPOSITORY, 'package.json'), 'utf8'));
    const own = await runInImage(images.portolan, [...images.portolan.config.Entrypoint, '--version']);
    expect(own).toEqual({ status: 0, output: `${version}\n` });
    for (const program of ['pg_dump', 'pg_restore', 'pg_dumpall', 'psql']) {
      expect(await runInImage(images.portolan, [program, '--version'])).toMatchObject({
        status: 0,
        output: expect.stringContaining('(PostgreSQL) 15.'),
      });
    }
  });

  test('loads every command, and knows certificates', async () => {
    const help = await runInImage(images.portolan, [...images.portolan.config.Entrypoint, 'bundle', 'build', '--help']);
    expect(help).toMatchObject({ status: 0, output: expect.stringContaining('--sign-key') });
    const script = 'const c = require("tls").rootCertificates.length; console.log(process.getuid(), c > 50)';
    expect(await runInImage(images.portolan, ['node', '-e', script])).toEqual({ status: 0, output: '10001 true\n' });
    const bundle = await readFile(join(images.portolan.root, 'etc/ssl/certs/ca-certificates.crt'), 'utf8');
    expect(bundle.match(/-----BEGIN CERTIFICATE-----/g)?.length).toBeGreaterThan(50);
  });

  test('carries the program and what it needs to run, no more', async () => {
    const listed = await runInImage(images.portolan, ['sh', '-c', 'cd /opt/portolan && ls -a && ls node_modules']);
    expect(listed.output).toContain('tar-stream');
    expect(listed.output).not.toMatch(/^(?:\.git|test|scripts|vitest|typescript|@biomejs|\.bin)$/m);
  });
});

/** Starts the server and waits until it answers on `port`, or has ended. */
async function startServer(image: UnpackedImage, port: number, env: readonly string[]) {
  const command = [...image.config.Entrypoint, 'postgres', '-c', 'listen_addresses=127.0.0.1', '-c', `port=${port}`];
  const server = startInImage(image, command, {
    env: ['POSTGRES_PASSWORD_FILE=/tmp/password', 'POSTGRES_DB=cms', ...env],
  });
  const ended = ending(server);
  for (let tries = 0; tries < 600 && server.exitCode === null; tries += 1) {
    const ready = await runInImage(image, ['pg_isready', '-q', '-h', '127.0.0.1', '-p', String(port)]);
    if (ready.status === 0) break;
    await sleep(100);
  }
  return { server, ended };
}

describe('postgres', () => {
  beforeAll(async () => {
    const { root } = images.postgres;
    await writeFile(join(root, 'tmp/password'), 'only for this test', { mode: 0o644 });
    await writeFile(
      join(root, 'docker-entrypoint-initdb.d/10-role.sql'),
      "\\set password `cat /tmp/password`\ncreate role cms_web login noinherit password :'password';\n",
    );
    await writeFile(join(root, 'docker-entrypoint-initdb.d/20-table.sql'), 'create table made (at_first_start int);\n');
  });

  test('makes a database on the first start, finds it on the second, and stops in order', async () => {
    const image = images.postgres;
    const port = await freePort();
    const psql = (user: string, password: string, sql: string) =>
      runInImage(image, ['psql', '-XAtqc', sql, '-h', '127.0.0.1', '-p', String(port), '-U', user, 'cms'], {
        env: [`PGPASSWORD=${password}`],
      });

    const without = await runInImage(image, image.config.Entrypoint);
    expect(without).toMatchObject({ status: 1, output: expect.stringContaining('PASSWORD') });
    for (const start of ['first', 'second']) {
      const { server, ended } = await startServer(image, port, []);
      const sql =
        "select current_user, count(*), current_setting('server_encoding'), current_setting('data_checksums') from made";
      const asked = await psql('postgres', 'only for this test', sql);
      expect([start, asked]).toEqual([start, { status: 0, output: 'postgres|0|UTF8|on\n' }]);
      expect(await psql('cms_web', 'only for this test', 'select 1')).toEqual({ status: 0, output: '1\n' });
      expect((await psql('cms_web', 'wrong', 'select 1')).status).toBe(2);
      expect(await psql('postgres', 'only for this test', 'select count(*) > 300 from pg_timezone_names')).toEqual({
        status: 0,
        output: 't\n',
      });
      // What the image's StopSignal says.
      server.kill('SIGINT');
      const { output, status } = await ended;
      expect(status).toBe(0);
      expect(output).toContain('database system is shut down');
      expect(output.includes('performing post-bootstrap initialization')).toBe(start === 'first');
    }
  });

  test('the chart’s publisher writes what is published, and goes on when the database is away', async () => {
    const image = images.postgres;
    const port = await freePort();
    const cms = join(REPOSITORY, 'bundles/cms');
    const rendered = await ending(
      spawn('helm', ['template', 'cms-app', join(cms, 'charts/app'), '--show-only', 'templates/configmap.yaml'], {
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    const { data } = parse(rendered.output);
    for (const name of ['etc/publisher', 'data', 'migrations'])
      await mkdir(join(image.root, name), { recursive: true });
    await chmod(join(image.root, 'data'), 0o777);
    for (const [name, text] of Object.entries(data)) {
      await writeFile(join(image.root, 'etc/publisher', name), text as string);
    }
    const migrations = join(cms, 'migrations/core');
    const files = (await readdir(migrations)).sort();
    for (const name of files) await copyFile(join(migrations, name), join(image.root, 'migrations', name));

    const login = ['PGHOST=127.0.0.1', `PGPORT=${port}`, 'PGDATABASE=cms', 'PGPASSWORD=only for this test'];
    const publisher = startInImage(image, ['sh', '/etc/publisher/publish.sh', 'pages.json', '1'], {
      env: [...login, 'PGUSER=cms_web'],
    });
    const published = ending(publisher);
    const { server, ended } = await startServer(image, port, ['PGDATA=/var/lib/postgresql/data/published']);
    try {
      const migrate = ['psql', '-Xq', '-v', 'ON_ERROR_STOP=1', ...files.map((name) => `--file=/migrations/${name}`)];
      expect(await runInImage(image, migrate, { env: [...login, 'PGUSER=postgres'] })).toMatchObject({ status: 0 });
      const page = join(image.root, 'data/pages.json');
      let text: string | undefined;
      for (let tries = 0; tries < 300 && text === undefined; tries += 1) {
        text = await readFile(page, 'utf8').catch(() => undefined);
        await sleep(100);
      }
      expect(JSON.parse(text ?? '')).toEqual([{ title: 'Welcome', body: 'This page came with the installation.' }]);
    } finally {
      publisher.kill('SIGTERM');
      server.kill('SIGINT');
      await ended;
    }
    const { status, output } = await published;
    expect(status).toBe(0);
    expect(output).toContain('Connection refused');
  });

  test('refuses to run as root', async () => {
    const refused = await runInImage(images.postgres, images.postgres.config.Entrypoint, { user: '0:0' });
    expect(refused).toMatchObject({ status: 1, output: expect.stringContaining('root') });
  });
});

describe('web', () => {
  test('its configuration is valid', async () => {
    const log = await openLog('check.log');
    const checked = await ending(startInImage(images.web, ['/usr/sbin/nginx', '-e', 'stderr', '-t'], { stdout: log }));
    closeSync(log);
    expect(checked).toMatchObject({ status: 0, output: expect.stringContaining('test is successful') });
  });

  test('serves the pages of its image, compressed, without a folder’s listing', async () => {
    const image = images.shop;
    const port = await freePort();
    const configuration = await readFile(join(image.root, 'etc/nginx/nginx.conf'), 'utf8');
    expect(configuration).toContain('listen 8080;');
    // The port is this machine's: another test may hold it.
    await writeFile(
      join(image.root, 'tmp/nginx.conf'),
      configuration.replace('listen 8080;', `listen 127.0.0.1:${port};`),
    );
    const log = await openLog('access.log');
    const server = startInImage(image, [...image.config.Entrypoint, '-c', '/tmp/nginx.conf'], { stdout: log });
    const ended = ending(server);
    const get = (path: string) => fetch(`http://127.0.0.1:${port}${path}`);
    try {
      for (let tries = 0; tries < 300 && server.exitCode === null; tries += 1) {
        if (await get('/healthz').catch(() => undefined)) break;
        await sleep(50);
      }
      expect(await (await get('/healthz')).text()).toBe('ok\n');
      const page = await get('/');
      expect(page.headers.get('content-type')).toBe('text/html; charset=utf-8');
      expect(page.headers.get('content-security-policy')).toContain("default-src 'self'");
      expect(await page.text()).toBe(
        await readFile(join(folder, 'checkout/scripts/images/files/site/core/index.html'), 'utf8'),
      );
      const shop = await get('/shop');
      expect([shop.url, await shop.text()]).toEqual([
        `http://127.0.0.1:${port}/shop/`,
        await readFile(join(folder, 'checkout/scripts/images/files/site/shop/index.html'), 'utf8'),
      ]);
      const style = await get('/style.css');
      expect(style.headers.get('content-encoding')).toBe('gzip');
      expect(style.headers.get('etag')).toBeNull();
      expect((await get('/blog/')).status).toBe(404);
      expect((await get('/../etc/passwd')).status).toBe(404);
    } finally {
      server.kill('SIGQUIT');
      await ended;
      closeSync(log);
    }
    expect(await readFile(join(folder, 'access.log'), 'utf8')).toContain('"GET /shop/ HTTP/1.1" 200');
  });
});

/** A file as standard output that nginx can open by its name, as it can the pipe that a container runtime hands it. */
async function openLog(name: string): Promise<number> {
  const log = openSync(join(folder, name), 'w');
  await chmod(join(folder, name), 0o666);
  return log;
}

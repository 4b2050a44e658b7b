/**
 * The main job, whole: bundles/cms from a copied stick into the cut-off cluster, with the importer that a closed side has and
 * the helm that the bundle carries; an upgrade with the shop switched on, during which the site answers and no row is lost;
 * the way back; the end.
 */
import { mkdir, mkdtemp, readFile, rm, symlink, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openReceipt } from '../../src/formats/target/receipt.ts';
import { ctr, httpGet, kubectl, useCluster } from '../support/cluster.ts';
import { CMS_KEYS, type CmsRelease, createCmsPublisher } from '../support/cms-stick.ts';
import { buildImporter, resultOf } from '../support/importer.ts';
import { portolan, run, succeed } from '../support/program.ts';

const NEW_CONTRACT = '20260402080000_drop_page_note.contract.sql';
const FIRST: CmsRelease = { version: '1.0.0', sequence: 1, features: ['blog=on', 'shop=off', 'tools=on'] };
const SECOND: CmsRelease = {
  version: '1.1.0',
  sequence: 2,
  features: ['blog=on', 'shop=on', 'tools=on'],
  async change(folder) {
    const core = join(folder, 'migrations', 'core');
    await writeFile(join(core, '20260401080000_page_note.sql'), 'alter table core.pages add column note text;\n');
    await writeFile(join(core, NEW_CONTRACT), 'alter table core.pages drop column note;\n');
  },
};
const CONTRACT = 'core/20260301080000_drop_page_intro.contract.sql';

let root: string;
let stick: string;
let importer: string;
beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'portolan-cms-'));
  const publisher = await createCmsPublisher(root);
  const tools = await buildImporter(['--tools', join(publisher.folder, '.tools')]);
  const made = join(root, 'made');
  await publisher.release(FIRST, made);
  await publisher.release(SECOND, made);
  stick = join(root, 'stick');
  const copied = await portolan(['bundle', 'copy', made, stick, '--all', '--trust', CMS_KEYS.trust]);
  expect(copied, copied.stderr).toMatchObject({ status: 0 });
  const built = tools.find(({ path }) => path.endsWith('/portolan'));
  if (built === undefined) throw new Error('no importer was built');
  importer = built.path;
  // All that the closed side has of its own.
  await mkdir(join(root, 'home'));
  await mkdir(join(root, 'bin'));
  await symlink((await succeed('bash', ['-c', 'command -v ctr'])).trim(), join(root, 'bin', 'ctr'));
});
afterAll(async () => {
  await run('kubectl', ['delete', 'namespace', 'cms', 'portolan-system', '--ignore-not-found', '--wait']);
  if (root !== undefined) await rm(root, { recursive: true, force: true });
});

/** The closed side: a folder of its own for what it keeps, and no helm on its path. */
function closedSide() {
  const home = join(root, 'home');
  return { HOME: home, XDG_STATE_HOME: join(home, 'state'), PATH: join(root, 'bin') };
}

async function onTarget(...args: string[]) {
  const ended = await resultOf(importer, args, { env: closedSide() });
  return { ...ended, text: `${ended.stdout}\n${ended.stderr}` };
}

function importing(tag: string, ...more: string[]) {
  const keys = ['-i', CMS_KEYS.identity, '--trust', CMS_KEYS.trust];
  return onTarget('bundle', 'import', `${stick}:${tag}`, ...keys, '--images', 'containerd', ...more);
}

async function sql(statement: string): Promise<string> {
  const pod = ['exec', '--namespace', 'cms', 'cms-data-0', '--', 'psql', '-U', 'postgres', '-d', 'cms'];
  return (await kubectl([...pod, '-AXtqc', statement])).trim();
}

async function addressOf(service: string): Promise<string> {
  const ip = await kubectl(['get', 'service', '--namespace', 'cms', service, '-o', 'jsonpath={.spec.clusterIP}']);
  return `http://${ip}`;
}

/** The status that the site answers with, once the node has learned of a new Service. */
async function answerOf(service: string, path: string): Promise<number | undefined> {
  const address = await addressOf(service);
  for (let tries = 0; tries < 20; tries += 1) {
    const answer = await httpGet(`${address}${path}`);
    if (answer !== undefined) return answer.status;
    await sleep(500);
  }
  return undefined;
}

/** The product's own Pods: the one that migrates comes and goes. */
function pods(): Promise<string> {
  const own = ['--selector', 'app.kubernetes.io/part-of=cms', '-o', 'jsonpath={.items[*].metadata.uid}'];
  return kubectl(['get', 'pods', '--namespace', 'cms', ...own]);
}

/** Asks the site all the time, until it is told to stop. */
function watchSite(address: string) {
  const controller = new AbortController();
  const answers: (number | undefined)[] = [];
  const done = (async () => {
    while (!controller.signal.aborted) {
      answers.push((await httpGet(`${address}/`))?.status);
      await sleep(25);
    }
  })();
  return {
    async stop() {
      controller.abort();
      await done;
      return answers;
    },
  };
}

/** Counts rows all the time; what cannot be asked for the moment is not counted. */
function watchRows(title: string) {
  const controller = new AbortController();
  const counts: string[] = [];
  const done = (async () => {
    while (!controller.signal.aborted) {
      const count = await sql(`select count(*) from core.pages where title = '${title}'`).catch(() => undefined);
      if (count !== undefined) counts.push(count);
      await sleep(250);
    }
  })();
  return {
    async stop() {
      controller.abort();
      await done;
      return counts;
    },
  };
}

describe('bundles/cms in a cluster without internet', { shuffle: false }, () => {
  // Nothing is remembered of another test.
  beforeAll(async () => {
    await run('kubectl', ['delete', 'namespace', 'cms', 'portolan-system', '--ignore-not-found', '--wait']);
    for (const name of ['web', 'blog', 'shop']) await run('ctr', ['images', 'rm', `portolan.local/cms/${name}:1.0.0`]);
  });

  test('the plan shows everything and changes nothing', async () => {
    const { status, last, text } = await importing('cms-1.0.0', '--plan');
    expect(status, text).toBe(0);
    expect(last).toMatchObject({
      event: 'result',
      ok: true,
      name: 'cms',
      charts: [
        { release: 'cms-data', stage: 'data', action: 'install' },
        { release: 'cms-app', stage: 'app', action: 'install' },
      ],
    });
    expect(last?.images).toMatchObject({ missing: expect.arrayContaining(['portolan.local/cms/web:1.0.0']) });
    expect((await run('kubectl', ['get', 'namespace', 'cms'])).status).not.toBe(0);
  });

  test('the import ends with a site that answers and a database that is migrated', async () => {
    const receiptFile = join(root, 'receipt.json');
    const { status, last, text } = await importing('cms-1.0.0', '--receipt', receiptFile);
    expect(status, text).toBe(0);
    expect(last).toMatchObject({ event: 'result', tag: 'cms-1.0.0' });
    expect(await answerOf('cms-app-core', '/')).toBe(200);
    expect(await answerOf('cms-app-blog', '/blog/')).toBe(200);
    expect(await sql("select count(*) from portolan.migrations where state = 'applied'")).toBe('6');
    expect(await sql("select to_regnamespace('shop') is null")).toBe('t');
    expect(
      await kubectl(['get', 'configmap', '--namespace', 'cms', 'cms-configuration', '-o', 'jsonpath={.data}']),
    ).toContain('site.json');

    const receipt = openReceipt(await readFile(receiptFile));
    const held = new Set((await ctr('content', 'ls', '-q')).split('\n'));
    expect(receipt.images?.blobs.length).toBeGreaterThan(10);
    for (const digest of receipt.images?.blobs ?? []) expect(held.has(digest), digest).toBe(true);
  });

  test('every image is pinned, so that the kubelet leaves it', async () => {
    const pinned = await ctr('images', 'ls', '-q', 'labels."io.cri-containerd.pinned"==pinned');
    for (const name of ['cms/web:1.0.0', 'cms/postgres:1.0.0', 'cms/blog:1.0.0', 'portolan:0.1.0']) {
      expect(pinned).toContain(`portolan.local/${name}`);
    }
  });

  test('once more, nothing is sent, applied or restarted', async () => {
    const podsBefore = await pods();
    const { status, last, text } = await importing('cms-1.0.0');
    expect(status, text).toBe(0);
    expect(last).toMatchObject({ images: { sent: 0 }, charts: [{ revision: 1 }, { revision: 1 }] });
    expect(last?.migrations).toMatchObject({ applied: [] });
    expect(await pods()).toBe(podsBefore);
  });

  test('the upgrade switches the shop on while the site answers and rows stay', async () => {
    await sql("insert into core.pages (title, body, published) values ('Kept', 'written before the upgrade', true)");
    const site = watchSite(await addressOf('cms-app-core'));
    const rows = watchRows('Kept');
    const { status, text } = await importing('cms-1.1.0');
    const answers = await site.stop();
    const counts = await rows.stop();
    expect(status, text).toBe(0);
    expect(answers.length).toBeGreaterThan(20);
    expect(answers.filter((answer) => answer !== 200)).toEqual([]);
    expect(counts.length).toBeGreaterThan(3);
    expect(new Set(counts)).toEqual(new Set(['1']));
    expect(await answerOf('cms-app-shop', '/shop/')).toBe(200);
    expect(await sql("select to_regclass('shop.products') is not null")).toBe('t');
    // What waited for the former version to be gone was done now; what came now waits.
    expect(await sql(`select state from portolan.migrations where module || '/' || name = '${CONTRACT}'`)).toBe(
      'applied',
    );
    expect(await sql("select count(*) from portolan.migrations where state = 'deferred'")).toBe('2');
  });

  test('the older bundle is refused', async () => {
    const { status, text } = await importing('cms-1.0.0');
    expect(status).toBe(3);
    expect(text).toContain('DOWNGRADE_REFUSED');
    expect(text).toContain('DATA_ORPHANED');
  });

  test('the rollback brings the former release back, and drops no table', async () => {
    const site = watchSite(await addressOf('cms-app-core'));
    const { status, last, text } = await onTarget('bundle', 'rollback', 'cms');
    const answers = await site.stop();
    expect(status, text).toBe(0);
    expect(last).toMatchObject({ from: { version: '1.1.0' }, to: { version: '1.0.0' } });
    expect(answers.filter((answer) => answer !== 200)).toEqual([]);
    expect((await run('kubectl', ['get', 'service', '--namespace', 'cms', 'cms-app-shop'])).status).not.toBe(0);
    expect(await sql("select to_regclass('shop.products') is not null")).toBe('t');
    expect(await sql("select count(*) from core.pages where title = 'Kept'")).toBe('1');
    const status2 = await onTarget('bundle', 'status');
    expect(status2.last).toMatchObject({ bundles: [{ name: 'cms', applied: { version: '1.0.0', deferred: [] } }] });
    const again = await onTarget('bundle', 'rollback', 'cms');
    expect(again).toMatchObject({ status: 1, last: { code: 'NOTHING_TO_ROLL_BACK' } });
  });

  test('once a contract migration ran that the former release does not know, there is no way back', async () => {
    expect((await importing('cms-1.1.0')).status).toBe(0);
    const opened = join(root, 'opened');
    const keys = ['-i', CMS_KEYS.identity, '--trust', CMS_KEYS.trust];
    expect((await onTarget('bundle', 'unpack', `${stick}:cms-1.1.0`, opened, ...keys)).status).toBe(0);
    const secret = ['get', 'secret', '--namespace', 'cms', 'cms-data-auth', '-o', 'jsonpath={.data.password}'];
    const password = Buffer.from(await kubectl(secret), 'base64').toString();
    const address = await kubectl(['get', 'pod', '--namespace', 'cms', 'cms-data-0', '-o', 'jsonpath={.status.podIP}']);
    const database = `postgres://postgres@${address}/cms?sslmode=disable`;
    const up = ['migrate', 'up', '--dir', join(opened, 'modules'), '--database', database, '--contract', '--json'];
    const migrated = await run(importer, up, { env: { ...closedSide(), PGPASSWORD: password } });
    expect(migrated, migrated.stderr).toMatchObject({ status: 0 });
    const refused = await onTarget('bundle', 'rollback', 'cms');
    expect(refused).toMatchObject({ status: 3, last: { code: 'ROLLBACK_REFUSED' } });
    expect(refused.text).toContain(`core/${NEW_CONTRACT}`);
    expect(refused.text).not.toContain(password);
    expect((await onTarget('bundle', 'status')).last).toMatchObject({ bundles: [{ applied: { version: '1.1.0' } }] });
  });

  test('the removal leaves the data, unless it is said', async () => {
    const { status, last, text } = await onTarget('bundle', 'remove', 'cms');
    expect(status, text).toBe(0);
    expect(last?.kept).toEqual(
      expect.arrayContaining(['PersistentVolumeClaim cms/data-cms-data-0', 'Secret cms/cms-data-auth']),
    );
    expect((await kubectl(['get', 'pods', '--namespace', 'cms', '-o', 'name'])).trim()).toBe('');
    // The data is found again.
    expect((await importing('cms-1.1.0')).status).toBe(0);
    expect(await sql("select count(*) from core.pages where title = 'Kept'")).toBe('1');
    const removed = await onTarget('bundle', 'remove', 'cms', '--delete-data');
    expect(removed.status, removed.text).toBe(0);
    expect((await kubectl(['get', 'pvc', '--namespace', 'cms', '-o', 'name'])).trim()).toBe('');
  });

  test('gc takes the images away that nothing needs any more', async () => {
    const { status, text } = await onTarget('bundle', 'gc');
    expect(status, text).toBe(0);
    expect(await ctr('images', 'ls', '-q')).not.toContain('portolan.local/cms/');
  });
});

describe('a cluster whose nodes take no mirrors', () => {
  test('gets its images from the registry that they went to: every Pod names it', async () => {
    const { registry } = useCluster();
    const target = `registry=http://${registry}/carried`;
    const keys = ['-i', CMS_KEYS.identity, '--trust', CMS_KEYS.trust];
    const imported = await onTarget(
      ...['bundle', 'import', `${stick}:cms-1.0.0`, ...keys, '--images', target, '--rewrite-images'],
      // This target may have had a newer one, in another test.
      '--allow-downgrade',
    );
    expect(imported.status, imported.text).toBe(0);
    const images = await kubectl([
      'get',
      'pods',
      '--namespace',
      'cms',
      '-o',
      'jsonpath={.items[*].spec.containers[*].image}',
    ]);
    expect(images.split(' ').length).toBeGreaterThan(3);
    for (const image of images.split(' ')) expect(image.startsWith(`${registry}/carried/cms/`), image).toBe(true);
    expect(await answerOf('cms-app-core', '/')).toBe(200);
    const removed = await onTarget('bundle', 'remove', 'cms', '--delete-data');
    expect(removed.status, removed.text).toBe(0);
    expect((await onTarget('bundle', 'gc')).status).toBe(0);
  });
});

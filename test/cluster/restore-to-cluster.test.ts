/**
 * The worst day: bundles/cms in a cluster with rows of its own and a backup; namespaces and volumes gone; and one command that brings
 * the product back: killed in the middle and run again, refused where the target, the bundle or the snapshot is another one.
 */
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { openReceipt } from '../../src/formats/target/receipt.ts';
import { httpGet, kubectl } from '../support/cluster.ts';
import { CMS_KEYS, createCmsPublisher } from '../support/cms-stick.ts';
import { postgresPrograms } from '../support/postgres-server.ts';
import {
  killHard,
  type PortolanEnded,
  type PortolanRunning,
  portolan,
  run,
  startPortolan,
  succeed,
} from '../support/program.ts';

const PASSWORD = 'throw-away password';
const FEATURES = ['blog=on', 'shop=off', 'tools=off'];
const EDITOR = '11111111-1111-4111-8111-111111111111';
const READER = '22222222-2222-4222-8222-222222222222';

let root: string;
let stick: string;
let context: string;
const at = (...names: string[]) => join(root, ...names);
const env = () => ({ HOME: at('home'), XDG_STATE_HOME: at('home', 'state'), COSIGN_PASSWORD: PASSWORD });
const places = () => ['--repo', at('store'), '--trust', at('cosign.pub')];

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'portolan-new-cluster-'));
  const publisher = await createCmsPublisher(root);
  const made = at('made');
  await publisher.release({ version: '0.9.0', sequence: 1, features: FEATURES }, made);
  await publisher.release({ version: '1.0.0', sequence: 2, features: FEATURES }, made);
  stick = at('stick');
  done(await portolan(['bundle', 'copy', made, stick, '--all', '--trust', CMS_KEYS.trust]));
  context = (await kubectl(['config', 'current-context'])).trim();
  await forget();
  await succeed('cosign', ['generate-key-pair'], { cwd: root, env: { HOME: root, COSIGN_PASSWORD: PASSWORD } });
  await succeed('age-keygen', ['-pq', '-o', at('key.txt')]);
  const reader = (await succeed('age-keygen', ['-y', at('key.txt')])).trim();
  const init = ['backup', 'init', '-r', `reader=${reader}`, '--sign-key', at('cosign.key'), '--writer', 'cms'];
  done(await portolan([...init, '--repo', at('store')], { env: env() }));
});
afterAll(async () => {
  await forget();
  if (root !== undefined) await rm(root, { recursive: true, force: true });
});

/** The cluster as it is when it is new, but for images on the node: namespaces, volumes and Portolan's memory of it are gone. */
async function forget(): Promise<void> {
  await run('kubectl', ['delete', 'namespace', 'cms', 'portolan-system', '--ignore-not-found', '--wait']);
}

function done(ended: PortolanEnded): PortolanEnded {
  expect(ended.status, `${ended.stdout}\n${ended.stderr}`).toBe(0);
  return ended;
}

function codes({ error }: PortolanEnded): string[] {
  const { code, others = [] } = (error ?? {}) as { code?: string; others?: { code: string }[] };
  return [code ?? '', ...others.map((one) => one.code)];
}

function restoreArgs(tag: string, ...more: string[]): string[] {
  const identities = ['-i', at('key.txt'), '-i', CMS_KEYS.identity];
  const bundle = ['--bundle', `${stick}:${tag}`, '--bundle-trust', CMS_KEYS.trust, '--images', 'containerd'];
  const ofLost = ['--configuration', at('secrets.json')];
  const rest = [...ofLost, '--to', context, '--pg-bin', postgresPrograms(15), '--allow', 'superuser'];
  return ['restore', ...places(), ...identities, ...bundle, ...rest, ...more];
}

async function sql(statement: string): Promise<string> {
  const pod = ['exec', '--namespace', 'cms', 'cms-data-0', '--', 'psql', '-U', 'postgres', '-d', 'cms'];
  return (await kubectl([...pod, '-v', 'ON_ERROR_STOP=1', '-AXtqc', statement])).trim();
}

/** As the gateway asks for a user. */
function as(user: string | undefined, statement: string): Promise<string> {
  const claims = user === undefined ? '' : JSON.stringify({ sub: user });
  const role = user === undefined ? 'anon' : 'authenticated';
  return sql(`begin; set local role ${role}; set local request.jwt.claims = '${claims}'; ${statement}; rollback`);
}

/** Everything of the database, as text. */
async function dump(): Promise<string> {
  const pod = ['exec', '--namespace', 'cms', 'cms-data-0', '--', 'pg_dump', '-U', 'postgres', '-d', 'cms'];
  return (await kubectl(pod)).replace(/^\\(?:un)?restrict .*$/gm, '');
}

/** The Secret that the data chart makes, with random passwords. */
async function auth(): Promise<{ data: Record<string, string>; metadata: { labels: Record<string, string> } }> {
  return JSON.parse(await kubectl(['get', 'secret', '--namespace', 'cms', 'cms-data-auth', '-o', 'json'])) as never;
}

async function backUp(): Promise<PortolanEnded> {
  const password = Buffer.from((await auth()).data.password ?? '', 'base64').toString();
  const address = await kubectl(['get', 'pod', '--namespace', 'cms', 'cms-data-0', '-o', 'jsonpath={.status.podIP}']);
  const database = [
    '--database',
    `postgres://postgres@${address}/cms?sslmode=disable`,
    '--pg-bin',
    postgresPrograms(15),
  ];
  return done(
    await portolan(['backup', 'run', '--repo', at('store'), ...database], { env: { ...env(), PGPASSWORD: password } }),
  );
}

async function answerOf(service: string, path: string): Promise<string | undefined> {
  const ip = await kubectl(['get', 'service', '--namespace', 'cms', service, '-o', 'jsonpath={.spec.clusterIP}']);
  for (let tries = 0; tries < 20; tries += 1) {
    const answer = await httpGet(`http://${ip}${path}`);
    if (answer?.status === 200) return answer.text;
    await sleep(500);
  }
  return undefined;
}

/** Starts the restore, and does something to it, once, when it has said so. */
async function metAt(words: RegExp, act: (running: PortolanRunning) => void): Promise<PortolanEnded> {
  const running = startPortolan(restoreArgs('cms-1.0.0'), { env: env() });
  let said = '';
  let isMet = false;
  running.child.stdout?.on('data', (part: string) => {
    said += part;
    if (isMet || !words.test(said)) return;
    isMet = true;
    act(running);
  });
  return await running.ended;
}

describe('the worst day of bundles/cms', { shuffle: false }, () => {
  let before: string;
  let passwords: Record<string, string>;

  test('the product runs, has rows, and is backed up', async () => {
    const keys = ['-i', CMS_KEYS.identity, '--trust', CMS_KEYS.trust];
    const imported = ['bundle', 'import', `${stick}:cms-1.0.0`, ...keys, '--images', 'containerd'];
    done(await portolan(imported, { env: env() }));
    await sql(
      `insert into core.profiles (id, display_name, is_editor) values ('${EDITOR}', 'Editor', true), ('${READER}', 'Reader', false);
       insert into core.pages (title, body, published) values ('Kept', 'written before the loss', true), ('Draft', 'not out', false);
       insert into core.pages (title, body, published) select 'Page ' || n, repeat(md5(n::text), 40), false from generate_series(1, 20000) n;
       insert into blog.posts (author_id, title, published_at) values ('${EDITOR}', 'Out', now()), ('${EDITOR}', 'Later', null)`,
    );
    await backUp();
    await sql("insert into core.pages (title, body, published) values ('Last', 'after the first backup', true)");
    await backUp();
    before = await dump();
    passwords = (await auth()).data;
    const reader = (await succeed('age-keygen', ['-y', at('key.txt')])).trim();
    const exported = ['config', 'export', at('secrets.json'), '--secret', 'cms/cms-data-auth', '-r', reader];
    done(await portolan(exported, { env: env() }));
    expect(before).toContain('written before the loss');
  });

  test('where the product is, no restore begins', async () => {
    const refused = await portolan(restoreArgs('cms-1.0.0'), { env: env() });
    expect(refused.status).toBe(1);
    expect(codes(refused)).toContain('RESTORE_TARGET_WRONG');
    expect(refused.stdout).toContain('version 1.0.0, sequence 2');
    expect(await dump()).toBe(before);
  });

  test('a rehearsal beside it proves the snapshot, and leaves the product and nothing else', async () => {
    const { result } = done(await portolan(restoreArgs('cms-1.0.0', '--rehearse'), { env: env() }));
    expect(result).toMatchObject({
      charts: [{ release: 'cms-data', namespace: 'rehearsal-cms' }],
      databases: { snapshot: 'cms/2', done: true, differences: [] },
      migrations: { applied: [] },
    });
    expect(await kubectl(['get', 'namespaces', '-o', 'name'])).not.toContain('rehearsal');
    expect(await dump()).toBe(before);
    expect(await answerOf('cms-app-core', '/data/pages.json')).toContain('after the first backup');
  });

  test('all is lost; the plan says what would be done, and changes nothing', async () => {
    await forget();
    const { result } = done(await portolan(restoreArgs('cms-1.0.0', '--plan'), { env: env() }));
    expect(result).toMatchObject({
      ok: true,
      charts: [
        { release: 'cms-data', action: 'install' },
        { release: 'cms-app', action: 'install' },
      ],
      databases: {
        from: { snapshot: 'cms/2' },
        release: { name: 'cms', version: '1.0.0', sequence: 2 },
        databases: [{ name: 'cms', rows: expect.any(Number) }],
      },
    });
    expect((await run('kubectl', ['get', 'namespace', 'cms'])).status).not.toBe(0);
  });

  test('a bundle of before the snapshot is refused', async () => {
    const refused = await portolan(restoreArgs('cms-0.9.0'), { env: env() });
    expect(refused.status).toBe(1);
    expect(codes(refused)).toEqual(['RESTORE_TARGET_WRONG']);
    expect(refused.error).toMatchObject({ found: 'cms 0.9.0, sequence 1' });
    expect((await run('kubectl', ['get', 'namespace', 'cms'])).status).not.toBe(0);
  });

  const killed = async (_: string, words: RegExp) => {
    expect((await metAt(words, killHard)).signal).toBe('SIGKILL');
  };

  test.each([
    ['the data charts', /Release cms\/cms-data/],
    ['the definitions', /: definitions/],
    ['rows', /rows of \d+ tables/],
  ])('killed at %s', killed);

  test('it ends where the Pod that leads to the database is evicted', async () => {
    const pods = ['delete', 'pods', '--namespace', 'cms', '--grace-period=0', '--force'];
    let evicted: Promise<unknown> | undefined;
    const ended = await metAt(/rows of \d+ tables/, () => {
      evicted = run('kubectl', [...pods, '--selector', 'app.kubernetes.io/component=database-relay']);
    });
    await evicted;
    expect(ended.status).toBe(1);
    expect(ended.error?.code).toMatch(/^(?:DATABASE_|POSTGRES_PROGRAM_)/);
  });

  test.each([
    ['indexes and policies', /: indexes/],
    ['the proof', /: proof/],
    ['the migrations', /Migrations of/],
    ['the app charts', /Release cms\/cms-app/],
  ])('killed at %s', killed);

  test('another snapshot does not go on with it', async () => {
    const refused = await portolan([...restoreArgs('cms-1.0.0'), 'cms/1'], { env: env() });
    expect(codes(refused)).toContain('RESTORE_TARGET_WRONG');
    expect(refused.stdout).toMatch(/(?:with the snapshot|restored from) cms\/2/);
  });

  test('run again, it brings everything back', async () => {
    const receipt = at('receipt.json');
    const { result } = done(await portolan(restoreArgs('cms-1.0.0', '--receipt', receipt), { env: env() }));
    expect(result).toMatchObject({ tag: 'cms-1.0.0', migrations: { applied: [] } });
    expect(await dump()).toBe(before);
    expect(await answerOf('cms-app-core', '/')).toContain('<html');
    expect(await answerOf('cms-app-core', '/data/pages.json')).toContain('after the first backup');
    expect(openReceipt(await readFile(receipt)).restored).toMatchObject({ snapshot: 'cms/2', databases: ['cms'] });
    // The Secret is the lost one, and a release of Helm has it.
    const { data, metadata } = await auth();
    expect(data).toEqual(passwords);
    expect(metadata.labels['app.kubernetes.io/managed-by']).toBe('Helm');
    // The Pod that led to the database is gone.
    const left = ['get', 'jobs', '--namespace', 'cms', '--selector', 'app.kubernetes.io/component=database-relay'];
    expect((await kubectl([...left, '-o', 'name'])).trim()).toBe('');
  });

  test('once more, nothing is restored and nothing restarted', async () => {
    const pods = ['get', 'pods', '--namespace', 'cms', '--selector', 'app.kubernetes.io/part-of=cms'];
    const running = await kubectl([...pods, '-o', 'jsonpath={.items[*].metadata.uid}']);
    const { result } = done(await portolan(restoreArgs('cms-1.0.0'), { env: env() }));
    expect(result).toMatchObject({ migrations: { applied: [] }, charts: [{ stage: 'data' }, { stage: 'app' }] });
    expect(result?.databases).toBeUndefined();
    expect(await kubectl([...pods, '-o', 'jsonpath={.items[*].metadata.uid}'])).toBe(running);
    expect(await dump()).toBe(before);
  });

  test('policies hold as they did', async () => {
    expect(await as(undefined, "select count(*) from core.pages where title in ('Kept', 'Draft')")).toBe('1');
    expect(await as(READER, "select count(*) from core.pages where title in ('Kept', 'Draft')")).toBe('1');
    expect(await as(EDITOR, "select count(*) from core.pages where title in ('Kept', 'Draft')")).toBe('2');
    expect(await as(READER, 'select count(*) from core.profiles')).toBe('1');
    expect(await as(undefined, 'select title from blog.posts')).toBe('Out');
    await expect(as(READER, "insert into core.pages (title) values ('no')")).rejects.toThrow(/row-level security/);
  });

  test('the next backup goes on where the last one was', async () => {
    const { result } = await backUp();
    expect(JSON.stringify(result)).toContain('"sequence":3');
  });
});

/** What a monitor is told of a repository: read by Prometheus' own parser and linter, in a file, and over HTTP. */
import { chmod, mkdir, mkdtemp, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { request } from 'node:http';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { composeBackupMetrics } from '../../src/compose/backup-metrics.ts';
import { type Digest, digestOf } from '../../src/core/digest.ts';
import { snapshotKey, verificationKey, type WriterName } from '../../src/formats/repository/keys.ts';
import { encodeSnapshot, type Snapshot } from '../../src/formats/repository/snapshot.ts';
import { encodeVerification, type Verification } from '../../src/formats/repository/verification.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { repositoryMetrics } from '../../src/usecases/repository/metrics.ts';
import { openSnapshot } from '../../src/usecases/repository/open-snapshot.ts';
import { createBackupRepository, publicKeyText, signal, streamSource } from '../support/backup-repository.ts';
import { freePort } from '../support/free-port.ts';
import { pseudoRandom } from '../support/image-content.ts';
import { serveOnLoopback } from '../support/loopback-server.ts';
import { startMinio } from '../support/minio-process.ts';
import { mountTmpfs, remount } from '../support/mounts.ts';
import { type Event, killHard, portolan, portolanText, run, startPortolan, succeed } from '../support/program.ts';
import { raised } from '../support/raised.ts';
import { makeBucket } from '../support/s3-bucket.ts';
import { temporaryFolder } from '../support/temporary.ts';

const DB_1 = 'db-1' as WriterName;
const PASSWORD = 'throw-away password';

/** By name and labels: `portolan_snapshots{writer="db-1"}`. What Prometheus or its linter refuses fails. */
async function parsed(text: string): Promise<Readonly<Record<string, number>>> {
  const lines = (await succeed('telemetry-check', ['metrics'], { input: text })).split('\n').filter(Boolean);
  return Object.fromEntries(
    lines.map((line) => {
      const sample = JSON.parse(line) as { name: string; type: string; labels: Record<string, string>; value: number };
      expect(sample.type).toBe('GAUGE');
      const labels = Object.entries(sample.labels).filter(([name]) => name !== 'writer');
      return [
        [sample.name, sample.labels.writer, ...labels.map(([, value]) => value)].filter(Boolean).join(' '),
        sample.value,
      ];
    }),
  );
}

const seconds = (time: unknown) => new Date(String(time)).getTime() / 1000;

/** A repository in a folder with one snapshot, and the keys of all. */
let ship: string;
const at = (...names: string[]) => join(ship, ...names);
const env = () => ({
  HOME: ship,
  XDG_CONFIG_HOME: at('config'),
  COSIGN_PASSWORD: PASSWORD,
  PORTOLAN_STATE: at('state'),
});
const ran = async (...args: string[]) => {
  const ended = await portolan(args, { cwd: ship, env: env() });
  expect(ended.status, ended.stdout + ended.stderr).toBe(0);
  return ended.result ?? ({} as Event);
};

interface Listed {
  readonly storageTime: string;
  readonly storedBytes: number;
}

async function listedWriter() {
  const { writers } = await ran('backup', 'list', '--repo', 'store');
  return (writers as readonly [{ readonly snapshots: readonly Listed[] }])[0];
}

beforeAll(async () => {
  ship = await mkdtemp(join(tmpdir(), 'portolan-test-'));
  await succeed('cosign', ['generate-key-pair'], { cwd: ship, env: env() });
  await succeed('age-keygen', ['-pq', '-o', 'key.txt'], { cwd: ship });
  const reader = (await succeed('age-keygen', ['-y', 'key.txt'], { cwd: ship })).trim();
  await ran(
    ...['backup', 'init', '--repo', 'store', '--writer', 'db-1', '-r', `me=${reader}`],
    ...['--verifier', 'v=cosign.pub', '--sign-key', 'cosign.key'],
  );
  await mkdir(at('data'));
  await writeFile(at('data', 'a.bin'), pseudoRandom('a', 2_000_000));
  await ran('backup', 'run', '--repo', 'store', '--files', 'data');
});

afterAll(() => rm(ship, { recursive: true, force: true }));

describe('once', () => {
  test('what list and run say is what is told, and the verifier’s word is in it', async () => {
    await writeFile(at('data', 'b.bin'), pseudoRandom('b', 500_000));
    const made = await ran('backup', 'run', '--repo', 'store', '--files', 'data');
    const text = await portolanText(['backup', 'metrics', '--repo', 'store'], { cwd: ship, env: env() });
    expect(text).toMatchObject({ status: 0, stderr: '' });
    const told = await parsed(text.stdout);
    const { snapshots } = await listedWriter();
    const newest = snapshots.at(-1) as Listed;
    expect(told).toMatchObject({
      portolan_repository_reachable: 1,
      portolan_repository_problems: 0,
      portolan_roster_epoch: 1,
      'portolan_writer_active db-1': 1,
      'portolan_snapshots db-1': snapshots.length,
      'portolan_snapshot_newest_timestamp_seconds db-1': seconds(newest.storageTime),
      'portolan_snapshot_stored_bytes db-1': newest.storedBytes,
      'portolan_snapshot_added_bytes db-1': made.storedBytes,
      'portolan_snapshot_collapsed db-1': 0,
      'portolan_snapshot_full db-1': 0,
      'portolan_snapshot_verified_timestamp_seconds db-1': 0,
      'portolan_snapshots_bad db-1': 0,
    });
    expect(newest.storedBytes).toBeGreaterThan(Number(made.storedBytes));
    expect(told).not.toHaveProperty('portolan_identity_provider_answered_timestamp_seconds db-1');

    await ran('backup', 'check', '--repo', 'store', '-i', 'key.txt', '--read-data', '100%', '--sign-key', 'cosign.key');
    const verified = await portolan(['backup', 'metrics', '--repo', 'store'], { cwd: ship, env: env() });
    expect(verified.result).toMatchObject({ problems: 0, writers: [{ writer: 'db-1', bad: 0 }] });
    const after = await parsed(
      (await portolanText(['backup', 'metrics', '--repo', 'store'], { cwd: ship, env: env() })).stdout,
    );
    expect(after['portolan_snapshot_verified_timestamp_seconds db-1']).toBe(seconds(newest.storageTime));
    expect(after['portolan_verification_timestamp_seconds db-1 check']).toBeGreaterThan(seconds(newest.storageTime));
  });

  test('needs no more than the trust file: no identity, no key, no place to write', async () => {
    const alone = await temporaryFolder();
    const [trust] = (await readdir(at('config', 'portolan', 'repositories'))).map((name) =>
      at('config', 'portolan', 'repositories', name, 'trust.json'),
    );
    await mountTmpfs(join(alone, 'home'), 1);
    await remount(join(alone, 'home'), 'ro');
    const options = { env: { HOME: join(alone, 'home'), PORTOLAN_STATE: join(alone, 'home', 'state') } };
    const ended = await portolan(['backup', 'metrics', '--repo', at('store'), '--trust', String(trust)], options);
    expect(ended.status, ended.stdout).toBe(0);
    expect(ended.events).toContainEqual({
      event: 'warning',
      message: expect.stringMatching(/^(READ_ONLY|FILE_UNWRITABLE): what was seen cannot be remembered/),
    });
  });

  test.each([
    [['--listen', '9', '--out', 'f']],
    [['--interval', '5min']],
    [['--listen', 'nowhere']],
    [['--accept', 'all']],
  ])('%j is wrong use', async (more) => {
    const ended = await portolan(['backup', 'metrics', '--repo', 'store', ...more], { cwd: ship, env: env() });
    expect(ended).toMatchObject({ status: 2, error: { code: 'USAGE' } });
  });
});

test('a storage that takes the question and never answers is given up in time', async () => {
  const server = await serveOnLoopback(() => {});
  onTestFinished(() => server.close());
  const keys = { AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' };
  const controller = new AbortController();
  const running = {
    env: { ...env(), ...keys },
    cwd: ship,
    now: Date.now,
    progress: silentProgress,
    signal: controller.signal,
  };
  const settings = {
    repo: `s3://backups/x?endpoint=http://${server.host}`,
    trust: at('cosign.pub'),
    accept: [],
    copied: false,
  };
  const error = await raised(() => composeBackupMetrics({ ...settings, limitMs: 700 }, running));
  expect(error).toMatchObject({ code: 'STORE_TIMEOUT', expected: 'at most 0.7 s' });
  // Whoever ends the program is no slow storage.
  setTimeout(() => controller.abort(new Error('ended')), 200);
  await expect(composeBackupMetrics({ ...settings, limitMs: 60_000 }, running)).rejects.toThrow('ended');
});

describe('into a file', () => {
  test('it is there whole, may be read by all, and keeps its values while the repository is lost', async () => {
    const folder = await temporaryFolder();
    const file = join(folder, 'portolan.prom');
    const write = () => portolan(['backup', 'metrics', '--repo', 'store', '--out', file], { cwd: ship, env: env() });
    expect(await write()).toMatchObject({ status: 0, result: { out: file } });
    expect((await stat(file)).mode & 0o777).toBe(0o644);
    const before = await parsed(await readFile(file, 'utf8'));
    expect(before.portolan_repository_reachable).toBe(1);
    await rename(at('store'), at('away'));
    try {
      expect(await write()).toMatchObject({ status: 3, error: { code: 'ROSTER_MISSING' } });
      expect(await parsed(await readFile(file, 'utf8'))).toEqual({ ...before, portolan_repository_problems: 1 });
    } finally {
      await rename(at('away'), at('store'));
    }
    expect(await write()).toMatchObject({ status: 0 });
    const after = await parsed(await readFile(file, 'utf8'));
    expect(after.portolan_metrics_read_timestamp_seconds).toBeGreaterThan(
      before.portolan_metrics_read_timestamp_seconds ?? Number.NaN,
    );
    expect(await readdir(folder)).toEqual(['portolan.prom']);
  });

  test('a storage that never answered is told in a new file', async () => {
    const file = join(await temporaryFolder(), 'portolan.prom');
    const repo = `s3://backups/x?endpoint=http://127.0.0.1:${await freePort()}`;
    const [trust] = await readdir(at('config', 'portolan', 'repositories'));
    const ended = await portolan(
      [
        'backup',
        'metrics',
        '--repo',
        repo,
        '--out',
        file,
        '--trust',
        at('config', 'portolan', 'repositories', String(trust), 'trust.json'),
      ],
      { cwd: ship, env: { ...env(), AWS_ACCESS_KEY_ID: 'a', AWS_SECRET_ACCESS_KEY: 'b' } },
    );
    expect(ended).toMatchObject({ status: 1, error: { code: 'STORE_UNREACHABLE' } });
    expect(await parsed(await readFile(file, 'utf8'))).toEqual({ portolan_repository_reachable: 0 });
  });
});

interface Answer {
  readonly status: number | undefined;
  readonly headers: Readonly<Record<string, unknown>>;
  readonly text: string;
}

function ask(url: string, method = 'GET', body?: string): Promise<Answer> {
  return new Promise((resolve, reject) => {
    const asked = request(
      url,
      { method, agent: false, ...(body === undefined ? {} : { headers: { 'content-length': body.length } }) },
      (answer) => {
        let text = '';
        answer.setEncoding('utf8').on('data', (part: string) => {
          text += part;
        });
        answer.on('end', () => resolve({ status: answer.statusCode, headers: answer.headers, text }));
      },
    );
    asked.on('error', reject);
    asked.end(body);
  });
}

/** A server of metrics, and what it said. */
async function serve(args: readonly string[], more: Readonly<Record<string, string>> = {}) {
  const port = await freePort();
  const running = startPortolan(['backup', 'metrics', '--listen', String(port), '--interval', '1s', ...args], {
    cwd: ship,
    env: { ...env(), ...more },
  });
  onTestFinished(() => killHard(running));
  const base = `http://127.0.0.1:${port}`;
  const metrics = async () => await parsed((await ask(`${base}/metrics`)).text);
  const until = async (isSo: (told: Awaited<ReturnType<typeof metrics>>) => boolean) => {
    let told: Awaited<ReturnType<typeof metrics>> = {};
    for (let tries = 0; tries < 300; tries += 1) {
      const answer = await ask(`${base}/metrics`).catch(() => undefined);
      if (answer?.status === 200) {
        told = await parsed(answer.text);
        if (isSo(told)) return told;
      }
      await sleep(200);
    }
    throw new Error(`never so: ${JSON.stringify(told)}`);
  };
  return { running, base, metrics, until };
}

describe('over HTTP', () => {
  test('two pages are served to whoever reads, and the program ends in order', async () => {
    const { running, base, until } = await serve(['--repo', 'store']);
    const told = await until(({ portolan_repository_reachable: reachable }) => reachable === 1);
    expect(told.portolan_roster_epoch).toBe(1);
    const page = await ask(`${base}/metrics?x=1`);
    expect(page).toMatchObject({
      status: 200,
      headers: { 'content-type': 'text/plain; version=0.0.4; charset=utf-8', 'cache-control': 'no-store' },
    });
    const head = await ask(`${base}/metrics`, 'HEAD');
    expect(head).toMatchObject({ status: 200, text: '' });
    expect(Number(head.headers['content-length'])).toBeGreaterThan(1000);
    expect(await ask(`${base}/healthz`)).toMatchObject({ status: 200, text: 'ok\n' });
    for (const path of ['/', '/metrics/', '//metrics']) {
      expect(await ask(base + path), path).toMatchObject({ status: 404 });
    }
    for (const method of ['POST', 'PUT', 'DELETE', 'OPTIONS', 'PATCH']) {
      expect(await ask(`${base}/metrics`, method, 'x'), method).toMatchObject({
        status: 405,
        headers: { allow: 'GET, HEAD' },
      });
    }
    const again = await until(
      (now) => now.portolan_metrics_read_timestamp_seconds !== told.portolan_metrics_read_timestamp_seconds,
    );
    expect(again['portolan_snapshots db-1']).toBe(told['portolan_snapshots db-1']);

    running.child.kill('SIGTERM');
    const ended = await running.ended;
    expect(ended, ended.stdout).toMatchObject({ status: 0, result: { address: `${base}/metrics` } });
    expect(ended.events.filter(({ event }) => event === 'error')).toEqual([]);
  });

  test('whoever asks slowly, or much, is left; others are served meanwhile', async () => {
    const { running, base, until } = await serve(['--repo', 'store']);
    await until(() => true);
    const port = Number(new URL(base).port);
    const closed = (sent: string) =>
      new Promise<number>((resolve) => {
        const startMs = performance.now();
        const socket = connect(port, '127.0.0.1', () => socket.write(sent));
        socket
          .on('error', () => {})
          .on('close', () => resolve(performance.now() - startMs))
          .resume();
      });
    const slow = [closed('GET /metrics HTTP/1.1\r\nHost: x\r\n'), closed('')];
    expect(await closed(`GET /metrics HTTP/1.1\r\nHost: x\r\nX-Long: ${'x'.repeat(20_000)}\r\n\r\n`)).toBeLessThan(
      9000,
    );
    expect(await closed('nonsense\r\n\r\n')).toBeLessThan(9000);
    expect(await ask(`${base}/healthz`)).toMatchObject({ status: 200 });
    for (const ms of await Promise.all(slow)) expect(ms).toBeLessThan(30_000);
    // A connection that somebody keeps open does not hold the program.
    const kept = connect(port, '127.0.0.1', () => kept.write('GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n'));
    await new Promise((resolve) => kept.once('data', resolve));
    running.child.kill('SIGTERM');
    expect(await running.ended).toMatchObject({ status: 0 });
    kept.destroy();
  });

  test('a storage that goes away leaves the values of the last reading, and their time', async () => {
    const minio = await startMinio(await temporaryFolder());
    onTestFinished(() => minio.close());
    await makeBucket(minio.client(), 'backups', { versioning: true });
    const repo = `s3://backups/ship?endpoint=${minio.endpoint}`;
    const keys = { AWS_ACCESS_KEY_ID: minio.root.accessKeyId, AWS_SECRET_ACCESS_KEY: minio.root.secretAccessKey };
    const [place] = await readdir(at('config', 'portolan', 'repositories'));
    const trust = ['--trust', at('config', 'portolan', 'repositories', String(place), 'trust.json')];
    const copied = await portolan(['backup', 'copy', repo, '--repo', 'store', ...trust], {
      cwd: ship,
      env: { ...env(), ...keys },
    });
    expect(copied.status, copied.stdout).toBe(0);
    const { running, base, until } = await serve(['--repo', repo, ...trust, '--copied'], {
      ...keys,
      XDG_CACHE_HOME: at('cache'),
    });
    const told = await until(({ portolan_repository_reachable: reachable }) => reachable === 1);
    expect(told['portolan_snapshots db-1']).toBeGreaterThan(0);
    expect(told['portolan_chain_held db-1 clocks-disagree']).toBe(0);
    await minio.close();
    const lost = await until(({ portolan_repository_reachable: reachable }) => reachable === 0);
    const { portolan_metrics_read_timestamp_seconds: readAt, ...rest } = lost;
    expect({ ...rest, portolan_repository_reachable: 1 }).toEqual(
      Object.fromEntries(Object.entries(told).filter(([name]) => name !== 'portolan_metrics_read_timestamp_seconds')),
    );
    await sleep(2000);
    expect((await until(() => true)).portolan_metrics_read_timestamp_seconds).toBe(readAt);
    expect(await ask(`${base}/healthz`)).toMatchObject({ status: 200 });
    running.child.kill('SIGTERM');
    const ended = await running.ended;
    expect(ended.status).toBe(0);
    const warnings = ended.events.filter(
      ({ event, message }) => event === 'warning' && String(message).startsWith('STORE_'),
    );
    expect(warnings.length, ended.stdout).toBeGreaterThan(0);
    expect(ended.stdout + ended.stderr + JSON.stringify(lost)).not.toContain(minio.root.secretAccessKey);
  });

  test('what is wrong with the command ends it, and an address that is taken', async () => {
    const port = await freePort();
    const untrusted = await portolan(['backup', 'metrics', '--repo', 'store', '--listen', String(port)], {
      cwd: ship,
      env: { ...env(), XDG_CONFIG_HOME: at('nowhere') },
    });
    expect(untrusted).toMatchObject({ status: 1, error: { code: 'REPOSITORY_UNTRUSTED' } });
    const { base, until } = await serve(['--repo', 'store']);
    await until(() => true);
    const taken = await portolan(['backup', 'metrics', '--repo', 'store', '--listen', new URL(base).port], {
      cwd: ship,
      env: env(),
    });
    expect(taken).toMatchObject({ status: 1, error: { code: 'METRICS_ADDRESS_UNUSABLE', found: 'EADDRINUSE' } });
  });
});

describe('a repository that is not right', () => {
  const plain = { accept: [], copied: true } as const;

  async function createShip() {
    const repository = await createBackupRepository((init) => ({
      ...init,
      verifiers: [{ name: 'verifier' as WriterName, publicKey: publicKeyText(init.signer) }],
    }));
    onTestFinished(() => repository[Symbol.asyncDispose]());
    await repository.run([streamSource('files', { a: pseudoRandom('a', 200_000) })]);
    const first = (await openSnapshot(await repository.open(), 'latest', [repository.identity])).snapshot;
    let before: { readonly document: Snapshot; readonly digest: Digest } = first;
    const metrics = async (request: Partial<Parameters<typeof repositoryMetrics>[1]> = {}) =>
      await repositoryMetrics(
        await repository.open(),
        { ...plain, ...request },
        { memory: repository.memory, now: Date.now },
        { signal },
      );
    return {
      repository,
      metrics,
      of: async (...args: Parameters<typeof metrics>) => (await metrics(...args)).metrics.writers[0],
      pathOf: (sequence: number) => join(repository.root, 'store', snapshotKey(DB_1, sequence)),
      /** The next snapshot, as the writer could have signed it. */
      async add(change: Partial<Snapshot> = {}) {
        const document = {
          ...before.document,
          sequence: before.document.sequence + 1,
          previous: before.digest,
          ...change,
        };
        const bytes = encodeSnapshot(document, repository.signer);
        await repository.store.put(snapshotKey(DB_1, document.sequence), bytes);
        before = { document, digest: digestOf(bytes) };
        return before;
      },
      async verify(result: 'good' | 'bad', kind: 'check' | 'drill', time: Date) {
        const { document, digest } = before;
        const { sequence } = document;
        const verifier = 'verifier' as WriterName;
        const word: Verification = {
          ...{ version: 1, repository: document.repository, verifier, writer: DB_1, sequence, snapshot: digest, kind },
          ...{ time: time.toISOString(), result, readPercent: 100, indexes: true, program: '0.0.0', findings: [] },
        };
        const key = verificationKey(DB_1, sequence, 'verifier' as WriterName, time);
        await repository.store.put(key, encodeVerification(word, repository.signer));
      },
      first,
    };
  }

  test('answers of the identity provider are told: the newest, and when the last was one', async () => {
    const { of, add } = await createShip();
    expect(await of()).not.toHaveProperty('answered');
    const when = '2026-01-01T00:00:00.000Z';
    await add({ identityProvider: { state: 'unreachable', at: when } });
    expect(await of()).toMatchObject({ answered: 'never', newest: { answer: 'unreachable' } });
    await add({ identityProvider: { state: 'overruled', at: '2026-01-02T00:00:00.000Z' } });
    await add({ identityProvider: { state: 'refused', at: '2026-01-03T00:00:00.000Z' } });
    expect(await of()).toMatchObject({ answered: new Date('2026-01-02T00:00:00.000Z'), newest: { answer: 'refused' } });
  });

  test('what a verifier found good stays the newest good one, and what it found bad is counted', async () => {
    const { of, add, verify, first } = await createShip();
    expect(await of()).toMatchObject({ verified: 'never', bad: 0, verifications: {} });
    await verify('good', 'drill', new Date('2026-02-01T00:00:00.000Z'));
    await add();
    await verify('bad', 'check', new Date('2026-02-02T00:00:00.000Z'));
    expect(await of()).toMatchObject({
      ...{ snapshots: 2, bad: 1, verified: new Date(first.document.storageTime) },
      verifications: { drill: new Date('2026-02-01T00:00:00.000Z'), check: new Date('2026-02-02T00:00:00.000Z') },
    });
  });

  test('a chain that forget would hold is told, until somebody accepts it', async () => {
    const { of, add } = await createShip();
    await add({ collapsed: true, finished: '2020-01-01T00:00:00.000Z', packs: [] });
    const held = { 'more-than-scheduled': true, 'clocks-disagree': true, collapsed: true };
    expect(await of({ perDay: 1 })).toMatchObject({ holds: held, newest: { collapsed: true, storedBytes: 0 } });
    expect(await of()).toMatchObject({ holds: { ...held, 'more-than-scheduled': false } });
    expect(await of({ accept: ['clocks-disagree', 'collapsed'] })).toMatchObject({
      holds: { 'more-than-scheduled': false, 'clocks-disagree': false, collapsed: false },
    });
  });

  test('writers whom no roster ever had make no series, and are counted', async () => {
    const { repository, metrics } = await createShip();
    for (const name of ['a-1', 'z-9'] as WriterName[]) {
      await repository.store.put(snapshotKey(name, 1), new TextEncoder().encode('{}'));
    }
    const { metrics: told } = await metrics();
    expect(told.writers.map(({ writer }) => writer)).toEqual([DB_1]);
    expect(told.problems).toBe(2);
  });

  test('what is dropped, forged or rolled back is counted, and the rest is told', async () => {
    const { metrics, add, pathOf } = await createShip();
    for (let count = 0; count < 3; count += 1) await add();
    expect((await metrics()).metrics).toMatchObject({ problems: 0, writers: [{ snapshots: 4 }] });
    await rm(pathOf(2));
    expect((await metrics()).metrics).toMatchObject({ problems: 1, writers: [{ snapshots: 3 }] });
    await chmod(pathOf(3), 0o600);
    await writeFile(pathOf(3), (await readFile(pathOf(3), 'utf8')).replace('"sig":"M', '"sig":"N'));
    const forged = await metrics();
    expect(forged.metrics.writers[0]?.snapshots).toBe(2);
    expect(forged.problems.map(({ code }) => code).sort()).toEqual(['SIGNED_DOCUMENT_FORGED', 'SNAPSHOT_DROPPED']);
    await rm(dirname(pathOf(1)), { recursive: true });
    const rolled = await metrics();
    expect(rolled.problems.map(({ code }) => code)).toEqual(['SNAPSHOTS_ROLLED_BACK']);
    expect(rolled.metrics.writers).toMatchObject([{ writer: DB_1, active: true, snapshots: 0 }]);
  });
});

test('every label that may be is read back as it was written', async () => {
  const { encodeGauges } = await import('../../src/formats/telemetry/prometheus-text.ts');
  const values = ['', 'a"b', 'a\\b', 'a\nb', '\\n', 'é漢👍', '{}=,', '# HELP'];
  const text = encodeGauges([
    { name: 'a', help: 'Any "text"\\.', samples: values.map((x, value) => ({ labels: { x }, value })) },
  ]);
  const ended = await run('telemetry-check', ['metrics'], { input: text });
  expect(ended).toMatchObject({ status: 0, stderr: '' });
  const read = ended.stdout
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as { labels: { x?: string }; value: number });
  expect(read.sort((a, b) => a.value - b.value).map(({ labels }) => labels.x ?? '')).toEqual(values);
});

/** Logs that are sent elsewhere: to the receiver of the OpenTelemetry Collector, and to receivers that are down, slow, wrong or hostile. */

import { type ChildProcess, spawn } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import type { IncomingMessage, RequestListener, ServerResponse } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { type OtlpLimits, openOtlpExport } from '../../src/adapters/otlp/otlp-export.ts';
import type { LogEvent } from '../../src/ports/log-export.ts';
import { freePort } from '../support/free-port.ts';
import { serveOnLoopback } from '../support/loopback-server.ts';
import { watchForSecrets } from '../support/planted-secrets.ts';
import { makePrivateCertificate, type PrivateCertificate } from '../support/private-certificate.ts';
import { portolan, portolanText, startPortolan, succeed } from '../support/program.ts';
import { temporaryFolder } from '../support/temporary.ts';

const PASSWORD = 'throw-away password';
const CONTENT = 'what was on the ship';
const TOKEN = 'token-of-the-collector-7d41';

/** A repository with one snapshot, and its keys. */
let ship: string;
const at = (...names: string[]) => join(ship, ...names);
const env = (more: Readonly<Record<string, string>> = {}) => ({
  ...{ HOME: ship, XDG_CONFIG_HOME: at('config'), COSIGN_PASSWORD: PASSWORD, PORTOLAN_STATE: at('state') },
  ...{ PORTOLAN_REPO: at('store'), PORTOLAN_JSON: undefined, ...more },
});

beforeAll(async () => {
  ship = await mkdtemp(join(tmpdir(), 'portolan-test-'));
  await succeed('cosign', ['generate-key-pair'], { cwd: ship, env: env() });
  await succeed('age-keygen', ['-pq', '-o', 'key.txt'], { cwd: ship });
  const reader = (await succeed('age-keygen', ['-y', 'key.txt'], { cwd: ship })).trim();
  const made = await portolan(
    ['backup', 'init', '--writer', 'db-1', '-r', `me=${reader}`, '--sign-key', 'cosign.key'],
    { cwd: ship, env: env() },
  );
  expect(made.status, made.stdout).toBe(0);
  await mkdir(at('data'));
  await writeFile(at('data', 'log.txt'), CONTENT);
  expect((await backup({})).status).toBe(0);
  await writeFile(at('headers'), `# of the collector\nX-Access-Token: ${TOKEN}\n`);
  await writeFile(at('bad-headers'), `ok: 1\n${TOKEN}\n`);
});

afterAll(() => rm(ship, { recursive: true, force: true }));

const backup = (more: Readonly<Record<string, string>>, ...args: string[]) =>
  portolan(['backup', 'run', '--files', at('data'), ...args], { cwd: ship, env: env(more) });

interface Received {
  readonly resource: Readonly<Record<string, unknown>>;
  readonly scope: string;
  readonly time: string;
  readonly severity: number;
  readonly level: string;
  readonly eventName: string;
  readonly body: string;
  readonly attributes: Readonly<Record<string, unknown>>;
}

/** The receiver of the OpenTelemetry Collector; what it took so far. */
async function startCollector(tls?: PrivateCertificate) {
  const port = await freePort();
  const child: ChildProcess = spawn(
    'telemetry-check',
    ['receive', `127.0.0.1:${port}`, ...(tls === undefined ? [] : [tls.certificate, tls.key])],
    { stdio: ['ignore', 'pipe', 'pipe'] },
  );
  onTestFinished(() => void child.kill('SIGKILL'));
  let text = '';
  let said = '';
  child.stdout?.setEncoding('utf8').on('data', (part: string) => {
    text += part;
  });
  await new Promise<void>((resolve, reject) => {
    child.once('close', () => reject(new Error(said)));
    child.stderr?.setEncoding('utf8').on('data', (part: string) => {
      said += part;
      if (said.includes('taking logs')) resolve();
    });
  });
  return {
    endpoint: `${tls === undefined ? 'http' : 'https'}://127.0.0.1:${port}`,
    text: () => text,
    async records(count: number): Promise<readonly Received[]> {
      const lines = () => text.split('\n').filter(Boolean);
      for (let tries = 0; tries < 100 && lines().length < count; tries += 1) await sleep(50);
      return lines().map((line) => JSON.parse(line) as Received);
    },
  };
}

describe('to the receiver of the OpenTelemetry Collector', () => {
  test('everything that a backup tells arrives, as what it is, with who and where', async () => {
    const collector = await startCollector();
    const started = Date.now();
    const done = await backup({
      PORTOLAN_OTLP_ENDPOINT: collector.endpoint,
      OTEL_RESOURCE_ATTRIBUTES: 'k8s.namespace.name=shop,k8s.pod.name=backup%2D1',
    });
    expect(done.status, done.stdout).toBe(0);
    const told = done.events.filter(({ event, done: isDone }) => event !== 'progress' || isDone === true);
    const records = await collector.records(told.length);
    expect(records.map(({ eventName }) => eventName)).toEqual(told.map(({ event }) => `portolan.${event}`));
    for (const { resource, scope, time, attributes } of records) {
      expect(resource).toMatchObject({
        ...{ 'service.name': 'portolan', 'k8s.namespace.name': 'shop', 'k8s.pod.name': 'backup-1' },
      });
      expect(scope).toBe('portolan');
      expect(Math.abs(new Date(time).getTime() - started)).toBeLessThan(60_000);
      expect(attributes).toMatchObject({ 'portolan.command': 'backup run' });
    }
    expect(records.at(-1)).toMatchObject({
      ...{ level: 'INFO', severity: 9, body: 'backup run: result' },
      attributes: {
        'portolan.writer': 'db-1',
        'portolan.sequence': done.result?.sequence,
        'portolan.full': done.result?.full,
      },
    });
    expect(done.stdout).not.toContain('LOGS_NOT_SENT');
  });

  test('a failure is an error, without --json too, where people read on', async () => {
    const collector = await startCollector();
    const args = ['restore', 'no-such/1', '-i', at('key.txt'), '--to', `folder:${at('out')}`];
    const ended = await portolanText([...args, '--otlp-endpoint', `${collector.endpoint}/v1/logs`], {
      cwd: ship,
      env: env(),
    });
    expect(ended.status).toBe(1);
    expect(ended.stdout).toBe('');
    expect(ended.stderr).toContain('error SNAPSHOT_NOT_FOUND');
    expect(await collector.records(1)).toMatchObject([
      {
        ...{
          level: 'ERROR',
          severity: 17,
          eventName: 'portolan.error',
          body: expect.stringMatching(/^SNAPSHOT_NOT_FOUND: /),
        },
        attributes: { 'portolan.command': 'restore', 'portolan.code': 'SNAPSHOT_NOT_FOUND' },
      },
    ]);
  });

  test('records of the audit journal arrive signed, and can be verified far from the machine', async () => {
    const collector = await startCollector();
    const state = await temporaryFolder();
    const options = { cwd: ship, env: env({ PORTOLAN_STATE: state, PORTOLAN_OTLP_ENDPOINT: collector.endpoint }) };
    const out = await temporaryFolder();
    const restored = await portolan(['restore', '-i', at('key.txt'), '--to', `folder:${join(out, 'a')}`], options);
    expect(restored.status, restored.stdout).toBe(0);
    const records = (await collector.records(4)).filter(({ eventName }) => eventName === 'portolan.record');
    expect(records.map(({ body }) => body)).toEqual([
      expect.stringMatching(/^restore begun: db-1\/\d+ to folder:/),
      expect.stringMatching(/^restore done: db-1\/\d+ to folder:/),
    ]);
    expect(records[0]?.attributes).toMatchObject({ 'portolan.state': 'begun', 'portolan.what': 'restore' });
    const file = join(out, 'records.jsonl');
    const lines = records.map(({ attributes }) => `{"event":"record","envelope":${attributes['portolan.envelope']}}\n`);
    await writeFile(file, lines.join(''));
    const verified = await portolan(['audit', 'verify', file], options);
    expect(verified, verified.stdout).toMatchObject({ status: 0, result: { records: 2 } });
    // What went to stdout can be, as well.
    await writeFile(file, restored.stdout);
    expect(await portolan(['audit', 'verify', file], options)).toMatchObject({ status: 0, result: { records: 2 } });
  });

  test('over TLS by a private authority, and to nobody else', async () => {
    const certificate = await makePrivateCertificate(await temporaryFolder());
    const collector = await startCollector(certificate);
    const sent = await backup({
      PORTOLAN_OTLP_ENDPOINT: collector.endpoint,
      PORTOLAN_OTLP_CA_FILE: certificate.caFile,
    });
    expect(sent.status, sent.stdout).toBe(0);
    expect((await collector.records(1)).length).toBeGreaterThan(0);
    expect(sent.stdout).not.toContain('LOGS_NOT_SENT');
    const before = collector.text();
    const untrusted = await backup({ PORTOLAN_OTLP_ENDPOINT: collector.endpoint });
    expect(untrusted.status).toBe(0);
    expect(warningsOf(untrusted)).toEqual([expect.stringMatching(/^LOGS_NOT_SENT: (\d+) of \1 .*UNABLE_TO_VERIFY/)]);
    expect(collector.text()).toBe(before);
  });
});

function warningsOf({ events }: Awaited<ReturnType<typeof portolan>>): string[] {
  return events.filter(({ event }) => event === 'warning').map(({ message }) => String(message));
}

/** A receiver that answers as it is told; what it got. */
async function startReceiver(answer: RequestListener) {
  const got: { readonly headers: IncomingMessage['headers']; readonly body: string }[] = [];
  const server = await serveOnLoopback((request, response) => {
    let body = '';
    request.setEncoding('utf8').on('data', (part: string) => {
      body += part;
    });
    request.on('end', () => {
      got.push({ headers: request.headers, body });
      answer(request, response);
    });
  });
  onTestFinished(() => server.close());
  return { endpoint: `http://${server.host}`, got };
}

const answering =
  (status: number, text = '{}', headers = {}) =>
  (_: IncomingMessage, response: ServerResponse) =>
    void response.writeHead(status, headers).end(text);

describe('the work is as it would be without', () => {
  test.each([
    ['down', async () => `http://127.0.0.1:${await freePort()}`, /ECONNREFUSED/, 6000],
    ['silent', async () => (await startReceiver(() => {})).endpoint, /no answer in time/, 9000],
    [
      'dropping every connection',
      async () => (await startReceiver((request) => request.socket.destroy())).endpoint,
      /UND_ERR_SOCKET|ECONNRESET/,
      6000,
    ],
    ['failing', async () => (await startReceiver(answering(500, TOKEN))).endpoint, /HTTP 500$/, 4500],
    ['refusing', async () => (await startReceiver(answering(401, TOKEN))).endpoint, /HTTP 401$/, 4500],
    [
      'busy',
      async () => (await startReceiver(answering(503, '', { 'retry-after': '3600' }))).endpoint,
      /HTTP 503$/,
      6000,
    ],
    [
      'leading elsewhere',
      async () => (await startReceiver(answering(307, '', { location: 'http://127.0.0.1:1/' }))).endpoint,
      /HTTP 307$/,
      4500,
    ],
    [
      'not taking all',
      async () =>
        (await startReceiver(answering(200, '{"partialSuccess":{"rejectedLogRecords":"1","errorMessage":"too old"}}')))
          .endpoint,
      /^LOGS_NOT_SENT: 1 of \d+ .*: too old$/,
      4500,
    ],
    [
      'answering without an end',
      async () =>
        (await startReceiver((_, response) => void setInterval(() => response.write('x'.repeat(1000)), 10).unref()))
          .endpoint,
      /^$/,
      4500,
    ],
  ])('where the receiver is %s', async (_, start, reason, extraMs) => {
    const endpoint = await start();
    const ended = await backup({ PORTOLAN_OTLP_ENDPOINT: endpoint });
    const endMs = Date.now();
    expect(ended.status, ended.stdout).toBe(0);
    expect(ended.result).toMatchObject({ writer: 'db-1', full: false });
    // The result is told when the work is done; what comes after it is the receiver's.
    const resultAt = ended.stdout.match(/^\{"time":"([^"]+)","level":"info","event":"result"/m)?.[1];
    expect(endMs - new Date(String(resultAt)).getTime()).toBeLessThan(extraMs);
    const [warning = '', ...more] = warningsOf(ended);
    expect(more).toEqual([]);
    expect(warning).toMatch(reason);
    if (warning !== '') expect(warning).toMatch(/^LOGS_NOT_SENT: \d+ of \d+ log records did not reach the receiver: /);
    expect(ended.stdout + ended.stderr).not.toContain(TOKEN);
  });

  test.each([
    [
      'a file of headers that is none',
      { PORTOLAN_OTLP_HEADERS_FILE: 'bad-headers' },
      /^LOG_HEADERS_INVALID: .*bad-headers:2/,
    ],
    ['a file of headers that is missing', { PORTOLAN_OTLP_HEADERS_FILE: 'nowhere' }, /^FILE_MISSING: /],
    ['certificates that are none', { PORTOLAN_OTLP_CA_FILE: 'headers' }, /^CA_FILE_INVALID: /],
  ])('with %s: no log is sent, and it is said', async (_, more, reason) => {
    const receiver = await startReceiver(answering(200));
    const ended = await backup({ PORTOLAN_OTLP_ENDPOINT: receiver.endpoint, ...more } as Record<string, string>);
    expect(ended.status, ended.stdout).toBe(0);
    expect(warningsOf(ended)).toEqual([expect.stringMatching(reason)]);
    expect(ended.stdout).not.toContain(TOKEN);
    expect(receiver.got).toEqual([]);
  });

  test('when it is stopped, what it told so far is sent, within seconds', async () => {
    const collector = await startCollector();
    const running = startPortolan(
      ['backup', 'metrics', '--listen', String(await freePort()), '--otlp-endpoint', collector.endpoint],
      { cwd: ship, env: env() },
    );
    await new Promise((resolve) => running.child.stdout?.once('data', resolve));
    running.child.kill('SIGTERM');
    expect((await running.ended).status).toBe(0);
    const bodies = (await collector.records(2)).map(({ body }) => body);
    expect(bodies).toContain('backup metrics: result');
    expect(bodies.some((body) => body.startsWith('stopping'))).toBe(true);
  });

  test('nothing is sent where no receiver is named, whatever else names one', async () => {
    const receiver = await startReceiver(answering(200));
    const ended = await backup({
      OTEL_EXPORTER_OTLP_ENDPOINT: receiver.endpoint,
      PORTOLAN_OTLP_HEADERS_FILE: at('headers'),
    });
    expect(ended.status).toBe(0);
    expect(receiver.got).toEqual([]);
  });
});

test('no secret is in what is sent, and the token of the receiver nowhere else', async () => {
  const receiver = await startReceiver(answering(200));
  const identity = /AGE-SECRET-KEY-\S+/.exec(await readFile(at('key.txt'), 'utf8'))?.[0] ?? '';
  const secrets = {
    password: PASSWORD,
    identity,
    content: CONTENT,
    storage: 'key-of-the-storage-91c2',
    database: 'pw-of-the-database-55e0',
  };
  const watch = watchForSecrets({ ...secrets, token: TOKEN });
  const more = {
    ...{ PORTOLAN_OTLP_ENDPOINT: receiver.endpoint, PORTOLAN_OTLP_HEADERS_FILE: at('headers') },
    ...{ AWS_ACCESS_KEY_ID: 'me', AWS_SECRET_ACCESS_KEY: secrets.storage, PGPASSWORD: secrets.database },
    ...{ PORTOLAN_STATE: await temporaryFolder() },
  };
  const options = { cwd: ship, env: env(more) };
  const out = await temporaryFolder();
  const port = await freePort();
  const runs = [
    await backup(more),
    await portolan(['backup', 'check', '-i', at('key.txt'), '--read-data', '100%'], options),
    await portolan(['restore', '-i', at('key.txt'), '--to', `folder:${join(out, 'b')}`], options),
    await portolan(['backup', 'run', '--database', `postgres://me@127.0.0.1:${port}/shop`], options),
    await portolan(['backup', 'metrics'], {
      ...options,
      env: {
        ...options.env,
        PORTOLAN_REPO: `s3://backups/p?endpoint=http://127.0.0.1:${port}`,
        PORTOLAN_TRUST: at('cosign.pub'),
      },
    }),
  ];
  expect(runs.map(({ status }) => status)).toEqual([0, 0, 0, 1, 1]);
  expect(receiver.got.length).toBeGreaterThanOrEqual(runs.length);
  for (const { headers } of receiver.got) {
    expect(headers).toMatchObject({ 'x-access-token': TOKEN, 'content-type': 'application/json' });
    expect(headers['user-agent']).toMatch(/^portolan\//);
  }
  watch.add('what was sent', receiver.got.map(({ body }) => body).join('\n'));
  watch.add('what was printed', runs.map(({ stdout, stderr }) => stdout + stderr).join('\n'));
  await watch.addFolder(more.PORTOLAN_STATE);
  expect(await watch.end()).toEqual([]);
});

describe('the queue', () => {
  const event = (index: number, size = 10): LogEvent => ({
    ...{ timeMs: Date.now(), level: 'info', event: 'note', fields: { message: `${index}:${'x'.repeat(size)}` } },
  });
  const limits: Partial<OtlpLimits> = { gatherMs: 20, requestMs: 300, closeMs: 1000, batchRecords: 10 };
  const open = (endpoint: string, more: Partial<OtlpLimits> = {}) =>
    openOtlpExport({
      ...{ url: new URL(`${endpoint}/v1/logs`), headers: {}, resource: {}, command: 'backup run', version: '0.0.0' },
      limits: { ...limits, ...more },
    });
  const bodiesOf = (texts: readonly string[]) =>
    texts.flatMap((text) => {
      const { resourceLogs } = JSON.parse(text) as {
        resourceLogs: { scopeLogs: { logRecords: { body: { stringValue: string } }[] }[] }[];
      };
      return resourceLogs.flatMap(({ scopeLogs }) =>
        scopeLogs.flatMap(({ logRecords }) => logRecords.map(({ body }) => Number(body.stringValue.split(':')[0]))),
      );
    });

  test('sends in batches and in order, while the work goes on', async () => {
    const receiver = await startReceiver(answering(200));
    const logs = await open(receiver.endpoint);
    for (let index = 0; index < 55; index += 1) logs.add(event(index));
    for (let tries = 0; tries < 100 && receiver.got.length < 6; tries += 1) await sleep(20);
    expect(bodiesOf(receiver.got.map(({ body }) => body))).toEqual(Array.from({ length: 55 }, (_, index) => index));
    expect(receiver.got).toHaveLength(6);
    expect(await logs.close()).toBeUndefined();
    expect(receiver.got).toHaveLength(6);
  });

  test('keeps the newest when more is told than the receiver takes, and counts the rest', async () => {
    const receiver = await startReceiver(() => {});
    const logs = await open(receiver.endpoint, { queueRecords: 100, requestMs: 100, closeMs: 400 });
    const before = process.memoryUsage().heapUsed;
    for (let index = 0; index < 20_000; index += 1) {
      logs.add(event(index, 2000));
      if (index % 1000 === 0) await sleep(1);
    }
    expect(process.memoryUsage().heapUsed - before).toBeLessThan(64 << 20);
    const startMs = performance.now();
    expect(await logs.close()).toEqual({ lost: 20_000, total: 20_000, reason: 'no answer in time' });
    expect(performance.now() - startMs).toBeLessThan(1500);
  });

  test('is bounded by bytes as well: one record may be large', async () => {
    let isOpen = false;
    const receiver = await startReceiver((_, response) => void response.writeHead(isOpen ? 200 : 503).end());
    const logs = await open(receiver.endpoint, { queueBytes: 50_000, gatherMs: 60_000 });
    for (let index = 0; index < 100; index += 1) logs.add(event(index, 5000));
    isOpen = true;
    const missing = await logs.close();
    const taken = bodiesOf(receiver.got.map(({ body }) => body));
    expect(taken.at(-1)).toBe(99);
    expect(taken.length).toBeLessThan(10);
    expect(missing).toEqual({ lost: 100 - taken.length, total: 100, reason: 'more than the receiver took in time' });
  });

  test('sends again what a receiver could not take, once', async () => {
    let tries = 0;
    const receiver = await startReceiver((_, response) => {
      tries += 1;
      response.writeHead(tries < 3 ? ([429, 503][tries - 1] ?? 503) : 200).end();
    });
    const logs = await open(receiver.endpoint, { closeMs: 5000 });
    for (let index = 0; index < 5; index += 1) logs.add(event(index));
    expect(await logs.close()).toBeUndefined();
    const taken = receiver.got.slice(2).map(({ body }) => body);
    expect(bodiesOf(taken)).toEqual([0, 1, 2, 3, 4]);
  });

  test('loses what was refused for good, and goes on with the rest', async () => {
    let isFirst = true;
    const receiver = await startReceiver((_, response) => {
      response.writeHead(isFirst ? 400 : 200).end();
      isFirst = false;
    });
    const logs = await open(receiver.endpoint);
    for (let index = 0; index < 25; index += 1) logs.add(event(index));
    expect(await logs.close()).toEqual({ lost: 10, total: 25, reason: 'HTTP 400' });
    expect(bodiesOf(receiver.got.slice(1).map(({ body }) => body))).toEqual(
      Array.from({ length: 15 }, (_, index) => index + 10),
    );
  });
});

test('no part of the program names a receiver of its own', () => {
  const sources = ['src/adapters/otlp/otlp-export.ts', 'src/compose/log-export.ts', 'src/cli/main-run.ts'];
  for (const source of sources) {
    expect(
      readFileSync(join(import.meta.dirname, '../..', source), 'utf8').match(/https?:\/\/(?!collector)[a-z0-9]/g),
    ).toBeNull();
  }
});

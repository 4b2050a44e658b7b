import { randomBytes } from 'node:crypto';
import { gunzipSync } from 'node:zlib';
import { extract } from 'tar-stream';
import { describe, expect, it, test } from 'vitest';
import type { KubernetesObject } from '../../../src/ports/kubernetes.ts';
import { packModules } from '../../../src/usecases/migrate/cluster-archive.ts';
import { jobNameOf, jobOf, partOf } from '../../../src/usecases/migrate/cluster-job.ts';
import { readPodLog } from '../../../src/usecases/migrate/cluster-log.ts';
import { podStateOf } from '../../../src/usecases/migrate/cluster-pod.ts';
import { moduleOf } from '../../support/migration-modules.ts';
import { raisedCodes } from '../../support/raised.ts';

const REQUEST = {
  database: {
    namespace: 'cms',
    host: 'cms-data',
    port: 5432,
    name: 'c/ms',
    user: 'post@gres',
    password: { secret: 'auth', key: 'password' },
    sslMode: 'prefer',
  },
  image: 'portolan.local/portolan:1',
  args: ['migrate', 'up'],
  contentHash: 'x',
  partCount: 2,
  timeoutMs: 1000,
};

describe('the archive of modules', () => {
  const modules = [
    moduleOf('core', { '1_a.sql': 'select 1;', '2_b.sql': 'select 2;' }),
    moduleOf('blog', { '1_p.sql': '' }, ['core']),
  ];

  it('holds every file and what the modules require', async () => {
    const { parts } = await packModules(modules);
    const found = new Map<string, string>();
    const unpack = extract();
    unpack.end(gunzipSync(Buffer.concat(parts)));
    for await (const entry of unpack) {
      const chunks: Uint8Array[] = [];
      for await (const chunk of entry) chunks.push(chunk as Uint8Array);
      found.set(entry.header.name, Buffer.concat(chunks).toString());
    }
    expect([...found]).toEqual([
      ['modules.json', '{"blog":{"requires":["core"]},"core":{"requires":[]}}'],
      ['blog/1_p.sql', ''],
      ['core/1_a.sql', 'select 1;'],
      ['core/2_b.sql', 'select 2;'],
    ]);
  });

  it('has a hash that follows from names, contents and requirements', async () => {
    const { contentHash } = await packModules(modules);
    expect((await packModules(modules.toReversed())).contentHash).toBe(contentHash);
    const others = [
      [moduleOf('core', { '1_a.sql': 'select 1;', '2_b.sql': 'select 3;' })],
      [moduleOf('core', { '1_a.sql': 'select 1;', '3_b.sql': 'select 2;' })],
      [moduleOf('core', { '1_a.sql': 'select 1;', '2_b.sql': 'select 2;' }, ['x'])],
    ];
    const hashes = await Promise.all(others.map(async (one) => (await packModules(one)).contentHash));
    expect(new Set([contentHash, ...hashes]).size).toBe(4);
  });

  it('is cut into parts, and has a limit', async () => {
    const large = (sizeBytes: number) => [
      moduleOf('core', { '1_a.sql': `-- ${randomBytes(sizeBytes).toString('base64')}` }),
    ];
    const { parts } = await packModules(large(2_000_000));
    expect(parts.length).toBeGreaterThan(2);
    expect(Math.max(...parts.map((part) => part.length))).toBeLessThanOrEqual(900 * 1024);
    expect(await raisedCodes(() => packModules(large(20_000_000)))).toEqual(['UseCaseError MIGRATIONS_TOO_LARGE']);
  });
});

describe('the Job', () => {
  it('has a name that follows from the work, and nothing secret in it', () => {
    expect(jobNameOf(REQUEST)).toBe(jobNameOf({ ...REQUEST, timeoutMs: 5, partCount: 3 }));
    const others = [
      { ...REQUEST, contentHash: 'y' },
      { ...REQUEST, args: ['migrate', 'status'] },
      { ...REQUEST, image: 'z' },
    ];
    expect(new Set([REQUEST, ...others].map(jobNameOf)).size).toBe(4);
    const job = jobOf(REQUEST);
    expect(job.metadata.name).toMatch(/^portolan-migrate-[0-9a-f]{16}$/);
    expect(JSON.stringify(job)).toContain('postgres://post%40gres@cms-data:5432/c%2Fms?sslmode=prefer');
    expect(JSON.stringify(job)).toContain('"secretKeyRef":{"name":"auth","key":"password"}');
  });

  it('owns its parts, whose names are new with each Job', () => {
    const made = jobOf(REQUEST);
    const job: KubernetesObject = { ...made, metadata: { ...made.metadata, uid: 'u' } };
    const part = partOf(job, 1, Buffer.from('abc'));
    expect(part).toMatchObject({
      immutable: true,
      metadata: { namespace: 'cms', ownerReferences: [{ kind: 'Job', uid: 'u' }] },
      binaryData: { 'modules.tar.gz.001': 'YWJj' },
    });
    expect(JSON.stringify(job.spec)).toContain(part.metadata.name);
    expect(JSON.stringify(jobOf(REQUEST).spec)).not.toContain(part.metadata.name);
  });
});

describe('the log of a Pod', () => {
  const line = (value: unknown) => JSON.stringify(value);
  const started = {
    event: 'migration',
    number: 1,
    kind: 'started',
    module: 'core',
    file: '1_a.sql',
    index: 1,
    total: 2,
  };
  const applied = { event: 'migration', number: 2, kind: 'applied', module: 'core', file: '1_a.sql', durationMs: 3 };

  it('gives each event once, and the result', () => {
    const first = readPodLog([line(started), 'not an event', ''].join('\n'), 0);
    expect(first).toMatchObject({
      events: [{ kind: 'started' }],
      lastNumber: 1,
      result: undefined,
      rest: ['not an event'],
    });
    const second = readPodLog([line(started), line(applied), line({ event: 'result', skipped: 1 })].join('\n'), 1);
    expect(second).toMatchObject({ events: [{ kind: 'applied' }], lastNumber: 2, result: { skipped: 1 } });
  });

  it('gives an error back with its code, its place and the others', () => {
    const told = {
      event: 'error',
      code: 'MIGRATION_FAILED',
      message: 'm',
      found: 'f',
      hint: 'h',
      at: { file: 'core/1_a.sql', line: 3 },
      causes: ['c'],
      others: [{ code: 'MIGRATION_CHANGED', message: 'n' }],
    };
    const { error } = readPodLog(line(told), 0);
    expect(error).toMatchObject({
      ...{ code: 'MIGRATION_FAILED', message: 'm', found: 'f', hint: 'h', at: { file: 'core/1_a.sql', line: 3 } },
      others: [{ code: 'MIGRATION_CHANGED' }],
    });
  });

  test.each([
    ['{', []],
    ['{"event":"migration","number":"1"}', []],
    ['{"event":"migration","number":1,"kind":"applied"}', []],
    ['[1]', []],
  ])('%j is no event', (text, events) => {
    expect(readPodLog(text, 0).events).toEqual(events);
  });

  it('does not trust a forged error', () => {
    expect(readPodLog('{"event":"error","code":"x y"}', 0).error).toMatchObject({ code: 'MIGRATION_POD_FAILED' });
    const told = readPodLog(line({ event: 'error', code: 'USAGE', message: '\u001b[31mred' }), 0);
    expect(told.error?.message).not.toContain('\u001b');
  });
});

describe('the state of a Pod', () => {
  const pod = (status: unknown) => podStateOf({ apiVersion: 'v1', kind: 'Pod', metadata: { name: 'p' }, status });
  const container = (state: unknown) => ({ containerStatuses: [{ name: 'migrate', state }] });

  test.each([
    [undefined, 'waiting', undefined],
    [
      {
        phase: 'Pending',
        conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: 'no room' }],
      },
      'waiting',
      'Unschedulable',
    ],
    [
      { phase: 'Pending', ...container({ waiting: { reason: 'ImagePullBackOff', message: 'm' } }) },
      'waiting',
      'ImagePullBackOff',
    ],
    [{ phase: 'Running', ...container({ running: {} }) }, 'running', undefined],
    [{ phase: 'Failed', ...container({ terminated: { exitCode: 137, reason: 'OOMKilled' } }) }, 'ended', 'OOMKilled'],
    [{ phase: 'Failed', reason: 'Evicted', message: 'the node was low on disk' }, 'ended', 'Evicted'],
  ])('%j', (status, phase, reason) => {
    expect(pod(status)).toMatchObject(reason === undefined ? { phase } : { phase, reason });
  });

  it('has the words of Kubernetes', () => {
    expect(pod({ phase: 'Failed', reason: 'Evicted', message: 'low on disk' }).words).toContain('low on disk');
  });
});

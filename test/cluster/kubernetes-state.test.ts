import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { readFile, rm, writeFile } from 'node:fs/promises';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { dirname, join } from 'node:path';
import { describe, expect, onTestFinished, test } from 'vitest';
import { openKubernetes } from '../../src/adapters/kubernetes/open-kubernetes.ts';
import { createClusterState } from '../../src/adapters/target-state/cluster-state.ts';
import type { LeaseTimes } from '../../src/adapters/target-state/lease-lock.ts';
import { accessOf, decodeKubeconfig } from '../../src/formats/kubernetes/kubeconfig.ts';
import type { Kubernetes } from '../../src/ports/kubernetes.ts';
import { clusterKubeconfig } from '../support/cluster-kubeconfig.ts';
import { raised } from '../support/raised.ts';
import { targetStateSuite } from '../support/target-state-suite.ts';

const LEASE = { apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', name: 'portolan' };
/** A busy machine must get to a renewal within the deadline. */
const QUICK: LeaseTimes = { durationMs: 6000, deadlineMs: 4500, renewEveryMs: 300, watchEveryMs: 100 };
const RETRY = { attempts: 30, baseDelayMs: 50, maxDelayMs: 200 };

async function connectTo(path = clusterKubeconfig()): Promise<Kubernetes> {
  const settings = { environment: {}, now: Date.now, retry: RETRY, firstRetry: RETRY };
  const kubernetes = await openKubernetes({ kind: 'kubeconfig', paths: [path] }, settings);
  onTestFinished(() => kubernetes.close());
  return kubernetes;
}

async function open(times?: LeaseTimes, path?: string) {
  const kubernetes = await connectTo(path);
  const namespace = `portolan-test-${randomBytes(4).toString('hex')}`;
  onTestFinished(async () => {
    const own = await connectTo();
    await own.delete({ apiVersion: 'v1', kind: 'Namespace', name: namespace });
  });
  // A clock that stands still, years ago: no decision may hang on it.
  const settings = { namespace, now: () => 0, ...(times === undefined ? {} : { leaseTimes: times }) };
  const src = new URL('../../src/', import.meta.url).href;
  return {
    kubernetes,
    namespace,
    state: createClusterState(kubernetes, settings),
    again: async () => createClusterState(await connectTo(), settings),
    holderScript: (holder: string) => `
      import { openKubernetes } from '${src}adapters/kubernetes/open-kubernetes.ts';
      import { createClusterState } from '${src}adapters/target-state/cluster-state.ts';
      const source = { kind: 'kubeconfig', paths: [${JSON.stringify(clusterKubeconfig())}] };
      const kubernetes = await openKubernetes(source, { environment: {}, now: () => 0 });
      const state = createClusterState(kubernetes, { namespace: '${namespace}', now: () => 0 });
      await state.lock(${JSON.stringify(holder)}, { waitMs: 0 });
      console.log('locked');
      setInterval(() => {}, 1000);
    `,
  };
}

targetStateSuite({ open });

/** The Lease as another machine would hold it. */
function foreign(namespace: string, durationSeconds: number) {
  return {
    apiVersion: LEASE.apiVersion,
    kind: LEASE.kind,
    metadata: { namespace, name: LEASE.name },
    spec: {
      holderIdentity: 'another-machine:42:0123',
      leaseDurationSeconds: durationSeconds,
      acquireTime: '2099-01-01T00:00:00.000000Z',
      renewTime: '2099-01-01T00:00:00.000000Z',
      leaseTransitions: 3,
    },
  };
}

describe('in a cluster', () => {
  test('documents are Secrets that say whose they are', async () => {
    const { state, kubernetes, namespace } = await open();
    await state.write('bundle.cms', Uint8Array.of(1, 2));
    const secret = await kubernetes.get({ apiVersion: 'v1', kind: 'Secret', namespace, name: 'portolan.bundle.cms' });
    expect(secret).toMatchObject({
      type: 'Opaque',
      metadata: { labels: { 'app.kubernetes.io/managed-by': 'portolan' } },
      data: { document: 'AQI=' },
    });
    await kubernetes.replace({
      ...secret,
      apiVersion: 'v1',
      kind: 'Secret',
      metadata: secret?.metadata ?? { name: '' },
      data: {},
    });
    expect(await raised(() => state.read('bundle.cms'))).toMatchObject({ code: 'TARGET_STATE_DAMAGED' });
  });
});

describe('a Lease', () => {
  test('of a machine that went silent is taken over, wherever its clock stands', async () => {
    const { state, kubernetes, namespace } = await open(QUICK);
    await state.write('key', Uint8Array.of(1));
    await kubernetes.create(foreign(namespace, 1));
    expect(await raised(() => state.lock('next', { waitMs: 0 }))).toMatchObject({ code: 'TARGET_LOCKED' });
    const told: string[] = [];
    await using _lock = await state.lock('next', { waitMs: 60_000, onWait: (holder) => told.push(holder) });
    expect(told).toHaveLength(1);
    expect(told[0]).toContain('another-machine');
    expect(await kubernetes.get({ ...LEASE, namespace })).toMatchObject({ spec: { leaseTransitions: 4 } });
  });

  test('that is renewed stays with its holder, though its clock stands still', async () => {
    const { state, again } = await open(QUICK);
    await using lock = await state.lock('first', { waitMs: 0 });
    const waitMs = QUICK.durationMs * 1.5;
    const error = await raised(async () => (await again()).lock('second', { waitMs }));
    expect(error).toMatchObject({ code: 'TARGET_LOCKED' });
    expect(lock.signal.aborted).toBe(false);
  });

  test('that somebody else changed beside the holder stays with it', async () => {
    const { state, kubernetes, namespace } = await open(QUICK);
    await using lock = await state.lock('first', { waitMs: 0 });
    const labels = { looked: 'at' };
    await kubernetes.apply({
      apiVersion: LEASE.apiVersion,
      kind: LEASE.kind,
      metadata: { namespace, name: LEASE.name, labels },
    });
    const before = await kubernetes.get({ ...LEASE, namespace });
    const version = () => kubernetes.get({ ...LEASE, namespace }).then((lease) => lease?.metadata.resourceVersion);
    await expect.poll(version, { timeout: 20_000 }).not.toBe(before?.metadata.resourceVersion);
    expect(lock.signal.aborted).toBe(false);
  });

  test('that somebody else took is lost, the run is told, and the other keeps it', async () => {
    const { state, kubernetes, namespace } = await open(QUICK);
    await using lock = await state.lock('first', { waitMs: 0 });
    const lost = once(lock.signal, 'abort');
    await kubernetes.apply(foreign(namespace, 60));
    await lost;
    expect(lock.signal.reason).toMatchObject({ name: 'AdapterError', code: 'TARGET_LOCK_LOST' });
    await lock[Symbol.asyncDispose]();
    expect(await kubernetes.get({ ...LEASE, namespace })).toMatchObject({
      spec: { holderIdentity: 'another-machine:42:0123' },
    });
  });

  test('that was removed is made again by its holder', async () => {
    const { state, again, kubernetes, namespace } = await open(QUICK);
    await using lock = await state.lock('first', { waitMs: 0 });
    await kubernetes.delete({ ...LEASE, namespace });
    await expect.poll(() => kubernetes.get({ ...LEASE, namespace }), { timeout: 20_000 }).toBeDefined();
    expect(await raised(async () => (await again()).lock('second', { waitMs: 0 }))).toMatchObject({
      code: 'TARGET_LOCKED',
    });
    expect(lock.signal.aborted).toBe(false);
  });

  test('outlives an API server that is away for a moment, and is lost when it stays away', async () => {
    const way = await breakableWay();
    const { state } = await open(QUICK, way.kubeconfig);
    await using lock = await state.lock('first', { waitMs: 0 });
    way.close();
    await new Promise((resolve) => setTimeout(resolve, QUICK.deadlineMs / 9));
    await way.open();
    await state.write('key', Uint8Array.of(1));
    expect(lock.signal.aborted).toBe(false);
    const lost = once(lock.signal, 'abort');
    way.close();
    await lost;
    expect(lock.signal.reason).toMatchObject({ code: 'TARGET_LOCK_LOST' });
    await way.open();
  });
});

/** A way to the API server that a test closes and opens again. */
async function breakableWay() {
  const text = await readFile(clusterKubeconfig(), 'utf8');
  const { server } = accessOf(decodeKubeconfig(text, clusterKubeconfig()), undefined);
  const { hostname, port } = new URL(server);
  const sockets = new Set<Socket>();
  const way: Server = createServer((socket) => {
    const onward = connect(Number(port || 443), hostname);
    for (const one of [socket, onward]) {
      sockets.add(one);
      one.on('error', () => {});
      one.on('close', () => {
        sockets.delete(one);
        socket.destroy();
        onward.destroy();
      });
    }
    socket.pipe(onward);
    onward.pipe(socket);
  });
  way.listen(0, '127.0.0.1');
  await once(way, 'listening');
  const { port: own } = way.address() as { port: number };
  const close = (): void => {
    way.close();
    for (const socket of sockets) socket.destroy();
  };
  onTestFinished(close);
  // Beside the other: its relative paths must hold.
  const kubeconfig = join(dirname(clusterKubeconfig()), `way-${randomBytes(4).toString('hex')}.yaml`);
  await writeFile(kubeconfig, text.replaceAll(server, `https://127.0.0.1:${own}`));
  onTestFinished(async () => rm(kubeconfig, { force: true }));
  return {
    kubeconfig,
    close,
    async open() {
      way.listen(own, '127.0.0.1');
      await once(way, 'listening');
    },
  };
}

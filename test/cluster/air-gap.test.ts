/** The node is a real one, and nothing leads out of it. */
import { randomBytes } from 'node:crypto';
import { lookup } from 'node:dns/promises';
import { once } from 'node:events';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { connect } from 'node:net';
import { networkInterfaces, tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { ctr, httpGet, insideNode, kubectl, namespaced, useCluster } from '../support/cluster.ts';
import { importImage } from '../support/node-image.ts';
import { portolanText } from '../support/program.ts';

/** Of the Internet, and of a private network that a machine may well have. */
const OUTSIDE = ['1.1.1.1', '8.8.8.8', '192.168.1.1', '172.16.0.1'];
/** With Node, which asks and answers within Pods. */
const IMAGE = `air-gap.portolan.test/node:${randomBytes(4).toString('hex')}`;

/** The code with which a connection ends: `connected`, or that of the error. */
async function connection(host: string, port: number): Promise<string> {
  const socket = connect({ host, port, timeout: 20_000 });
  socket.once('timeout', () => socket.destroy(Object.assign(new Error('timeout'), { code: 'ETIMEDOUT' })));
  try {
    await once(socket, 'connect');
    return 'connected';
  } catch (error) {
    return (error as NodeJS.ErrnoException).code ?? 'unknown';
  } finally {
    socket.destroy();
  }
}

describe('no way out', () => {
  test('no route leads further than the node, its Pods and its Services', async () => {
    // Destination and mask as the kernel writes them: hexadecimal, the last byte first.
    const routes = (await readFile('/proc/net/route', 'utf8')).trim().split('\n').slice(1);
    const destinations = routes.map((line) => line.split('\t')[1] ?? '');
    expect(destinations.length).toBeGreaterThan(0);
    for (const destination of destinations) expect(destination).toMatch(/^0000(29|2A|2B)0A$|^00(00|01)(29|2A|2B)0A$/);
    const foreign = (await readFile('/proc/net/ipv6_route', 'utf8')).trim().split('\n');
    // The unreachable default, which the kernel itself adds on the loopback device, leads nowhere.
    const leading = foreign.filter((line) => line.startsWith(`${'0'.repeat(32)} 00`) && !line.endsWith(' lo'));
    expect(leading).toEqual([]);
  });

  test('its interfaces are its own', () => {
    expect(
      Object.keys(networkInterfaces()).filter((name) => !/^(lo|node[01]|cni0|veth.*|flannel\.1)$/.test(name)),
    ).toEqual([]);
  });

  test.each(OUTSIDE)('%s cannot be reached', async (host) => {
    expect(await connection(host, 443)).toBe('ENETUNREACH');
  });

  test('a public name has no address', async () => {
    await expect(lookup('registry.k8s.io')).rejects.toMatchObject({
      code: expect.stringMatching(/^(EAI_AGAIN|ENOTFOUND)$/),
    });
  });

  test('the program itself runs there', async () => {
    const ended = await portolanText(['--version']);
    expect(ended.status).toBe(0);
  });

  test('the node is shown the settings of the machine that it would change, and changes none', async () => {
    const path = '/proc/sys/vm/overcommit_memory';
    expect((await insideNode('cat', path)).trim()).toBe('1');
    expect(await insideNode('findmnt', '--noheadings', '--output', 'TARGET', path)).toContain(path);
  });
});

describe('a node', () => {
  const name = `air-gap-${randomBytes(4).toString('hex')}`;
  let own: Awaited<ReturnType<typeof namespaced>>;

  beforeAll(async () => {
    const folder = await mkdtemp(join(tmpdir(), 'portolan-test-'));
    await importImage('portolan', IMAGE, folder).finally(() => rm(folder, { recursive: true }));
    own = await namespaced(name);
    await own.kubectl(['apply', '--filename', '-'], MANIFEST);
    await own.kubectl(['wait', '--for=condition=Ready', 'pod/web', 'pod/client', '--timeout=120s']);
  });
  afterAll(async () => {
    await own?.remove();
    await ctr('images', 'remove', IMAGE);
  });

  test('is ready', async () => {
    const path = 'jsonpath={.items[*].status.conditions[?(@.type=="Ready")].status}';
    expect(await kubectl(['get', 'nodes', '--output', path])).toBe('True');
  });

  test('its containerd holds the image that was imported, and a Pod of it answers', async () => {
    expect((await ctr('images', 'list', '--quiet')).split('\n')).toContain(IMAGE);
    const address = await own.kubectl(['get', 'pod', 'web', '--output', 'jsonpath={.status.podIP}']);
    expect(await httpGet(`http://${address}:8080/`)).toEqual({ status: 200, text: 'here' });
  });

  test('a Service leads to its Pod, from the node and from a Pod, which knows it by name', async () => {
    const address = await own.kubectl(['get', 'service', 'web', '--output', 'jsonpath={.spec.clusterIP}']);
    // The packet filter learns of a Pod that is ready a moment later.
    await expect.poll(() => httpGet(`http://${address}/`), { timeout: 60_000 }).toEqual({ status: 200, text: 'here' });
    for (const host of [address, 'web', `web.${name}.svc.cluster.local`]) {
      expect(await inClient(`fetch('http://${host}/').then((r) => r.text()).then(console.log)`)).toBe('here\n');
    }
    // The Pod behind a Service reaches itself by it.
    expect(await inPod('web', `fetch('http://web.${name}/').then((r) => r.text()).then(console.log)`)).toBe('here\n');
  });

  test('a Pod reaches the API server by its Service', async () => {
    const code = `require('node:net').connect(443, 'kubernetes.default.svc').on('connect', () => { console.log('in'); process.exit() })`;
    expect(await inClient(code)).toBe('in\n');
  });

  test('nothing leads out of a Pod either', async () => {
    const code = `require('node:net').connect(443, '1.1.1.1').on('connect', () => console.log('connected'))
      .on('error', (error) => console.log(error.code))`;
    expect(await inClient(code)).toMatch(/^(ENETUNREACH|EHOSTUNREACH)\n$/);
  });

  test('tells what a Pod has written', async () => {
    expect(await own.kubectl(['logs', 'web'])).toBe('listening\n');
  });

  test('gives a claim its volume, which the Pod writes to', async () => {
    expect(await own.kubectl(['get', 'pvc', 'data', '--output', 'jsonpath={.status.phase}'])).toBe('Bound');
    const volume = await own.kubectl(['get', 'pvc', 'data', '--output', 'jsonpath={.spec.volumeName}']);
    await inPod('web', `require('node:fs').writeFileSync('/data/written', 'kept')`);
    const path = await kubectl(['get', 'pv', volume, '--output', 'jsonpath={.spec.hostPath.path}{.spec.local.path}']);
    expect(await insideNode('cat', `${path}/written`)).toBe('kept');
  });

  test('says where its parts lie', () => {
    const { kind, network, containerdAddress } = useCluster();
    expect(['node', 'k3s']).toContain(kind);
    expect(network).toMatch(/^portolan-/);
    expect(containerdAddress).toMatch(/\.sock$/);
  });

  function inPod(pod: string, code: string): Promise<string> {
    return own.kubectl(['exec', pod, '--', '/usr/local/bin/node', '--eval', code]);
  }

  function inClient(code: string): Promise<string> {
    return inPod('client', code);
  }
});

const SERVER = `require('node:http').createServer((_, r) => r.end('here')).listen(8080, () => console.log('listening'))`;
const SHARED = {
  image: IMAGE,
  imagePullPolicy: 'Never',
  securityContext: { runAsUser: 10001 },
};

const MANIFEST = JSON.stringify({
  apiVersion: 'v1',
  kind: 'List',
  items: [
    {
      apiVersion: 'v1',
      kind: 'PersistentVolumeClaim',
      metadata: { name: 'data' },
      spec: { accessModes: ['ReadWriteOnce'], resources: { requests: { storage: '10Mi' } } },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'web', labels: { app: 'web' } },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [
          {
            ...SHARED,
            name: 'web',
            command: ['/usr/local/bin/node', '--eval', SERVER],
            readinessProbe: { httpGet: { port: 8080 }, periodSeconds: 1 },
            volumeMounts: [{ name: 'data', mountPath: '/data' }],
          },
        ],
        volumes: [{ name: 'data', persistentVolumeClaim: { claimName: 'data' } }],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Pod',
      metadata: { name: 'client' },
      spec: {
        terminationGracePeriodSeconds: 0,
        containers: [
          { ...SHARED, name: 'client', command: ['/usr/local/bin/node', '--eval', 'setInterval(() => {}, 1e6)'] },
        ],
      },
    },
    {
      apiVersion: 'v1',
      kind: 'Service',
      metadata: { name: 'web' },
      spec: { selector: { app: 'web' }, ports: [{ port: 80, targetPort: 8080 }] },
    },
  ],
});

/** What the tests of bad days lean on: parts of the node can be held, ended and started, and it goes on. */
import { randomBytes } from 'node:crypto';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, describe, expect, onTestFinished, test } from 'vitest';
import { ctr, httpGet, kubectl, namespaced, onPart, useCluster } from '../support/cluster.ts';
import { imageOnNode } from '../support/node-image.ts';
import { run, succeed } from '../support/program.ts';

const TAG = randomBytes(4).toString('hex');
const IMAGE = `parts.portolan.test/web:${TAG}`;

async function ownNamespace() {
  const own = await namespaced(`parts-${randomBytes(4).toString('hex')}`);
  onTestFinished(own.remove);
  return own;
}

function podOf(image: string, imagePullPolicy: 'Never' | 'Always'): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Pod',
    metadata: { name: 'web' },
    spec: { terminationGracePeriodSeconds: 0, containers: [{ name: 'web', image, imagePullPolicy }] },
  });
}

describe('a part that is held or ended', () => {
  // Whatever a test left held or ended works again before the next one.
  afterEach(async () => {
    for (const part of ['containerd', 'apiserver'] as const) {
      await onPart('start', part);
      await onPart('resume', part);
    }
  });

  test('containerd gives no answer while it is held, and does afterwards', async () => {
    await onPart('pause', 'containerd');
    expect((await run('timeout', ['2', 'ctr', 'version'])).status).toBe(124);
    await onPart('resume', 'containerd');
    expect(await ctr('version')).toContain('2.1.5-k3s1');
  });

  test('a Pod outlives an end of containerd, and is known to it again', async () => {
    const own = await ownNamespace();
    await imageOnNode(IMAGE);
    await own.kubectl(['apply', '--filename', '-'], podOf(IMAGE, 'Never'));
    await own.kubectl(['wait', '--for=condition=Ready', 'pod/web', '--timeout=120s']);
    const address = await own.kubectl(['get', 'pod', 'web', '--output', 'jsonpath={.status.podIP}']);
    await onPart('kill', 'containerd');
    expect((await run('timeout', ['2', 'ctr', 'version'])).status).not.toBe(0);
    expect((await httpGet(`http://${address}:8080/`))?.status).toBe(200);
    await onPart('start', 'containerd');
    const restarts = 'jsonpath={.status.containerStatuses[0].restartCount}';
    expect(await own.kubectl(['get', 'pod', 'web', '--output', restarts])).toBe('0');
    expect(await ctr('tasks', 'list')).toContain('RUNNING');
  });

  test('the API server comes back with what it knew', async () => {
    const own = await ownNamespace();
    await own.kubectl(['create', 'configmap', 'kept', '--from-literal=a=b']);
    await onPart('kill', 'apiserver');
    expect((await run('kubectl', ['get', '--raw', '/readyz', '--request-timeout=2s'])).status).not.toBe(0);
    await onPart('start', 'apiserver');
    expect(await own.kubectl(['get', 'configmap', 'kept', '--output', 'jsonpath={.data.a}'])).toBe('b');
  });
});

describe('the registry beside the node', () => {
  test('images are pulled from it, by its name and in place of a registry that is mirrored', async () => {
    const { registry } = useCluster();
    const own = await ownNamespace();
    const folder = await mkdtemp(join(tmpdir(), 'portolan-test-'));
    onTestFinished(() => rm(folder, { recursive: true, force: true }));
    const archive = join(folder, 'web.tar');
    await imageOnNode(IMAGE);
    await ctr('images', 'export', archive, IMAGE);
    const [direct, mirrored] = [`${registry}/parts/web:${TAG}`, `mirrored.portolan.test/parts/web:${TAG}`];
    for (const target of [direct, `${registry}/mirror/parts/web:${TAG}`]) {
      await succeed('skopeo', ['copy', '--dest-tls-verify=false', `oci-archive:${archive}`, `docker://${target}`]);
    }
    for (const image of [direct, mirrored]) {
      await own.kubectl(['apply', '--filename', '-'], podOf(image, 'Always'));
      onTestFinished(async () => {
        await run('ctr', ['images', 'remove', image]);
      });
      await own.kubectl(['wait', '--for=condition=Ready', 'pod/web', '--timeout=120s']);
      await own.kubectl(['delete', 'pod', 'web']);
    }
  });

  test('an image that nobody has says so in the events of its Pod', async () => {
    const own = await ownNamespace();
    await own.kubectl(['apply', '--filename', '-'], podOf('registry.example.com/none:1', 'Always'));
    const waiting = '--for=jsonpath={.status.containerStatuses[0].state.waiting.reason}=ErrImagePull';
    await own.kubectl(['wait', waiting, 'pod/web', '--timeout=120s']);
    expect(await kubectl(['get', 'nodes', '--output', 'name'])).toBe('node/portolan-node\n');
  });
});

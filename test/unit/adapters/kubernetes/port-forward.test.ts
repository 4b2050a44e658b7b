import { once } from 'node:events';
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openKubernetes } from '../../../../src/adapters/kubernetes/open-kubernetes.ts';
import { type ForwardedPort, startPortForwardServer } from '../../../support/port-forward-server.ts';
import { raised } from '../../../support/raised.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const TO = { namespace: 'cms', pod: 'relay-x', port: 5432 };

async function open(...handlers: Parameters<typeof startPortForwardServer>) {
  const server = await startPortForwardServer(...handlers);
  onTestFinished(() => server.close());
  return await openAt(server.url);
}

async function openAt(url: string) {
  const path = join(await temporaryFolder(), 'config');
  await writeFile(
    path,
    `current-context: here
clusters: [{ name: c, cluster: { server: '${url}' } }]
users: [{ name: u, user: { token: a-token } }]
contexts: [{ name: here, context: { cluster: c, user: u } }]
`,
  );
  const kubernetes = await openKubernetes({ kind: 'kubeconfig', paths: [path] }, { environment: {}, now: Date.now });
  onTestFinished(() => kubernetes.close());
  return kubernetes;
}

describe('a port-forward', () => {
  it('carries bytes both ways, without the number of the port, under the credentials of the context', async () => {
    const asked: unknown[] = [];
    const kubernetes = await open(
      (bytes, port) => port.send(0, bytes),
      (_, { url, headers }) => asked.push(url, headers.authorization, headers['sec-websocket-protocol']),
    );
    const stream = await kubernetes.forward(TO);
    const sent = Buffer.alloc(3 * 1024 * 1024, 'portolan');
    stream.write(sent);
    const parts: Buffer[] = [];
    let sizeBytes = 0;
    for await (const part of stream) {
      parts.push(part as Buffer);
      sizeBytes += (part as Buffer).length;
      if (sizeBytes >= sent.length) break;
    }
    expect(Buffer.concat(parts).equals(sent)).toBe(true);
    expect(asked).toEqual([
      '/api/v1/namespaces/cms/pods/relay-x/portforward?ports=5432',
      'Bearer a-token',
      'v4.channel.k8s.io',
    ]);
  });

  it('ends when the other side does', async () => {
    const kubernetes = await open((_, port) => port.close());
    const stream = await kubernetes.forward(TO);
    stream.write('x');
    stream.resume();
    await once(stream, 'end');
    expect(stream.readableEnded).toBe(true);
  });

  it('fails in the words of the other side', async () => {
    const words = (port: ForwardedPort) => port.send(1, Buffer.from('connection refused'));
    const kubernetes = await open((_, port) => words(port));
    const stream = await kubernetes.forward(TO);
    stream.write('x');
    const [cause] = await once(stream.resume(), 'error').catch((error: unknown) => [error]);
    expect(cause).toMatchObject({ code: 'KUBERNETES_FORWARD_FAILED', found: 'connection refused' });
  });

  it('is refused where the API server takes no WebSocket, or does not answer', async () => {
    const { createServer } = await import('node:http');
    const server = createServer((_, response) => response.writeHead(403).end('no'));
    server.listen(0, '127.0.0.1');
    await once(server, 'listening');
    const { port } = server.address() as { port: number };
    const refusing = await openAt(`http://127.0.0.1:${port}`);
    expect((await raised(() => refusing.forward(TO))).code).toBe('KUBERNETES_FORWARD_FAILED');
    server.closeAllConnections();
    await new Promise<void>((resolve) => server.close(() => resolve()));
    expect((await raised(() => refusing.forward(TO))).code).toBe('KUBERNETES_FORWARD_FAILED');
  });

  it('stops when it is told to', async () => {
    const kubernetes = await open(() => {});
    await expect(kubernetes.forward(TO, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow('enough');
  });
});

import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { openLocalPort } from '../../../src/adapters/local-port/local-port.ts';
import { relay } from '../../../src/adapters/relay/relay.ts';
import { freePort } from '../../support/free-port.ts';

const BIG = Buffer.alloc(8 * 1024 * 1024, 'portolan');

/** Answers with what it gets, and ends when the other end does. */
async function startEcho(): Promise<number> {
  const server: Server = createServer((socket) => socket.on('error', () => {}).pipe(socket));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  onTestFinished(() => void server.close());
  return (server.address() as { port: number }).port;
}

async function echoed(port: number, bytes: Buffer): Promise<Buffer> {
  const socket: Socket = connect({ host: '127.0.0.1', port });
  const parts: Buffer[] = [];
  let sizeBytes = 0;
  socket.on('data', (part: Buffer) => {
    parts.push(part);
    sizeBytes += part.length;
    if (sizeBytes >= bytes.length) socket.end();
  });
  socket.write(bytes);
  await once(socket, 'close');
  return Buffer.concat(parts);
}

async function startRelay(to: number, idleMs: number) {
  const controller = new AbortController();
  onTestFinished(() => controller.abort());
  const port = await freePort();
  let ended!: ReturnType<typeof relay>;
  await new Promise<void>((resolve, reject) => {
    const settings = { port, to: { host: '127.0.0.1', port: to }, idleMs, onListening: resolve };
    ended = relay(settings, { signal: controller.signal });
    ended.catch(reject);
  });
  return { port, ended, controller };
}

describe('a relay', () => {
  it('passes connections on, byte for byte, several at a time', async () => {
    const { port } = await startRelay(await startEcho(), 60_000);
    const all = await Promise.all([BIG, BIG.subarray(0, 100), BIG].map((bytes) => echoed(port, bytes)));
    expect(all.map(({ length }) => length)).toEqual([BIG.length, 100, BIG.length]);
    expect(all[0]?.equals(BIG)).toBe(true);
  });

  it('ends when nobody uses it, and not while somebody does', async () => {
    const { port, ended } = await startRelay(await startEcho(), 150);
    const socket = connect({ host: '127.0.0.1', port });
    await once(socket, 'connect');
    const outcome = await Promise.race([ended, sleep(500, 'still there')]);
    expect(outcome).toBe('still there');
    socket.destroy();
    expect(await ended).toEqual({ connections: 1 });
  });

  it('closes a connection that leads nowhere', async () => {
    const { port } = await startRelay(await freePort(), 60_000);
    expect(await echoed(port, Buffer.from('x'))).toHaveLength(0);
  });
});

describe('a port of the loopback', () => {
  it('goes where its connections are led', async () => {
    const echo = await startEcho();
    await using port = await openLocalPort(async () => connect({ host: '127.0.0.1', port: echo }), {
      onFailure: (cause) => expect.unreachable(String(cause)),
    });
    const all = await Promise.all([echoed(port.port, BIG), echoed(port.port, Buffer.from('y'))]);
    expect(all.map(({ length }) => length)).toEqual([BIG.length, 1]);
  });

  it('closes connections while there is no way, and says why', async () => {
    const failures: unknown[] = [];
    const lead = async () => {
      throw new Error('no Pod');
    };
    await using port = await openLocalPort(lead, { onFailure: (cause) => failures.push(cause) });
    expect(await echoed(port.port, Buffer.from('x'))).toHaveLength(0);
    expect(failures).toEqual([new Error('no Pod')]);
  });
});

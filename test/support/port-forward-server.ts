import { createHash } from 'node:crypto';
import { once } from 'node:events';
import { createServer, type IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';

/** RFC 6455, section 1.3. */
const MAGIC = '258EAFA5-E914-47DA-95CA-C5AB0DC85B11';
const TEXT_LENGTH = 126;
const LONG_LENGTH = 127;
const CLOSE = 8;
const BINARY = 2;

export interface ForwardedPort {
  /** A message to a channel. */
  send(channel: number, bytes: Uint8Array): void;
  close(): void;
}

/**
 * What an API server is for port-forwards, over plain HTTP: takes WebSockets of the subprotocol v4.channel.k8s.io, sends the number
 * of the port on both channels first, and hands what comes on the data channel to `onData`.
 */
export async function startPortForwardServer(
  onData: (bytes: Buffer, port: ForwardedPort) => void,
  onOpen: (port: ForwardedPort, request: IncomingMessage) => void = () => {},
) {
  const open = new Set<Duplex>();
  const server = createServer((_, response) => response.writeHead(403).end());
  server.on('upgrade', (request, socket) => {
    open.add(socket);
    socket.on('error', () => {}).once('close', () => open.delete(socket));
    const accept = createHash('sha1').update(`${request.headers['sec-websocket-key']}${MAGIC}`).digest('base64');
    socket.write(
      `HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: ${accept}\r\n` +
        `Sec-WebSocket-Protocol: ${request.headers['sec-websocket-protocol']}\r\n\r\n`,
    );
    const port: ForwardedPort = {
      send: (channel, bytes) => void socket.write(frameOf(BINARY, Buffer.concat([Buffer.of(channel), bytes]))),
      close: () => void socket.end(frameOf(CLOSE, Buffer.alloc(0))),
    };
    for (const channel of [0, 1]) port.send(channel, Buffer.of(0x38, 0x15));
    onOpen(port, request);
    let rest = Buffer.alloc(0);
    socket.on('data', (part: Buffer) => {
      rest = Buffer.concat([rest, part]);
      for (let frame = readFrame(rest); frame !== undefined; frame = readFrame(rest)) {
        rest = rest.subarray(frame.sizeBytes);
        if (frame.kind === CLOSE) port.close();
        else if (frame.payload[0] === 0) onData(frame.payload.subarray(1), port);
      }
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { port: number };
  return {
    url: `http://127.0.0.1:${port}`,
    async close() {
      for (const socket of open) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

function frameOf(kind: number, payload: Buffer): Buffer {
  const head =
    payload.length < TEXT_LENGTH ? Buffer.of(0x80 | kind, payload.length) : Buffer.of(0x80 | kind, LONG_LENGTH);
  if (payload.length < TEXT_LENGTH) return Buffer.concat([head, payload]);
  const length = Buffer.alloc(8);
  length.writeBigUInt64BE(BigInt(payload.length));
  return Buffer.concat([head, length, payload]);
}

/** The first frame, unmasked; undefined while it is not whole. */
function readFrame(bytes: Buffer): { kind: number; payload: Buffer; sizeBytes: number } | undefined {
  if (bytes.length < 2) return undefined;
  const short = (bytes[1] ?? 0) & 0x7f;
  const more = short === TEXT_LENGTH ? 2 : short === LONG_LENGTH ? 8 : 0;
  const start = 2 + more + 4;
  if (bytes.length < start) return undefined;
  const length = more === 0 ? short : more === 2 ? bytes.readUInt16BE(2) : Number(bytes.readBigUInt64BE(2));
  if (bytes.length < start + length) return undefined;
  const mask = bytes.subarray(start - 4, start);
  const payload = Buffer.from(bytes.subarray(start, start + length));
  for (let index = 0; index < payload.length; index += 1)
    payload[index] = (payload[index] ?? 0) ^ (mask[index % 4] ?? 0);
  return { kind: (bytes[0] ?? 0) & 0x0f, payload, sizeBytes: start + length };
}

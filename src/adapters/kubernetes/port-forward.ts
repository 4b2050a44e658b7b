/**
 * One connection to a port of a Pod, over WebSocket (kubernetes.io/docs/reference/kubernetes-api, "pods/portforward"; the subprotocol
 * v4.channel.k8s.io, which every version understands). Binary messages, of which the first byte names the channel:
 *
 *     0   data, both ways          1   what went wrong, in words
 *
 * The first message of each channel is the port's number, 16 bits, the least significant byte first.
 */
import { Duplex } from 'node:stream';
import { WebSocket } from 'undici';
import { printable } from '../../core/printable.ts';
import type { CallOptions } from '../../ports/kubernetes.ts';
import { AdapterError } from '../errors.ts';
import type { ApiClient } from './client.ts';

const PROTOCOL = 'v4.channel.k8s.io';
const DATA = 0;
const CHANNELS = 2;
const PORT_BYTES = 2;
const MESSAGE_BYTES = 32 * 1024;
/** More than this waits in memory: the writer is held back. */
const UNSENT_BYTES = 1024 * 1024;
const UNSENT_POLL_MS = 5;
const OPEN_TIMEOUT_MS = 30_000;

export interface PodPort {
  readonly namespace: string;
  readonly pod: string;
  readonly port: number;
}

/** @throws AdapterError KUBERNETES_FORWARD_FAILED */
export async function forwardPort(
  client: ApiClient,
  server: string,
  to: PodPort,
  { signal }: CallOptions,
): Promise<Duplex> {
  const { namespace, pod, port } = to;
  const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/pods/${encodeURIComponent(pod)}/portforward`;
  const failed = (words: string) =>
    new AdapterError('KUBERNETES_FORWARD_FAILED', `There is no way to port ${port} of the Pod ${namespace}/${pod}`, {
      found: printable(words, 500),
      at: { url: server },
      hint: 'See that the Pod runs, and that this user may `get` and `create` pods/portforward.',
    });
  const way = await client.upgrade(path, new URLSearchParams({ ports: String(port) }), signal);
  const headers: [string, string][] = Object.entries(way.headers).map(([name, value]) => {
    if (typeof value === 'string') return [name, value];
    // Headers of a WebSocket are joined by commas, which would make one group of several.
    if (value.length > 1) throw failed('this user is impersonated with several groups, which no WebSocket can say');
    return [name, value[0] ?? ''];
  });
  const socket = new WebSocket(way.url, { protocols: [PROTOCOL], dispatcher: way.dispatcher, headers });
  socket.binaryType = 'arraybuffer';
  const stream = streamOf(socket, failed);
  await opened(socket, stream, failed, signal);
  return stream;
}

function streamOf(socket: WebSocket, failed: (words: string) => AdapterError): Duplex {
  const toSkip = new Array<number>(CHANNELS).fill(PORT_BYTES);
  const stream = new Duplex({
    // What came is handed on: a reader that is slower has it in memory.
    read() {},
    write(chunk: Buffer, _encoding, done) {
      for (let start = 0; start < chunk.length; start += MESSAGE_BYTES) {
        const part = chunk.subarray(start, start + MESSAGE_BYTES);
        const message = new Uint8Array(part.length + 1);
        message[0] = DATA;
        message.set(part, 1);
        if (socket.readyState !== WebSocket.OPEN) return done(failed('the connection was closed'));
        socket.send(message);
      }
      const whenSent = () => {
        if (socket.readyState !== WebSocket.OPEN || socket.bufferedAmount <= UNSENT_BYTES) done();
        else setTimeout(whenSent, UNSENT_POLL_MS);
      };
      whenSent();
    },
    final(done) {
      socket.close();
      done();
    },
    destroy(cause, done) {
      socket.close();
      done(cause);
    },
  });
  socket.addEventListener('message', ({ data }) => {
    const bytes = Buffer.from(data as ArrayBuffer);
    const channel = bytes[0] ?? CHANNELS;
    const skipped = Math.min(toSkip[channel] ?? 0, bytes.length - 1);
    toSkip[channel] = (toSkip[channel] ?? 0) - skipped;
    const content = bytes.subarray(1 + skipped);
    if (content.length === 0) return;
    if (channel === DATA) stream.push(content);
    else stream.destroy(failed(content.toString('utf8')));
  });
  socket.addEventListener('close', () => {
    stream.push(null);
    stream.end();
  });
  socket.addEventListener('error', ({ message }) => stream.destroy(failed(message || 'the connection broke')));
  return stream;
}

async function opened(
  socket: WebSocket,
  stream: Duplex,
  failed: (words: string) => AdapterError,
  signal: AbortSignal | undefined,
): Promise<void> {
  const limit = AbortSignal.timeout(OPEN_TIMEOUT_MS);
  const either = signal === undefined ? limit : AbortSignal.any([signal, limit]);
  await new Promise<void>((resolve, reject) => {
    const onAbort = () => {
      const reason = signal?.aborted === true ? signal.reason : failed('no answer in time');
      stream.destroy();
      reject(reason);
    };
    if (either.aborted) return onAbort();
    either.addEventListener('abort', onAbort, { once: true });
    socket.addEventListener('open', () => {
      either.removeEventListener('abort', onAbort);
      resolve();
    });
    stream.once('error', (cause) => {
      either.removeEventListener('abort', onAbort);
      reject(cause);
    });
    socket.addEventListener('close', () => reject(failed('the API server closed the connection')));
  });
}

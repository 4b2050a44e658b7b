import { connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

/** A moment on the wire: the connection ends before or after the server gets the `message`-th message (from 1) of the client. */
export interface Cut {
  readonly message: number;
  readonly side: 'before' | 'after';
}

export interface PostgresProxy extends AsyncDisposable {
  /** The folder of its socket. */
  readonly folder: string;
  /** Messages of the client so far, the start of the session not counted. */
  readonly messages: number;
  /** Since it was started. */
  readonly connections: number;
  /** Counts anew, and cuts every connection once at this moment. */
  arm(cut: Cut | undefined, onCut?: () => void): void;
  /** Passes nothing on any more, without ending anything: a server that hangs. */
  freeze(): void;
}

/** Stands before a server's socket and breaks connections at exact places of the protocol. */
export async function startProxy(
  folder: string,
  upstream: { readonly folder: string; readonly port: number },
): Promise<PostgresProxy> {
  let messages = 0;
  let connections = 0;
  let cut: Cut | undefined;
  let onCut: () => void = () => {};
  let frozen = false;
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    connections += 1;
    const target = connect(join(upstream.folder, `.s.PGSQL.${upstream.port}`));
    const end = () => {
      client.destroy();
      target.destroy();
    };
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on('error', end).on('close', () => {
        sockets.delete(socket);
        end();
      });
    }
    target.on('data', (bytes) => {
      if (!frozen) client.write(bytes);
    });
    let pending = Buffer.alloc(0);
    let started = false;
    client.on('data', (bytes) => {
      if (frozen) return;
      pending = Buffer.concat([pending, bytes]);
      for (;;) {
        // The first message has no type: PostgreSQL, "Message Formats", StartupMessage.
        const head = started ? 1 : 0;
        if (pending.length < head + 4) return;
        const length = head + pending.readInt32BE(head);
        if (pending.length < length) return;
        const message = pending.subarray(0, length);
        pending = pending.subarray(length);
        const isFirst = !started;
        started = true;
        if (isFirst) {
          target.write(message);
          continue;
        }
        messages += 1;
        const isNow = cut?.message === messages;
        if (isNow && cut?.side === 'before') {
          onCut();
          return end();
        }
        target.write(message, () => {
          if (!isNow) return;
          onCut();
          end();
        });
        if (isNow) return;
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject).listen(join(folder, '.s.PGSQL.5432'), resolve);
  });
  return {
    folder,
    get messages() {
      return messages;
    },
    get connections() {
      return connections;
    },
    arm(next, told = () => {}) {
      messages = 0;
      cut = next;
      onCut = told;
    },
    freeze() {
      frozen = true;
    },
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      await new Promise<void>((resolve) => server.close(() => resolve()));
    },
  };
}

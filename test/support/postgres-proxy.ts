import { type AddressInfo, connect, createServer, type Server, type Socket } from 'node:net';
import { join } from 'node:path';

/**
 * What happens at a moment:
 *
 * - `cut`: the connection is gone, over TCP by a reset
 * - `silent`: nothing is passed on any more in this connection, and nobody is told
 * - `torn`: the answer ends within a message, then the connection
 * - `long`, `short`: the first message of the answer lies about its length
 * - `shut-down`: instead of an answer, the server ends the session (57P01); at the start of one, it has none free (53300)
 * - `deadlock`: the statement is another one, which fails with 40P01
 */
export type WireFault = 'cut' | 'silent' | 'torn' | 'long' | 'short' | 'shut-down' | 'deadlock';

/** A moment on the wire: before or after the server gets the `message`-th message (from 1) of the clients. */
export interface Cut {
  readonly message: number;
  readonly side: 'before' | 'after';
  /** `cut` unless given. All others are for the side `before`. */
  readonly fault?: WireFault;
}

export interface PostgresProxy extends AsyncDisposable {
  /** The folder of its socket; over TCP, its host. */
  readonly folder: string;
  readonly port: number;
  /** Messages of the client so far, the start of the session not counted unless that was asked for. */
  readonly messages: number;
  /** Their letters (PostgreSQL, "Message Formats"); of a start `start`. */
  readonly kinds: readonly string[];
  /** Since it was started. */
  readonly connections: number;
  /** Counts anew, and does once what is to happen at this moment, to every connection or to the one that it is in. */
  arm(cut: Cut | undefined, onCut?: () => void): void;
  /** Passes nothing on any more, without ending anything: a server that hangs. */
  freeze(): void;
}

export interface ProxyOptions {
  /** Listens at a port of loopback, instead of a socket in the folder. */
  readonly overTcp?: boolean;
  /** Starts of sessions are messages too. */
  readonly countsStarts?: boolean;
}

/** PostgreSQL, "Message Formats": SSLRequest and GSSENCRequest, which have no type, as the start of a session has none. */
const ENCRYPTION_REQUESTS = new Set([80877103, 80877104]);
const DEADLOCK = `do $$ begin raise exception 'deadlock detected' using errcode = '40P01'; end $$`;
/** More than any answer here. */
const LIE_BYTES = 1 << 20;

/** Stands before a server's socket and breaks connections at exact places of the protocol. */
export async function startProxy(
  folder: string,
  upstream: { readonly folder: string; readonly port: number },
  options: ProxyOptions = {},
): Promise<PostgresProxy> {
  let kinds: string[] = [];
  let connections = 0;
  let cut: Cut | undefined;
  let onCut: () => void = () => {};
  let frozen = false;
  const sockets = new Set<Socket>();
  const server: Server = createServer((client) => {
    connections += 1;
    const target = connect(join(upstream.folder, `.s.PGSQL.${upstream.port}`));
    const end = () => {
      if (options.overTcp === true) client.resetAndDestroy();
      else client.destroy();
      target.destroy();
    };
    for (const socket of [client, target]) {
      sockets.add(socket);
      socket.on('error', end).on('close', () => {
        sockets.delete(socket);
        // What was passed on before is to arrive: a reset would overtake it.
        client.destroySoon();
        target.destroy();
      });
    }
    let isSilent = false;
    let spoil: ((answer: Buffer) => void) | undefined;
    target.on('data', (bytes) => {
      if (frozen || isSilent) return;
      const now = spoil;
      spoil = undefined;
      if (now !== undefined) now(bytes);
      else client.write(bytes);
    });

    /** False when the message is not passed on. */
    function strike(fault: WireFault, kind: string): boolean {
      if (fault === 'deadlock' && kind === 'Q') {
        target.write(message('Q', Buffer.from(`${DEADLOCK}\0`)));
        onCut();
        return false;
      }
      if (fault === 'torn' || fault === 'long' || fault === 'short') {
        spoil = (answer) => {
          onCut();
          if (fault === 'torn') client.write(answer.subarray(0, Math.max(1, answer.length - 3)), end);
          else client.write(withLength(answer, fault));
        };
        return true;
      }
      onCut();
      if (fault === 'silent') isSilent = true;
      else if (fault === 'shut-down') {
        client.end(kind === 'start' ? fatal('53300', 'too many clients') : fatal('57P01', 'terminating connection'));
        target.destroy();
      } else end();
      return false;
    }

    let pending = Buffer.alloc(0);
    let started = false;
    client.on('data', (bytes) => {
      if (frozen || isSilent) return;
      pending = Buffer.concat([pending, bytes]);
      for (;;) {
        // The first message has no type: PostgreSQL, "Message Formats", StartupMessage.
        const head = started ? 1 : 0;
        if (pending.length < head + 4) return;
        const length = head + pending.readInt32BE(head);
        if (pending.length < length) return;
        const part = pending.subarray(0, length);
        pending = pending.subarray(length);
        const kind = started ? String.fromCharCode(part[0] as number) : 'start';
        if (!started && ENCRYPTION_REQUESTS.has(part.readInt32BE(4))) {
          target.write(part);
          continue;
        }
        started = true;
        if (kind === 'start' && options.countsStarts !== true) {
          target.write(part);
          continue;
        }
        kinds.push(kind);
        const isNow = cut?.message === kinds.length;
        if (isNow && cut?.side === 'before') {
          if (!strike(cut.fault ?? 'cut', kind)) {
            if (cut.fault === 'deadlock') continue;
            return;
          }
        }
        const isLast = isNow && cut?.side === 'after';
        target.write(part, () => {
          if (!isLast) return;
          onCut();
          end();
        });
        if (isLast) return;
      }
    });
  });
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    if (options.overTcp === true) server.listen(0, '127.0.0.1', resolve);
    else server.listen(join(folder, '.s.PGSQL.5432'), resolve);
  });
  return {
    folder: options.overTcp === true ? '127.0.0.1' : folder,
    port: options.overTcp === true ? (server.address() as AddressInfo).port : 5432,
    get messages() {
      return kinds.length;
    },
    get kinds() {
      return kinds;
    },
    get connections() {
      return connections;
    },
    arm(next, told = () => {}) {
      kinds = [];
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

function message(kind: string, body: Uint8Array): Buffer {
  const head = Buffer.alloc(5, kind, 'latin1');
  head.writeInt32BE(body.length + 4, 1);
  return Buffer.concat([head, body]);
}

/** PostgreSQL, "Error and Notice Message Fields". */
function fatal(sqlState: string, text: string): Buffer {
  return message('E', Buffer.from(`SFATAL\0VFATAL\0C${sqlState}\0M${text}\0\0`));
}

function withLength(answer: Buffer, lie: 'long' | 'short'): Buffer {
  const changed = Buffer.from(answer);
  if (changed.length >= 5) changed.writeInt32BE(lie === 'long' ? changed.readInt32BE(1) + LIE_BYTES : 4, 1);
  return changed;
}

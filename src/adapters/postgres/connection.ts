import { Socket } from 'node:net';
import pg from 'pg';
import { printable } from '../../core/printable.ts';
import { AdapterError } from '../errors.ts';
import type { DatabaseAddress } from './database-url.ts';
import { findPassword, type PasswordSources } from './password.ts';
import { type Protection, protectionsOf } from './tls.ts';

export interface ConnectionSettings {
  readonly address: DatabaseAddress;
  readonly password: PasswordSources;
  /** Absolute path of certificates in PEM; before `sslrootcert`. */
  readonly caFile?: string;
  /** What the server shows as application_name, cut at 63 bytes. */
  readonly applicationName: string;
  /** For one attempt: until the server is ready for a query. */
  readonly connectTimeoutMs: number;
  /** For who receives in a way of his own. */
  readonly createSocket?: () => Socket;
}

const KEEPALIVE = { idleMs: 30_000, intervalMs: 10_000, count: 3 };

/** One attempt at a connection, in the ways that the sslmode allows. */
export async function connect(
  settings: ConnectionSettings,
  place: string,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<pg.Client> {
  const protections = await protectionsOf(settings.address, settings.caFile);
  for (const [index, protection] of protections.entries()) {
    signal?.throwIfAborted();
    const client = createClient(settings, protection);
    const onAbort = () => client.connection.stream.destroy();
    signal?.addEventListener('abort', onAbort, { once: true });
    try {
      await client.connect();
      return client;
    } catch (cause) {
      client.connection.stream.destroy();
      signal?.throwIfAborted();
      if (index + 1 < protections.length && mayFallBack(cause)) continue;
      throw connectionError(cause, place, settings);
    } finally {
      signal?.removeEventListener('abort', onAbort);
    }
  }
  throw new Error('no way to connect was tried');
}

function createClient(settings: ConnectionSettings, ssl: Protection) {
  const { address, password, applicationName, connectTimeoutMs } = settings;
  // Without these a peer that vanished is noticed after two hours.
  const socket: KeptSocket = settings.createSocket?.() ?? new Socket();
  socket.setKeepAlive(true, KEEPALIVE.idleMs, KEEPALIVE.intervalMs, KEEPALIVE.count);
  const client = new pg.Client({
    host: address.hostAddress ?? address.host,
    port: address.port,
    user: address.user,
    database: address.name,
    // Asked only when the server wants one. Any other value would let pg look into the environment and the home folder.
    password: () => findPassword(address, password),
    ssl,
    application_name: applicationName,
    connectionTimeoutMillis: connectTimeoutMs,
    stream: () => socket as Socket,
    ...{ sslnegotiation: 'postgres', client_encoding: 'UTF8' },
  }) as ClientInternals;
  // pg takes these from PGOPTIONS and PGREPLICATION, whatever it is given.
  Object.assign(client.connectionParameters, { options: undefined, replication: undefined });
  // An unexpected end is reported by the query that waits, or by the next one.
  client.on('error', () => {});
  return client;
}

/** Node 24.15 has the last two; its types come later. */
type KeptSocket = Socket & {
  setKeepAlive(enable: boolean, idleMs: number, intervalMs: number, count: number): unknown;
};

type ClientInternals = pg.Client & { readonly connectionParameters: object };

const NO_TLS = 'The server does not support SSL connections';

/** What libpq does under `prefer`: no TLS at the server, a handshake that fails, or a rule of the server against it. */
function mayFallBack(cause: unknown): boolean {
  if (!(cause instanceof Error)) return false;
  return cause.message === NO_TLS || isTlsError(cause) || sqlStateOf(cause) === '28000';
}

function isTlsError(cause: Error): boolean {
  return /^(ERR_TLS_|ERR_SSL_|ERR_OSSL_|CERT_|DEPTH_|SELF_SIGNED_|UNABLE_TO_|HOSTNAME_MISMATCH|INVALID_CA|EPROTO)/.test(
    String((cause as NodeJS.ErrnoException).code ?? ''),
  );
}

/** Five characters when the server said it; undefined for everything else. */
export function sqlStateOf(cause: unknown): string | undefined {
  const { code, severity } = (cause ?? {}) as { code?: unknown; severity?: unknown };
  return typeof code === 'string' && code.length === 5 && typeof severity === 'string' ? code : undefined;
}

function connectionError(cause: unknown, place: string, settings: ConnectionSettings): unknown {
  if (cause instanceof AdapterError || !(cause instanceof Error)) return cause;
  const { address, connectTimeoutMs } = settings;
  const at = { url: place };
  const sqlState = sqlStateOf(cause);
  if (sqlState !== undefined) {
    const found = `${sqlState}: ${printable(cause.message)}`;
    if (sqlState.startsWith('28') || sqlState === '3D000' || sqlState === '42501') {
      return new AdapterError('DATABASE_UNAUTHORIZED', 'The server refuses this user or this database', {
        found,
        at,
        hint: 'Check the user, the password and the name of the database, and the rules in pg_hba.conf.',
      });
    }
    return new AdapterError('DATABASE_UNREACHABLE', 'The server takes no connection', {
      found,
      at,
      hint: 'Look into the log of the server.',
    });
  }
  if (cause.message === NO_TLS) {
    return new AdapterError('DATABASE_UNTRUSTED', 'The server offers no TLS', {
      expected: `TLS, as sslmode=${address.sslMode} asks`,
      at,
      hint: 'Turn TLS on at the server; or, where the network itself is trusted, use sslmode=disable.',
    });
  }
  if (isTlsError(cause)) {
    return new AdapterError('DATABASE_UNTRUSTED', 'The certificate of the server is not trusted', {
      cause,
      expected: `a certificate that sslmode=${address.sslMode} accepts`,
      found: (cause as NodeJS.ErrnoException).code ?? '',
      at,
      hint: 'Give the certificate authority of the server by --ca-file or sslrootcert, and use the name that stands in the certificate.',
    });
  }
  if (cause.message === 'timeout expired') {
    return new AdapterError('DATABASE_TIMEOUT', 'The server does not answer', {
      expected: `an answer within ${connectTimeoutMs / 1000} s`,
      at,
      hint: 'Check host and port, and that no firewall or network policy drops the connection.',
    });
  }
  return new AdapterError('DATABASE_UNREACHABLE', 'The server cannot be reached', {
    cause,
    at,
    hint: 'Check host and port, and that the server runs.',
  });
}

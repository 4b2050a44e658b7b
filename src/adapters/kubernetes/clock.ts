import { X509Certificate } from 'node:crypto';
import { type ConnectionOptions, connect, type TLSSocket } from 'node:tls';
import { innermostCode } from '../../core/failure-cause.ts';
import type { ClusterAccess } from '../../formats/kubernetes/kubeconfig.ts';
import { AdapterError } from '../errors.ts';

/** A clock that is wrong makes good certificates and tokens look bad: what an error then says beside what failed. */
export interface ClockFault {
  readonly text: string;
  readonly hint: string;
}

const PEEK_TIMEOUT_MS = 5000;
const PEEK_LIMIT_BYTES = 16 * 1024;
/** What clocks may differ by and certificates still hold. */
const TOLERANCE_MS = 5 * 60_000;

/** After a 401: is it the clock, or has the client certificate run out? */
export function clockFault(
  seen: { readonly dateHeader: string; readonly certificatePem: string | undefined },
  nowMs: number,
): ClockFault | undefined {
  const serverMs = Date.parse(seen.dateHeader);
  if (Number.isFinite(serverMs) && Math.abs(serverMs - nowMs) > TOLERANCE_MS) return clocksDiffer(serverMs, nowMs);
  if (seen.certificatePem === undefined) return undefined;
  const { from, to } = validity(seen.certificatePem);
  if (nowMs > to) {
    return {
      text: `the client certificate ran out on ${day(to)}`,
      hint: 'Get a new kubeconfig; a k3s server writes one when it starts again.',
    };
  }
  return nowMs < from
    ? { text: `the client certificate is valid from ${day(from)} on`, hint: 'Set the clock of this machine.' }
    : undefined;
}

/** The same failure, with what is wrong about the time. */
export function withClockFault(failure: AdapterError, fault: ClockFault | undefined): AdapterError {
  if (fault === undefined) return failure;
  return new AdapterError(failure.code, `${failure.message}: ${fault.text}`, {
    cause: failure.cause,
    ...(failure.found === undefined ? {} : { found: failure.found }),
    ...(failure.at === undefined ? {} : { at: failure.at }),
    hint: fault.hint,
  });
}

/**
 * A certificate that is refused for its dates: looks at it, and at the server's own clock, with a connection that shows no
 * credentials and whose answer is believed for this explanation alone.
 */
export async function explained(
  failure: unknown,
  access: ClusterAccess,
  now: () => number,
  signal?: AbortSignal,
): Promise<unknown> {
  if (!(failure instanceof AdapterError) || failure.code !== 'KUBERNETES_UNTRUSTED') return failure;
  const code = innermostCode(failure.cause);
  if (code !== 'CERT_NOT_YET_VALID' && code !== 'CERT_HAS_EXPIRED') return failure;
  const seen =
    access.proxyUrl === undefined ? await peek(new URL(access.server), access.serverName, signal) : undefined;
  const nowMs = now();
  const dates = seen === undefined ? '' : `it is valid from ${day(seen.from)} to ${day(seen.to)}, `;
  const own = `the clock of this machine says ${day(nowMs)}`;
  if (seen?.serverMs !== undefined && Math.abs(seen.serverMs - nowMs) > TOLERANCE_MS) {
    const fault = clocksDiffer(seen.serverMs, nowMs);
    return withClockFault(failure, { ...fault, text: `${dates}${fault.text}` });
  }
  const isEarly = code === 'CERT_NOT_YET_VALID';
  return withClockFault(failure, {
    text: `${dates}${own}`,
    hint: isEarly
      ? 'Set the clock of this machine.'
      : 'If that clock is right, renew the certificates of the cluster (k3s: restart it, or `k3s certificate rotate`); else set it.',
  });
}

interface Seen {
  readonly from: number;
  readonly to: number;
  readonly serverMs?: number;
}

function peek(server: URL, serverName: string | undefined, signal: AbortSignal | undefined): Promise<Seen | undefined> {
  const { promise, resolve } = Promise.withResolvers<Seen | undefined>();
  const host = server.hostname.replace(/^\[|\]$/g, '');
  const options: ConnectionOptions = {
    host,
    port: Number(server.port || 443),
    rejectUnauthorized: false,
    ALPNProtocols: ['http/1.1'],
    ...(serverName === undefined ? {} : { servername: serverName }),
  };
  let seen: Seen | undefined;
  let head = '';
  const socket: TLSSocket = connect(options, () => {
    const { valid_from, valid_to } = socket.getPeerCertificate();
    seen = { from: Date.parse(valid_from), to: Date.parse(valid_to) };
    socket.write(`GET /version HTTP/1.1\r\nHost: ${server.host}\r\nUser-Agent: portolan\r\nConnection: close\r\n\r\n`);
  });
  const abort = (): void => void socket.destroy();
  signal?.addEventListener('abort', abort, { once: true });
  const timer = setTimeout(abort, PEEK_TIMEOUT_MS);
  socket.on('data', (chunk: Buffer) => {
    head += chunk.toString('latin1');
    const date = /^date: (.+)\r$/im.exec(head)?.[1];
    if (date !== undefined && seen !== undefined) seen = { ...seen, serverMs: Date.parse(date) };
    if (date !== undefined || head.length > PEEK_LIMIT_BYTES) socket.destroy();
  });
  socket.on('error', () => {});
  socket.on('close', () => {
    clearTimeout(timer);
    signal?.removeEventListener('abort', abort);
    resolve(seen);
  });
  return promise;
}

function clocksDiffer(serverMs: number, nowMs: number): ClockFault {
  return {
    text: `the clock of this machine says ${day(nowMs)}, that of the API server ${day(serverMs)}`,
    hint: 'Set the clock that is wrong: certificates and tokens are valid in their time only.',
  };
}

function validity(pem: string): { readonly from: number; readonly to: number } {
  try {
    const { validFromDate, validToDate } = new X509Certificate(pem);
    return { from: validFromDate.getTime(), to: validToDate.getTime() };
  } catch {
    return { from: -Infinity, to: Infinity };
  }
}

function day(ms: number): string {
  return Number.isFinite(ms) ? `${new Date(ms).toISOString().slice(0, 16).replace('T', ' ')} UTC` : 'an unknown day';
}

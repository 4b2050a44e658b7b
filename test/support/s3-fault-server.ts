import { type IncomingMessage, type RequestListener, request, type ServerResponse } from 'node:http';
import type { ServerOptions } from 'node:https';
import { type LoopbackServer, serveOnLoopback } from './loopback-server.ts';

/**
 * - `status`: an answer of S3 in place of the true one; the request was not handed on
 * - `reset`: the connection breaks before anything was answered
 * - `answer-lost`: the request is handed on, then the connection breaks
 * - `cut`: half of the body is answered, then the connection breaks
 * - `half`: half of the body is answered as if it were all, and its length says so
 * - `longer`: the length that is stated is more than what comes
 * - `hang`: no answer; `hang-in-body`: half of the body, then nothing
 * - `hang-in-request`: the body of the request is not read
 */
export type S3Fault =
  | { readonly kind: 'reset' | 'answer-lost' | 'cut' | 'half' | 'longer' | 'hang' | 'hang-in-body' | 'hang-in-request' }
  | {
      readonly kind: 'status';
      readonly status: number;
      readonly code?: string;
      readonly message?: string;
      readonly headers?: Readonly<Record<string, string>>;
    };

export interface S3FaultServer extends LoopbackServer {
  readonly endpoint: string;
  /** Of each request: `PUT /bucket/key`, without its query. */
  readonly requests: readonly string[];
  /** What goes wrong with the next requests, one after the other; `undefined` lets one pass. */
  plan(...faults: readonly (S3Fault | undefined)[]): void;
}

/**
 * An HTTP server of object storage that goes wrong when it is told. What it does else is that of `behind`: a real server's
 * endpoint (the request is handed on as it was signed), or what the test answers.
 */
export async function startS3FaultServer(
  behind: string | RequestListener,
  tls?: ServerOptions,
): Promise<S3FaultServer> {
  const planned: (S3Fault | undefined)[] = [];
  const requests: string[] = [];
  const server = await serveOnLoopback((from, to) => {
    requests.push(`${from.method} ${from.url?.split('?')[0]}`);
    from.on('error', () => {});
    to.on('error', () => {});
    const fault = planned.shift();
    switch (fault?.kind) {
      case 'hang-in-request':
        return;
      case 'hang':
        from.resume();
        return;
      case 'reset':
        from.socket.resetAndDestroy();
        return;
      case 'status':
        from.resume().on('end', () => answerStatus(from, to, fault));
        return;
      default:
        handOn(behind, from, to, fault);
    }
  }, tls);
  return {
    ...server,
    endpoint: `${tls === undefined ? 'http' : 'https'}://${server.host}`,
    requests,
    plan(...faults) {
      planned.push(...faults);
    },
  };
}

function answerStatus(
  from: IncomingMessage,
  to: ServerResponse,
  { status, code = 'Oops', message = 'a planned fault', headers = {} }: Extract<S3Fault, { kind: 'status' }>,
): void {
  const body = `<?xml version="1.0" encoding="UTF-8"?><Error><Code>${code}</Code><Message>${message}</Message></Error>`;
  to.writeHead(status, { 'content-type': 'application/xml', ...headers });
  to.end(from.method === 'HEAD' ? undefined : body);
}

function handOn(
  behind: string | RequestListener,
  from: IncomingMessage,
  to: ServerResponse,
  fault: S3Fault | undefined,
): void {
  if (typeof behind !== 'string') {
    behind(from, to);
    return;
  }
  const { hostname, port } = new URL(behind);
  const options = { hostname, port, path: from.url ?? '/', method: from.method ?? 'GET', headers: from.headers };
  const onward = request(options, (answer) => {
    const pieces: Buffer[] = [];
    answer
      .on('data', (piece: Buffer) => pieces.push(piece))
      .on('end', () => answerWith(from, to, answer, Buffer.concat(pieces), fault));
  });
  onward.on('error', () => from.socket.destroy());
  from.pipe(onward);
}

function answerWith(
  from: IncomingMessage,
  to: ServerResponse,
  { statusCode = 500, headers }: IncomingMessage,
  body: Buffer,
  fault: S3Fault | undefined,
): void {
  if (fault?.kind === 'answer-lost') {
    from.socket.resetAndDestroy();
    return;
  }
  const half = body.subarray(0, body.length >> 1);
  if (fault?.kind === 'half') {
    to.writeHead(statusCode, { ...headers, 'content-length': String(half.length) });
    to.end(half);
    return;
  }
  if (fault?.kind === 'longer') {
    to.strictContentLength = false;
    to.writeHead(statusCode, { ...headers, 'content-length': String(body.length + 10) });
    to.write(body, () => from.socket.end());
    return;
  }
  to.writeHead(statusCode, headers);
  if (fault === undefined) to.end(body);
  else to.write(half, () => fault.kind === 'cut' && setImmediate(() => from.socket.resetAndDestroy()));
}

import type { Readable } from 'node:stream';
import type { Dispatcher } from 'undici';
import { AdapterError } from '../../errors.ts';
import type { Transport } from '../../registry/transport.ts';
import type { Pace } from '../pace.ts';
import { type Watch, watchOf } from './time-limits.ts';

/** What of the SDK's request is looked at. */
interface SignedRequest {
  readonly protocol: string;
  readonly hostname: string;
  readonly port?: number;
  readonly method: string;
  readonly path: string;
  readonly query?: Readonly<Record<string, string | readonly string[] | null>>;
  readonly headers: Record<string, string>;
  readonly body?: string | Uint8Array;
}

interface Answer {
  readonly response: {
    readonly statusCode: number;
    readonly headers: Record<string, string>;
    /** A stream for an object's content, else bytes. */
    readonly body: Dispatcher.ResponseData['body'] | Uint8Array;
  };
}

export interface HttpHandler {
  handle(request: SignedRequest, options?: { readonly abortSignal?: AbortSignal }): Promise<Answer>;
}

/** A body goes out in pieces, so that its progress shows; each is a view of the caller's bytes. */
const SLICE_BYTES = 256 << 10;
/** A page of a listing is under one MiB. Whatever is not an object is read whole, up to here. */
const MAX_DOCUMENT_BYTES = 8 << 20;

/**
 * Sends the SDK's requests by undici: with its time limits, proxies and certificate authorities, which are those of all other
 * connections of this program; without a copy of a body; and without more of an answer in memory than such an answer has.
 */
export function createHttpHandler(transport: Transport, pace: Pace | undefined): HttpHandler {
  return {
    async handle(request, { abortSignal } = {}) {
      const watch = abortSignal === undefined ? undefined : watchOf(abortSignal);
      if (watch === undefined) throw new TypeError('a request without a watch');
      const url = new URL(`${request.protocol}//${hostOf(request)}`);
      const dispatcher = await transport.dispatcherFor(url, url.host);
      const answer = await dispatcher.request({
        origin: url.origin,
        path: request.path + queryOf(request),
        method: request.method as Dispatcher.HttpMethod,
        headers: request.headers,
        body: bodyOf(request.body, watch, pace),
        signal: watch.signal,
      });
      const headers = plainHeaders(answer.headers);
      watch.answer = {
        status: answer.statusCode,
        ...(headers.date === undefined ? {} : { date: headers.date }),
        ...(headers['retry-after'] === undefined ? {} : { retryAfter: headers['retry-after'] }),
      };
      const isObject = answer.statusCode < 300 && request.query?.['x-id'] === 'GetObject';
      const body = isObject ? answer.body : await readDocument(answer.body, watch, url.host);
      return { response: { statusCode: answer.statusCode, headers, body } };
    },
  };
}

function hostOf({ hostname, port }: SignedRequest): string {
  return port === undefined ? hostname : `${hostname}:${port}`;
}

/** As it was signed: RFC 3986, in which `!'()*` are escaped too (Signature Version 4, "Create a canonical request"). */
function queryOf({ query = {} }: SignedRequest): string {
  const parts = Object.entries(query).flatMap(([name, values]) =>
    (Array.isArray(values) ? values : [values]).map((value) =>
      value === null ? escaped(name) : `${escaped(name)}=${escaped(value)}`,
    ),
  );
  return parts.length === 0 ? '' : `?${parts.join('&')}`;
}

function escaped(text: string): string {
  return encodeURIComponent(text).replace(/[!'()*]/g, (one) => `%${one.charCodeAt(0).toString(16).toUpperCase()}`);
}

function bodyOf(body: SignedRequest['body'], watch: Watch, pace: Pace | undefined): string | Readable | null {
  if (body === undefined || typeof body === 'string') return body || null;
  // Undici takes what can be iterated over (its documentation, "Dispatcher.request"); its types do not say so.
  return slices(body, watch, pace) as unknown as Readable;
}

async function* slices(bytes: Uint8Array, watch: Watch, pace: Pace | undefined): AsyncGenerator<Uint8Array> {
  for (let offset = 0; offset < bytes.length; offset += SLICE_BYTES) {
    const slice = bytes.subarray(offset, offset + SLICE_BYTES);
    // Asked for when the socket has taken the one before. To wait for one's turn is no standstill.
    watch.moved(SLICE_BYTES);
    if (pace !== undefined) {
      await pace.up(slice.length, watch.signal);
      watch.moved(SLICE_BYTES);
    }
    yield slice;
  }
  watch.sent();
}

function plainHeaders(headers: Record<string, string | string[] | undefined>): Record<string, string> {
  return Object.fromEntries(
    Object.entries(headers).flatMap(([name, value]) =>
      value === undefined ? [] : [[name, Array.isArray(value) ? value.join(', ') : value]],
    ),
  );
}

async function readDocument(body: AsyncIterable<Uint8Array>, watch: Watch, host: string): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of body) {
    watch.moved(piece.length);
    sizeBytes += piece.length;
    if (sizeBytes > MAX_DOCUMENT_BYTES) {
      throw new AdapterError('STORE_FAILED', `${host} sends more than any such answer has`, {
        expected: `at most ${MAX_DOCUMENT_BYTES} bytes`,
        hint: 'Check that the endpoint is that of an S3 storage.',
      });
    }
    pieces.push(piece);
  }
  return Buffer.concat(pieces);
}

import { type Dispatcher, request } from 'undici';
import { type RetryPolicy, retry } from '../../core/retry.ts';
import { type Authorization, type CredentialLookup, createAuthorization, type TokenRequest } from './authorization.ts';
import {
  decideRetry,
  hintOfBundleYaml,
  networkFailure,
  type PlainHttpHint,
  protocolFailure,
  type RequestTarget,
  statusFailure,
} from './failure.ts';
import { createTransport, type TransportSettings } from './transport.ts';

export interface ClientSettings extends TransportSettings {
  readonly credentials?: CredentialLookup;
  readonly retry?: RetryPolicy;
  /** The longest wait that a registry's Retry-After is granted. 60 s. */
  readonly maxRetryAfterMs?: number;
  /** What a person does to reach a host without TLS. Default: what bundle.yaml wants. */
  readonly plainHttpHint?: PlainHttpHint;
}

export interface RegistryRequest extends RequestTarget {
  /** Default GET. */
  readonly method?: 'GET' | 'HEAD' | 'POST' | 'PATCH' | 'PUT' | 'DELETE';
  /** Where to, when it is not `what` of the repository: an address that the registry gave ({@link RegistryReply}). */
  readonly url?: URL;
  readonly headers?: Readonly<Record<string, string>>;
  /** Parts, end to end. Pieces of some 100 KiB let a slow connection be told from a dead one. */
  readonly body?: RegistryBody;
  /** Statuses beside 2xx that are an answer and no failure. */
  readonly allow?: readonly number[];
}

export interface RegistryAnswer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string | string[] | undefined>>;
  /** To be read to its end or destroyed. */
  readonly body: Dispatcher.ResponseData['body'];
}

export interface RegistryBody {
  readonly parts: readonly Uint8Array[] | AsyncIterable<Uint8Array>;
  readonly sizeBytes: number;
}

/** An answer whose body says nothing. */
export interface RegistryReply {
  readonly status: number;
  readonly headers: RegistryAnswer['headers'];
  /** Where to go on, from `Location`: absolute, with its query. Holds a secret of the registry's: never print it. */
  readonly location?: URL;
}

export interface RegistryClient {
  /** Opens an answer; the body follows. Retried until the headers are here. */
  open(request: RegistryRequest, signal?: AbortSignal): Promise<RegistryAnswer>;
  /** A whole answer of at most `maxBytes`; `tooLarge` makes the error for a longer one. Retried as a whole. */
  read(
    request: RegistryRequest,
    maxBytes: number,
    tooLarge: () => Error,
    signal?: AbortSignal,
  ): Promise<{ readonly status: number; readonly headers: RegistryAnswer['headers']; readonly bytes: Uint8Array }>;
  /**
   * One exchange that changes something, or asks whether something is there. Tried as often as `policy` says when `retried`; else
   * once, for whoever must look first what became of it.
   */
  exchange(
    request: RegistryRequest,
    options?: { readonly retried?: boolean; readonly signal?: AbortSignal },
  ): Promise<RegistryReply>;
  /** `https://registry.example:5000`: the start of every address of the registry. */
  originOf(host: string): string;
  readonly policy: RetryPolicy;
  readonly bodyTimeoutMs: number;
  close(): Promise<void>;
}

const DEFAULT_RETRY: RetryPolicy = { attempts: 5, baseDelayMs: 500, maxDelayMs: 15_000 };
const MAX_RETRY_AFTER_MS = 60_000;
const MAX_REDIRECTS = 5;
const MAX_ERROR_BYTES = 16 * 1024;
const MAX_TOKEN_BYTES = 256 * 1024;
const REDIRECTS = new Set([301, 302, 303, 307, 308]);

/** docker.io is a name; its registry answers elsewhere. */
const API_HOSTS: ReadonlyMap<string, string> = new Map([['docker.io', 'registry-1.docker.io']]);

export function createRegistryClient(settings: ClientSettings): RegistryClient {
  const transport = createTransport(settings);
  const policy = settings.retry ?? DEFAULT_RETRY;
  const plainHttpHint = settings.plainHttpHint ?? hintOfBundleYaml;
  const isPlainHttp = (host: string): boolean => settings.registries?.[host]?.plainHttp === true;

  const fetchOnce = async (
    url: URL,
    target: RequestTarget,
    options: {
      method: NonNullable<RegistryRequest['method']>;
      headers: Record<string, string>;
      body?: string | Iterable<Uint8Array> | AsyncIterable<Uint8Array>;
      signal?: AbortSignal;
    },
  ): Promise<RegistryAnswer> => {
    try {
      const { signal, body, ...rest } = options;
      const answer = await request(url, {
        ...rest,
        // undici would end the connection after each HEAD, against servers that send a body with the answer.
        ...(options.method === 'HEAD' ? { reset: false } : {}),
        // undici takes any iterable; its types name the asynchronous ones alone.
        ...(body === undefined ? {} : { body: body as string }),
        dispatcher: await transport.dispatcherFor(url, target.host),
        ...(signal === undefined ? {} : { signal }),
      });
      // A body that is destroyed later must not raise where nobody listens.
      answer.body.on('error', () => {});
      return { status: answer.statusCode, headers: answer.headers, body: answer.body };
    } catch (cause) {
      throw networkFailure(target, cause, options.signal, plainHttpHint);
    }
  };

  const failFrom = async (target: RequestTarget, answer: RegistryAnswer, from: URL, signal?: AbortSignal) => {
    const body = await readStart(answer.body, MAX_ERROR_BYTES, deadline(signal)).catch(() => new Uint8Array());
    signal?.throwIfAborted();
    const retryAfterMs = retryAfter(answer.headers, settings.maxRetryAfterMs ?? MAX_RETRY_AFTER_MS);
    const host = from.host === (API_HOSTS.get(target.host) ?? target.host) ? target.host : from.host;
    return statusFailure(target, {
      status: answer.status,
      body,
      from: host,
      ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
    });
  };

  const deadline = (signal: AbortSignal | undefined): AbortSignal => {
    const limit = AbortSignal.timeout(transport.documentTimeoutMs);
    return signal === undefined ? limit : AbortSignal.any([signal, limit]);
  };

  const requestToken: TokenRequest = async (url, { headers, form }, target, signal) => {
    const about = { ...target, what: `a token from ${url.host}` };
    const answer = await fetchOnce(url, about, {
      method: form ? 'POST' : 'GET',
      headers: form ? { ...headers, 'content-type': 'application/x-www-form-urlencoded' } : { ...headers },
      ...(form ? { body: form.toString() } : {}),
      signal: deadline(signal),
    });
    if (answer.status === 429 || answer.status >= 500) throw await failFrom(about, answer, url, signal);
    const bytes = await readStart(answer.body, MAX_TOKEN_BYTES, deadline(signal)).catch((cause) => {
      throw networkFailure(about, cause, signal, plainHttpHint);
    });
    const fail = () => statusFailure(about, { status: answer.status, body: bytes, from: target.host });
    return { status: answer.status, bytes, fail };
  };

  const authorization: Authorization = createAuthorization(
    settings.credentials ?? (async () => undefined),
    requestToken,
    isPlainHttp,
    plainHttpHint,
  );

  /** One attempt: with redirects and, after a 401, once more with what the challenge asks for. */
  const attempt = async (wanted: RegistryRequest, signal?: AbortSignal): Promise<RegistryAnswer & { url: URL }> => {
    const home = originOf(wanted.host);
    const start = wanted.url ?? new URL(`${home}/v2/${wanted.repository}/${wanted.what}`);
    // An address elsewhere (a storage's) has an authorization of its own. Ours stays with the registry.
    const isHome = start.origin === home;
    let header = isHome ? authorization.current(wanted) : undefined;
    for (let authorized = !isHome; ; authorized = true) {
      const { answer, url } = await follow(start, wanted, header, signal);
      if (answer.status === 401 && url.origin === start.origin && !authorized) {
        const renewed = await authorization
          .answer(wanted, answer.headers['www-authenticate'], header, signal)
          .catch((failure) => {
            discard(answer);
            throw failure;
          });
        if (renewed !== undefined) {
          discard(answer);
          header = renewed;
          continue;
        }
      }
      if ((answer.status >= 200 && answer.status < 300) || wanted.allow?.includes(answer.status))
        return { ...answer, url };
      throw await failFrom(wanted, answer, url, signal);
    }
  };

  const follow = async (
    start: URL,
    wanted: RegistryRequest,
    authorizationHeader: string | undefined,
    signal?: AbortSignal,
  ) => {
    const method = wanted.method ?? 'GET';
    let url = start;
    let secret = authorizationHeader;
    for (let hops = 0; ; hops += 1) {
      const headers: Record<string, string> = {
        'user-agent': 'portolan',
        'accept-encoding': 'identity',
        ...wanted.headers,
      };
      if (secret !== undefined) headers.authorization = secret;
      if (wanted.body !== undefined) headers['content-length'] = String(wanted.body.sizeBytes);
      const answer = await fetchOnce(url, wanted, {
        method,
        headers,
        ...(wanted.body === undefined ? {} : { body: wanted.body.parts }),
        ...(signal === undefined ? {} : { signal }),
      });
      if (!REDIRECTS.has(answer.status)) return { answer, url };
      discard(answer);
      const location = String(answer.headers.location ?? '');
      if (!URL.canParse(location, url.href)) throw protocolFailure(wanted, 'a redirect leads nowhere', location);
      const next = new URL(location, url.href);
      if (method !== 'GET' && method !== 'HEAD') {
        // What is sent is not sent twice, and not to whoever answers first.
        const hint = 'Give the address that it redirects to.';
        throw protocolFailure(wanted, 'the registry redirects what is sent', next.origin, hint);
      }
      if (hops >= MAX_REDIRECTS) throw protocolFailure(wanted, 'too many redirects', next.origin);
      if (next.protocol !== 'https:' && !(next.protocol === 'http:' && isPlainHttp(next.host))) {
        throw protocolFailure(
          wanted,
          'a redirect leads to an address without TLS',
          next.origin,
          plainHttpHint(next.host),
        );
      }
      // Storage behind a registry has an authorization of its own in the address. Ours stays with the registry, for
      // good: a chain of redirects that comes back does not get it again.
      if (next.origin !== start.origin) secret = undefined;
      url = next;
    }
  };

  const originOf = (host: string): string =>
    new URL(`${isPlainHttp(host) ? 'http' : 'https'}://${API_HOSTS.get(host) ?? host}`).origin;

  /** `Location` (RFC 9110 section 10.2.2), relative or absolute. */
  const locationOf = (wanted: RegistryRequest, answer: RegistryAnswer, from: URL): URL | undefined => {
    const text = answer.headers.location;
    if (text === undefined) return undefined;
    if (!URL.canParse(String(text), from.href)) throw protocolFailure(wanted, 'Location leads nowhere', 'no address');
    const location = new URL(String(text), from.href);
    location.hash = '';
    if (location.protocol === 'https:' || location.origin === from.origin) return location;
    // A registry behind a proxy often calls itself http, or forgets the port: the way there is the one that we came by.
    const isItself = location.hostname === from.hostname && (from.protocol === 'https:' || location.port === '');
    if (location.protocol === 'http:' && isItself) {
      return new URL(`${from.origin}${location.pathname}${location.search}`);
    }
    if (location.protocol === 'http:' && isPlainHttp(location.host)) return location;
    const saying = 'the upload would go on at an address without TLS';
    throw protocolFailure(wanted, saying, location.origin, plainHttpHint(location.host));
  };

  const exchangeOnce = async (wanted: RegistryRequest, signal?: AbortSignal): Promise<RegistryReply> => {
    const { url, ...answer } = await attempt(wanted, signal);
    discard(answer);
    const location = locationOf(wanted, answer, url);
    return { status: answer.status, headers: answer.headers, ...(location === undefined ? {} : { location }) };
  };

  return {
    policy,
    originOf,
    bodyTimeoutMs: transport.bodyTimeoutMs,
    exchange: (wanted, { retried = false, signal } = {}) =>
      retried
        ? retry(() => exchangeOnce(wanted, signal), policy, decideRetry, signal === undefined ? {} : { signal })
        : exchangeOnce(wanted, signal),
    open: (wanted, signal) =>
      retry(() => attempt(wanted, signal), policy, decideRetry, signal === undefined ? {} : { signal }),
    read: (wanted, maxBytes, tooLarge, signal) =>
      retry(
        async () => {
          const limited = deadline(signal);
          try {
            const answer = await attempt(wanted, limited);
            if (Number(answer.headers['content-length'] ?? 0) > maxBytes) {
              answer.body.destroy();
              throw tooLarge();
            }
            const bytes = await readStart(answer.body, maxBytes + 1, limited);
            if (bytes.byteLength > maxBytes) throw tooLarge();
            return { status: answer.status, headers: answer.headers, bytes };
          } catch (cause) {
            throw networkFailure(wanted, cause, signal, plainHttpHint);
          }
        },
        policy,
        decideRetry,
        signal === undefined ? {} : { signal },
      ),
    close: () => transport.close(),
  };
}

/** Reads a short body away, so that its connection serves the next request; a long one costs the connection. */
function discard(answer: RegistryAnswer): void {
  answer.body.dump({ limit: MAX_ERROR_BYTES }).catch(() => {});
}

/** The first `maxBytes` of a body; the rest is thrown away unread. */
async function readStart(body: RegistryAnswer['body'], maxBytes: number, signal: AbortSignal): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let total = 0;
  const stop = (): void => void body.destroy(signal.reason);
  signal.addEventListener('abort', stop, { once: true });
  try {
    signal.throwIfAborted();
    for await (const chunk of body as AsyncIterable<Uint8Array>) {
      chunks.push(chunk);
      total += chunk.byteLength;
      if (total >= maxBytes) break;
    }
  } finally {
    signal.removeEventListener('abort', stop);
    body.destroy();
  }
  return Buffer.concat(chunks).subarray(0, maxBytes);
}

/** Retry-After in seconds or as a date (RFC 9110 section 10.2.3), measured by the server's own clock, bounded. */
function retryAfter(headers: RegistryAnswer['headers'], limitMs: number): number | undefined {
  const text = String(headers['retry-after'] ?? '');
  if (/^[0-9]{1,9}$/.test(text)) return Math.min(Number(text) * 1000, limitMs);
  const until = Date.parse(text) - Date.parse(String(headers.date ?? ''));
  return Number.isNaN(until) ? undefined : Math.min(Math.max(until, 0), limitMs);
}

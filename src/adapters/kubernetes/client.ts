import { type Dispatcher, request } from 'undici';
import { type RetryPolicy, retry } from '../../core/retry.ts';
import type { ClusterAccess } from '../../formats/kubernetes/kubeconfig.ts';
import { AdapterError } from '../errors.ts';
import { clockFault, explained, withClockFault } from './clock.ts';
import { type ConnectionSettings, createConnection } from './connection.ts';
import { type CredentialSettings, createCredentialSource } from './credentials.ts';
import { decideRetry, isUncertain, networkFailure, type RequestTarget, statusFailure } from './failure.ts';

export interface ClientSettings extends ConnectionSettings, CredentialSettings {
  /** One try of one call, its answer read; credentials not counted. 60 s. */
  readonly callTimeoutMs?: number;
  /** Before the API server answered for the first time: a wrong address is told soon. */
  readonly firstRetry?: RetryPolicy;
  /** After that: an API server that restarts is waited for. */
  readonly retry?: RetryPolicy;
}

export interface ApiRequest {
  readonly method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  readonly path: string;
  readonly query?: Readonly<Record<string, string | number | undefined>>;
  readonly accept?: string;
  readonly body?: { readonly type: string; readonly value: unknown };
  /** In errors: `create Secret portolan-system/portolan.key`. */
  readonly what: string;
  readonly secret?: boolean;
  /** Statuses beside 2xx that are an answer and no failure. */
  readonly allow?: readonly number[];
  readonly maxBytes?: number;
}

export interface ApiAnswer {
  readonly status: number;
  readonly bytes: Uint8Array;
}

/** Told while a request is on its way: whether an earlier try may have been carried out. */
export interface Trail {
  uncertain: boolean;
}

export interface ApiClient {
  /** Tries again what is worth it. What must not happen twice is told apart by the caller through `trail`. */
  send(wanted: ApiRequest, options?: { readonly signal?: AbortSignal; readonly trail?: Trail }): Promise<ApiAnswer>;
  /** For a connection that becomes another protocol: WebSocket. Nothing of it is tried again. */
  upgrade(path: string, query: URLSearchParams, signal?: AbortSignal): Promise<UpgradeWay>;
  close(): Promise<void>;
}

export interface UpgradeWay {
  readonly url: URL;
  readonly dispatcher: Dispatcher;
  readonly headers: Readonly<Record<string, string | string[]>>;
}

const CALL_TIMEOUT_MS = 60_000;
const FIRST_RETRY: RetryPolicy = { attempts: 3, baseDelayMs: 300, maxDelayMs: 1000 };
/** About forty seconds of waiting in all: an API server needs ten to twenty to come back. */
const RETRY: RetryPolicy = { attempts: 12, baseDelayMs: 250, maxDelayMs: 6000 };
const MAX_RETRY_AFTER_MS = 30_000;
const MAX_ANSWER_BYTES = 128 * 1024 * 1024;
const MAX_ERROR_BYTES = 64 * 1024;

export function createApiClient(access: ClusterAccess, settings: ClientSettings): ApiClient {
  const connection = createConnection(access, settings);
  const source = createCredentialSource(access, settings);
  let answered = false;

  const once = async (wanted: ApiRequest, target: RequestTarget, caller?: AbortSignal): Promise<ApiAnswer> => {
    for (let renewed = false; ; renewed = true) {
      // A plugin has a time limit of its own, and says so when it is over.
      const credentials = await source.current(caller);
      const limit = AbortSignal.timeout(settings.callTimeoutMs ?? CALL_TIMEOUT_MS);
      const signal = caller === undefined ? limit : AbortSignal.any([caller, limit]);
      try {
        const answer = await request(addressOf(access.server, wanted), {
          method: wanted.method,
          dispatcher: await connection.dispatcher(credentials.certificate),
          signal,
          headers: {
            'user-agent': 'portolan',
            accept: wanted.accept ?? 'application/json',
            ...(wanted.body === undefined ? {} : { 'content-type': wanted.body.type }),
            ...credentials.headers,
          },
          ...(wanted.body === undefined ? {} : { body: JSON.stringify(wanted.body.value) }),
        });
        const isAnswer =
          (answer.statusCode >= 200 && answer.statusCode < 300) || wanted.allow?.includes(answer.statusCode) === true;
        const maxBytes = isAnswer ? (wanted.maxBytes ?? MAX_ANSWER_BYTES) : MAX_ERROR_BYTES;
        const bytes = await readStart(answer.body, maxBytes + 1, signal);
        answered = true;
        if (isAnswer) {
          if (bytes.length > maxBytes) throw tooLarge(target, maxBytes);
          return { status: answer.statusCode, bytes };
        }
        if (answer.statusCode === 401 && !renewed && source.renew()) continue;
        const retryAfterMs = retryAfter(answer.headers);
        const failure = statusFailure(target, {
          status: answer.statusCode,
          body: bytes.subarray(0, MAX_ERROR_BYTES),
          ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
        });
        if (answer.statusCode !== 401) throw failure;
        const said = {
          dateHeader: String(answer.headers.date ?? ''),
          certificatePem: credentials.certificate?.certificatePem,
        };
        throw withClockFault(failure, clockFault(said, settings.now()));
      } catch (cause) {
        throw networkFailure(target, cause, signal);
      }
    }
  };

  return {
    send: (wanted, options = {}) => {
      const { signal, trail } = options;
      const target: RequestTarget = {
        server: access.server,
        context: access.context,
        what: wanted.what,
        ...(wanted.secret === undefined ? {} : { secret: wanted.secret }),
      };
      const policy = answered ? (settings.retry ?? RETRY) : (settings.firstRetry ?? FIRST_RETRY);
      return retry(
        async () => {
          try {
            return await once(wanted, target, signal);
          } catch (failure) {
            if (trail !== undefined && isUncertain(failure)) trail.uncertain = true;
            throw await explained(failure, access, settings.now, signal);
          }
        },
        policy,
        decideRetry,
        signal === undefined ? {} : { signal },
      );
    },
    async upgrade(path, query, signal) {
      const credentials = await source.current(signal);
      const url = new URL(`${access.server}${path}?${query}`);
      url.protocol = url.protocol === 'https:' ? 'wss:' : 'ws:';
      return {
        url,
        dispatcher: await connection.dispatcher(credentials.certificate),
        headers: { 'user-agent': 'portolan', ...credentials.headers },
      };
    },
    close: () => connection.close(),
  };
}

function addressOf(server: string, { path, query }: ApiRequest): URL {
  const url = new URL(`${server}${path}`);
  for (const [name, value] of Object.entries(query ?? {})) {
    if (value !== undefined) url.searchParams.set(name, String(value));
  }
  return url;
}

async function readStart(body: Dispatcher.ResponseData['body'], maxBytes: number, signal: AbortSignal) {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  // A body that is destroyed later must not raise where nobody listens.
  body.on('error', () => {});
  for await (const chunk of body as AsyncIterable<Buffer>) {
    signal.throwIfAborted();
    chunks.push(chunk.subarray(0, maxBytes - sizeBytes));
    sizeBytes += chunk.length;
    if (sizeBytes >= maxBytes) break;
  }
  return Buffer.concat(chunks);
}

/** Seconds (RFC 9110, section 10.2.3); API servers send no dates there. */
function retryAfter(headers: Dispatcher.ResponseData['headers']): number | undefined {
  const text = String(headers['retry-after'] ?? '');
  return /^\d{1,9}$/.test(text) ? Math.min(Number(text) * 1000, MAX_RETRY_AFTER_MS) : undefined;
}

function tooLarge(target: RequestTarget, maxBytes: number): AdapterError {
  return new AdapterError('KUBERNETES_FAILED', `Cannot ${target.what}: the answer is larger than any sane one`, {
    expected: `at most ${maxBytes} bytes`,
    at: { url: target.server },
    hint: 'Check that the server of this context is a Kubernetes API server.',
  });
}

import { request } from 'undici';
import { innermostCode } from '../../core/failure-cause.ts';
import { printable } from '../../core/printable.ts';
import { type RetryPolicy, retry } from '../../core/retry.ts';
import { AdapterError } from '../errors.ts';
import { createTransport, type TransportSettings } from '../registry/transport.ts';

export interface ExchangeSettings {
  /** For messages. */
  readonly issuer: string;
  readonly transport: Pick<TransportSettings, 'caFile' | 'proxy'>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  /** For one request and its answer; 30 s. */
  readonly timeoutMs?: number;
  /** Of what another try may mend. */
  readonly retries?: RetryPolicy;
}

export interface ExchangeRequest {
  readonly method: string;
  readonly headers?: Readonly<Record<string, string>>;
  readonly body?: string | undefined;
  readonly signal?: AbortSignal | undefined;
  /** What a failure of the server (5xx) means, where more is known than that. */
  readonly meaningOf?: ((answer: Answer) => AdapterError | undefined) | undefined;
}

export interface Answer {
  readonly status: number;
  readonly headers: Readonly<Record<string, string>>;
  readonly body: string;
}

/** Requests to the provider, with time limits and further tries. */
export interface Exchange {
  /** Resolves with what was answered below 500. @throws AdapterError IDENTITY_PROVIDER_UNREACHABLE, …_UNTRUSTED, …_PROTOCOL */
  send(url: string, what: ExchangeRequest): Promise<Answer>;
  /** How far the provider's clock was ahead of ours at its last answer; `undefined` before one. */
  clockAheadMs(): number | undefined;
  close(): Promise<void>;
}

const TIMEOUT_MS = 30_000;
const CONNECT_TIMEOUT_MS = 15_000;
const RETRIES: RetryPolicy = { attempts: 4, baseDelayMs: 300, maxDelayMs: 5000 };

/** Far above every document of a provider: keys, metadata, a page of users. */
const MAX_BODY_BYTES = 4 << 20;

export function createExchange(settings: ExchangeSettings): Exchange {
  const { issuer, now, timeoutMs = TIMEOUT_MS } = settings;
  const transport = createTransport({ ...settings.transport, connectTimeoutMs: CONNECT_TIMEOUT_MS });
  /** What stands behind failures of the server. */
  const answers = new WeakMap<AdapterError, Answer>();
  let aheadMs: number | undefined;

  async function sendOnce(url: string, { signal, ...what }: ExchangeRequest): Promise<Answer> {
    const limit = AbortSignal.timeout(timeoutMs);
    try {
      const answer = await exchange(url, what, signal === undefined ? limit : AbortSignal.any([signal, limit]));
      // Dates have whole seconds: they are half a second old on average.
      const date = Date.parse(answer.headers.date ?? '');
      if (!Number.isNaN(date)) aheadMs = date + 500 - now();
      if (answer.status < 500 && answer.status !== 429) return answer;
      const error = unreachable(issuer, `it answered HTTP ${answer.status}`, `HTTP ${answer.status}`);
      answers.set(error, answer);
      throw error;
    } catch (cause) {
      signal?.throwIfAborted();
      throw cause instanceof AdapterError ? cause : connectionFailure(issuer, cause);
    }
  }

  async function exchange(url: string, what: Omit<ExchangeRequest, 'signal'>, signal: AbortSignal): Promise<Answer> {
    const dispatcher = await transport.dispatcherFor(new URL(url), '');
    const { statusCode, headers, body } = await request(url, {
      dispatcher,
      signal,
      method: what.method as 'GET',
      headers: { ...what.headers },
      ...(what.body === undefined ? {} : { body: what.body }),
    });
    return {
      status: statusCode,
      headers: Object.fromEntries(Object.entries(headers).map(([name, value]) => [name, [value].flat().join(', ')])),
      body: await read(body, issuer),
    };
  }

  return {
    async send(url, what) {
      const { signal } = what;
      try {
        return await retry(
          () => sendOnce(url, what),
          settings.retries ?? RETRIES,
          isWorthAnotherTry,
          signal === undefined ? {} : { signal },
        );
      } catch (error) {
        const answer = error instanceof AdapterError ? answers.get(error) : undefined;
        throw (answer === undefined ? undefined : what.meaningOf?.(answer)) ?? error;
      }
    },
    clockAheadMs: () => aheadMs,
    close: () => transport.close(),
  };
}

async function read(body: AsyncIterable<Buffer>, issuer: string): Promise<string> {
  const chunks: Buffer[] = [];
  let sizeBytes = 0;
  for await (const chunk of body) {
    sizeBytes += chunk.length;
    if (sizeBytes > MAX_BODY_BYTES) throw protocolFailure(issuer, `it answered more than ${MAX_BODY_BYTES} bytes`);
    chunks.push(chunk);
  }
  return Buffer.concat(chunks).toString();
}

function isWorthAnotherTry(failure: unknown) {
  return failure instanceof AdapterError && failure.code === 'IDENTITY_PROVIDER_UNREACHABLE' ? {} : 'give-up';
}

function unreachable(issuer: string, problem: string, found?: string, cause?: unknown): AdapterError {
  return new AdapterError(
    'IDENTITY_PROVIDER_UNREACHABLE',
    `${issuer}: the identity provider does not work: ${problem}`,
    {
      ...(cause === undefined ? {} : { cause }),
      ...(found === undefined ? {} : { found }),
      at: { url: issuer },
      hint: 'Check that it runs, the network, the name server and the proxy settings; then run the command again.',
    },
  );
}

export function protocolFailure(issuer: string, problem: string, details: { expected?: string; found?: string } = {}) {
  return new AdapterError(
    'IDENTITY_PROVIDER_PROTOCOL',
    `${issuer}: the identity provider's answer cannot be used: ${problem}`,
    { ...details, at: { url: issuer }, hint: 'Check that this is the issuer of an OpenID provider, such as ZITADEL.' },
  );
}

/** What went wrong below HTTP. */
function connectionFailure(issuer: string, cause: unknown): AdapterError {
  const code = innermostCode(cause);
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'EPROTO' || isAboutCertificates(code)) {
    return new AdapterError('IDENTITY_PROVIDER_UNTRUSTED', `${issuer}: the identity provider is not trusted`, {
      cause,
      ...(code === undefined ? {} : { found: code }),
      at: { url: issuer },
      hint: 'Give its certificate authority with --ca-file, or use the name for which the certificate was issued.',
    });
  }
  const problem = code === 'TimeoutError' ? 'no answer in time' : 'the connection failed';
  return unreachable(issuer, problem, code === undefined ? undefined : printable(code, 60), cause);
}

function isAboutCertificates(code: string | undefined): boolean {
  return code !== undefined && /CERT|SIGNATURE|ISSUER|^ERR_TLS|^ERR_SSL/.test(code);
}

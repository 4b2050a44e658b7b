import { PortolanError } from '../../../core/errors.ts';
import { type RetryPolicy, retry } from '../../../core/retry.ts';
import {
  decodeSessionKeys,
  decodeStsError,
  type SessionKeys,
  WEB_IDENTITY_SECONDS,
} from '../../../formats/storage/web-identity-answer.ts';
import { AdapterError } from '../../errors.ts';
import { createTransport, type TransportSettings } from '../../registry/transport.ts';
import { decideStoreRetry } from '../store-errors.ts';
import { connectionFailure } from './failure.ts';
import { refusedByTokenService } from './web-identity-failure.ts';
import type { WebIdentityToken } from './web-identity-token.ts';

export interface WebIdentitySettings {
  /** The token service: `https://sts.eu-central-1.amazonaws.com`, or the storage itself. */
  readonly sts: string;
  readonly token: WebIdentityToken;
  readonly roleArn?: string;
  /** What the service writes into its log. */
  readonly sessionName: string;
  readonly caFile?: string;
  readonly proxy?: NonNullable<TransportSettings['proxy']>;
  /** Milliseconds since 1970. */
  readonly now: () => number;
  readonly retries?: RetryPolicy;
  readonly timeoutMs?: number;
}

const RETRIES: RetryPolicy = { attempts: 4, baseDelayMs: 500, maxDelayMs: 5_000 };
/** For one request, from the connection to the end of its answer. */
const TIMEOUT_MS = 30_000;
const MAX_ANSWER_BYTES = 64 * 1024;

/**
 * Keys for a web identity, from a token service (AssumeRoleWithWebIdentity), for 15 minutes. The token goes into the body of the
 * request and nowhere else.
 *
 * @throws AdapterError STS_REFUSED, STORE_UNREACHABLE, STORE_UNTRUSTED, STORE_TIMEOUT, STORE_BUSY, STORE_FAILED; FormatError
 *   STS_ANSWER_INVALID; what `token` throws
 */
export async function assumeWebIdentity(
  settings: WebIdentitySettings,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<SessionKeys> {
  return await ask(settings, WEB_IDENTITY_SECONDS, signal === undefined ? {} : { signal });
}

/**
 * Whether the service would give keys for so long, or, where no time is said, for as long as the token lives. They are dropped.
 *
 * @throws as `assumeWebIdentity`, but for STS_REFUSED
 */
export async function wouldGiveKeysFor(
  settings: WebIdentitySettings,
  seconds: number | undefined,
  { signal }: { readonly signal?: AbortSignal } = {},
): Promise<boolean> {
  try {
    await ask(settings, seconds, signal === undefined ? {} : { signal });
    return true;
  } catch (failure) {
    if (failure instanceof AdapterError && failure.code === 'STS_REFUSED') return false;
    throw failure;
  }
}

async function ask(
  settings: WebIdentitySettings,
  seconds: number | undefined,
  options: { readonly signal?: AbortSignal },
): Promise<SessionKeys> {
  const token = await settings.token(options);
  const work = () => askOnce(settings, token, seconds, options);
  return await retry(work, settings.retries ?? RETRIES, decideStoreRetry, options);
}

async function askOnce(
  settings: WebIdentitySettings,
  token: string,
  seconds: number | undefined,
  { signal }: { readonly signal?: AbortSignal },
): Promise<SessionKeys> {
  const { sts, roleArn, sessionName, caFile, proxy, timeoutMs = TIMEOUT_MS } = settings;
  const url = new URL(sts);
  const place = `the token service at ${url.host}`;
  const transport = createTransport({
    ...(caFile === undefined ? {} : { caFile }),
    ...(proxy === undefined ? {} : { proxy }),
  });
  const limit = AbortSignal.timeout(timeoutMs);
  try {
    const dispatcher = await transport.dispatcherFor(url, url.host);
    const answer = await dispatcher.request({
      origin: url.origin,
      path: url.pathname === '' ? '/' : url.pathname,
      method: 'POST',
      headers: { 'content-type': 'application/x-www-form-urlencoded', accept: 'application/xml' },
      body: formOf({ token, roleArn, sessionName, seconds }),
      signal: signal === undefined ? limit : AbortSignal.any([signal, limit]),
    });
    const bytes = await readAnswer(answer.body);
    const aheadMs = clockAheadMs(answer.headers.date, settings.now());
    if (answer.statusCode === 200) return byOurClock(decodeSessionKeys(bytes), aheadMs);
    throw refusedByTokenService(place, answer.statusCode, decodeStsError(bytes), { token, aheadMs });
  } catch (cause) {
    signal?.throwIfAborted();
    if (cause instanceof PortolanError) throw cause;
    if (limit.aborted) {
      throw new AdapterError('STORE_TIMEOUT', `${place}: no answer in time`, {
        expected: `one within ${Math.ceil(timeoutMs / 1000)} s`,
        hint: 'Check the network and the load of the token service.',
      });
    }
    throw connectionFailure(place, 'ask for keys', cause);
  } finally {
    await transport.close();
  }
}

function formOf(form: {
  readonly token: string;
  readonly roleArn: string | undefined;
  readonly sessionName: string;
  readonly seconds: number | undefined;
}): string {
  return new URLSearchParams({
    Action: 'AssumeRoleWithWebIdentity',
    Version: '2011-06-15',
    ...(form.roleArn === undefined ? {} : { RoleArn: form.roleArn }),
    RoleSessionName: form.sessionName,
    ...(form.seconds === undefined ? {} : { DurationSeconds: String(form.seconds) }),
    WebIdentityToken: form.token,
  }).toString();
}

async function readAnswer(body: AsyncIterable<Uint8Array>): Promise<Uint8Array> {
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of body) {
    sizeBytes += piece.length;
    pieces.push(piece);
    // One byte more than is taken: whoever reads it refuses it.
    if (sizeBytes > MAX_ANSWER_BYTES) break;
  }
  return Buffer.concat(pieces);
}

/** Our clock less the service's, about. */
function clockAheadMs(date: string | string[] | undefined, now: number): number {
  const theirs = Date.parse(String(date ?? ''));
  return Number.isNaN(theirs) ? 0 : now - theirs;
}

/** A clock that is twenty minutes ahead would take all keys for expired. */
function byOurClock(keys: SessionKeys, aheadMs: number): SessionKeys {
  return { ...keys, expiration: new Date(keys.expiration.getTime() + aheadMs) };
}

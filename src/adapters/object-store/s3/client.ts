import type { S3Client } from '@aws-sdk/client-s3';
import { PortolanError } from '../../../core/errors.ts';
import type { BucketAddress } from '../../../formats/storage/repository-address.ts';
import { AdapterError } from '../../errors.ts';
import { createTransport, type TransportSettings } from '../../registry/transport.ts';
import type { Pace } from '../pace.ts';
import type { CredentialsProvider, StorageCredentials } from './credentials.ts';
import { connectionFailure, serviceFailure } from './failure.ts';
import { createHttpHandler } from './http-handler.ts';
import { startWatch, type TimeLimits, type Watch } from './time-limits.ts';

type Sdk = typeof import('@aws-sdk/client-s3');

export interface ClientSettings {
  readonly address: BucketAddress;
  readonly place: string;
  readonly region: string;
  readonly credentials: CredentialsProvider;
  readonly limits: TimeLimits;
  readonly caFile?: string;
  readonly proxy?: NonNullable<TransportSettings['proxy']>;
  readonly pace?: Pace;
  /** Milliseconds since 1970: whether credentials are about to expire. */
  readonly now: () => number;
}

/** What a request is sent with. */
export interface Connection {
  readonly sdk: Sdk;
  readonly client: S3Client;
  readonly watch: Watch;
}

export interface BucketClient {
  /**
   * Runs one request and what reads its answer, under time limits; `what` names it in errors. A failure becomes an
   * AdapterError, save what `expected` makes of the storage's answer.
   */
  run<T>(what: string, options: RunOptions<T>, work: (connection: Connection) => Promise<T>): Promise<T>;
  close(): Promise<void>;
}

export interface RunOptions<T> {
  readonly signal?: AbortSignal | undefined;
  /** The result of an answer that is no failure, such as 404; `undefined` for all others. Given the name or `HTTP status`. */
  readonly expected?: (name: string, status: number) => { readonly result: T } | undefined;
}

/** Credentials are renewed so long before they expire: a request that is on its way then still counts. */
const RENEW_BEFORE_MS = 60_000;
const EXPIRED = new Set(['ExpiredToken', 'ExpiredTokenException', 'InvalidToken', 'InvalidAccessKeyId']);

export function createBucketClient(settings: ClientSettings): BucketClient {
  const { place, limits } = settings;
  const transport = createTransport({
    ...(settings.caFile === undefined ? {} : { caFile: settings.caFile }),
    ...(settings.proxy === undefined ? {} : { proxy: settings.proxy }),
    connectTimeoutMs: limits.connectTimeoutMs,
    headersTimeoutMs: limits.answerTimeoutMs,
    bodyTimeoutMs: limits.stallTimeoutMs,
  });
  const credentials = keptCredentials(settings);
  let opened: Promise<{ readonly sdk: Sdk; readonly client: S3Client }> | undefined;
  const open = () => {
    opened ??= openClient(settings, createHttpHandler(transport, settings.pace), credentials.current);
    return opened;
  };

  const runOnce: BucketClient['run'] = async (what, options, work) => {
    using watch = startWatch(place, limits, options.signal);
    let used: StorageCredentials | undefined;
    try {
      used = await credentials.prepare(watch.signal);
      return await work({ ...(await open()), watch });
    } catch (cause) {
      // Both of a person and of a time limit; what the SDK makes of it tells nothing.
      if (watch.signal.aborted) throw watch.signal.reason;
      if (cause instanceof PortolanError) throw cause;
      const failure = serviceFailureOf(cause, watch);
      if (failure === undefined) throw connectionFailure(place, what, cause);
      const result = options.expected?.(failure.name ?? `HTTP ${failure.status}`, failure.status);
      if (result !== undefined) return result.result;
      const message = credentials.withoutSecrets(failure.message);
      const error = serviceFailure(place, what, { ...failure, message });
      if (failure.name !== undefined && EXPIRED.has(failure.name) && used !== undefined) expired.set(error, used);
      throw error;
    }
  };

  return {
    async run(what, options, work) {
      try {
        return await runOnce(what, options, work);
      } catch (error) {
        // Whoever renews credentials in a file, or revokes a session, does not tell us.
        const refused = error instanceof AdapterError ? expired.get(error) : undefined;
        if (refused === undefined || !(await credentials.renew(refused, options.signal))) throw error;
        return runOnce(what, options, work);
      }
    },
    async close() {
      (await opened?.catch(() => undefined))?.client.destroy();
      await transport.close();
    },
  };
}

/** Failures that other credentials may not meet with, and the credentials that did. */
const expired = new WeakMap<AdapterError, StorageCredentials>();

async function openClient(
  { address, region }: ClientSettings,
  requestHandler: object,
  credentials: () => Promise<StorageCredentials>,
): Promise<{ readonly sdk: Sdk; readonly client: S3Client }> {
  // Loaded here: most commands never need it, and it takes longer to load than the rest of the program.
  const sdk = await import('@aws-sdk/client-s3');
  const client = new sdk.S3Client({
    ...(address.endpoint === undefined ? {} : { endpoint: address.endpoint }),
    region,
    forcePathStyle: address.pathStyle,
    credentials,
    requestHandler: requestHandler as never,
    // The wrapper round the store tries again, and knows what is safe.
    maxAttempts: 1,
    requestChecksumCalculation: address.checksum === 'none' ? 'WHEN_REQUIRED' : 'WHEN_SUPPORTED',
    // Digests are compared by whoever knows them, and cover more.
    responseChecksumValidation: 'WHEN_REQUIRED',
    expectContinueHeader: false,
    followRegionRedirects: false,
    disableMultiregionAccessPoints: true,
    disableS3ExpressSessionAuth: true,
    useArnRegion: false,
    useFipsEndpoint: false,
    useDualstackEndpoint: false,
    defaultsMode: 'standard',
    retryMode: 'standard',
  });
  return { sdk, client };
}

/** Nothing when the storage did not answer, or its answer was 2xx and broke off. */
function serviceFailureOf(cause: unknown, watch: Watch) {
  if (watch.answer === undefined || watch.answer.status < 300 || !(cause instanceof Error)) return undefined;
  const name = /^[A-Z][A-Za-z0-9]{2,60}$/.test(cause.name) && !GENERIC.has(cause.name) ? cause.name : undefined;
  const retryAfterMs = retryAfterOf(watch.answer.retryAfter);
  return {
    status: watch.answer.status,
    ...(name === undefined ? {} : { name }),
    message: cause.message === 'UnknownError' ? '' : cause.message,
    ...(retryAfterMs === undefined ? {} : { retryAfterMs }),
  };
}

/** What the SDK calls an answer without a name. */
const GENERIC = new Set(['Error', 'Unknown', 'UnknownError', 'S3ServiceException', 'SyntaxError', 'TypeError']);
const MAX_RETRY_AFTER_S = 300;

function retryAfterOf(text: string | undefined): number | undefined {
  return text !== undefined && /^\d{1,6}$/.test(text) ? Math.min(Number(text), MAX_RETRY_AFTER_S) * 1000 : undefined;
}

function isSame(a: StorageCredentials, b: StorageCredentials): boolean {
  return (
    a.accessKeyId === b.accessKeyId && a.secretAccessKey === b.secretAccessKey && a.sessionToken === b.sessionToken
  );
}

function renewFromMs({ renewFrom, expiration }: StorageCredentials): number {
  return (
    renewFrom?.getTime() ??
    (expiration === undefined ? Number.POSITIVE_INFINITY : expiration.getTime() - RENEW_BEFORE_MS)
  );
}

function keptCredentials({ credentials, now, place }: ClientSettings) {
  let kept: StorageCredentials | undefined;
  const ask = async (signal: AbortSignal | undefined, refused?: StorageCredentials) => {
    try {
      kept = await credentials({
        ...(signal === undefined ? {} : { signal }),
        ...(refused === undefined ? {} : { refused }),
      });
      return kept;
    } catch (cause) {
      if (cause instanceof PortolanError || signal?.aborted) throw cause;
      throw new AdapterError('STORE_CREDENTIALS_MISSING', `${place}: there are no credentials to be had`, {
        cause,
        hint: 'Look after what gives out the credentials, then run the command again.',
      });
    }
  };
  return {
    /** What a request goes out with; renews what is about to expire. */
    async prepare(signal: AbortSignal): Promise<StorageCredentials> {
      return kept === undefined || renewFromMs(kept) <= now() ? await ask(signal) : kept;
    },
    /** For the SDK, which asks before each request only if it takes what it has for expired. */
    current: async (): Promise<StorageCredentials> => ({
      ...(kept ?? (await ask(undefined))),
      expiration: new Date(0),
    }),
    /** Whether there are others now. Several requests may have gone out with the same. */
    async renew(refused: StorageCredentials, signal: AbortSignal | undefined): Promise<boolean> {
      const others = kept === undefined || isSame(kept, refused) ? await ask(signal, refused) : kept;
      return !isSame(others, refused);
    },
    /** A storage may repeat in its message what was sent. */
    withoutSecrets(text: string): string {
      const secrets = [kept?.secretAccessKey, kept?.sessionToken];
      return secrets.reduce<string>((clean, secret) => (secret ? clean.replaceAll(secret, '…') : clean), text);
    },
  };
}

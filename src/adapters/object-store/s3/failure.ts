import { innermostCode } from '../../../core/failure-cause.ts';
import { printable } from '../../../core/printable.ts';
import { AdapterError, type AdapterErrorCode } from '../../errors.ts';
import { retryAdvised } from '../store-errors.ts';

/** What the storage said, as far as it is looked at. */
export interface ServiceFailure {
  readonly status: number;
  /** `AccessDenied`; without a body (HEAD) there is none. */
  readonly name?: string;
  readonly message: string;
  readonly retryAfterMs?: number;
}

type Verdict = readonly [code: AdapterErrorCode, hint: string];

const KEPT = 'What was stored is kept: run the command again.';

const BY_NAME: Readonly<Record<string, Verdict>> = {
  AccessDenied: [
    'STORE_DENIED',
    'Check what the policy of this access key and of the bucket allows; without the right to list, a missing object is denied as well.',
  ],
  SignatureDoesNotMatch: [
    'STORE_DENIED',
    'The secret access key is wrong, or something between here and the storage alters requests: check the key, the region and the proxy.',
  ],
  InvalidAccessKeyId: ['STORE_DENIED', 'The storage does not know this access key: check it, and the endpoint.'],
  ExpiredToken: ['STORE_DENIED', 'The credentials have expired: get new ones and run the command again.'],
  ExpiredTokenException: ['STORE_DENIED', 'The credentials have expired: get new ones and run the command again.'],
  InvalidToken: ['STORE_DENIED', 'The session token does not fit the access key: get new credentials.'],
  RequestTimeTooSkewed: [
    'STORE_DENIED',
    "The clocks of this machine and of the storage differ by more than 15 minutes: set this machine's clock.",
  ],
  AuthorizationHeaderMalformed: ['STORE_DENIED', 'Is the region right? Give region=NAME in the address.'],
  PermanentRedirect: ['STORE_FAILED', 'The bucket lies elsewhere: give its region and endpoint in the address.'],
  NoSuchBucket: ['STORE_MISSING', 'Check the name of the bucket, the endpoint and the region, or create the bucket.'],
  ObjectLocked: ['STORE_DENIED', 'A lock of the bucket still holds this object: run the command again later.'],
  XMinioStorageFull: ['STORE_FULL', 'Make space in the storage, or raise the quota, then run the command again.'],
  XMinioAdminBucketQuotaExceeded: ['STORE_FULL', 'Raise the quota of the bucket, then run the command again.'],
  QuotaExceeded: ['STORE_FULL', 'Raise the quota of the bucket, then run the command again.'],
  InsufficientCapacity: ['STORE_FULL', 'Make space in the storage, then run the command again.'],
  SlowDown: ['STORE_BUSY', `Use fewer transfers at once. ${KEPT}`],
  ConditionalRequestConflict: ['STORE_BUSY', `Another writer is at work on the same object. ${KEPT}`],
  OperationAborted: ['STORE_BUSY', `Another writer is at work on the same object. ${KEPT}`],
  NotImplemented: [
    'STORE_FAILED',
    'The storage lacks something that is needed: creating an object only where there is none (If-None-Match).',
  ],
};

/** Another try helps: a broken server behind, a gateway without one, damage on the way. */
const RETRIED_STATUSES = new Set([408, 500, 502, 504]);
const RETRIED_NAMES = new Set([
  'RequestTimeTooSkewed', // the SDK has learnt the difference from the answer
  'BadDigest',
  'XAmzContentChecksumMismatch',
  'XAmzContentSHA256Mismatch',
  'IncompleteBody',
]);

/** What an answer outside 2xx means. Request headers, which hold a token, are no part of it. */
export function serviceFailure(place: string, what: string, failure: ServiceFailure): AdapterError {
  const { status, name } = failure;
  const [code, hint] = (name === undefined ? undefined : BY_NAME[name]) ?? verdictByStatus(status);
  const found = name === undefined ? `HTTP ${status}` : `HTTP ${status} ${printable(name, 60)}`;
  const said = failure.message === '' || failure.message === name ? '' : `: ${printable(failure.message, 200)}`;
  const error = new AdapterError(code, `${place}: the storage answered ${found} to ${what}${said}`, { found, hint });
  const isRetried = RETRIED_STATUSES.has(status) || (name !== undefined && RETRIED_NAMES.has(name));
  const isAsked = code === 'STORE_BUSY' && failure.retryAfterMs !== undefined;
  return isRetried || isAsked ? retryAdvised(error, failure.retryAfterMs) : error;
}

function verdictByStatus(status: number): Verdict {
  if (status === 401 || status === 403) return BY_NAME.AccessDenied as Verdict;
  if (status === 301 || status === 307) return BY_NAME.PermanentRedirect as Verdict;
  if (status === 507) return BY_NAME.InsufficientCapacity as Verdict;
  if (status === 409 || status === 429 || status === 503) return ['STORE_BUSY', KEPT];
  if (status === 408 || status === 504) return ['STORE_TIMEOUT', `Look at the load of the storage. ${KEPT}`];
  if (status >= 500) return ['STORE_FAILED', `Look at the log of the storage. ${KEPT}`];
  return ['STORE_FAILED', "Read the storage's own word, and check that the endpoint is that of an S3 storage."];
}

const TIMEOUTS = new Set(['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT']);

/** What went wrong below HTTP. */
export function connectionFailure(place: string, what: string, cause: unknown): unknown {
  if (!(cause instanceof Error)) return cause;
  const code = innermostCode(cause);
  const [ours, text, hint] = connectionVerdict(code, cause.message);
  return new AdapterError(ours, `${place}: ${text} (${what})`, {
    cause,
    ...(code === undefined ? {} : { found: code }),
    hint,
  });
}

function connectionVerdict(
  code: string | undefined,
  message: string,
): readonly [code: AdapterErrorCode, text: string, hint: string] {
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'EPROTO') {
    return ['STORE_UNTRUSTED', 'the port does not speak TLS', 'If that is meant so, write endpoint=http:// instead.'];
  }
  if (code !== undefined && /CERT|SIGNATURE|ISSUER|^ERR_TLS|^ERR_SSL/.test(code)) {
    return [
      'STORE_UNTRUSTED',
      "the storage's certificate is not trusted",
      'Give the certificate authority with --ca-file, or use the name for which the certificate was issued.',
    ];
  }
  if (code !== undefined && TIMEOUTS.has(code)) {
    return ['STORE_TIMEOUT', 'no answer in time', `Check the network and the load of the storage. ${KEPT}`];
  }
  const proxy = /Proxy response \((\d+)\)/.exec(message)?.[1];
  if (proxy !== undefined) {
    return [
      'STORE_UNREACHABLE',
      `the proxy answered HTTP ${proxy}`,
      'Check the proxy settings, and that the proxy allows this host.',
    ];
  }
  if (code === 'ENOTFOUND') {
    return [
      'STORE_UNREACHABLE',
      'the host name is not known',
      'Check the spelling of the endpoint, and the name server. Without path-style=true the name of the bucket is a part of the host name.',
    ];
  }
  if (code === undefined) return ['STORE_FAILED', 'the storage answered what cannot be read', 'Is the endpoint right?'];
  return ['STORE_UNREACHABLE', 'the connection failed', 'Check the endpoint, the port, the network and the proxy.'];
}

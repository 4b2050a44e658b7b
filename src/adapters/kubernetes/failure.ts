import { PortolanError } from '../../core/errors.ts';
import { innermostCode, isTimeout } from '../../core/failure-cause.ts';
import type { RetryDecision } from '../../core/retry.ts';
import { type ApiStatus, decodeStatus } from '../../formats/kubernetes/status.ts';
import { AdapterError, type AdapterErrorCode } from '../errors.ts';

/** Who was asked for what, as errors tell it. Holds no credentials and no content. */
export interface RequestTarget {
  readonly server: string;
  readonly context: string;
  /** Such as `create Secret portolan-system/portolan.key`. */
  readonly what: string;
  /** The object is a Secret: what the server says about it may hold parts of it and is not repeated. */
  readonly secret?: boolean;
}

interface Verdict {
  readonly retry?: { readonly delayMs?: number };
  /** The server may have done what was asked. */
  readonly uncertain: boolean;
}

const RETRIED_STATUSES = new Set([429, 500, 502, 503, 504]);
/** Nothing was sent: the connection never stood. */
const UNSENT = new Set([
  'ECONNREFUSED',
  'EAI_AGAIN',
  'ENETUNREACH',
  'EHOSTUNREACH',
  'ENOTFOUND',
  'UND_ERR_CONNECT_TIMEOUT',
]);
const BROKEN = new Set(['UND_ERR_SOCKET', 'UND_ERR_RES_CONTENT_LENGTH_MISMATCH', 'ECONNRESET', 'EPIPE', 'ETIMEDOUT']);
const LATE = new Set(['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'TimeoutError']);

const verdicts = new WeakMap<object, Verdict>();

export function decideRetry(failure: unknown): RetryDecision {
  return (failure instanceof Error ? verdicts.get(failure)?.retry : undefined) ?? 'give-up';
}

/** Whether the request may have been carried out all the same. */
export function isUncertain(failure: unknown): boolean {
  return failure instanceof Error && verdicts.get(failure)?.uncertain === true;
}

/** What an answer outside 2xx means. */
export function statusFailure(
  target: RequestTarget,
  answer: { readonly status: number; readonly body: Uint8Array; readonly retryAfterMs?: number },
): AdapterError {
  const { status } = answer;
  const said = decodeStatus(answer.body);
  const [code, hint] = statusVerdict(status, said);
  const error = new AdapterError(code, `Cannot ${target.what}: ${wordsOf(said, target, status)}`, {
    found: said.reason === '' ? `HTTP ${status}` : `HTTP ${status} ${said.reason}`,
    hint,
    at: { url: target.server },
  });
  if (RETRIED_STATUSES.has(status)) {
    const delayMs = answer.retryAfterMs ?? said.retryAfterMs;
    // 429 is said before anything is done; behind a 5xx anything may have happened.
    verdicts.set(error, { retry: delayMs === undefined ? {} : { delayMs }, uncertain: status !== 429 });
  }
  return error;
}

function wordsOf(said: ApiStatus, target: RequestTarget, status: number): string {
  if (target.secret === true && status !== 403 && status !== 404 && status !== 409) {
    const fields = said.causes.map(({ field, reason }) => [field, reason].filter(Boolean).join(' ')).join('; ');
    return [`the API server answered HTTP ${status}`, said.reason, fields].filter(Boolean).join(', ');
  }
  return said.message === '' ? `the API server answered HTTP ${status}` : said.message;
}

function statusVerdict(status: number, said: ApiStatus): [AdapterErrorCode, string] {
  if (status === 401) {
    return ['KUBERNETES_UNAUTHORIZED', 'Get a new kubeconfig, or log in to the cluster again.'];
  }
  if (status === 403) {
    return [
      'KUBERNETES_FORBIDDEN',
      /cannot \S+ resource/.test(said.message)
        ? 'Use a context whose user has this right, or have it granted.'
        : 'The user may do this, but a rule of the cluster (a quota, an admission policy) refuses it: see its words.',
    ];
  }
  if (status === 404) return ['KUBERNETES_NOT_FOUND', 'Check that its namespace exists and that the name is right.'];
  if (status === 409 && said.reason === 'AlreadyExists') {
    return ['KUBERNETES_EXISTS', 'Choose another name, or remove what is there if nobody needs it.'];
  }
  if (status === 409)
    return ['KUBERNETES_CONFLICT', 'Somebody else changed it at the same time: run the command again.'];
  if (status === 400 || status === 413 || status === 415 || status === 422) {
    return ['KUBERNETES_INVALID', 'Correct the object at the places that the API server names.'];
  }
  if (status === 410) return ['KUBERNETES_GONE', 'The list changed while it was read: run the command again.'];
  return ['KUBERNETES_FAILED', "Read the API server's own log, and run the command again."];
}

/** What went wrong below HTTP. Aborts and our own errors pass through. */
export function networkFailure(target: RequestTarget, cause: unknown, signal?: AbortSignal): unknown {
  // A time limit of ours ends a request through the same signal as a person does.
  if (signal?.aborted && !isTimeout(signal.reason)) return signal.reason;
  if (cause instanceof PortolanError || !(cause instanceof Error)) return cause;
  const code = innermostCode(cause);
  const [ours, text, hint] = networkVerdict(code, cause.message, target);
  const error = new AdapterError(ours, `Cannot ${target.what}: ${text}`, {
    cause,
    ...(code === undefined ? {} : { found: code }),
    hint,
    at: { url: target.server },
  });
  const isLate = code !== undefined && LATE.has(code);
  const isBroken = code !== undefined && BROKEN.has(code);
  const isUnsent = code !== undefined && UNSENT.has(code);
  if (isLate || isBroken || isUnsent) verdicts.set(error, { retry: {}, uncertain: !isUnsent });
  return error;
}

function networkVerdict(
  code: string | undefined,
  message: string,
  target: RequestTarget,
): [AdapterErrorCode, string, string] {
  const { server, context } = target;
  if (code !== undefined && /ALERT/.test(code) && /CERT|UNKNOWN_CA/.test(code)) {
    return [
      'KUBERNETES_UNAUTHORIZED',
      'the API server does not accept the client certificate',
      'Get a new kubeconfig: the certificate in this one ran out, or is of another cluster.',
    ];
  }
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'EPROTO' || code === 'ERR_SSL_PACKET_LENGTH_TOO_LONG') {
    return ['KUBERNETES_UNTRUSTED', `${server} does not speak TLS`, `Correct the server of context ${context}.`];
  }
  if (isCertificateCode(code)) {
    return [
      'KUBERNETES_UNTRUSTED',
      `the certificate of ${server} is not trusted`,
      'Get the kubeconfig again from the cluster: its certificate-authority-data or its server name is not of this server.',
    ];
  }
  if (code !== undefined && LATE.has(code)) {
    return [
      'KUBERNETES_UNREACHABLE',
      `${server} gave no answer in time`,
      'Check that the API server is well and that nothing on the way holds the connection up.',
    ];
  }
  const proxy = /Proxy response \((\d+)\)/.exec(message)?.[1];
  if (proxy !== undefined) {
    return [
      'KUBERNETES_UNREACHABLE',
      `the proxy on the way to ${server} answered HTTP ${proxy}`,
      'Name the API server in NO_PROXY if it is reached directly, else have the proxy let it pass.',
    ];
  }
  return [
    'KUBERNETES_UNREACHABLE',
    `there is no connection to ${server}`,
    `Check that the API server runs, and the server of context ${context}.`,
  ];
}

function isCertificateCode(code: string | undefined): boolean {
  return code !== undefined && !/ALERT/.test(code) && /CERT|SIGNATURE|ISSUER|^ERR_TLS|^ERR_SSL/.test(code);
}

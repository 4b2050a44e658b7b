import type { Digest } from '../../core/digest.ts';
import { PortolanError } from '../../core/errors.ts';
import { innermostCode, isTimeout } from '../../core/failure-cause.ts';
import { printable } from '../../core/printable.ts';
import type { RetryDecision } from '../../core/retry.ts';
import { AdapterError, type AdapterErrorCode } from '../errors.ts';
import { writeVerdict } from './write-verdict.ts';

/** Who was asked for what, as far as errors tell it. Holds no query string and no credentials. */
export interface RequestTarget {
  /** As the reference names it. */
  readonly host: string;
  readonly repository: string;
  /** What of the repository: `manifests/1.4.0`, `blobs/sha256:…`. */
  readonly what: string;
  /** What the account must be allowed there. Default `pull`. */
  readonly access?: 'pull' | 'push' | 'delete';
  /** A repository of the same registry that is read as well: a blob is mounted from it. */
  readonly mountFrom?: string;
  /** What is sent. */
  readonly digest?: Digest;
}

const MAX_DETAILS = 3;
const RETRIED_STATUSES = new Set([408, 429, 500, 502, 503, 504]);
const TIMEOUTS = new Set(['UND_ERR_CONNECT_TIMEOUT', 'UND_ERR_HEADERS_TIMEOUT', 'UND_ERR_BODY_TIMEOUT', 'ETIMEDOUT']);
/** Broken off, or not there yet: worth another try. */
const TRANSIENT = new Set([
  'UND_ERR_SOCKET',
  'UND_ERR_RES_CONTENT_LENGTH_MISMATCH',
  'ECONNRESET',
  'ECONNREFUSED',
  'EPIPE',
  'EAI_AGAIN',
  'ENETUNREACH',
  'EHOSTUNREACH',
]);

/** Failures that are worth another try, and how long the server asked us to wait. */
const retryable = new WeakMap<object, { readonly delayMs?: number }>();
const statuses = new WeakMap<object, number>();

export function decideRetry(failure: unknown): RetryDecision {
  return (failure instanceof Error ? retryable.get(failure) : undefined) ?? 'give-up';
}

/** The HTTP status that a failure tells of; `undefined` when there was no answer. */
export function answeredStatus(failure: unknown): number | undefined {
  return failure instanceof Error ? statuses.get(failure) : undefined;
}

/** What an answer outside 2xx means. `body` is the beginning of the answer's body. */
export function statusFailure(
  target: RequestTarget,
  answer: { readonly status: number; readonly body: Uint8Array; readonly retryAfterMs?: number; readonly from: string },
): AdapterError {
  const { status } = answer;
  const said = registryMessage(answer.body);
  const via = answer.from === target.host ? '' : `, redirected to ${answer.from},`;
  const text = `${target.host}${via} answered HTTP ${status} for ${target.repository} ${target.what}${said ? `: ${said}` : ''}`;
  const writes = target.access !== undefined && target.access !== 'pull';
  const [code, hint] = writes ? writeVerdict(status, answer.body, target) : verdict(status, target);
  // A digest in an error is a blob that is wrong: where the registry says so, not where it could not take it.
  const blamed = code === 'BLOB_DIGEST_MISMATCH' && target.digest !== undefined ? { digest: target.digest } : {};
  const error = new AdapterError(code, text, { found: `HTTP ${status}`, hint, at: { url: urlOf(target), ...blamed } });
  statuses.set(error, status);
  if (RETRIED_STATUSES.has(status) && code !== 'REGISTRY_FULL') {
    retryable.set(error, answer.retryAfterMs === undefined ? {} : { delayMs: answer.retryAfterMs });
  }
  return error;
}

function verdict(status: number, target: RequestTarget): [AdapterErrorCode, string] {
  if (status === 404 && target.what.startsWith('manifests/')) {
    return target.what.includes('sha256:')
      ? ['IMAGE_NOT_FOUND', 'The content may have been deleted there: push it again, or lock again.']
      : ['IMAGE_NOT_FOUND', 'Check the spelling of the repository and the tag, and that the image was pushed.'];
  }
  if (status === 404 && target.what.startsWith('blobs/')) {
    return ['BLOB_MISSING', 'The registry lost a part of the image: push the image again.'];
  }
  if (status === 401 || status === 403) {
    return [
      'REGISTRY_UNAUTHORIZED',
      `Log in to ${target.host} with your container tool, or check that the account may pull this repository and that it exists.`,
    ];
  }
  if (status === 429) return ['REGISTRY_THROTTLED', `Wait and run the command again, or log in to ${target.host}.`];
  if (status >= 500) return ['REGISTRY_FAILED', 'Try again later: what was fetched is kept.'];
  return ['REGISTRY_FAILED', "Read the registry's own message; check that the address is that of a registry."];
}

/** What went wrong below HTTP. Aborts and our own errors pass through. */
export function networkFailure(
  target: RequestTarget,
  cause: unknown,
  signal?: AbortSignal,
  plainHttpHint: PlainHttpHint = hintOfBundleYaml,
): unknown {
  // A time limit of ours ends a request through the same signal as a person does.
  if (signal?.aborted && !isTimeout(signal.reason)) return signal.reason;
  if (cause instanceof PortolanError || !(cause instanceof Error)) return cause;
  const code = innermostCode(cause);
  const [ours, text, hint] = networkVerdict(code, cause.message, target, plainHttpHint);
  const error = new AdapterError(ours, `${describe(target)}: ${text}`, {
    cause,
    ...(code === undefined ? {} : { found: code }),
    hint,
    at: { url: urlOf(target) },
  });
  if (ours === 'REGISTRY_TIMEOUT' || (code !== undefined && TRANSIENT.has(code))) retryable.set(error, {});
  return error;
}

function networkVerdict(
  code: string | undefined,
  message: string,
  target: RequestTarget,
  plainHttpHint: PlainHttpHint,
): [AdapterErrorCode, string, string] {
  if (code === 'ERR_SSL_WRONG_VERSION_NUMBER' || code === 'EPROTO') {
    return ['REGISTRY_UNTRUSTED', 'the port does not speak TLS', plainHttpHint(target.host)];
  }
  if (code !== undefined && /CERT|SIGNATURE|ISSUER|^ERR_TLS|^ERR_SSL/.test(code)) {
    return [
      'REGISTRY_UNTRUSTED',
      "the registry's certificate is not trusted",
      'Give the certificate authority with --ca-file, or use the name for which the certificate was issued.',
    ];
  }
  if (code === 'TimeoutError' || (code !== undefined && TIMEOUTS.has(code))) {
    return [
      'REGISTRY_TIMEOUT',
      'no answer in time',
      'Check the network and run the command again: what was fetched is kept.',
    ];
  }
  const proxy = /Proxy response \((\d+)\)/.exec(message)?.[1];
  if (proxy !== undefined) {
    return [
      'REGISTRY_UNREACHABLE',
      `the proxy answered HTTP ${proxy}`,
      'Check the proxy settings, and that the proxy allows this host.',
    ];
  }
  if (code === 'ENOTFOUND') {
    return [
      'REGISTRY_UNREACHABLE',
      'the host name is not known',
      'Check the spelling of the host, and the name server.',
    ];
  }
  return [
    'REGISTRY_UNREACHABLE',
    'the connection failed',
    'Check the host name, the port, the network and the proxy settings.',
  ];
}

/** How a person says that a host is meant to be reached without TLS. */
export type PlainHttpHint = (host: string) => string;

export const hintOfBundleYaml: PlainHttpHint = (host) =>
  `If ${host} is meant to speak plain HTTP, say so in bundle.yaml: registries: { "${host}": { plainHttp: true } }`;

/** The registry broke the protocol in a way that another try would not mend. */
export function protocolFailure(target: RequestTarget, text: string, found: string, hint?: string): AdapterError {
  return new AdapterError('REGISTRY_PROTOCOL', `${describe(target)}: ${text}`, {
    found: printable(found),
    hint: hint ?? 'Check that the address is a registry, and that no proxy in between alters its answers.',
    at: { url: urlOf(target) },
  });
}

/** `{"errors":[{"code":"DENIED","message":"…"}]}` (distribution specification, "Error Codes") or a token service's answer. */
function registryMessage(body: Uint8Array): string {
  let document: unknown;
  try {
    document = JSON.parse(new TextDecoder().decode(body));
  } catch {
    return '';
  }
  if (document === null || typeof document !== 'object') return '';
  const { errors, error, error_description, details, message } = document as Record<string, unknown>;
  if (Array.isArray(errors)) {
    const parts = errors
      .slice(0, MAX_DETAILS)
      .map((entry: { code?: unknown; message?: unknown } | null) =>
        [entry?.code, entry?.message].filter((part) => typeof part === 'string' && part !== '').join(' '),
      );
    return printable(parts.filter((part) => part !== '').join('; '));
  }
  const parts = [error, error_description, details, message].filter((part) => typeof part === 'string');
  return printable(parts.join(' '));
}

function describe(target: RequestTarget): string {
  return `${target.host}, ${`${target.repository} ${target.what}`.trim()}`;
}

function urlOf(target: RequestTarget): string {
  // The root of the API is no part of a repository.
  const parts = [target.repository, target.what.replace('/v2/', '')].filter((part) => part !== '');
  return `${target.host}/v2/${parts.join('/')}`;
}

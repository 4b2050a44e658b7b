import { printable } from '../../core/printable.ts';
import { AdapterError } from '../errors.ts';
import type { Connection } from './connection.ts';
import { protocolFailure } from './exchange.ts';

/** What was tried, and what must not be in a message. */
export interface Attempt {
  /** `the login`. */
  readonly what: string;
  readonly secrets?: readonly string[];
  readonly signal: AbortSignal | undefined;
}

/** Runs what the library does; its failures become ours. */
export async function attempt<T>(connection: Connection, attempted: Attempt, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    attempted.signal?.throwIfAborted();
    throw explained(connection, attempted, error);
  }
}

/** As OAuth 2.0 (RFC 6749, section 5.2) and OpenID Connect name what is wrong. */
const HINTS: Readonly<Record<string, string>> = {
  invalid_client: 'Check the client id, or the name of the service user and its secret.',
  unauthorized_client: "Allow this kind of login in the application's settings in ZITADEL (grant types).",
  unsupported_grant_type: "Allow this kind of login in the application's settings in ZITADEL (grant types).",
  invalid_scope: 'Check the project ids in the root.',
  invalid_grant: 'Log in again: the code was used before, or it took too long.',
  invalid_request: "Read the provider's own word, and compare the client and its redirect addresses with the root.",
};

function explained({ issuer, exchange }: Connection, { what, secrets = [] }: Attempt, error: unknown): unknown {
  const ours = causesOf(error).find((cause) => cause instanceof AdapterError);
  if (ours !== undefined) return ours;
  const { code, said } = oauthErrorOf(error);
  if (code === undefined) {
    if (!(error instanceof Error)) return error;
    const library = String((error as NodeJS.ErrnoException).code ?? '');
    // Without the cause: the library attaches tokens to its errors.
    return protocolFailure(issuer, `${problemOf(library, error.message)}${clockWords(exchange.clockAheadMs())}`);
  }
  const isSafe = (text: string) => !secrets.some((secret) => text.includes(secret));
  const told = said === '' || said === code || !isSafe(said) ? '' : `: ${printable(said, 200)}`;
  const found = isSafe(code) ? printable(code, 60) : 'an error with what was sent in it';
  if (code === 'expired_token') return loginTimeout(issuer);
  if (code === 'access_denied') return loginRefused(issuer, `${found}${told}`);
  return new AdapterError(
    'IDENTITY_PROVIDER_REFUSED',
    `${issuer}: the identity provider refused ${what}: ${found}${told}`,
    {
      found,
      at: { url: issuer },
      hint: HINTS[code] ?? "Read the provider's own word, and its log.",
    },
  );
}

function loginRefused(issuer: string, found: string): AdapterError {
  return new AdapterError('LOGIN_REFUSED', `${issuer}: the login was refused or given up`, {
    found,
    at: { url: issuer },
    hint: 'Log in again; if it is refused again, ask who looks after the identity provider.',
  });
}

export function loginTimeout(issuer: string): AdapterError {
  return new AdapterError('LOGIN_TIMEOUT', `${issuer}: nobody logged in in time`, {
    at: { url: issuer },
    hint: 'Run the command again, and log in within five minutes.',
  });
}

/** Worth a word from here on: tokens are taken for a few seconds of difference. */
const CLOCK_WORTH_A_WORD_MS = 5000;

/** `; the clock of this machine is 300 s behind the provider's`, where it may matter. */
export function clockWords(aheadMs: number | undefined): string {
  if (aheadMs === undefined || Math.abs(aheadMs) < CLOCK_WORTH_A_WORD_MS) return '';
  const seconds = Math.round(Math.abs(aheadMs) / 1000);
  return `; the clock of this machine is ${seconds} s ${aheadMs > 0 ? 'behind' : 'ahead of'} the provider's`;
}

function problemOf(code: string, message: string): string {
  if (code === 'OAUTH_JWT_TIMESTAMP_CHECK_FAILED') return 'the times in its token do not fit the time of this machine';
  if (code === 'OAUTH_JWT_CLAIM_COMPARISON_FAILED') return 'its token is for another login, client or issuer';
  return printable(message, 200);
}

function oauthErrorOf(error: unknown): { readonly code: string | undefined; readonly said: string } {
  const named = error as { readonly name?: string; readonly error?: unknown; readonly error_description?: unknown };
  if (named?.name === 'WWWAuthenticateChallengeError') return { code: 'invalid_client', said: '' };
  if (named?.name !== 'ResponseBodyError' && named?.name !== 'AuthorizationResponseError') {
    return { code: undefined, said: '' };
  }
  return { code: String(named.error), said: String(named.error_description ?? '') };
}

function causesOf(error: unknown): unknown[] {
  const causes: unknown[] = [];
  for (let cause = error; cause instanceof Error && causes.length < 6; cause = cause.cause) causes.push(cause);
  return causes;
}

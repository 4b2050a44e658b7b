import type { BrowserLoginRequest, Login } from '../../ports/identity-provider.ts';
import { AdapterError } from '../errors.ts';
import type { Client, Connection } from './connection.ts';
import { protocolFailure } from './exchange.ts';
import { attempt, loginTimeout } from './failure.ts';
import { CALLBACK_PATH, openLoopback } from './loopback.ts';

/** Nobody listens there: the person copies the address that the browser could not open. */
const PASTED_ADDRESS = `http://127.0.0.1:61080${CALLBACK_PATH}`;

interface Waiting {
  readonly signal: AbortSignal | undefined;
  readonly limitMs: number;
}

/** Authorization code with PKCE (RFC 7636), state and nonce. */
export async function logInByBrowser(
  connection: Connection,
  request: BrowserLoginRequest,
  { signal, limitMs }: Waiting,
): Promise<Login> {
  return attempt(connection, { what: 'the login', signal }, async () => {
    const client = await connection.client({ id: request.client, signal });
    const { library, configuration } = client;
    const verifier = library.randomPKCECodeVerifier();
    const state = library.randomState();
    const led = await ledBack(connection, client, request, { state, verifier, signal, limitMs });
    const tokens = await library.authorizationCodeGrant(configuration, led, {
      pkceCodeVerifier: verifier,
      expectedState: state,
      expectedNonce: request.nonce,
      idTokenExpected: true,
    });
    return loginOf(tokens, connection.issuer);
  });
}

/** @throws AdapterError IDENTITY_PROVIDER_PROTOCOL */
export function loginOf({ id_token }: { readonly id_token?: string | undefined }, issuer: string): Login {
  if (id_token === undefined) throw protocolFailure(issuer, 'it gave no ID token');
  return { idToken: id_token };
}

interface LoginParts extends Waiting {
  readonly state: string;
  readonly verifier: string;
}

/** The address to which the browser was led after the login. */
async function ledBack(connection: Connection, client: Client, request: BrowserLoginRequest, parts: LoginParts) {
  const { browser } = request;
  if (browser.kind === 'paste') {
    const address = await addressOf(client, request, parts, PASTED_ADDRESS);
    return pastedAddress(await browser.ask(address), parts.state, connection.issuer);
  }
  await using loopback = await openLoopback(parts.state);
  await browser.open(await addressOf(client, request, parts, loopback.redirectAddress));
  return await inTime(loopback.led, parts, connection.issuer);
}

async function addressOf(
  { library, configuration }: Client,
  { scopes, nonce, fresh }: BrowserLoginRequest,
  { state, verifier }: LoginParts,
  redirectAddress: string,
): Promise<string> {
  return library.buildAuthorizationUrl(configuration, {
    redirect_uri: redirectAddress,
    scope: scopes.join(' '),
    nonce,
    state,
    code_challenge: await library.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    ...(fresh ? { prompt: 'login', max_age: '0' } : {}),
  }).href;
}

async function inTime(led: Promise<URL>, { signal, limitMs }: Waiting, issuer: string): Promise<URL> {
  const limit = AbortSignal.timeout(limitMs);
  const stop = signal === undefined ? limit : AbortSignal.any([signal, limit]);
  const stopped = Promise.withResolvers<never>();
  const onAbort = () => stopped.reject(signal?.aborted ? signal.reason : loginTimeout(issuer));
  if (stop.aborted) onAbort();
  stop.addEventListener('abort', onAbort, { once: true });
  try {
    return await Promise.race([led, stopped.promise]);
  } finally {
    stop.removeEventListener('abort', onAbort);
  }
}

function pastedAddress(text: string, state: string, issuer: string): URL {
  const trimmed = text.trim();
  const url = URL.canParse(trimmed) ? new URL(trimmed) : undefined;
  const isOurs = url !== undefined && `${url.origin}${url.pathname}` === PASTED_ADDRESS;
  if (isOurs && url.searchParams.get('state') === state) return url;
  throw new AdapterError('LOGIN_ADDRESS_INVALID', 'this is not the address to which the browser was led', {
    expected: `${PASTED_ADDRESS}?… of this very login`,
    found: isOurs ? 'an address of another login' : 'another address',
    at: { url: issuer },
    hint: 'Run the command again, log in, and copy the whole address out of the address line of the browser, although the page cannot be shown.',
  });
}

import { type Challenge, parseChallenges } from '../../formats/oci/challenge.ts';
import type { AdapterError } from '../errors.ts';
import { hintOfBundleYaml, type PlainHttpHint, protocolFailure, type RequestTarget } from './failure.ts';
import { scopesFor } from './token-scope.ts';

/** What a person has for a registry. Never printed. */
export type Credentials =
  | { readonly kind: 'password'; readonly username: string; readonly password: string }
  /** An OAuth2 refresh token ("identity token" in config.json). */
  | { readonly kind: 'identity-token'; readonly token: string }
  /** A bearer token, used as it is. */
  | { readonly kind: 'registry-token'; readonly token: string };

/** Finds credentials for a host (`docker.io`, `registry.example:5000`) and a repository. */
export type CredentialLookup = (
  host: string,
  repository: string,
  options?: { readonly signal?: AbortSignal },
) => Promise<Credentials | undefined>;

/** A request to a token service. Its answer is at most some KiB; a redirect is not followed. */
export type TokenRequest = (
  url: URL,
  request: { readonly headers: Readonly<Record<string, string>>; readonly form?: URLSearchParams },
  target: RequestTarget,
  signal?: AbortSignal,
) => Promise<{ readonly status: number; readonly bytes: Uint8Array; fail(): AdapterError }>;

export interface Authorization {
  /** The header for a request, from what is known already. */
  current(target: RequestTarget): string | undefined;
  /** Answers a 401: a header to try again with, or `undefined` when there is nothing to try. */
  answer(
    target: RequestTarget,
    challenge: string | string[] | undefined,
    used: string | undefined,
    signal?: AbortSignal,
  ): Promise<string | undefined>;
}

const CLIENT_ID = 'portolan';
const MAX_TOKEN_LENGTH = 65_536;

export function createAuthorization(
  lookup: CredentialLookup,
  requestToken: TokenRequest,
  isPlainHttp: (host: string) => boolean,
  plainHttpHint: PlainHttpHint = hintOfBundleYaml,
): Authorization {
  const headers = new Map<string, string>();
  const asking = new Map<string, Promise<string | undefined>>();
  // Tokens are scoped to a repository and to what is done there. A password may be to the first (containers' auth.json).
  const keyOf = ({ host, repository, access = 'pull', mountFrom = '' }: RequestTarget): string =>
    `${host}/${repository} ${access} ${mountFrom}`;

  const ask = async (
    target: RequestTarget,
    challenge: string | string[] | undefined,
    signal?: AbortSignal,
  ): Promise<string | undefined> => {
    const challenges = parseChallenges(challenge);
    const bearer = challenges.find(({ scheme }) => scheme === 'bearer');
    const basic = challenges.find(({ scheme }) => scheme === 'basic');
    const credentials = await lookup(target.host, target.repository, signal === undefined ? {} : { signal });
    if (bearer) return askTokenService(target, bearer, credentials, signal);
    if (credentials?.kind === 'registry-token') return `Bearer ${credentials.token}`;
    return basic && credentials?.kind === 'password' ? basicHeader(credentials) : undefined;
  };

  const askTokenService = async (
    target: RequestTarget,
    challenge: Challenge,
    credentials: Credentials | undefined,
    signal?: AbortSignal,
  ): Promise<string> => {
    if (credentials?.kind === 'registry-token') return `Bearer ${credentials.token}`;
    const realm = realmOf(target, challenge, isPlainHttp, plainHttpHint);
    const service = challenge.parameters.get('service');
    const scopes = scopesFor(target, challenge.parameters.get('scope'));
    const form = (grant: Record<string, string>) =>
      new URLSearchParams({
        ...grant,
        client_id: CLIENT_ID,
        ...(service === undefined ? {} : { service }),
        scope: scopes.join(' '),
      });
    let answer: Awaited<ReturnType<TokenRequest>>;
    if (credentials?.kind === 'identity-token') {
      const body = form({ grant_type: 'refresh_token', refresh_token: credentials.token });
      answer = await requestToken(realm, { headers: {}, form: body }, target, signal);
    } else {
      const url = new URL(realm);
      if (service !== undefined) url.searchParams.set('service', service);
      for (const scope of scopes) url.searchParams.append('scope', scope);
      const password = credentials?.kind === 'password' ? credentials : undefined;
      answer = await requestToken(
        url,
        { headers: password ? { authorization: basicHeader(password) } : {} },
        target,
        signal,
      );
      // Some services know the OAuth2 form alone.
      if (password && (answer.status === 404 || answer.status === 405)) {
        const body = form({ grant_type: 'password', username: password.username, password: password.password });
        answer = await requestToken(realm, { headers: {}, form: body }, target, signal);
      }
    }
    if (answer.status !== 200) throw answer.fail();
    return `Bearer ${tokenOf(target, answer.bytes)}`;
  };

  return {
    current: (target) => headers.get(keyOf(target)),
    async answer(target, challenge, used, signal) {
      const key = keyOf(target);
      for (;;) {
        const known = headers.get(key);
        if (known !== undefined && known !== used) return known; // Another request was quicker.
        const other = asking.get(key);
        if (!other) break;
        // One question serves all who wait. If it fails, for instance because its asker was stopped, it is our turn.
        const header = await other.catch(() => undefined);
        signal?.throwIfAborted();
        if (header !== undefined) return header;
      }
      headers.delete(key);
      const work = ask(target, challenge, signal);
      asking.set(key, work);
      try {
        const header = await work;
        if (header !== undefined && header !== used) headers.set(key, header);
        return header;
      } finally {
        asking.delete(key);
      }
    },
  };
}

/** The token service's address. A registry must not be able to have a password sent in the clear. */
function realmOf(
  target: RequestTarget,
  challenge: Challenge,
  isPlainHttp: (host: string) => boolean,
  plainHttpHint: PlainHttpHint,
): URL {
  const text = challenge.parameters.get('realm') ?? '';
  const realm = URL.canParse(text) ? new URL(text) : undefined;
  if (!realm || !/^https?:$/.test(realm.protocol) || realm.username !== '' || realm.password !== '') {
    throw protocolFailure(target, 'the registry names no usable token service', text);
  }
  if (realm.protocol === 'http:' && !isPlainHttp(target.host) && !isPlainHttp(realm.host)) {
    throw protocolFailure(
      target,
      'the token service is offered over plain HTTP',
      realm.origin,
      plainHttpHint(realm.host),
    );
  }
  return realm;
}

function basicHeader(credentials: { readonly username: string; readonly password: string }): string {
  return `Basic ${Buffer.from(`${credentials.username}:${credentials.password}`).toString('base64')}`;
}

function tokenOf(target: RequestTarget, bytes: Uint8Array): string {
  let document: { token?: unknown; access_token?: unknown } | null;
  try {
    document = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    document = null; // The parser's message would quote the token.
  }
  const token = document?.token ?? document?.access_token;
  if (typeof token === 'string' && token.length <= MAX_TOKEN_LENGTH && /^[\x21-\x7e]+$/.test(token)) return token;
  throw protocolFailure(target, 'the token service gave no token', typeof token);
}

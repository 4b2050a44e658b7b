import { createPublicKey, randomBytes } from 'node:crypto';
import { decodeJwt, decodeProtectedHeader, type JWTPayload, jwtVerify } from 'jose';
import { audienceOf, type Directory, ROLES_SCOPE, roleClaims, type ServiceAccountEntry } from './directory.ts';
import type { SigningKeys } from './signing-keys.ts';

/** What the token endpoint answers. */
export interface TokenAnswer {
  readonly status: number;
  readonly body: Readonly<Record<string, unknown>>;
}

export interface ServiceTokens {
  /** The answer to a service account (RFC 7523, client credentials); `undefined` for what is none. */
  answer(body: URLSearchParams, authorization: string | undefined): Promise<TokenAnswer | undefined>;
  /** Whose opaque or signed access token this is, of those that ZITADEL's own API takes. */
  apiCaller(token: string): ServiceAccountEntry | undefined;
}

export interface ServiceTokensSettings {
  readonly issuer: string;
  readonly directory: Directory;
  readonly keys: SigningKeys;
  /** Seconds since 1970, by the provider's clock. */
  readonly now: () => number;
  /** Life of an access token. */
  readonly seconds: () => number;
  readonly actionClaims: (account: ServiceAccountEntry) => JWTPayload;
}

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';
const AHEAD_SECONDS = 2;
const OLDEST_SECONDS = 3600;

/** ZITADEL does not tell what is wrong with an assertion. */
const INTERNAL: TokenAnswer = {
  status: 500,
  body: { error: 'server_error', error_description: 'Errors.Internal' },
};

export function createServiceTokens(settings: ServiceTokensSettings): ServiceTokens {
  const { issuer, directory, keys, now } = settings;
  const callers = new Map<string, ServiceAccountEntry>();

  async function accessToken(account: ServiceAccountEntry, scopes: readonly string[]): Promise<string> {
    const audience = audienceOf(directory, scopes);
    const roles = scopes.includes(ROLES_SCOPE) ? audience : [];
    const token =
      account.tokenType === 'opaque'
        ? randomBytes(64).toString('base64url')
        : await keys.sign({
            iss: issuer,
            sub: account.id,
            aud: audience,
            exp: now() + settings.seconds(),
            iat: now(),
            nbf: now(),
            client_id: account.id,
            jti: randomBytes(12).toString('hex'),
            ...roleClaims(directory, account, { projects: roles }),
            ...settings.actionClaims(account),
          });
    if (audience.includes(directory.projects.zitadel)) callers.set(token, account);
    return token;
  }

  async function granted(account: ServiceAccountEntry, body: URLSearchParams): Promise<TokenAnswer> {
    const scopes = (body.get('scope') ?? '').split(' ').filter((scope) => scope !== '');
    // Its life is that of an application, and there is none.
    const expired = { iss: issuer, sub: account.id, aud: [], exp: now(), iat: now(), azp: account.id };
    return {
      status: 200,
      body: {
        access_token: await accessToken(account, scopes),
        token_type: 'Bearer',
        expires_in: settings.seconds() - 1,
        ...(scopes.includes('openid') ? { id_token: await keys.sign(expired) } : {}),
      },
    };
  }

  async function byAssertion(body: URLSearchParams): Promise<TokenAnswer> {
    const account = await verified(body.get('assertion') ?? '').catch(() => undefined);
    return account === undefined ? INTERNAL : granted(account, body);
  }

  async function verified(assertion: string): Promise<ServiceAccountEntry | undefined> {
    const claims = decodeJwt(assertion);
    const account = directory.accounts.get(claims.sub ?? '');
    const { kid } = decodeProtectedHeader(assertion);
    if (account?.publicKey === undefined || !account.active || kid !== account.keyId) return undefined;
    await jwtVerify(assertion, createPublicKey(account.publicKey), {
      algorithms: ['RS256'],
      audience: issuer,
      issuer: account.id,
      currentDate: new Date(now() * 1000),
    });
    const issued = claims.iat ?? 0;
    return issued > now() + AHEAD_SECONDS || issued < now() - OLDEST_SECONDS ? undefined : account;
  }

  function bySecret(body: URLSearchParams, authorization: string | undefined): Promise<TokenAnswer> | TokenAnswer {
    const [id, secret] = credentialsOf(body, authorization);
    const account = [...directory.accounts.values()].find(({ clientId }) => clientId === id);
    if (account === undefined) return refused(401, 'invalid_client', 'client not found');
    if (secret !== account.clientSecret) return refused(400, 'invalid_request', 'Errors.User.Machine.Secret.Invalid');
    return granted(account, body);
  }

  return {
    async answer(body, authorization) {
      if (body.get('grant_type') === JWT_BEARER) return byAssertion(body);
      return body.get('grant_type') === 'client_credentials' ? bySecret(body, authorization) : undefined;
    },
    apiCaller: (token) => callers.get(token),
  };
}

function refused(status: number, error: string, description: string): TokenAnswer {
  return { status, body: { error, error_description: description } };
}

function credentialsOf(body: URLSearchParams, authorization: string | undefined): readonly [string, string] {
  const basic = /^Basic (.+)$/.exec(authorization ?? '')?.[1];
  if (basic === undefined) return [body.get('client_id') ?? '', body.get('client_secret') ?? ''];
  const [id = '', secret = ''] = Buffer.from(basic, 'base64').toString().split(':');
  const decode = (text: string) => decodeURIComponent(text.replaceAll('+', ' '));
  return [decode(id), decode(secret)];
}

import { createPrivateKey } from 'node:crypto';
import { decodeJwt, SignJWT } from 'jose';
import { printable } from '../../core/printable.ts';
import type { ServiceAccount, ServiceToken, TokenAudience } from '../../ports/identity-provider.ts';
import { AdapterError } from '../errors.ts';
import type { Connection } from './connection.ts';
import type { Answer } from './exchange.ts';
import { attempt, clockWords } from './failure.ts';

const JWT_BEARER = 'urn:ietf:params:oauth:grant-type:jwt-bearer';

/** ZITADEL takes an assertion up to an hour old, and none that is of the future: clocks may differ by so much both ways. */
const BEFORE_SECONDS = 30;
const BEHIND_SECONDS = 30;

/** Of tokens that say nothing of their life. */
const SHORTEST_LIFE_SECONDS = 60;

export async function fetchServiceToken(
  connection: Connection,
  account: ServiceAccount,
  audience: TokenAudience,
  signal: AbortSignal | undefined,
): Promise<ServiceToken> {
  // Not `openid`: the ID token that ZITADEL adds to the JWT profile has expired when it is issued.
  const scope =
    audience.kind === 'api'
      ? 'urn:zitadel:iam:org:project:id:zitadel:aud'
      : `urn:zitadel:iam:org:project:id:${audience.project}:aud urn:zitadel:iam:org:projects:roles`;
  const asked = connection.now();
  const answer =
    account.kind === 'key'
      ? await byAssertion(connection, account, scope, signal)
      : await bySecret(connection, account, scope, signal);
  if (audience.kind === 'storage') requireForStorage(answer.access_token, audience.project, connection.issuer);
  const lifeSeconds = answer.expires_in ?? SHORTEST_LIFE_SECONDS;
  return { token: answer.access_token, expiresAt: asked + lifeSeconds * 1000 };
}

type KeyAccount = Extract<ServiceAccount, { kind: 'key' }>;
type SecretAccount = Extract<ServiceAccount, { kind: 'secret' }>;

/** The JWT profile (RFC 7523, section 2.1) as ZITADEL wants it. */
async function byAssertion(
  connection: Connection,
  account: KeyAccount,
  scope: string,
  signal: AbortSignal | undefined,
) {
  const { issuer } = connection;
  const seconds = Math.floor(connection.now() / 1000);
  const assertion = await new SignJWT()
    .setProtectedHeader({ alg: 'RS256', kid: account.keyId })
    .setIssuer(account.userId)
    .setSubject(account.userId)
    .setAudience(issuer)
    .setIssuedAt(seconds - BEFORE_SECONDS)
    .setExpirationTime(seconds + BEHIND_SECONDS)
    .sign(createPrivateKey(account.privateKey));
  return attempt(connection, { what: 'the service account', secrets: [assertion], signal }, async () => {
    const meaningOf = (answer: Answer) => assertionRefused(connection, account, answer);
    const { library, configuration } = await connection.client({
      id: account.userId,
      anonymous: true,
      signal,
      meaningOf,
    });
    return library.genericGrantRequest(configuration, JWT_BEARER, { assertion, scope });
  });
}

async function bySecret(
  connection: Connection,
  account: SecretAccount,
  scope: string,
  signal: AbortSignal | undefined,
) {
  const { clientId: id, clientSecret: secret } = account;
  return attempt(connection, { what: 'the service account', secrets: [secret], signal }, async () => {
    const { library, configuration } = await connection.client({ id, secret, signal });
    return library.clientCredentialsGrant(configuration, { scope });
  });
}

/** ZITADEL answers HTTP 500 to every assertion that is not right, with nothing about what is wrong. */
function assertionRefused({ issuer, exchange }: Connection, account: KeyAccount, { status, body }: Answer) {
  if (status !== 500 || !/"error"\s*:\s*"server_error"/.test(body)) return undefined;
  const clock = clockWords(exchange.clockAheadMs());
  return new AdapterError(
    'IDENTITY_PROVIDER_REFUSED',
    `${issuer}: the identity provider does not take the key of the service account, or has failed itself; it does not say which${clock}`,
    {
      expected: `the user ${account.userId}, active, with the key ${account.keyId}, and the issuer ${issuer} spelled as the provider spells it`,
      found: 'HTTP 500 server_error',
      at: { url: issuer },
      hint:
        clock === ''
          ? 'Look in ZITADEL whether user and key are there and have not expired, and compare the issuer in the root with the one of its discovery; then look at its log.'
          : 'Set the clock of this machine, or that of the provider: they may differ by less than half a minute.',
    },
  );
}

/** The storage reads the token: it must be one that can be read, and be meant for it. */
function requireForStorage(token: string, project: string, issuer: string): void {
  const audience = audienceOf(token);
  if (audience === undefined) {
    throw new AdapterError('ACCESS_TOKEN_OPAQUE', `${issuer}: the access token of the service account is opaque`, {
      expected: 'a JWT, which the storage can check',
      at: { url: issuer },
      hint: 'Set the access token type of the service user to JWT in ZITADEL.',
    });
  }
  if (audience.includes(project)) return;
  throw new AdapterError('ACCESS_TOKEN_AUDIENCE_WRONG', `${issuer}: the access token is not meant for the storage`, {
    expected: project,
    found: printable(audience.join(', ')) || 'no audience',
    at: { url: issuer },
    hint: 'Check the storage project in the root: it is the id of the project whose audience the storage trusts.',
  });
}

function audienceOf(token: string): readonly string[] | undefined {
  try {
    return [decodeJwt(token).aud ?? []].flat();
  } catch {
    return undefined;
  }
}

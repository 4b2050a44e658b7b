import { generateKeyPairSync } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { decodeJwt, type JWTPayload } from 'jose';
import Provider, { type Configuration, type KoaContextWithOIDC } from 'oidc-provider';
import { audienceOf, type Directory, type PersonEntry, ROLES_SCOPE, roleClaims } from './directory.ts';
import type { SigningKeys } from './signing-keys.ts';
import { createStorage } from './storage.ts';

export interface BrowserLoginSettings {
  readonly issuer: string;
  readonly directory: Directory;
  readonly keys: SigningKeys;
  readonly now: () => number;
  /** Life of an ID token. */
  readonly idTokenSeconds: () => number;
  /** Whether the setting "User Info inside ID Token" of the applications is on. */
  readonly profileInIdToken: () => boolean;
  /** The last word on the claims of an ID token. */
  readonly alterIdToken: () => ((claims: JWTPayload) => JWTPayload) | undefined;
  /** Between two questions of the device flow. */
  readonly deviceIntervalSeconds: number;
}

export interface BrowserLogin {
  readonly handle: (request: IncomingMessage, response: ServerResponse) => void;
  /** The page on which a person says who he is. */
  readonly loginPage: (request: IncomingMessage, response: ServerResponse, body: URLSearchParams) => Promise<void>;
}

export const LOGIN_PATH = '/ui/login';

/** The authorization code and device flows of the certified provider, its ID tokens in the shape of ZITADEL's. */
export function createBrowserLogin(settings: BrowserLoginSettings): BrowserLogin {
  const { directory } = settings;
  const provider = new Provider(settings.issuer, configurationOf(settings));
  provider.use(async (context, next) => {
    await next();
    const answer = (context as { body?: Record<string, unknown> }).body;
    if (context.oidc?.route === 'device_authorization' && answer?.device_code !== undefined) {
      answer.interval = settings.deviceIntervalSeconds;
    }
    if (context.oidc?.route === 'token' && typeof answer?.id_token === 'string') {
      answer.id_token = await shapedIdToken(settings, context as KoaContextWithOIDC, answer.id_token);
    }
  });

  return {
    handle: provider.callback(),
    async loginPage(request, response, body) {
      const { params, uid } = await provider.interactionDetails(request, response);
      if (request.method === 'GET') return respondWithForm(response, `${LOGIN_PATH}/${uid}`);
      const person = directory.people.get(body.get('login') ?? '');
      if (person === undefined || !person.active) {
        const denied = { error: 'access_denied', error_description: 'Errors.User.NotFound' };
        return provider.interactionFinished(request, response, denied);
      }
      const grant = new provider.Grant({ accountId: person.id, clientId: String(params.client_id) });
      grant.addOIDCScope(String(params.scope));
      const ts = settings.now() - person.loggedInSecondsAgo;
      await provider.interactionFinished(request, response, {
        login: { accountId: person.id, ts, amr: methodsOf(person) },
        consent: { grantId: await grant.save() },
      });
    },
  };
}

/** The values that ZITADEL has for a password, and for a password with a one-time code. */
function methodsOf(person: PersonEntry): string[] {
  return person.secondFactor ? ['pwd', 'otp', 'mfa'] : ['pwd'];
}

const OWN_KEY = generateKeyPairSync('rsa', { modulusLength: 2048 }).privateKey;

function configurationOf({ directory, deviceIntervalSeconds: _, ...settings }: BrowserLoginSettings): Configuration {
  const publicClient = {
    application_type: 'native',
    token_endpoint_auth_method: 'none',
    redirect_uris: ['http://127.0.0.1/callback', 'http://127.0.0.1/auth/callback'],
    response_types: ['code'],
  } as const;
  return {
    clients: [
      { ...publicClient, client_id: directory.clients.enrolment, grant_types: ['authorization_code'] },
      {
        ...publicClient,
        client_id: directory.clients.login,
        grant_types: ['authorization_code', 'urn:ietf:params:oauth:grant-type:device_code'],
      },
    ],
    // What it signs is signed again, by keys that can be rotated while it runs.
    jwks: { keys: [OWN_KEY.export({ format: 'jwk' })] },
    adapter: createStorage(),
    scopes: [
      ...['openid', 'profile', 'email', 'offline_access', ROLES_SCOPE],
      ...Object.values(directory.projects).map((project) => `urn:zitadel:iam:org:project:id:${project}:aud`),
    ],
    pkce: { required: () => true },
    features: {
      devInteractions: { enabled: false },
      deviceFlow: {
        enabled: true,
        userCodeConfirmSource: page,
        successSource: (context) => page(context, 'logged in'),
        // Not the form again: the person who was refused would send it for ever.
        userCodeInputSource: (context, form, _out, error) => page(context, error === undefined ? form : 'refused'),
      },
    },
    interactions: { url: (_context, interaction) => `${LOGIN_PATH}/${interaction.uid}` },
    findAccount: (_context, id) => {
      const person = directory.people.get(id);
      return person?.active ? { accountId: id, claims: () => ({ sub: id }) } : undefined;
    },
    cookies: { keys: ['of the tests'] },
    routes: {
      authorization: '/oauth/v2/authorize',
      token: '/oauth/v2/token',
      jwks: '/oauth/v2/keys',
      device_authorization: '/oauth/v2/device_authorization',
      code_verification: '/device',
      userinfo: '/oidc/v1/userinfo',
      end_session: '/oidc/v1/end_session',
    },
    ttl: {
      AccessToken: 43_200,
      AuthorizationCode: 60,
      DeviceCode: 300,
      Grant: 3600,
      IdToken: () => settings.idTokenSeconds(),
      Interaction: 600,
      Session: 3600,
    },
  };
}

function page(context: KoaContextWithOIDC, form: string): void {
  context.type = 'html';
  context.body = `<!doctype html><body>${form}</body>`;
}

function respondWithForm(response: ServerResponse, action: string): void {
  response.writeHead(200, { 'Content-Type': 'text/html' });
  response.end(`<form method="post" action="${action}"><input type="text" name="login"/></form>`);
}

/** The claims of ZITADEL: all clients of the project and the project as the audience, roles, methods, time of the login. */
async function shapedIdToken(settings: BrowserLoginSettings, context: KoaContextWithOIDC, token: string) {
  const { directory, keys, now } = settings;
  const { sub, nonce, at_hash } = decodeJwt(token);
  const entities = context.oidc.entities;
  const source = entities.AuthorizationCode ?? entities.DeviceCode;
  const client = context.oidc.client?.clientId ?? '';
  const project = client === directory.clients.enrolment ? directory.projects.enrolment : directory.projects.login;
  const scopes = source?.scopes ?? new Set();
  const audience = [project, ...audienceOf(directory, scopes)];
  const person = directory.people.get(sub ?? '');
  if (person === undefined) throw new Error('an ID token of nobody');
  const claims: JWTPayload = {
    iss: settings.issuer,
    sub: person.id,
    aud: [client, ...audience],
    exp: now() + settings.idTokenSeconds(),
    iat: now(),
    auth_time: source?.authTime,
    // The device flow of ZITADEL does not give a nonce back.
    ...(entities.DeviceCode === undefined && nonce !== undefined ? { nonce } : {}),
    amr: source?.amr,
    azp: client,
    client_id: client,
    at_hash,
    ...roleClaims(directory, person, { projects: scopes.has(ROLES_SCOPE) ? audience : [project], own: project }),
    ...(settings.profileInIdToken() ? { name: person.name, preferred_username: person.name } : {}),
  };
  return keys.sign(settings.alterIdToken()?.(claims) ?? claims);
}

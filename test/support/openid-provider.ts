/**
 * An OpenID provider on loopback in the shape of ZITADEL v4: the code and device flows are those of the certified provider
 * oidc-provider; keys, claims, service accounts, errors and the API for users and grants are as ZITADEL has them. All of it can be
 * changed while it runs.
 */
import { readFile } from 'node:fs/promises';
import { createServer, type IncomingMessage, type ServerResponse } from 'node:http';
import { createServer as createTlsServer } from 'node:https';
import type { Socket } from 'node:net';
import { Readable } from 'node:stream';
import { buffer } from 'node:stream/consumers';
import type { JWTPayload } from 'jose';
import { freePort } from './free-port.ts';
import { createBrowserLogin, LOGIN_PATH } from './openid-provider/browser-login.ts';
import {
  addPerson,
  addServiceAccount,
  type Directory,
  type NewPerson,
  type NewServiceAccount,
  newDirectory,
  type ServiceAccountEntry,
} from './openid-provider/directory.ts';
import { type Person, personOf } from './openid-provider/person.ts';
import { createServiceTokens } from './openid-provider/service-tokens.ts';
import { createSigningKeys, type SigningKeys } from './openid-provider/signing-keys.ts';
import { answerZitadelApi } from './openid-provider/zitadel-api.ts';
import type { PrivateCertificate } from './private-certificate.ts';

export type { ServiceAccountEntry } from './openid-provider/directory.ts';
export type { Person } from './openid-provider/person.ts';

export interface OpenIdProvider extends AsyncDisposable {
  /** Without a slash at its end. */
  readonly issuer: string;
  /** For clients, where it speaks TLS. */
  readonly caFile: string | undefined;
  readonly organization: Directory['organization'];
  /** Project ids. */
  readonly projects: Directory['projects'];
  /** Client ids. */
  readonly clients: Directory['clients'];
  /** The claim with the enrolment project's roles. */
  readonly roleClaim: string;
  readonly keys: SigningKeys;
  addPerson(person: NewPerson): Person;
  addServiceAccount(account: NewServiceAccount): ServiceAccountEntry;
  /** Like a deletion in ZITADEL. */
  removeUser(id: string): void;
  /** What may be changed at any time. */
  readonly settings: OpenIdProviderSettings;
  /** Every request so far: `POST /oauth/v2/token`. */
  readonly requests: string[];
  /** Refuses connections, until `up`. */
  down(): Promise<void>;
  up(): Promise<void>;
}

export interface OpenIdProviderSettings {
  idTokenSeconds: number;
  accessTokenSeconds: number;
  /** How far its clock is ahead. */
  clockOffsetSeconds: number;
  /** Answers everything with this status, and with what `brokenBody` says. */
  brokenStatus: number | undefined;
  brokenBody: string;
  /** Leads whoever asks for this path elsewhere. */
  redirect: { readonly path: string; readonly status: number; readonly to: string } | undefined;
  profileInIdToken: boolean;
  /** The last word on the claims of every ID token of a person. */
  alterIdToken: ((claims: JWTPayload) => JWTPayload) | undefined;
  /** What an action of ZITADEL (version 2, function `preaccesstoken`) adds to the access token of a service account. */
  actionClaims: ((account: ServiceAccountEntry) => JWTPayload) | undefined;
  /** The next so many questions of the device flow are answered with `slow_down`. */
  slowDowns: number;
  /** The largest page of its API. */
  apiPageSize: number;
}

export interface OpenIdProviderOptions {
  /** Speaks TLS with it. */
  readonly certificate?: PrivateCertificate;
  /** Between two questions of the device flow; 1. */
  readonly deviceIntervalSeconds?: number;
}

export async function startOpenIdProvider(options: OpenIdProviderOptions = {}): Promise<OpenIdProvider> {
  const port = await freePort();
  const issuer = `${options.certificate === undefined ? 'http' : 'https'}://127.0.0.1:${port}`;
  const directory = newDirectory();
  const keys = createSigningKeys();
  const settings: OpenIdProviderSettings = {
    idTokenSeconds: 43_200,
    accessTokenSeconds: 43_200,
    clockOffsetSeconds: 0,
    brokenStatus: undefined,
    brokenBody: '{"error":"server_error","error_description":"Errors.Internal"}',
    redirect: undefined,
    profileInIdToken: false,
    alterIdToken: undefined,
    actionClaims: undefined,
    slowDowns: 0,
    apiPageSize: 100,
  };
  const requests: string[] = [];
  const now = () => Math.floor(Date.now() / 1000) + settings.clockOffsetSeconds;
  const services = createServiceTokens({
    issuer,
    directory,
    keys,
    now,
    seconds: () => settings.accessTokenSeconds,
    actionClaims: (account) => settings.actionClaims?.(account) ?? {},
  });
  const login = createBrowserLogin({
    issuer,
    directory,
    keys,
    now,
    idTokenSeconds: () => settings.idTokenSeconds,
    profileInIdToken: () => settings.profileInIdToken,
    alterIdToken: () => settings.alterIdToken,
    deviceIntervalSeconds: options.deviceIntervalSeconds ?? 1,
  });

  const handle = async (request: IncomingMessage, response: ServerResponse) => {
    const path = new URL(request.url ?? '/', issuer).pathname;
    requests.push(`${request.method} ${path}`);
    response.setHeader('Date', new Date(now() * 1000).toUTCString());
    const body = await buffer(request);
    if (settings.brokenStatus !== undefined) return respond(response, settings.brokenStatus, settings.brokenBody);
    if (path === settings.redirect?.path) {
      return response.writeHead(settings.redirect.status, { Location: settings.redirect.to }).end();
    }
    if (path === '/oauth/v2/keys') return respond(response, 200, JSON.stringify(keys.jwks()));
    if (path.startsWith(`${LOGIN_PATH}/`)) {
      return login.loginPage(request, response, new URLSearchParams(body.toString()));
    }
    const answer =
      path === '/oauth/v2/token'
        ? await answerToken(new URLSearchParams(body.toString()), request.headers.authorization)
        : answerZitadelApi({ path, body, authorization: request.headers.authorization }, directory, services, settings);
    if (answer !== undefined) return respond(response, answer.status, JSON.stringify(answer.body));
    login.handle(replayed(request, body), response);
  };

  const answerToken = async (body: URLSearchParams, authorization: string | undefined) => {
    if (body.get('grant_type')?.endsWith(':device_code') && settings.slowDowns > 0) {
      settings.slowDowns -= 1;
      return { status: 400, body: { error: 'slow_down', error_description: 'polling should be slower' } };
    }
    return services.answer(body, authorization);
  };

  const listen = await createListener(port, options.certificate, (request, response) => {
    handle(request, response).catch((cause: unknown) => respond(response, 500, String(cause)));
  });
  let stop = await listen();
  return {
    issuer,
    caFile: options.certificate?.caFile,
    organization: directory.organization,
    projects: directory.projects,
    clients: directory.clients,
    roleClaim: `urn:zitadel:iam:org:project:${directory.projects.enrolment}:roles`,
    keys,
    settings,
    requests,
    addPerson: (person) => personOf(addPerson(directory, person), options.certificate?.caFile),
    addServiceAccount: (account) => addServiceAccount(directory, account),
    removeUser(id) {
      directory.people.delete(id);
      directory.accounts.delete(id);
    },
    down: () => stop(),
    async up() {
      stop = await listen();
    },
    [Symbol.asyncDispose]: () => stop(),
  };
}

function respond(response: ServerResponse, status: number, body: string): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(body);
}

/** A request whose body was read, to be read again. */
function replayed(request: IncomingMessage, body: Buffer): IncomingMessage {
  const { headers, rawHeaders, method, url, socket, httpVersion, httpVersionMajor, httpVersionMinor } = request;
  const again = Readable.from(body.length === 0 ? [] : [body], { objectMode: false });
  return Object.assign(again, {
    ...{ headers, rawHeaders, method, url, socket, httpVersion, httpVersionMajor, httpVersionMinor },
    complete: true,
  }) as unknown as IncomingMessage;
}

/** Gives a function that listens and gives one that stops and breaks connections. */
async function createListener(
  port: number,
  certificate: PrivateCertificate | undefined,
  handler: (request: IncomingMessage, response: ServerResponse) => void,
) {
  const tls =
    certificate === undefined
      ? undefined
      : { cert: await readFile(certificate.certificate), key: await readFile(certificate.key) };
  return async (): Promise<() => Promise<void>> => {
    const server = tls === undefined ? createServer(handler) : createTlsServer(tls, handler);
    const sockets = new Set<Socket>();
    server.on('connection', (socket: Socket) => {
      sockets.add(socket);
      socket.on('close', () => sockets.delete(socket)).on('error', () => {});
    });
    server.on('tlsClientError', () => {});
    await new Promise<void>((resolve, reject) => {
      server.once('error', reject);
      server.listen(port, '127.0.0.1', resolve);
    });
    return async () => {
      if (!server.listening) return;
      const closed = new Promise((resolve) => server.close(resolve));
      for (const socket of sockets) socket.destroy();
      await closed;
    };
  };
}

import { createPrivateKey, randomUUID, sign, X509Certificate } from 'node:crypto';
import { readFile } from 'node:fs/promises';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';

/** What the distribution project's registry wants of a token service (its "Token Authentication Specification"). */
export interface TokenService {
  readonly settings: { readonly realm: string; readonly service: string; readonly issuer: string };
  close(): Promise<void>;
}

const ISSUER = 'token service of the tests';
const LIFE_SECONDS = 60;
const ALLOWED = /^repository:(cms\/[a-z/]+):([a-z,]+)$/;

/** Signs with the key of its own certificate, whose authority the registry trusts. */
export async function startTokenService(
  files: { readonly key: string; readonly certificate: string },
  account: { readonly service: string; readonly username: string; readonly password: string },
): Promise<TokenService> {
  const [key, cert] = await Promise.all([readFile(files.key, 'utf8'), readFile(files.certificate, 'utf8')]);
  const secret = `Basic ${Buffer.from(`${account.username}:${account.password}`).toString('base64')}`;
  const server = createServer({ key, cert }, (request, response) => {
    if (request.headers.authorization !== secret) return void response.writeHead(401).end();
    const scopes = new URL(request.url ?? '', 'https://tokens.invalid').searchParams.getAll('scope');
    const access = scopes.flatMap((scope) => {
      const [, name, actions = ''] = ALLOWED.exec(scope) ?? [];
      return name === undefined ? [] : [{ type: 'repository', name, actions: actions.split(',') }];
    });
    const now = Math.floor(Date.now() / 1000);
    const claims = {
      iss: ISSUER,
      sub: account.username,
      aud: account.service,
      iat: now,
      nbf: now - LIFE_SECONDS,
      exp: now + LIFE_SECONDS,
      jti: randomUUID(),
      access,
    };
    response.end(JSON.stringify({ token: signed(claims, key, cert) }));
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  return {
    settings: { realm: `https://127.0.0.1:${port}/token`, service: account.service, issuer: ISSUER },
    close: async () => {
      const closed = new Promise((resolve) => server.close(resolve));
      server.closeAllConnections();
      await closed;
    },
  };
}

/** A JSON web token (RFC 7519) by ES256, with the certificate of its key. */
function signed(claims: object, key: string, certificate: string): string {
  const header = { typ: 'JWT', alg: 'ES256', x5c: [new X509Certificate(certificate).raw.toString('base64')] };
  const text = [header, claims].map((part) => Buffer.from(JSON.stringify(part)).toString('base64url')).join('.');
  const signature = sign('sha256', Buffer.from(text), { key: createPrivateKey(key), dsaEncoding: 'ieee-p1363' });
  return `${text}.${signature.toString('base64url')}`;
}

import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'undici';
import { freePort } from './free-port.ts';
import { browse } from './openid-provider/person.ts';

/** The example provider of ZITADEL's own library, with its users and clients. */
export interface ZitadelExample extends AsyncDisposable {
  /** With a slash at its end, which is this server's own spelling. */
  readonly issuer: string;
  /** Its one user logs in, with a password alone, and allows what is asked. */
  logIn(url: string): Promise<{ readonly address: string; readonly page: string }>;
}

const TRIES = 500;

export async function startZitadelExample(): Promise<ZitadelExample> {
  const port = await freePort();
  const issuer = `http://localhost:${port}/`;
  const server = spawn('zitadel-oidc-example', [], {
    env: { PATH: process.env.PATH, PORT: String(port), REDIRECT_URI: 'http://127.0.0.1/callback' },
    stdio: 'ignore',
  });
  const exited = once(server, 'exit');
  for (let tries = 1; ; tries += 1) {
    const answer = await request(`${issuer}.well-known/openid-configuration`).catch(() => undefined);
    await answer?.body.dump();
    if (answer?.statusCode === 200) break;
    if (tries === TRIES || server.exitCode !== null) throw new Error('the example provider does not answer');
    await new Promise((resolve) => setTimeout(resolve, 20));
  }
  return {
    issuer,
    logIn: (url) =>
      browse(url, {
        leave: true,
        caFile: undefined,
        fields: { username: 'test-user@localhost', password: 'verysecure', action: 'allowed' },
      }),
    async [Symbol.asyncDispose]() {
      server.kill('SIGKILL');
      await exited;
    },
  };
}

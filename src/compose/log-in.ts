import { randomBytes } from 'node:crypto';
import type { VerifiedIdToken } from '../formats/identity/id-token.ts';
import type { PinnedIssuer } from '../formats/identity/pinned-issuer.ts';
import type { BrowserLoginRequest, DevicePrompt } from '../ports/identity-provider.ts';
import type { Progress } from '../ports/progress.ts';
import { UseCaseError } from '../usecases/errors.ts';
import { requireIssuer } from '../usecases/keys/enrolments.ts';
import { definedOnly, type Running } from './environment.ts';
import { openIdentityProvider, projectOfRoles, type RootOptions, readRoot } from './identity.ts';
import { endSession, keepSession, requireSession } from './session.ts';

export interface LogInSettings extends RootOptions {
  /** Certificates that the identity provider is trusted by. */
  readonly caFile?: string | undefined;
  readonly way: 'browser' | 'device' | 'paste';
  /** Asks on the terminal, without an echo. */
  readonly ask: (prompt: string) => Promise<string>;
}

/** A login for this machine, kept until its token ends. */
export async function composeLogIn(settings: LogInSettings, running: Running): Promise<VerifiedIdToken> {
  const issuer = requireIssuer(await readRoot(settings, running));
  const request = { client: requireLoginClient(issuer), scopes: loginScopes(issuer) };
  const provider = await openIdentityProvider(issuer.url, settings, running);
  try {
    const { idToken } =
      settings.way === 'device'
        ? await provider.logInByDevice({ ...request, show: (prompt) => showCode(prompt, running.progress) }, running)
        : await provider.logIn(
            {
              ...request,
              nonce: randomBytes(32).toString('base64url'),
              fresh: false,
              browser: browserOf(settings, running),
            },
            running,
          );
    return await keepSession(idToken, issuer, running);
  } finally {
    await provider.close();
  }
}

export async function composeLogOut(root: RootOptions, running: Running) {
  const issuer = requireIssuer(await readRoot(root, running));
  return { issuer: issuer.url, ended: await endSession(issuer, running) };
}

export async function composeWhoAmI(root: RootOptions, running: Running): Promise<VerifiedIdToken> {
  return requireSession(requireIssuer(await readRoot(root, running)), running);
}

/** How the person's browser is reached: one of this machine, or any, the address being carried by hand. */
export function browserOf(
  { way, ask }: Pick<LogInSettings, 'way' | 'ask'>,
  { env, progress }: Pick<Running, 'env' | 'progress'>,
): BrowserLoginRequest['browser'] {
  if (way === 'paste') {
    return {
      kind: 'paste',
      async ask(address) {
        progress.note(`open this address in a browser and log in: ${address}`);
        progress.note('the browser is then led to a page that cannot be shown: copy its whole address');
        return ask('Address: ');
      },
    };
  }
  return {
    kind: 'open',
    async open(address) {
      progress.note(`log in with the browser: ${address}`);
      const { openBrowser } = await import('../adapters/identity-provider/open-browser.ts');
      openBrowser(address, definedOnly(env));
    },
  };
}

function showCode({ address, code, completeAddress }: DevicePrompt, progress: Progress): void {
  progress.note(`open ${address} on any device and enter the code ${code}`);
  if (completeAddress !== undefined) progress.note(`or open ${completeAddress} and compare the code`);
}

/** The role of a reader is one of the enrolment's project, which the client for logins does not belong to. */
function loginScopes(issuer: PinnedIssuer): readonly string[] {
  const project = projectOfRoles(issuer);
  if (project === undefined) return ['openid'];
  return ['openid', `urn:zitadel:iam:org:project:id:${project}:aud`, 'urn:zitadel:iam:org:projects:roles'];
}

function requireLoginClient({ url, loginClient }: PinnedIssuer): string {
  if (loginClient !== undefined) return loginClient;
  throw new UseCaseError('ISSUER_NOT_PINNED', 'the root names no client for logins', {
    expected: 'a member `issuer.loginClient` of the trust file',
    at: { url },
    hint: 'Make the root again with `portolan keys init --login-client ID …`.',
  });
}

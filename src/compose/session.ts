/**
 * Who is logged in on this machine: `<configuration>/portolan/sessions/<issuer>.json`, mode 0600, one for each issuer:
 *
 *     { "version": 1, "issuer", "idToken" }
 *
 * What the token says is checked with what the root pins each time it is read, so a file that somebody put there is worth no more than
 * its token. There is no refresh token: a session ends when its token does.
 */
import { createHash } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { z } from 'zod';
import { writeFileDurable } from '../adapters/files/durable.ts';
import { fileError } from '../adapters/files/file-error.ts';
import { readSmallFile } from '../adapters/files/small-file.ts';
import { ID_TOKEN_MAX_LENGTH, type VerifiedIdToken, verifyIdToken } from '../formats/identity/id-token.ts';
import type { PinnedIssuer } from '../formats/identity/pinned-issuer.ts';
import { UseCaseError } from '../usecases/errors.ts';
import type { Running } from './environment.ts';
import { makePrivateFolder } from './repository-places.ts';

type Surroundings = Pick<Running, 'env' | 'cwd' | 'now'>;

const MAX_BYTES = ID_TOKEN_MAX_LENGTH + 4096;

const schema = z.strictObject({
  version: z.literal(1),
  issuer: z.string(),
  idToken: z.string().min(1).max(ID_TOKEN_MAX_LENGTH),
});

function sessionsFolder({ env, cwd }: Surroundings): string {
  return join(resolve(cwd, env.XDG_CONFIG_HOME || join(env.HOME ?? cwd, '.config')), 'portolan', 'sessions');
}

function sessionFile(issuer: string, surroundings: Surroundings): string {
  const readable = new URL(issuer).host.replace(/[^a-z0-9]+/g, '-').slice(0, 60);
  const hash = createHash('sha256').update(issuer).digest('hex').slice(0, 12);
  return join(sessionsFolder(surroundings), `${readable}-${hash}.json`);
}

/** Checks a token of a login, and keeps it. @throws FormatError ID_TOKEN_… */
export async function keepSession(
  idToken: string,
  issuer: PinnedIssuer,
  surroundings: Surroundings,
): Promise<VerifiedIdToken> {
  const token = await verifyIdToken(idToken, issuer, { use: 'login', at: surroundings.now() });
  await makePrivateFolder(sessionsFolder(surroundings));
  const text = `${JSON.stringify({ version: 1, issuer: issuer.url, idToken } satisfies z.infer<typeof schema>)}\n`;
  await writeFileDurable(sessionFile(issuer.url, surroundings), text, { mode: 0o600 });
  return token;
}

/**
 * The session that holds now.
 *
 * @throws UseCaseError LOGIN_NEEDED; FormatError ID_TOKEN_… for a token that the root does not allow (any more)
 */
export async function requireSession(issuer: PinnedIssuer, surroundings: Surroundings): Promise<VerifiedIdToken> {
  const file = sessionFile(issuer.url, surroundings);
  const bytes = await readSmallFile(file, MAX_BYTES);
  if (bytes === undefined) throw loginNeeded(issuer, 'nobody is logged in');
  const session = sessionOf(bytes);
  if (session === undefined || session.issuer !== issuer.url) throw loginNeeded(issuer, `${file} holds no session`);
  const token = await verifyIdToken(session.idToken, issuer, { use: 'login', at: surroundings.now() });
  if (!token.expired) return token;
  throw loginNeeded(issuer, `the login of ${token.subject} ended at ${token.expiresAt.toISOString()}`);
}

/** Whether there was one. */
export async function endSession(issuer: PinnedIssuer, surroundings: Surroundings): Promise<boolean> {
  const file = sessionFile(issuer.url, surroundings);
  try {
    await rm(file);
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw fileError(cause, file, 'write');
  }
}

function sessionOf(bytes: Uint8Array): z.infer<typeof schema> | undefined {
  try {
    return schema.safeParse(JSON.parse(new TextDecoder().decode(bytes))).data;
  } catch {
    return undefined;
  }
}

function loginNeeded(issuer: PinnedIssuer, found: string): UseCaseError {
  return new UseCaseError('LOGIN_NEEDED', `a login at ${issuer.url} is needed`, {
    found,
    at: { url: issuer.url },
    hint: 'Run `portolan login`. Where the identity provider is lost, a restore goes on with --break-glass.',
  });
}

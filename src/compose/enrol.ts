import { randomBytes } from 'node:crypto';
import { resolve } from 'node:path';
import { writeFileDurable } from '../adapters/files/durable.ts';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import { recipientOf } from '../formats/age/identity-file.ts';
import { joinRecipients, parseRecipient } from '../formats/age/recipients.ts';
import { answerChallenge, CHALLENGE_MAX_BYTES } from '../formats/identity/challenge.ts';
import {
  ENROLMENT_MAX_BYTES,
  ENROLMENT_RANDOM_BYTES,
  encodeEnrolment,
  enrolmentNonce,
  type VerifiedEnrolment,
  verifyEnrolment,
} from '../formats/identity/enrolment.ts';
import { recipientFingerprint } from '../formats/identity/fingerprint.ts';
import type { PinnedIssuer } from '../formats/identity/pinned-issuer.ts';
import type { RepositoryId } from '../formats/repository/keys.ts';
import type { PinnedRoot } from '../formats/repository/pinned-root.ts';
import { UseCaseError } from '../usecases/errors.ts';
import { requireIssuer, type ShownEnrolment, showEnrolment } from '../usecases/keys/enrolments.ts';
import type { Running } from './environment.ts';
import { openIdentityProvider, readRoot } from './identity.ts';
import { browserOf, type LogInSettings } from './log-in.ts';
import { composeKeysGenerate, requireAbsent } from './repository-keys.ts';

export interface EnrolSettings extends Omit<LogInSettings, 'way'> {
  /** The device flow does not echo a nonce, which the enrolment stands on. */
  readonly way: 'browser' | 'paste';
  /** Secret keys out of a file, or a new file to make. */
  readonly identity:
    | { readonly kind: 'given'; readonly identities: readonly string[] }
    | { readonly kind: 'new'; readonly file: string; readonly passphrase: string };
  readonly enrolmentOut: string;
}

export interface EnrolOutcome extends ShownEnrolment {
  readonly enrolment: string;
  /** The new identity file. */
  readonly identity?: string;
}

/** The first step of a reader: says, signed by the identity provider, that a recipient is theirs. */
export async function composeEnrol(settings: EnrolSettings, running: Running): Promise<EnrolOutcome> {
  const root = await readRoot(settings, running);
  const issuer = requireIssuer(root);
  const repository = requireRepositoryId(root);
  const enrolment = resolve(running.cwd, settings.enrolmentOut);
  await requireAbsent(enrolment);
  const { recipient, file } = await holder(settings.identity, root, running);
  const verified = await enrol({ repository, recipient, issuer }, settings, running);
  await writeFileDurable(enrolment, verified.bytes, { mode: 0o600 });
  return { ...showEnrolment(verified), enrolment, ...(file === undefined ? {} : { identity: file }) };
}

interface Subject {
  readonly repository: RepositoryId;
  readonly recipient: string;
  readonly issuer: PinnedIssuer;
}

/** Checked as every approver will check it: what they would refuse is refused here, before anybody waits for them. */
async function enrol(
  { repository, recipient, issuer }: Subject,
  settings: EnrolSettings,
  running: Running,
): Promise<VerifiedEnrolment & { readonly bytes: Uint8Array }> {
  const random = randomBytes(ENROLMENT_RANDOM_BYTES).toString('base64');
  const provider = await openIdentityProvider(issuer.url, settings, running);
  try {
    const { idToken } = await provider.logIn(
      {
        client: issuer.enrolmentClient,
        // This role and no other: what the token says becomes public.
        scopes: ['openid', `urn:zitadel:iam:org:project:role:${issuer.readerRole}`],
        nonce: enrolmentNonce({ repository, recipient, random }),
        fresh: true,
        browser: browserOf(settings, running),
      },
      running,
    );
    const bytes = encodeEnrolment({
      version: 1,
      kind: 'portolan-enrolment',
      ...{ repository, recipient, random, idToken },
    });
    return { bytes, ...(await verifyEnrolment(bytes, issuer, { repository, now: running.now() })) };
  } finally {
    await provider.close();
  }
}

/** Classic or post-quantum as the break-glass recipients of the root: a roster cannot mix them. */
async function holder(identity: EnrolSettings['identity'], { breakGlass = [] }: PinnedRoot, running: Running) {
  const pinned = breakGlass.map((text) => parseRecipient(text));
  if (identity.kind === 'new') {
    const { file, passphrase } = identity;
    // Before the login: it is there for another try with -i, should the login fail.
    return composeKeysGenerate(file, { kind: pinned[0]?.kind ?? 'post-quantum', passphrase }, running);
  }
  const [only, ...others] = identity.identities;
  if (only !== undefined && others.length === 0) {
    const recipient = await recipientOf(only);
    joinRecipients([...pinned, parseRecipient(recipient)]);
    return { recipient, file: undefined };
  }
  throw new UseCaseError('IDENTITY_AMBIGUOUS', 'one identity is enrolled at a time', {
    expected: 'one',
    found: identity.identities.length,
    hint: 'Give a file with one identity.',
  });
}

function requireRepositoryId({ repository }: { readonly repository?: RepositoryId | undefined }): RepositoryId {
  if (repository !== undefined) return repository;
  throw new UseCaseError(
    'REPOSITORY_UNTRUSTED',
    'the root belongs to no repository yet, and one enrols for a repository',
    {
      expected: 'a member `repository` of the trust file',
      hint: 'Give the trust.json that `backup init` left: ask an approver for it.',
    },
  );
}

export interface AnswerSettings {
  readonly challenge: string;
  /** The holder's own: what an approver asks about anybody else's gets no answer. */
  readonly enrolment: string;
  readonly identities: readonly string[];
  readonly answerOut: string;
}

/** The second step: shows an approver that the identity is there. */
export async function composeAnswer(
  { challenge, enrolment, identities, answerOut }: AnswerSettings,
  { cwd }: Pick<Running, 'cwd'>,
) {
  const path = resolve(cwd, challenge);
  const file = resolve(cwd, answerOut);
  await requireAbsent(file);
  const own = await createProjectFiles().read(resolve(cwd, enrolment), ENROLMENT_MAX_BYTES);
  const sealed = await createProjectFiles().read(path, CHALLENGE_MAX_BYTES);
  const { answer, recipient, ...about } = await answerChallenge(sealed, identities, own, path);
  await writeFileDurable(file, answer);
  return { answer: file, ...about, fingerprint: recipientFingerprint(recipient) };
}

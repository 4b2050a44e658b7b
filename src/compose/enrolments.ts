import { resolve } from 'node:path';
import { writeFileDurable } from '../adapters/files/durable.ts';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import type { Digest } from '../core/digest.ts';
import { ANSWER_MAX_BYTES } from '../formats/identity/challenge.ts';
import { ENROLMENT_MAX_BYTES, type VerifiedEnrolment } from '../formats/identity/enrolment.ts';
import { UseCaseError } from '../usecases/errors.ts';
import {
  forgetChallenge,
  makeChallenge,
  publishEvidence,
  readEnrolment,
  requireAnswer,
  type ShownEnrolment,
  showEnrolment,
} from '../usecases/keys/enrolments.ts';
import type { OpenedRepository } from '../usecases/repository/open.ts';
import type { RepositoryPlace, Running } from './repository.ts';

/** An enrolment that was verified, with its own bytes. */
export interface OpenedEnrolment extends VerifiedEnrolment {
  readonly bytes: Uint8Array;
}

export interface ChallengedOutcome {
  readonly done: 'challenged';
  readonly place: string;
  readonly enrolment: ShownEnrolment;
  readonly challengeFile: string;
}

export interface EvidenceOutcome {
  readonly done: 'evidence';
  readonly place: string;
  readonly enrolment: ShownEnrolment;
  readonly key: string;
  /** False when it was there. */
  readonly created: boolean;
}

export async function openEnrolment(
  repository: OpenedRepository,
  path: string,
  { cwd, now }: Running,
): Promise<OpenedEnrolment> {
  const file = resolve(cwd, path);
  const bytes = await createProjectFiles().read(file, ENROLMENT_MAX_BYTES);
  return { ...(await readEnrolment(repository, bytes, now(), file)), bytes };
}

/** Writes a challenge; what lies there is replaced, since only the newest counts. */
export async function challengeHolder(
  { store, memory }: RepositoryPlace,
  repository: OpenedRepository,
  enrolment: VerifiedEnrolment,
  { path, proposal }: { readonly path: string; readonly proposal?: Digest | undefined },
  { cwd, signal }: Running,
): Promise<ChallengedOutcome> {
  const challengeFile = resolve(cwd, path);
  const sealed = await makeChallenge(repository, enrolment, memory, { proposal, signal });
  await writeFileDurable(challengeFile, sealed);
  return { done: 'challenged', place: store.place, enrolment: showEnrolment(enrolment), challengeFile };
}

/** That the holder answered this approver's challenge. @throws UseCaseError CHALLENGE_MISSING; FormatError CHALLENGE_ANSWER_… */
export async function requireHolder(
  { memory }: RepositoryPlace,
  repository: OpenedRepository,
  enrolment: VerifiedEnrolment,
  { answer, proposal }: { readonly answer: string | undefined; readonly proposal?: Digest | undefined },
  { cwd, signal }: Running,
): Promise<void> {
  if (answer === undefined) {
    throw new UseCaseError('CHALLENGE_MISSING', 'nobody proved yet that they hold the identity of the new reader', {
      hint: 'Run the command with --challenge-out FILE, have the reader answer it, then run it with --answer FILE.',
    });
  }
  const at = resolve(cwd, answer);
  const bytes = await createProjectFiles().read(at, ANSWER_MAX_BYTES);
  await requireAnswer(repository, enrolment, bytes, memory, { at, proposal, signal });
}

export async function publishEnrolment(
  { store, memory }: RepositoryPlace,
  repository: OpenedRepository,
  enrolment: OpenedEnrolment,
  { signal, now }: Running,
): Promise<EvidenceOutcome> {
  const published = await publishEvidence(repository, enrolment, enrolment.bytes, now(), { signal });
  await forgetChallenge(repository, enrolment.digest, memory, { signal });
  return { done: 'evidence', place: store.place, enrolment: showEnrolment(enrolment), ...published };
}

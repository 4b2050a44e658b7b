import type { Digest } from '../../core/digest.ts';
import type { PortolanError } from '../../core/errors.ts';
import type { EnrolmentEvidence } from '../../formats/identity/enrolment-evidence.ts';
import { enrolmentEvidenceOf } from '../../formats/identity/enrolment-evidence.ts';
import { recipientFingerprint } from '../../formats/identity/fingerprint.ts';
import { evidenceKey, type RepositoryId } from '../../formats/repository/keys.ts';
import { presentRecipients, type RosterRecipient } from '../../formats/repository/roster.ts';
import type { StoreOptions } from '../../ports/object-store.ts';
import { UseCaseError } from '../errors.ts';
import { isFinding } from '../repository/chains.ts';
import { type ReadEvidence, readEvidence } from '../repository/evidence.ts';
import type { OpenedRepository } from '../repository/open.ts';
import { readEnrolment, requireTimely } from './enrolments.ts';
import { requireSameReader } from './proposals.ts';

/** Enrolments are approved within a week, and no token lives longer than one: then its evidence can be published. */
const PUBLISHED_WITHIN_MS = 7 * 86_400_000;

/** Approvers' clocks may be ahead of this one by as much. */
const CLOCK_TOLERANCE_MS = 5 * 60_000;

export interface VerifiedRecipient {
  readonly name: string;
  readonly role: RosterRecipient['role'];
  readonly fingerprint: string;
  readonly notAfter?: string;
  readonly subject?: string;
  /** When the person logged in to enrol. */
  readonly authenticatedAt?: string;
  /**
   * `verified`: the evidence holds. `not published`: nobody but the approvers has it yet. `not enrolled`: it is there by the word of
   * approvers alone. `kept offline`: break-glass. `refused`: there is evidence and it does not hold.
   */
  readonly evidence: 'verified' | 'not published' | 'not enrolled' | 'kept offline' | 'refused';
  /** Nothing is sealed to it any more. */
  readonly ended: boolean;
}

export interface KeysVerification {
  readonly repository: RepositoryId;
  readonly epoch: number;
  readonly threshold: number;
  /** Names of the approvers who signed the newest epoch. */
  readonly signers: readonly string[];
  readonly issuer: string | undefined;
  readonly recipients: readonly VerifiedRecipient[];
  readonly minimumRecipients: number;
  /** What is not right. */
  readonly findings: readonly PortolanError[];
}

/**
 * The readers of the newest epoch and why they are there, by the root alone: no provider is asked. The chain of rosters was verified
 * when the repository was opened.
 */
export async function verifyKeys(
  repository: OpenedRepository,
  now: number,
  options: StoreOptions = {},
): Promise<KeysVerification> {
  const { document, signers } = repository.roster;
  const evidence = await readEvidence(repository, options);
  const recipients: VerifiedRecipient[] = [];
  const findings: PortolanError[] = [...repository.problems];
  for (const entry of document.recipients) {
    const { finding, ...verified } = await verifyRecipient(repository, entry, evidence, now);
    recipients.push(verified);
    if (finding !== undefined) findings.push(finding);
  }
  return {
    repository: repository.id,
    epoch: document.epoch,
    threshold: document.approvers.threshold,
    signers: signers.map(({ name }) => name).sort(),
    issuer: repository.trust.issuer?.url,
    recipients,
    minimumRecipients: document.minimumRecipients,
    findings: [...findings, ...ruleFindings(repository, now)],
  };
}

/** @returns `finding`: what is not right about the entry */
async function verifyRecipient(
  repository: OpenedRepository,
  entry: RosterRecipient,
  published: ReadEvidence,
  now: number,
): Promise<VerifiedRecipient & { readonly finding?: PortolanError }> {
  const { name, role, recipient, notAfter } = entry;
  const evidence = enrolmentEvidenceOf(entry);
  const shown = {
    ...{ name, role, fingerprint: recipientFingerprint(recipient) },
    ...(notAfter === undefined ? {} : { notAfter }),
    ended: notAfter !== undefined && Date.parse(notAfter) < now,
    ...(evidence === undefined ? {} : { subject: evidence.subject }),
  };
  if (evidence !== undefined)
    return { ...shown, ...(await verifyEvidence(repository, entry, evidence, published, now)) };
  if (role === 'break-glass') return { ...shown, evidence: 'kept offline' };
  if (repository.trust.issuer === undefined) return { ...shown, evidence: 'not enrolled' };
  return {
    ...shown,
    evidence: 'not enrolled',
    finding: finding(`the reader ${name} never enrolled with the identity provider`, {
      found: shown.fingerprint,
      hint: `Let them enrol and approve the enrolment under the same name, or take them off: portolan keys revoke --recipient ${JSON.stringify(name)}`,
    }),
  };
}

async function verifyEvidence(
  repository: OpenedRepository,
  entry: RosterRecipient,
  evidence: EnrolmentEvidence,
  { published, unreadable }: ReadEvidence,
  now: number,
): Promise<Pick<VerifiedRecipient, 'evidence' | 'authenticatedAt'> & { readonly finding?: PortolanError }> {
  const key = evidenceKey(evidence.digest);
  const damaged = unreadable.find((one) => one.key === key);
  if (damaged !== undefined) return { evidence: 'refused', finding: damaged.error };
  const bytes = published.get(evidence.digest);
  if (bytes === undefined) return { evidence: 'not published', ...overdue(repository, entry, { key, published, now }) };
  try {
    const verified = await readEnrolment(repository, bytes, now, key);
    requireSameReader(entry, evidence, verified);
    requireTimely(repository, verified, approvedAt(repository, firstEpochOf(repository, evidence.digest), now));
    const { authenticatedAt } = verified.token;
    return {
      evidence: 'verified',
      ...(authenticatedAt === undefined ? {} : { authenticatedAt: authenticatedAt.toISOString() }),
    };
  } catch (error) {
    if (!isFinding(error) && !(error instanceof UseCaseError)) throw error;
    return { evidence: 'refused', finding: error };
  }
}

interface Unpublished {
  readonly key: string;
  readonly published: ReadEvidence['published'];
  readonly now: number;
}

function overdue(
  repository: OpenedRepository,
  { name, recipient }: RosterRecipient,
  { key, published, now }: Unpublished,
): { readonly finding?: PortolanError } {
  const since = unprovenSince(repository, recipient, published);
  const approved = approvedAt(repository, since, now);
  if (now <= approved + PUBLISHED_WITHIN_MS) return {};
  return {
    finding: finding(`the evidence of the reader ${name} is not there, though a week is over since they came in`, {
      expected: key,
      found: `on the roster since epoch ${since + 1}, of ${repository.rosters[since]?.document.created}`,
      hint: 'Have an approver who kept the enrolment publish it: `portolan keys approve --enrolment FILE`.',
    }),
  };
}

/**
 * Index of the first epoch since which a recipient is there without evidence that anybody can look at. Whoever names other evidence every
 * few days, which there never is, gains no time by it.
 */
function unprovenSince({ rosters }: OpenedRepository, recipient: string, published: ReadEvidence['published']): number {
  const proven = rosters.findLastIndex(({ document }) => {
    const entry = document.recipients.find((one) => one.recipient === recipient);
    if (entry === undefined) return true;
    const evidence = enrolmentEvidenceOf(entry);
    return evidence !== undefined && published.has(evidence.digest);
  });
  return proven + 1;
}

function firstEpochOf({ rosters }: OpenedRepository, digest: Digest): number {
  return rosters.findIndex(({ document }) =>
    document.recipients.some((entry) => enrolmentEvidenceOf(entry)?.digest === digest),
  );
}

/**
 * When an epoch was signed, by its own word and by those of the epochs before it: approvers who date theirs back, or into the future, say
 * nothing by that.
 */
function approvedAt({ rosters }: OpenedRepository, index: number, now: number): number {
  const times = rosters.slice(0, index + 1).map(({ document }) => Date.parse(document.created));
  return Math.max(0, ...times.filter((time) => time <= now + CLOCK_TOLERANCE_MS));
}

function ruleFindings(repository: OpenedRepository, now: number): PortolanError[] {
  const { document } = repository.roster;
  const findings: PortolanError[] = [];
  try {
    presentRecipients(document, new Date(now));
  } catch (error) {
    if (!isFinding(error)) throw error;
    findings.push(error);
  }
  if (repository.trust.issuer !== undefined && !document.recipients.some(({ role }) => role === 'break-glass')) {
    findings.push(
      finding('the roster has no break-glass recipient: backups cannot be opened without people of the provider', {
        hint: 'Add one whose identity lies in a safe: `portolan keys approve --break-glass RECIPIENT`.',
      }),
    );
  }
  return findings;
}

function finding(message: string, details: { expected?: string; found?: string; hint?: string }): UseCaseError {
  return new UseCaseError('KEYS_NOT_RIGHT', message, details);
}

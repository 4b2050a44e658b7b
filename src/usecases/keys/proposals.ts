import { canonicalJson } from '../../core/canonical-json.ts';
import { type Digest, digestOf } from '../../core/digest.ts';
import type { VerifiedEnrolment } from '../../formats/identity/enrolment.ts';
import { type EnrolmentEvidence, enrolmentEvidenceOf } from '../../formats/identity/enrolment-evidence.ts';
import { decodeProposal } from '../../formats/identity/roster-proposal.ts';
import { requireRepository } from '../../formats/repository/documents.ts';
import { requirePinnedRoot } from '../../formats/repository/pinned-root.ts';
import {
  type Roster,
  type RosterRecipient,
  readUnverifiedRoster,
  rosterKeys,
} from '../../formats/repository/roster.ts';
import { addSignatures } from '../../formats/repository/signed-document.ts';
import type { SigningKey } from '../../formats/sigstore/cosign-key.ts';
import type { StoreOptions } from '../../ports/object-store.ts';
import { UseCaseError } from '../errors.ts';
import type { OpenedRepository } from '../repository/open.ts';
import { type NextRoster, nextRoster, signedSoFar } from '../repository/roster-changes.ts';
import { readEnrolment, requireApprovable } from './enrolments.ts';
import { type RosterChange, rosterDifference } from './roster-difference.ts';

/** Approvers' clocks may differ by this much. */
const CLOCK_TOLERANCE_MS = 5 * 60_000;

/** What an approver is asked to sign, checked as if that one had made it. */
export interface OpenedProposal {
  readonly next: NextRoster;
  /** Of what is to be signed; the same, whoever signed already. */
  readonly digest: Digest;
  /** Against the newest epoch: all of it. */
  readonly changes: readonly RosterChange[];
  /** Of the reader whom it lets in by an enrolment. */
  readonly enrolment: (VerifiedEnrolment & { readonly bytes: Uint8Array }) | undefined;
}

/**
 * A proposal by somebody else, as far as this approver can check it: that it follows the newest epoch, that an approver signed it,
 * that the root allows it, that it ends chains where they end, and that its new reader enrolled.
 *
 * @throws UseCaseError PROPOSAL_OUTDATED, PROPOSAL_REFUSED, EVIDENCE_MISMATCH, ENROLMENT_…; FormatError PROPOSAL_INVALID,
 *   REPOSITORY_MISMATCH, ROSTER_…, SIGNED_DOCUMENT_…, ID_TOKEN_…
 */
export async function openProposal(
  repository: OpenedRepository,
  bytes: Uint8Array,
  now: number,
  { at, ...options }: StoreOptions & { readonly at?: string } = {},
): Promise<OpenedProposal> {
  const proposal = decodeProposal(bytes, repository.id, at);
  const { document, keyHints } = readUnverifiedRoster(proposal.roster, at);
  const before = repository.roster.document;
  // It shows in no difference, and everybody would refuse the epoch once it is there.
  requireRepository(document.repository, repository.id, { what: 'the proposed roster', at });
  requireFollowing(repository, document);
  const next = signedSoFar(before, document, proposal.roster);
  if (next.signers.length !== keyHints.length)
    throw refused('it is signed by others than approvers', next.signers.join(', ') || 'no approver');
  requirePinnedRoot(document, repository.trust);
  requireTime(before, document, now);
  await requireChainEnds(repository, document, now, options);
  const enrolled = newlyEnrolled(before, document);
  return {
    next,
    digest: digestOf(canonicalJson(document)),
    changes: rosterDifference(before, document),
    enrolment: enrolled === undefined ? undefined : await enrolmentOf(repository, enrolled, proposal.enrolment, now),
  };
}

/**
 * Adds a signature; nothing is written. Who is an approver only by the new roster signs for that one.
 *
 * @throws UseCaseError ROLE_MISSING
 */
export function signProposal({ roster }: OpenedRepository, { next }: OpenedProposal, signer: SigningKey): NextRoster {
  const approvers = [...rosterKeys(roster.document, 'approvers'), ...rosterKeys(next.document, 'approvers')];
  if (!approvers.some(({ keyHint }) => keyHint === signer.keyHint)) {
    throw new UseCaseError('ROLE_MISSING', 'the signing key is not one of the approvers', {
      expected: approvers.map(({ keyHint, name }) => `${keyHint} (${name})`).join(', '),
      found: signer.keyHint,
      hint: 'Give another --sign-key.',
    });
  }
  return signedSoFar(roster.document, next.document, addSignatures(next.bytes, 'roster', [signer]));
}

function requireFollowing({ roster }: OpenedRepository, document: Roster): void {
  const epoch = roster.document.epoch + 1;
  if (document.epoch === epoch && document.previous === roster.digest) return;
  throw new UseCaseError('PROPOSAL_OUTDATED', 'the roster was changed since the proposal was made', {
    expected: `epoch ${epoch}, after ${roster.digest}`,
    found: `epoch ${document.epoch}, after ${document.previous ?? 'none'}`,
    hint: 'Look at the roster with `portolan keys list`, and make the proposal again if it is still wanted.',
  });
}

function requireTime(before: Roster, document: Roster, now: number): void {
  const created = Date.parse(document.created);
  // An epoch whose approver had a clock that is years ahead does not stop those after it.
  const earliest = Math.min(Date.parse(before.created), now);
  if (created >= earliest - CLOCK_TOLERANCE_MS && created <= now + CLOCK_TOLERANCE_MS) return;
  throw refused('its time is before the newest epoch or in the future', document.created);
}

/** A chain that ends too early would take snapshots away, one that ends too late would let the old key go on. */
async function requireChainEnds(
  repository: OpenedRepository,
  document: Roster,
  now: number,
  options: StoreOptions,
): Promise<void> {
  const { closed } = await nextRoster(repository, document, now, options);
  const [expected, found] = [canonicalJson(closed ?? []), canonicalJson(document.closed ?? [])];
  if (expected === found) return;
  throw new UseCaseError(
    'PROPOSAL_OUTDATED',
    'the proposal ends chains of snapshots at another place than where they end',
    {
      expected,
      found,
      hint: 'A writer whose key it takes away went on meanwhile: stop that one, and make the proposal again.',
    },
  );
}

/** The one reader who comes in by an enrolment. @throws UseCaseError PROPOSAL_REFUSED when there are several */
function newlyEnrolled(before: Roster, after: Roster): EnrolledReader | undefined {
  const known = new Set(before.recipients.map(enrolmentId));
  const [first, ...others] = after.recipients.flatMap((entry) => {
    const evidence = enrolmentEvidenceOf(entry);
    return evidence === undefined || known.has(enrolmentId(entry)) ? [] : [{ entry, evidence }];
  });
  if (others.length === 0) return first;
  throw refused('it lets in several readers by enrolment at once: one after the other', 1 + others.length);
}

interface EnrolledReader {
  readonly entry: RosterRecipient;
  readonly evidence: EnrolmentEvidence;
}

function enrolmentId(entry: RosterRecipient): string {
  return canonicalJson({ recipient: entry.recipient, role: entry.role, evidence: entry.evidence });
}

async function enrolmentOf(
  repository: OpenedRepository,
  { entry, evidence }: EnrolledReader,
  bytes: Uint8Array | undefined,
  now: number,
): Promise<NonNullable<OpenedProposal['enrolment']>> {
  if (bytes === undefined || digestOf(bytes) !== evidence.digest)
    throw refused('the enrolment of its new reader is not in it', bytes === undefined ? 'none' : digestOf(bytes));
  const verified = await readEnrolment(repository, bytes, now);
  requireSameReader(entry, evidence, verified);
  requireApprovable(repository, verified, entry.name, now);
  return { ...verified, bytes };
}

/** @throws UseCaseError EVIDENCE_MISMATCH */
export function requireSameReader(
  { name, recipient, role }: RosterRecipient,
  { subject, issuer }: EnrolmentEvidence,
  { enrolment, token }: VerifiedEnrolment,
): void {
  const entry = { recipient, role, subject, issuer };
  const evidence = { recipient: enrolment.recipient, role: 'reader', subject: token.subject, issuer: token.issuer };
  const different = (Object.keys(entry) as (keyof typeof entry)[]).find((member) => entry[member] !== evidence[member]);
  if (different === undefined) return;
  throw new UseCaseError(
    'EVIDENCE_MISMATCH',
    `the evidence of the reader ${name} says another ${different} than the roster`,
    {
      expected: entry[different],
      found: evidence[different],
      hint: 'Find out who made this entry; sign nothing that has it.',
    },
  );
}

function refused(problem: string, found: string | number): UseCaseError {
  return new UseCaseError('PROPOSAL_REFUSED', `the proposal is not right: ${problem}`, {
    found,
    hint: 'Ask who made it. Nothing was signed.',
  });
}

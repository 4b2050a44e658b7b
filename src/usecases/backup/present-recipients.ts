import { enrolmentEvidenceOf } from '../../formats/identity/enrolment-evidence.ts';
import type { PinnedIssuer } from '../../formats/identity/pinned-issuer.ts';
import { presentRecipients, type Roster, type RosterRecipient } from '../../formats/repository/roster.ts';
import type { AskedIdentityProvider } from '../../formats/repository/snapshot.ts';
import type { RoleStanding } from '../../ports/identity-provider.ts';
import { type AskedRoles, askReaderRoles, ROLES_MAX_AGE_MS, type RolesDependencies } from './reader-roles.ts';

/** Somebody of the roster whom a run is not sealed to. */
export interface DroppedRecipient {
  readonly name: string;
  readonly recipient: string;
  readonly reason: string;
}

/** Whom a run is sealed to. */
export interface RunRecipients {
  readonly recipients: readonly string[];
  readonly dropped: readonly DroppedRecipient[];
  /** Absent when it was not asked. */
  readonly identityProvider?: AskedIdentityProvider;
  /** When it last said who holds the role, as far as this machine knows. */
  readonly rolesAnswered?: string;
  /** Nobody has said so for too long: whoever lost the role since may still be sealed to. */
  readonly rolesStale: boolean;
}

export interface RunRecipientsRequest {
  /** Verified. */
  readonly roster: Roster;
  /** As the root pins it. */
  readonly issuer: PinnedIssuer | undefined;
  /** By the storage's clock: for whose time is over. */
  readonly storageTime: Date;
  /** By the writer's clock. */
  readonly now: Date;
  /** How old the last answer may be before that is warned of; ROLES_MAX_AGE_MS. */
  readonly rolesMaxAgeMs?: number | undefined;
}

/** Of the roster, and enrolled at the identity provider that the root pins. */
interface EnrolledReader {
  readonly entry: RosterRecipient;
  readonly subject: string;
}

interface LostReader {
  readonly entry: RosterRecipient;
  readonly standing: Exclude<RoleStanding, 'holds'>;
}

/** As they stand in the snapshot. */
const REASONS: Readonly<Record<LostReader['standing'], string>> = { lost: 'role lost', gone: 'user gone' };

/**
 * The roster's recipients, but for those whose time is over, and for enrolled readers who lost the role at the identity provider: it may
 * take somebody away, and add nobody. Nobody else is taken away by its word, no break-glass recipient and nobody who did not enrol. Where
 * it does not answer, or where its answer would leave fewer than the roster's minimum (which is never below the root's), nobody is: else
 * whoever holds the provider could end the backups.
 *
 * @throws FormatError ROSTER_TOO_FEW_RECIPIENTS
 */
export async function recipientsOfRun(
  request: RunRecipientsRequest,
  dependencies: RolesDependencies,
  { signal }: { readonly signal: AbortSignal },
): Promise<RunRecipients> {
  const { roster, issuer, storageTime, now, rolesMaxAgeMs: maxAgeMs = ROLES_MAX_AGE_MS } = request;
  const { progress, askRoles } = dependencies;
  const present = presentRecipients(roster, storageTime);
  const expired = roster.recipients
    .filter((entry) => !present.includes(entry))
    .map((entry) => droppedFor(entry, `not after ${entry.notAfter}`));
  const readers = issuer === undefined ? [] : enrolledReaders(present, issuer);
  if (issuer === undefined || readers.length === 0) return sealedTo(present, expired, { rolesStale: false });
  if (askRoles === undefined) progress.note(unaskedWords(issuer));
  const subjects = [...new Set(readers.map(({ subject }) => subject))];
  const asked = await askReaderRoles({ subjects, issuer: issuer.url, at: now }, dependencies, { maxAgeMs, signal });
  if (asked.staleSince !== undefined) progress.warn(staleWords(asked.staleSince, issuer));
  const lost = lostReaders(readers, asked.standings);
  const isOverruled = present.length - lost.length < roster.minimumRecipients;
  if (isOverruled) progress.warn(overruledWords(lost.length, readers.length, roster, issuer));
  else for (const reader of lost) progress.warn(droppedWords(reader, issuer));
  const gone = isOverruled ? [] : lost;
  const kept = present.filter((entry) => !gone.some((reader) => reader.entry === entry));
  const byRole = gone.map(({ entry, standing }) => droppedFor(entry, REASONS[standing]));
  return sealedTo(kept, [...expired, ...byRole], standingOf(asked, isOverruled, now));
}

function enrolledReaders(present: readonly RosterRecipient[], issuer: PinnedIssuer): readonly EnrolledReader[] {
  return present.flatMap((entry) => {
    const evidence = enrolmentEvidenceOf(entry);
    if (entry.role !== 'reader' || evidence?.issuer !== issuer.url) return [];
    return [{ entry, subject: evidence.subject }];
  });
}

function lostReaders(
  readers: readonly EnrolledReader[],
  standings: ReadonlyMap<string, RoleStanding>,
): readonly LostReader[] {
  return readers.flatMap(({ entry, subject }) => {
    const standing = standings.get(subject);
    return standing === undefined || standing === 'holds' ? [] : [{ entry, standing }];
  });
}

function droppedFor({ name, recipient }: RosterRecipient, reason: string): DroppedRecipient {
  return { name, recipient, reason };
}

type Standing = Pick<RunRecipients, 'identityProvider' | 'rolesAnswered' | 'rolesStale'>;

function standingOf({ state, answered, staleSince }: AskedRoles, isOverruled: boolean, now: Date): Standing {
  const at = now.toISOString();
  return {
    ...(state === undefined ? {} : { identityProvider: { state: isOverruled ? 'overruled' : state, at } }),
    ...(answered === undefined ? {} : { rolesAnswered: answered }),
    rolesStale: staleSince !== undefined,
  };
}

function sealedTo(
  entries: readonly RosterRecipient[],
  dropped: readonly DroppedRecipient[],
  standing: Standing,
): RunRecipients {
  return { recipients: entries.map(({ recipient }) => recipient), dropped, ...standing };
}

function droppedWords({ entry: { name }, standing }: LostReader, { url, readerRole }: PinnedIssuer): string {
  const what =
    standing === 'gone' ? `${name} is no active user of ${url}` : `${name} has lost the role ${readerRole} at ${url}`;
  return `${what}: not a reader of this backup. To take a reader off the roster: \`portolan keys revoke --recipient ${name}\``;
}

function overruledWords(lost: number, readers: number, { minimumRecipients }: Roster, { url }: PinnedIssuer): string {
  return (
    `${url} says of ${lost} of ${readers} enrolled readers that they lost the role, which would leave fewer than the ` +
    `minimum of ${minimumRecipients} recipients: NOBODY is left out, this backup is sealed to the whole roster. ` +
    'Look at the identity provider: somebody may have taken it over. Whom it is right about: `portolan keys revoke`'
  );
}

function unaskedWords({ url, readerRole }: PinnedIssuer): string {
  return `nobody asks ${url} who still holds the role ${readerRole}: that needs --service-key, and ZITADEL's claim of roles in the root`;
}

function staleWords(since: string, { url, readerRole }: PinnedIssuer): string {
  return (
    `since ${since} ${url} has not said who holds the role ${readerRole}: whoever lost it since then is still ` +
    'sealed to, as the roster has it. See to the identity provider, or use `portolan keys revoke`'
  );
}

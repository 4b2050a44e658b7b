import type { WriterName } from '../../formats/repository/keys.ts';
import { rosterKey } from '../../formats/repository/keys.ts';
import { pinnedRootOf } from '../../formats/repository/pinned-root.ts';
import {
  type ClosedChain,
  decodeRoster,
  type Roster,
  type RosterKey,
  type RosterRecipient,
  type RosterWriter,
  rosterKeys,
} from '../../formats/repository/roster.ts';
import type { SigningKey } from '../../formats/sigstore/cosign-key.ts';
import { UseCaseError } from '../errors.ts';
import { readChain } from './chains.ts';
import { type RepositoryMemory, rememberSeen } from './checkpoints.ts';
import { listChains } from './listing.ts';
import { isCode, putOnce } from './objects.ts';
import { type OpenedRepository, openRepository } from './open.ts';
import { requireRole, signRoster } from './roles.ts';

/** Who comes in. Entries of a name that is there already replace it. */
export interface Approvals {
  readonly recipients: readonly RosterRecipient[];
  readonly writers: readonly RosterWriter[];
  readonly pruners: readonly RosterKey<WriterName>[];
  readonly verifiers: readonly RosterKey<WriterName>[];
  readonly approvers: readonly RosterKey[];
  /** How many approvers must sign from then on. */
  readonly threshold?: number | undefined;
  /** To how many recipients every backup is sealed at the least. */
  readonly minimumRecipients?: number | undefined;
}

/** Who goes, by name. */
export type Revocations = Readonly<
  Record<Exclude<keyof Approvals, 'threshold' | 'minimumRecipients'>, readonly string[]>
>;

/** The roster with these entries. @throws UseCaseError ROSTER_UNCHANGED */
export function withApprovals(roster: Roster, { threshold, minimumRecipients, ...approvals }: Approvals): Roster {
  const put = <Entry extends { readonly name: string }>(old: readonly Entry[], added: readonly Entry[]) => [
    ...old.filter(({ name }) => !added.some((entry) => entry.name === name)),
    ...added,
  ];
  if (
    Object.values(approvals).every((entries) => entries.length === 0) &&
    (threshold ?? minimumRecipients) === undefined
  )
    throw unchanged('nobody was named');
  return {
    ...roster,
    recipients: put(roster.recipients, approvals.recipients),
    minimumRecipients: minimumRecipients ?? roster.minimumRecipients,
    writers: put(roster.writers, approvals.writers),
    pruners: put(roster.pruners, approvals.pruners),
    verifiers: put(roster.verifiers, approvals.verifiers),
    approvers: {
      threshold: threshold ?? roster.approvers.threshold,
      keys: put(roster.approvers.keys, approvals.approvers),
    },
  };
}

/** The roster without these entries. @throws UseCaseError ROSTER_UNCHANGED, ROSTER_NAME_UNKNOWN */
export function withoutRevoked(roster: Roster, revoked: Revocations): Roster {
  if (Object.values(revoked).every((names) => names.length === 0)) throw unchanged('nobody was named');
  const drop = <Entry extends { readonly name: string }>(entries: readonly Entry[], role: keyof Revocations) => {
    for (const name of revoked[role]) {
      if (entries.some((entry) => entry.name === name)) continue;
      throw new UseCaseError('ROSTER_NAME_UNKNOWN', `${JSON.stringify(name)} is not among the ${role}`, {
        expected: entries.map((entry) => entry.name).join(', ') || 'nobody',
        hint: '`portolan keys list` shows the names.',
      });
    }
    return entries.filter(({ name }) => !revoked[role].includes(name));
  };
  return {
    ...roster,
    recipients: drop(roster.recipients, 'recipients'),
    writers: drop(roster.writers, 'writers'),
    pruners: drop(roster.pruners, 'pruners'),
    verifiers: drop(roster.verifiers, 'verifiers'),
    approvers: { ...roster.approvers, keys: drop(roster.approvers.keys, 'approvers') },
  };
}

/** The next epoch, signed by some or all who must. */
export interface NextRoster {
  readonly epoch: number;
  readonly document: Roster;
  readonly bytes: Uint8Array;
  /** Names of the approvers who signed. */
  readonly signers: readonly string[];
  /** How many approvers must still sign before it can be published. */
  readonly missing: number;
}

/**
 * A changed roster as the next epoch, checked and signed; nothing is written. The signer must be an approver before and after.
 * It closes the chain of each writer whose key it takes away: with that key nothing can be added to it any more. `fresh`: from this
 * epoch on nothing is built on packs of earlier ones.
 *
 * @throws UseCaseError ROLE_MISSING, ROSTER_REFUSED
 */
export async function signNextRoster(
  repository: OpenedRepository,
  changed: Roster,
  signer: SigningKey,
  now: number,
  options: { readonly signal?: AbortSignal; readonly fresh?: boolean } = {},
): Promise<NextRoster> {
  const { roster } = repository;
  requireRole(roster.document, 'approvers', signer);
  if (!rosterKeys(changed, 'approvers').some(({ keyHint }) => keyHint === signer.keyHint)) {
    throw new UseCaseError('ROLE_MISSING', 'whoever signs a roster must be one of its approvers', {
      expected: signer.keyHint,
      hint: 'Add another approver first: `portolan keys approve --approver`. That one can then take you off.',
    });
  }
  const next = await nextRoster(repository, changed, now, options);
  return signedSoFar(roster.document, next, signRoster(next, [signer], repository.trust));
}

/** A changed roster as the epoch after the newest one, not signed. */
export async function nextRoster(
  repository: OpenedRepository,
  changed: Roster,
  now: number,
  options: { readonly signal?: AbortSignal; readonly fresh?: boolean } = {},
): Promise<Roster> {
  const { roster } = repository;
  // What an epoch does once is not said again by the next one.
  const { closed: _closed, fresh: _fresh, ...rest } = changed;
  const closed = await closedChains(repository, changed, options);
  return {
    ...rest,
    epoch: roster.document.epoch + 1,
    previous: roster.digest,
    created: new Date(now).toISOString(),
    ...(closed.length > 0 ? { closed } : {}),
    ...(options.fresh === true ? { fresh: true } : {}),
  };
}

/**
 * Who signed a roster that follows `before`, and how many are missing: it needs the threshold of its own approvers and that of the
 * approvers before it.
 *
 * @throws FormatError as `decodeRoster`
 */
export function signedSoFar(before: Roster, document: Roster, bytes: Uint8Array): NextRoster {
  const signersOf = (roster: Roster) =>
    decodeRoster(bytes, { keys: rosterKeys(roster, 'approvers'), threshold: 0 }).signers;
  const [old, own] = [signersOf(before), signersOf(document)];
  const hints = new Set(old.map(({ keyHint }) => keyHint));
  const signers = [...old, ...own.filter(({ keyHint }) => !hints.has(keyHint))].map(({ name }) => name).sort();
  const missing = Math.max(0, before.approvers.threshold - old.length, document.approvers.threshold - own.length);
  return { epoch: document.epoch, document, bytes, signers, missing };
}

/** Where the chains end whose writers lose their keys. */
async function closedChains(
  repository: OpenedRepository,
  changed: Roster,
  options: { readonly signal?: AbortSignal },
): Promise<ClosedChain[]> {
  const closed: ClosedChain[] = [];
  for (const { name, publicKey } of repository.roster.document.writers) {
    if (changed.writers.some((writer) => writer.name === name && writer.publicKey === publicKey)) continue;
    const [listed] = await listChains(repository.store, { ...options, writer: name });
    const chain = listed === undefined ? undefined : await readChain(repository, listed, options);
    closed.push({ writer: name, sequence: chain?.head?.sequence ?? 0 });
  }
  return closed;
}

/**
 * Writes the next epoch.
 *
 * @throws UseCaseError ROSTER_NEEDS_APPROVERS when too few signed it; OBJECT_CONFLICT when somebody else changed the roster at once
 */
export async function publishRoster(
  repository: OpenedRepository,
  next: Pick<NextRoster, 'epoch' | 'bytes' | 'signers' | 'missing'>,
  memory: RepositoryMemory,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Roster> {
  const { store, id } = repository;
  requireComplete(next);
  await putEpoch(repository, next, options);
  // Read back as everybody reads it, whom this machine trusted before.
  const keys = repository.rosters.flatMap(({ document }) => rosterKeys(document, 'approvers'));
  const trust = { ...pinnedRootOf(repository.trust), keys, repository: id };
  const request = { trust, checkpointOf: async () => repository.checkpoint };
  const opened = await openRepository(store, request, options);
  await rememberSeen(memory, opened, {}, options);
  return opened.roster.document;
}

/** @throws UseCaseError ROSTER_NEEDS_APPROVERS */
export function requireComplete({ epoch, signers, missing }: Pick<NextRoster, 'epoch' | 'signers' | 'missing'>): void {
  if (missing === 0) return;
  throw new UseCaseError(
    'ROSTER_NEEDS_APPROVERS',
    `the roster of epoch ${epoch} needs the signatures of more approvers`,
    {
      expected: `${missing} more`,
      found: signers.join(', '),
      hint: 'Write it to a file with --proposal-out FILE, and have the others run `portolan keys approve --proposal FILE`.',
    },
  );
}

async function putEpoch(
  { store }: OpenedRepository,
  { epoch, bytes }: Pick<NextRoster, 'epoch' | 'bytes'>,
  options: { readonly signal?: AbortSignal },
): Promise<void> {
  try {
    await putOnce(store, rosterKey(epoch), bytes, options);
  } catch (cause) {
    if (!isCode(cause, 'OBJECT_CONFLICT')) throw cause;
    throw new UseCaseError('OBJECT_CONFLICT', `somebody else published epoch ${epoch} of the roster meanwhile`, {
      cause,
      at: { file: rosterKey(epoch) },
      hint: 'Nothing was changed. Look at the roster with `portolan keys list`, then run the command again: it makes the epoch after that one.',
    });
  }
}

function unchanged(why: string): UseCaseError {
  return new UseCaseError('ROSTER_UNCHANGED', `the roster stays as it is: ${why}`, {
    hint: 'Name a recipient, writer, pruner, verifier or approver.',
  });
}

import type { WriterName } from '../../formats/repository/keys.ts';
import { rosterKey } from '../../formats/repository/keys.ts';
import {
  type ClosedChain,
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
import { putOnce } from './objects.ts';
import { type OpenedRepository, openRepository } from './open.ts';
import { requireRole, signRoster } from './roles.ts';

/** Who comes in. Entries of a name that is there already replace it. */
export interface Approvals {
  readonly recipients: readonly RosterRecipient[];
  readonly writers: readonly RosterWriter[];
  readonly pruners: readonly RosterKey<WriterName>[];
  readonly verifiers: readonly RosterKey<WriterName>[];
  readonly approvers: readonly RosterKey[];
}

/** Who goes, by name. */
export type Revocations = Readonly<Record<keyof Approvals, readonly string[]>>;

/** The roster with these entries. @throws UseCaseError ROSTER_UNCHANGED */
export function withApprovals(roster: Roster, approvals: Approvals): Roster {
  const put = <Entry extends { readonly name: string }>(old: readonly Entry[], added: readonly Entry[]) => [
    ...old.filter(({ name }) => !added.some((entry) => entry.name === name)),
    ...added,
  ];
  if (Object.values(approvals).every((entries) => entries.length === 0)) throw unchanged('nobody was named');
  return {
    ...roster,
    recipients: put(roster.recipients, approvals.recipients),
    writers: put(roster.writers, approvals.writers),
    pruners: put(roster.pruners, approvals.pruners),
    verifiers: put(roster.verifiers, approvals.verifiers),
    approvers: { ...roster.approvers, keys: put(roster.approvers.keys, approvals.approvers) },
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

export interface NextRoster {
  readonly epoch: number;
  readonly bytes: Uint8Array;
}

/**
 * A changed roster as the next epoch, checked and signed; nothing is written. The signer must be an approver before and after.
 * It closes the chain of each writer whose key it takes away: with that key nothing can be added to it any more.
 *
 * @throws UseCaseError ROLE_MISSING, ROSTER_REFUSED
 */
export async function signNextRoster(
  repository: OpenedRepository,
  changed: Roster,
  signer: SigningKey,
  now: number,
  options: { readonly signal?: AbortSignal } = {},
): Promise<NextRoster> {
  const { roster } = repository;
  requireRole(roster.document, 'approvers', signer);
  if (!rosterKeys(changed, 'approvers').some(({ keyHint }) => keyHint === signer.keyHint)) {
    throw new UseCaseError('ROLE_MISSING', 'whoever signs a roster must be one of its approvers', {
      expected: signer.keyHint,
      hint: 'Add another approver first: `portolan keys approve --approver`. That one can then take you off.',
    });
  }
  const threshold = Math.max(changed.approvers.threshold, roster.document.approvers.threshold);
  if (threshold > 1) {
    throw new UseCaseError('ROLE_MISSING', 'this roster needs the signatures of several approvers', {
      expected: threshold,
      found: 1,
      hint: 'Sign it with as many approvers as it asks for.',
    });
  }
  const epoch = roster.document.epoch + 1;
  const { closed: _, ...rest } = changed;
  const closed = await closedChains(repository, changed, options);
  const next: Roster = {
    ...rest,
    epoch,
    previous: roster.digest,
    created: new Date(now).toISOString(),
    ...(closed.length > 0 ? { closed } : {}),
  };
  return { epoch, bytes: signRoster(next, signer) };
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
 * @throws UseCaseError OBJECT_CONFLICT when somebody else changed the roster at once
 */
export async function publishRoster(
  repository: OpenedRepository,
  { epoch, bytes }: NextRoster,
  memory: RepositoryMemory,
  options: { readonly signal?: AbortSignal } = {},
): Promise<Roster> {
  const { store, id } = repository;
  await putOnce(store, rosterKey(epoch), bytes, options);
  // Read back as everybody reads it, whom this machine trusted before.
  const keys = repository.rosters.flatMap(({ document }) => rosterKeys(document, 'approvers'));
  const request = { trust: { keys, repository: id }, checkpointOf: async () => repository.checkpoint };
  const opened = await openRepository(store, request, options);
  await rememberSeen(memory, opened, {}, options);
  return opened.roster.document;
}

function unchanged(why: string): UseCaseError {
  return new UseCaseError('ROSTER_UNCHANGED', `the roster stays as it is: ${why}`, {
    hint: 'Name a recipient, writer, pruner, verifier or approver.',
  });
}

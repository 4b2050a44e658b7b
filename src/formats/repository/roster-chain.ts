/**
 * From the keys that a person pinned to the roster that holds now (docs/format-repository.md, "Roster", "Chain"):
 *
 * - epochs follow each other without a gap from 1, and each names the digest of the one before;
 * - an epoch is signed by the threshold of its own approvers and by that of the approvers before it (as The Update
 *   Framework, section 5.3, has it for its root): nobody becomes an approver without having the key;
 * - at least one epoch is signed by enough of the pinned keys. What came before it is held by digests, what came after it
 *   by signatures;
 * - the newest is not older than the checkpoint or the lowest epoch that was pinned;
 * - the newest has what the root pins: break-glass recipients and the minimum. Older ones may be from before there was a root; nothing
 *   is sealed by them any more.
 */
import type { Digest } from '../../core/digest.ts';
import { FormatError, type FormatErrorCode } from '../errors.ts';
import type { TrustedKey } from '../sigstore/signature-bundle.ts';
import { type RepositoryId, rosterKey } from './keys.ts';
import { type PinnedRoot, requirePinnedRoot } from './pinned-root.ts';
import { decodeRoster, type Roster, readUnverifiedRoster, rosterKeys } from './roster.ts';
import type { Signed } from './signed-document.ts';

/** What `--trust FILE` pins (repository-trust.ts). */
export interface RosterTrust extends PinnedRoot {
  readonly keys: readonly TrustedKey[];
  /** How many of the pinned keys must have signed; as many as the epoch's own threshold unless said. */
  readonly threshold?: number | undefined;
  readonly repository?: RepositoryId | undefined;
  readonly minimumEpoch?: number | undefined;
}

export interface EpochDocument {
  /** By the key of the object. */
  readonly epoch: number;
  readonly bytes: Uint8Array;
}

export interface RosterChain {
  readonly repository: RepositoryId;
  /** All epochs, from 1. */
  readonly rosters: readonly Signed<Roster>[];
  readonly current: Signed<Roster>;
}

/**
 * @throws FormatError ROSTER_INVALID, ROSTER_MISSING (no epoch, or a gap), ROSTER_UNSIGNED, ROSTER_FORKED, ROSTER_ROLLED_BACK,
 *   ROSTER_BREAK_GLASS_MISSING, ROSTER_MINIMUM_TOO_LOW, REPOSITORY_MISMATCH, and what `decodeRoster` throws
 */
export function verifyRosterChain(
  documents: readonly EpochDocument[],
  trust: RosterTrust,
  checkpoint?: { readonly epoch: number; readonly digest: Digest },
): RosterChain {
  const epochs = documents.toSorted((a, b) => a.epoch - b.epoch);
  const rosters: Signed<Roster>[] = [];
  let repository = trust.repository;
  let anchored = false;
  for (const [index, { epoch, bytes }] of epochs.entries()) {
    const at = rosterKey(epoch);
    if (epochs[index - 1]?.epoch === epoch)
      throw chainError('ROSTER_FORKED', `there are two rosters of epoch ${epoch}`, at);
    if (epoch !== index + 1) throw missing(index + 1);
    const before = rosters.at(-1);
    const { document } = readUnverifiedRoster(bytes, at);
    if (document.epoch !== epoch)
      throw chainError(
        'ROSTER_INVALID',
        'the roster is of another epoch than its name says',
        at,
        epoch,
        document.epoch,
      );
    if (document.previous !== (before?.digest ?? null)) {
      throw chainError(
        'ROSTER_FORKED',
        `the roster of epoch ${epoch} follows another epoch ${epoch - 1} than the one that is here`,
        at,
        before?.digest,
        document.previous ?? undefined,
      );
    }
    const signed = requireSigned(
      bytes,
      rosterKeys(document, 'approvers'),
      document.approvers.threshold,
      repository,
      at,
    );
    if (before !== undefined) {
      const { approvers } = before.document;
      requireSigned(bytes, rosterKeys(before.document, 'approvers'), approvers.threshold, repository, at);
    }
    repository ??= document.repository;
    anchored ||= isSignedByPinned(bytes, trust, document.approvers.threshold, at);
    rosters.push(signed);
  }
  const current = rosters.at(-1);
  if (current === undefined || repository === undefined) throw missing(1);
  if (!anchored) {
    throw new FormatError('ROSTER_UNSIGNED', 'no epoch of the roster is signed by the keys that you trust', {
      expected: trust.keys.map(({ keyHint, name }) => `${keyHint} (${name})`).join(', ') || 'no key is trusted',
      at: { file: rosterKey(current.document.epoch) },
    });
  }
  refuseOlder(rosters, current, trust, checkpoint);
  requirePinnedRoot(current.document, trust);
  return { repository, rosters, current };
}

function requireSigned(
  bytes: Uint8Array,
  keys: readonly TrustedKey[],
  threshold: number,
  repository: RepositoryId | undefined,
  at: string,
): Signed<Roster> {
  try {
    return decodeRoster(bytes, { keys, threshold, repository, at });
  } catch (cause) {
    if (!(cause instanceof FormatError) || cause.code !== 'SIGNED_DOCUMENT_UNSIGNED') throw cause;
    throw new FormatError('ROSTER_UNSIGNED', 'too few approvers signed a roster', {
      cause,
      ...(cause.expected === undefined ? {} : { expected: cause.expected }),
      ...(cause.found === undefined ? {} : { found: cause.found }),
      at: { file: at },
    });
  }
}

function isSignedByPinned(bytes: Uint8Array, trust: RosterTrust, ownThreshold: number, at: string): boolean {
  const threshold = trust.threshold ?? ownThreshold;
  return decodeRoster(bytes, { keys: trust.keys, threshold: 0, at }).signers.length >= Math.max(1, threshold);
}

function refuseOlder(
  rosters: readonly Signed<Roster>[],
  current: Signed<Roster>,
  trust: RosterTrust,
  checkpoint: { readonly epoch: number; readonly digest: Digest } | undefined,
): void {
  const lowest = Math.max(trust.minimumEpoch ?? 1, checkpoint?.epoch ?? 1);
  const { epoch } = current.document;
  if (epoch < lowest) {
    throw chainError(
      'ROSTER_ROLLED_BACK',
      'the newest roster is older than one that was seen',
      rosterKey(epoch),
      lowest,
      epoch,
    );
  }
  if (checkpoint === undefined) return;
  const seen = rosters[checkpoint.epoch - 1];
  if (seen !== undefined && seen.digest !== checkpoint.digest) {
    throw chainError(
      'ROSTER_FORKED',
      `the roster of epoch ${checkpoint.epoch} is not the one that was seen`,
      rosterKey(checkpoint.epoch),
      checkpoint.digest,
      seen.digest,
    );
  }
}

function missing(epoch: number): FormatError {
  return chainError('ROSTER_MISSING', `the roster of epoch ${epoch} is missing`, rosterKey(epoch));
}

function chainError(
  code: FormatErrorCode,
  message: string,
  at: string,
  expected?: string | number,
  found?: string | number,
): FormatError {
  return new FormatError(code, message, {
    ...(expected === undefined ? {} : { expected }),
    ...(found === undefined ? {} : { found }),
    at: { file: at },
  });
}

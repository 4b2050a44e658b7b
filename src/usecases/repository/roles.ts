import { FormatError } from '../../formats/errors.ts';
import type { WriterName } from '../../formats/repository/keys.ts';
import { type PinnedRoot, requirePinnedRoot } from '../../formats/repository/pinned-root.ts';
import {
  encodeRoster,
  type Roster,
  type RosterRole,
  type RosterWriter,
  rosterKeys,
} from '../../formats/repository/roster.ts';
import type { SigningKey } from '../../formats/sigstore/cosign-key.ts';
import { UseCaseError } from '../errors.ts';

/** What somebody with this key is called in a role. @throws UseCaseError ROLE_MISSING */
export function requireRole(roster: Roster, role: RosterRole, { keyHint }: SigningKey): string {
  const keys = rosterKeys(roster, role);
  const key = keys.find((candidate) => candidate.keyHint === keyHint);
  if (key !== undefined) return key.name;
  throw new UseCaseError('ROLE_MISSING', `the signing key is not one of the ${role}`, {
    expected: keys.map((one) => `${one.keyHint} (${one.name})`).join(', ') || `the roster has no ${role}`,
    found: keyHint,
    hint: 'Give another --sign-key, or have an approver add this one: `portolan keys approve`.',
  });
}

/** A writer whose signing key and index key are both those of the roster. @throws UseCaseError ROLE_MISSING */
export function requireWriter(
  roster: Roster,
  name: WriterName,
  { keyHint }: SigningKey,
  indexRecipient: string,
): RosterWriter {
  const writer = roster.writers.find((candidate) => candidate.name === name);
  const own = rosterKeys(roster, 'writers').find((key) => key.name === name);
  if (writer !== undefined && own?.keyHint === keyHint && writer.indexRecipient === indexRecipient) return writer;
  const problem =
    writer === undefined
      ? `the roster has no writer ${name}`
      : own?.keyHint === keyHint
        ? `the writer key file of ${name} was replaced by another`
        : `the signing key is not the one of the writer ${name}`;
  throw new UseCaseError('ROLE_MISSING', problem, {
    ...(own === undefined ? {} : { expected: own.keyHint }),
    found: keyHint,
    hint: 'Have an approver add it with `portolan keys approve`, or give the writer key file and the signing key that belong together.',
  });
}

const REFUSED: readonly string[] = ['ROSTER_INVALID', 'ROSTER_BREAK_GLASS_MISSING', 'ROSTER_MINIMUM_TOO_LOW'];

/** A roster that a person asked for and the root allows, signed. @throws UseCaseError ROSTER_REFUSED */
export function signRoster(roster: Roster, signers: readonly SigningKey[], root: PinnedRoot): Uint8Array {
  try {
    // Everybody who pinned the root would refuse it: nobody could back up any more.
    requirePinnedRoot(roster, root);
    return encodeRoster(roster, signers);
  } catch (cause) {
    if (!(cause instanceof FormatError) || !REFUSED.includes(cause.code)) throw cause;
    throw new UseCaseError('ROSTER_REFUSED', cause.message, {
      ...(cause.cause === undefined ? {} : { cause: cause.cause }),
      ...(cause.expected === undefined ? {} : { expected: cause.expected }),
      ...(cause.found === undefined ? {} : { found: cause.found }),
      hint: 'Nothing was changed. `portolan keys list` shows who is on the roster.',
    });
  }
}

/**
 * The root: what is pinned of a repository beside the approvers' keys (docs/format-repository.md, "Trust"). It stands in the trust
 * file and in the writer key file, and never comes from the storage.
 *
 *     { "breakGlass"?: [ "age1…" ]: every roster has them, for ever, as break-glass,
 *       "minimumRecipients"?: no roster has a lower minimum,
 *       "issuer"?: the identity provider (formats/identity/pinned-issuer.ts) }
 */
import { z } from 'zod';
import { parseRecipient } from '../age/recipients.ts';
import { FormatError } from '../errors.ts';
import { type PinnedIssuer, pinnedIssuerSchema } from '../identity/pinned-issuer.ts';
import { rosterKey } from './keys.ts';
import type { Roster } from './roster.ts';

export interface PinnedRoot {
  readonly breakGlass?: readonly string[];
  readonly minimumRecipients?: number;
  readonly issuer?: PinnedIssuer;
}

/** Members of the documents that pin a root. */
export const pinnedRootMembers = {
  breakGlass: z
    .array(z.string().refine(isExactRecipient, 'an age recipient, in lower case'))
    .min(1)
    .max(64)
    .refine((recipients) => new Set(recipients).size === recipients.length, 'a recipient stands twice')
    .exactOptional(),
  minimumRecipients: z.number().int().min(1).max(64).exactOptional(),
  issuer: pinnedIssuerSchema.exactOptional(),
};

/** The members of a root out of something that has more; those that are absent stay absent. */
export function pinnedRootOf({ breakGlass, minimumRecipients, issuer }: PinnedRoot): PinnedRoot {
  return {
    ...(breakGlass === undefined ? {} : { breakGlass }),
    ...(minimumRecipients === undefined ? {} : { minimumRecipients }),
    ...(issuer === undefined ? {} : { issuer }),
  };
}

/** As a writer key file has it: absent where nothing is pinned. */
export function rootMember(pinned: PinnedRoot): { readonly root?: PinnedRoot } {
  const root = pinnedRootOf(pinned);
  return Object.keys(root).length === 0 ? {} : { root };
}

/**
 * A roster that the root allows. A pinned break-glass recipient whose time may run out is as good as none: from that day on nothing
 * is sealed to it.
 *
 * @throws FormatError ROSTER_BREAK_GLASS_MISSING, ROSTER_MINIMUM_TOO_LOW
 */
export function requirePinnedRoot(roster: Roster, { breakGlass = [], minimumRecipients = 1 }: PinnedRoot): void {
  const at = { file: rosterKey(roster.epoch) };
  for (const pinned of breakGlass) {
    const entry = roster.recipients.find(({ recipient }) => recipient === pinned);
    if (entry?.role === 'break-glass' && entry.notAfter === undefined) continue;
    throw new FormatError('ROSTER_BREAK_GLASS_MISSING', `the roster lacks a break-glass recipient of the root`, {
      expected: `${shortened(pinned)} as break-glass, without an end`,
      found:
        entry === undefined
          ? 'not there'
          : `${entry.role}${entry.notAfter === undefined ? '' : ` until ${entry.notAfter}`}`,
      at,
    });
  }
  if (roster.minimumRecipients >= minimumRecipients) return;
  throw new FormatError(
    'ROSTER_MINIMUM_TOO_LOW',
    'the roster lets a backup go to fewer recipients than the root does',
    {
      expected: `at least ${minimumRecipients}`,
      found: roster.minimumRecipients,
      at,
    },
  );
}

/** A post-quantum recipient has two thousand characters. */
function shortened(recipient: string): string {
  return recipient.length <= 80 ? recipient : `${recipient.slice(0, 24)}…${recipient.slice(-8)}`;
}

function isExactRecipient(text: string): boolean {
  try {
    return parseRecipient(text).text === text && text === text.toLowerCase();
  } catch {
    return false;
  }
}

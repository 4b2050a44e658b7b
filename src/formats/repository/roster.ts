/**
 * The roster (docs/format-repository.md, "Roster"): who may read, write, prune, verify and approve. A signed document under
 * keys/EPOCH.json, never changed; the next epoch names the digest of the one before.
 *
 *     { "version", "repository", "epoch", "previous": digest or null, "created",
 *       "approvers": { "threshold", "keys": [ { "name", "publicKey" } ] },
 *       "recipients": [ { "name", "recipient", "role": "reader" | "break-glass", "notAfter"? } ], "minimumRecipients",
 *       "writers": [ { "name", "publicKey", "indexRecipient" } ], "pruners": […], "verifiers": [ { "name", "publicKey" } ],
 *       "closed"?: [ { "writer", "sequence" } ], "fresh"?: true }
 *
 * `publicKey` is base64 of the key in DER. Any entry may have `evidence`, an object of any content: why it is there.
 */
import { z } from 'zod';
import type { Digest } from '../../core/digest.ts';
import { joinRecipients, parseRecipient } from '../age/recipients.ts';
import { FormatError } from '../errors.ts';
import type { SigningKey } from '../sigstore/cosign-key.ts';
import { decodeBase64 } from '../sigstore/pem.ts';
import { keyHint, parseSpki } from '../sigstore/public-key.ts';
import type { TrustedKey } from '../sigstore/signature-bundle.ts';
import {
  countSchema,
  digestSchema,
  labelSchema,
  repositorySchema,
  textSchema,
  timeSchema,
  versionSchema,
  writerSchema,
} from './documents.ts';
import { type RepositoryId, rosterKey, type WriterName } from './keys.ts';
import { decodeSigned, encodeSigned, readUnverified, type Signed } from './signed-document.ts';

export const ROSTER_MAX_BYTES = 4 * 1024 * 1024;
const MAX_ENTRIES = 1000;

export interface Roster {
  readonly version: 1;
  readonly repository: RepositoryId;
  /** From 1. */
  readonly epoch: number;
  readonly previous: Digest | null;
  /** ISO 8601, UTC, milliseconds; so are all times here. */
  readonly created: string;
  readonly approvers: Approvers;
  readonly recipients: readonly RosterRecipient[];
  readonly minimumRecipients: number;
  readonly writers: readonly RosterWriter[];
  readonly pruners: readonly RosterKey<WriterName>[];
  readonly verifiers: readonly RosterKey<WriterName>[];
  /** Chains whose writer's key this epoch takes away. */
  readonly closed?: readonly ClosedChain[];
  /** Runs that go by this epoch or a later one build on no pack of a run that went by an earlier one. */
  readonly fresh?: true;
}

/** Snapshots above this sequence count only if they go by this epoch or a later one. */
export interface ClosedChain {
  readonly writer: WriterName;
  /** 0: none. */
  readonly sequence: number;
}

/** What is known of why an entry is there; its content is the approvers' business. */
export type Evidence = Readonly<Record<string, unknown>>;

export interface RosterKey<Name extends string = string> {
  readonly name: Name;
  /** Base64 of SubjectPublicKeyInfo in DER. */
  readonly publicKey: string;
  readonly evidence?: Evidence;
}

export interface Approvers {
  /** How many of the keys must sign the next epoch. */
  readonly threshold: number;
  readonly keys: readonly RosterKey[];
}

export interface RosterRecipient {
  readonly name: string;
  readonly recipient: string;
  readonly role: 'reader' | 'break-glass';
  /** No run after this instant is sealed to it. */
  readonly notAfter?: string;
  readonly evidence?: Evidence;
}

export interface RosterWriter extends RosterKey<WriterName> {
  /** `age1pq1…`: whom its indexes are sealed to. */
  readonly indexRecipient: string;
}

const evidence = z.record(z.string(), z.unknown()).exactOptional();
const key = { publicKey: textSchema, evidence };
const named = z.array(z.strictObject({ name: writerSchema, ...key })).max(MAX_ENTRIES);

const rosterSchema: z.ZodType<Roster> = z.strictObject({
  version: versionSchema,
  repository: repositorySchema,
  epoch: countSchema,
  previous: digestSchema.nullable(),
  created: timeSchema,
  approvers: z.strictObject({
    threshold: z.number().int().min(1),
    keys: z
      .array(z.strictObject({ name: labelSchema, ...key }))
      .min(1)
      .max(64),
  }),
  recipients: z
    .array(
      z.strictObject({
        name: labelSchema,
        recipient: textSchema,
        role: z.enum(['reader', 'break-glass']),
        notAfter: timeSchema.exactOptional(),
        evidence,
      }),
    )
    .min(1)
    .max(64),
  minimumRecipients: z.number().int().min(1),
  writers: z.array(z.strictObject({ name: writerSchema, ...key, indexRecipient: textSchema })).max(MAX_ENTRIES),
  pruners: named,
  verifiers: named,
  closed: z
    .array(z.strictObject({ writer: writerSchema, sequence: z.union([z.literal(0), countSchema]) }))
    .min(1)
    .max(MAX_ENTRIES)
    .exactOptional(),
  fresh: z.literal(true).exactOptional(),
});

export function encodeRoster(roster: Roster, keys: readonly SigningKey[]): Uint8Array {
  checkRoster(roster);
  return encodeSigned(roster, keys, rosterRules(undefined));
}

export interface RosterReading {
  readonly keys: readonly TrustedKey[];
  readonly threshold: number;
  readonly repository?: RepositoryId | undefined;
  readonly at?: string | undefined;
}

/**
 * @throws FormatError ROSTER_INVALID, SIGNED_DOCUMENT_INVALID, SIGNED_DOCUMENT_FORGED, SIGNED_DOCUMENT_UNSIGNED,
 *   REPOSITORY_MISMATCH, REPOSITORY_VERSION_UNSUPPORTED
 */
export function decodeRoster(bytes: Uint8Array, reading: RosterReading): Signed<Roster> {
  const signed = decodeSigned(bytes, { ...rosterRules(reading.at), ...reading });
  checkRoster(signed.document, reading.at);
  return signed;
}

/** What a roster says, its signatures unchecked. Only for the way to its verification (`verifyRosterChain`) and for showing. */
export function readUnverifiedRoster(
  bytes: Uint8Array,
  at?: string,
): { readonly document: Roster; readonly digest: Digest; readonly keyHints: readonly string[] } {
  const read = readUnverified(bytes, rosterRules(at));
  checkRoster(read.document, at);
  return read;
}

function rosterRules(at: string | undefined) {
  return { kind: 'roster', schema: rosterSchema, what: 'the roster', maxBytes: ROSTER_MAX_BYTES, at } as const;
}

export type RosterRole = 'approvers' | 'writers' | 'pruners' | 'verifiers';

/** The keys that hold a role. `name` is the entry's. */
export function rosterKeys(roster: Roster, role: RosterRole): readonly TrustedKey[] {
  const entries = role === 'approvers' ? roster.approvers.keys : roster[role];
  return entries.map(({ name, publicKey }) => trustedKey(name, publicKey));
}

/** The one key of a writer, verifier or pruner; `undefined` when the roster has no such name in that role. */
export function rosterKeyOf(
  roster: Roster,
  role: Exclude<RosterRole, 'approvers'>,
  name: WriterName,
): TrustedKey | undefined {
  const entry = roster[role].find((candidate) => candidate.name === name);
  return entry === undefined ? undefined : trustedKey(entry.name, entry.publicKey);
}

/** Public keys that stand in more than one role, with the roles: whoever holds one holds all of them. */
export function sharedKeys(
  roster: Roster,
): readonly { readonly publicKey: string; readonly roles: readonly RosterRole[] }[] {
  const roles = new Map<string, Set<RosterRole>>();
  for (const role of ['approvers', 'writers', 'pruners', 'verifiers'] as const) {
    for (const { publicKey } of role === 'approvers' ? roster.approvers.keys : roster[role]) {
      roles.set(publicKey, (roles.get(publicKey) ?? new Set()).add(role));
    }
  }
  return [...roles].filter(([, held]) => held.size > 1).map(([publicKey, held]) => ({ publicKey, roles: [...held] }));
}

/** The newest epoch that says `fresh`; 0 when none does. `rosters` are verified. */
export function freshEpoch(rosters: readonly { readonly document: Roster }[]): number {
  return rosters.findLast(({ document }) => document.fresh === true)?.document.epoch ?? 0;
}

/**
 * Whom a run at `now` is sealed to: everybody whose time has not run out.
 *
 * @throws FormatError ROSTER_TOO_FEW_RECIPIENTS
 */
export function presentRecipients(roster: Roster, now: Date): readonly RosterRecipient[] {
  const present = roster.recipients.filter(
    ({ notAfter }) => notAfter === undefined || Date.parse(notAfter) >= now.getTime(),
  );
  if (present.length < roster.minimumRecipients) {
    throw new FormatError('ROSTER_TOO_FEW_RECIPIENTS', 'too few recipients of the roster may still be sealed to', {
      expected: `at least ${roster.minimumRecipients}`,
      found: present.length,
      at: { file: rosterKey(roster.epoch) },
    });
  }
  return present;
}

/** @throws FormatError ROSTER_INVALID */
export function trustedKey(name: string, publicKey: string, at?: string): TrustedKey {
  const der = decodeBase64(publicKey);
  if (der === undefined) throw invalid('a public key is not base64', at);
  try {
    return { name, ...parsedKey(publicKey, der) };
  } catch (cause) {
    throw invalid(`the public key of ${name} is not a P-256 key`, at, cause);
  }
}

/** Every epoch names nearly the same keys, and OpenSSL takes half a millisecond for one. */
const parsedKeys = new Map<string, Omit<TrustedKey, 'name'>>();
const PARSED_KEYS = 1000;

function parsedKey(publicKey: string, der: Uint8Array): Omit<TrustedKey, 'name'> {
  const known = parsedKeys.get(publicKey);
  if (known !== undefined) return known;
  const parsed = parseSpki(der);
  const key = { publicKey: parsed, keyHint: keyHint(parsed) };
  if (parsedKeys.size >= PARSED_KEYS) parsedKeys.clear();
  parsedKeys.set(publicKey, key);
  return key;
}

/** The rules that a schema does not tell. @throws FormatError ROSTER_INVALID */
function checkRoster(roster: Roster, at = rosterKey(roster.epoch)): void {
  const { approvers, recipients, writers, pruners, verifiers } = roster;
  if ((roster.epoch === 1) !== (roster.previous === null))
    throw invalid('the first epoch alone has no epoch before it', at);
  for (const [role, entries] of Object.entries({ approvers: approvers.keys, writers, pruners, verifiers })) {
    const keys = entries.map(({ name, publicKey }) => trustedKey(name, publicKey, at).keyHint);
    if (new Set(keys).size !== keys.length) throw invalid(`a key stands twice among the ${role}`, at);
    requireDistinct(entries, role, at);
  }
  if (approvers.threshold > approvers.keys.length) throw invalid('more approvers must sign than there are', at);
  if (roster.minimumRecipients > recipients.length) throw invalid('there are fewer recipients than the minimum', at);
  requireDistinct(recipients, 'recipients', at);
  try {
    const set = joinRecipients(recipients.map(({ recipient }) => exactRecipient(recipient)));
    if (set.recipients.length !== recipients.length) throw invalid('a recipient stands twice', at);
    const kinds = writers.map(({ indexRecipient }) => exactRecipient(indexRecipient).kind);
    if (kinds.includes('classic')) throw invalid('the index recipient of a writer is not post-quantum', at);
  } catch (cause) {
    if (cause instanceof FormatError && cause.code === 'ROSTER_INVALID') throw cause;
    throw invalid('a recipient cannot be used', at, cause);
  }
}

/** One recipient has one spelling. */
function exactRecipient(text: string) {
  const recipient = parseRecipient(text);
  if (recipient.text !== text || text !== text.toLowerCase())
    throw invalid('a recipient is in an unusual spelling', undefined);
  return recipient;
}

function requireDistinct(entries: readonly { readonly name: string }[], role: string, at: string): void {
  const names = new Set(entries.map(({ name }) => name));
  if (names.size !== entries.length) throw invalid(`a name stands twice among the ${role}`, at);
}

function invalid(problem: string, at: string | undefined, cause?: unknown): FormatError {
  return new FormatError('ROSTER_INVALID', `the roster is not right: ${problem}`, {
    ...(cause === undefined ? {} : { cause }),
    ...(at === undefined ? {} : { at: { file: at } }),
  });
}

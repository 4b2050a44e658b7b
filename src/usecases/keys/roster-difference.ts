import { canonicalJson } from '../../core/canonical-json.ts';
import { printable } from '../../core/printable.ts';
import { enrolmentEvidenceOf } from '../../formats/identity/enrolment-evidence.ts';
import { recipientFingerprint } from '../../formats/identity/fingerprint.ts';
import {
  type Roster,
  type RosterKey,
  type RosterRecipient,
  type RosterWriter,
  trustedKey,
} from '../../formats/repository/roster.ts';

/** One difference of two rosters, for whoever is asked to sign the second. */
export interface RosterChange {
  readonly change: 'added' | 'removed' | 'changed';
  readonly role: 'reader' | 'break-glass' | 'writer' | 'pruner' | 'verifier' | 'approver' | 'rule';
  readonly name: string;
  /** Fingerprint of a recipient, hint of a key, value of a rule. */
  readonly key: string;
  /** What else the entry says, and what its key was before. */
  readonly notes: readonly string[];
}

interface Entry extends Omit<RosterChange, 'change'> {
  /** All that it says: whatever differs is a change. */
  readonly whole: string;
}

/**
 * Everything in which `after` differs from `before`, apart from number, time and predecessor of the epoch: nothing can change without
 * standing here.
 */
export function rosterDifference(before: Roster, after: Roster): readonly RosterChange[] {
  const old = new Map(lastingEntries(before).map((entry) => [idOf(entry), entry]));
  const next = new Map([...lastingEntries(after), ...onceOnly(after)].map((entry) => [idOf(entry), entry]));
  const changes: RosterChange[] = [];
  for (const [id, entry] of next) {
    const was = old.get(id);
    if (was === undefined) changes.push(changeOf('added', entry, []));
    else if (was.whole !== entry.whole)
      changes.push(changeOf('changed', entry, [`before: ${[was.key, ...was.notes].join(', ')}`]));
  }
  for (const [id, entry] of old) if (!next.has(id)) changes.push(changeOf('removed', entry, []));
  return changes;
}

function changeOf(
  change: RosterChange['change'],
  { whole: _, ...shown }: Entry,
  notes: readonly string[],
): RosterChange {
  return { change, ...shown, notes: [...shown.notes, ...notes] };
}

function idOf({ role, name }: Entry): string {
  return `${role} ${name}`;
}

function lastingEntries({ approvers, recipients, writers, pruners, verifiers, minimumRecipients }: Roster): Entry[] {
  return [
    ...recipients.map(recipientEntry),
    ...writers.map((writer) => keyEntry('writer', writer)),
    ...pruners.map((pruner) => keyEntry('pruner', pruner)),
    ...verifiers.map((verifier) => keyEntry('verifier', verifier)),
    ...approvers.keys.map((approver) => keyEntry('approver', approver)),
    ruleEntry('approvers who must sign', approvers.threshold),
    ruleEntry('recipients at the least', minimumRecipients),
  ];
}

/** What an epoch does once, and the next one does not say again. */
function onceOnly({ closed = [], fresh }: Roster): Entry[] {
  return [
    ...closed.map(({ writer, sequence }) => ruleEntry(`last snapshot of ${writer} by its old key`, sequence)),
    ...(fresh === true ? [ruleEntry('packs of earlier epochs', 'not built upon any more')] : []),
  ];
}

function ruleEntry(name: string, value: string | number): Entry {
  return { name, role: 'rule', key: String(value), notes: [], whole: String(value) };
}

function recipientEntry(entry: RosterRecipient): Entry {
  const { name, role, recipient, notAfter, evidence } = entry;
  const enrolled = enrolmentEvidenceOf(entry);
  return {
    ...{ name, role, key: recipientFingerprint(recipient), whole: canonicalJson(entry) },
    notes: [
      ...(notAfter === undefined ? [] : [`until ${notAfter}`]),
      ...(enrolled === undefined && role === 'reader' ? ['no enrolment'] : []),
      ...(enrolled === undefined
        ? evidenceNotes(evidence)
        : [`subject ${printable(enrolled.subject)} at ${printable(enrolled.issuer)}`]),
    ],
  };
}

function keyEntry(role: RosterChange['role'], entry: RosterKey | RosterWriter): Entry {
  const { name, publicKey, evidence } = entry;
  return {
    ...{ name, role, key: trustedKey(name, publicKey).keyHint, whole: canonicalJson(entry) },
    notes: [
      ...('indexRecipient' in entry ? [`index ${recipientFingerprint(entry.indexRecipient)}`] : []),
      ...evidenceNotes(evidence),
    ],
  };
}

function evidenceNotes(evidence: RosterKey['evidence']): string[] {
  return evidence === undefined ? [] : [`evidence ${printable(canonicalJson(evidence))}`];
}

import type { Digest } from '../../core/digest.ts';
import type { PortolanError } from '../../core/errors.ts';
import { enrolmentEvidenceOf } from '../../formats/identity/enrolment-evidence.ts';
import type { RunId, WriterName } from '../../formats/repository/keys.ts';
import type { RosterRecipient } from '../../formats/repository/roster.ts';
import type { Snapshot } from '../../formats/repository/snapshot.ts';
import { chainError } from '../../formats/repository/snapshot-chain.ts';
import { readChains } from './chains.ts';
import { listEvidence } from './evidence.ts';
import { listChains } from './listing.ts';
import type { OpenedRepository } from './open.ts';
import { readRewraps } from './rewraps.ts';
import { createRecipientsCheck } from './sealed-recipients.ts';

/** Somebody to whom snapshots are sealed, and which of them that identity opens. */
export interface Reader {
  readonly name: string;
  readonly recipient: string;
  /** `former`: on no present roster; what was sealed to it stays open to it. */
  readonly role: RosterRecipient['role'] | 'former';
  readonly notAfter?: string;
  /** Of an enrolled reader: who that is, by the identity provider. */
  readonly issuer?: string;
  readonly subject?: string;
  /** Whether the evidence of it can be looked at by everybody. */
  readonly evidence?: 'published' | 'not published yet';
  /** Live snapshots that it opens whole. */
  readonly snapshots: number;
  /** Which: one writer's from the first to the last, without one in between that it does not open. */
  readonly ranges: readonly SnapshotRange[];
}

export interface SnapshotRange {
  readonly writer: WriterName;
  readonly first: number;
  readonly last: number;
}

export interface ReadersReport {
  /** As the roster has them, then those who were on an earlier one. */
  readonly readers: readonly Reader[];
  /** Live snapshots in all, whose signatures are right. */
  readonly snapshots: number;
  /** What is wrong with chains; such snapshots are not counted. And snapshots that others can read, too, or not all can. */
  readonly problems: readonly PortolanError[];
}

/**
 * Who opens which snapshots, by their clear parts and signed rewraps: whoever has the key of every run of which a snapshot names a
 * pack. Needs no key.
 */
export async function listReaders(
  repository: OpenedRepository,
  options: { readonly signal?: AbortSignal } = {},
): Promise<ReadersReport> {
  const facts = createSnapshotFacts();
  const recipients = createRecipientsCheck(repository);
  const chains = await readChains(repository, await listChains(repository.store, options), {
    ...options,
    visit: async (snapshot) => {
      facts.add(snapshot);
      await recipients.add(snapshot);
    },
  });
  const people = peopleOf(repository);
  const reaches = await reachesOf(repository, facts.snapshots, people, options);
  const published = await listEvidence(repository, options);
  return {
    readers: people.flatMap((person) => {
      const ranges = reaches.get(person.recipient) as readonly ReachedRange[];
      const snapshots = ranges.reduce((sum, { count }) => sum + count, 0);
      if (person.role === 'former' && snapshots === 0) return [];
      const shown = ranges.map(({ writer, first, last }) => ({ writer, first, last }));
      return [{ ...describe(person, published), snapshots, ranges: shown }];
    }),
    snapshots: facts.snapshots.length,
    problems: [
      ...repository.problems,
      ...chains.flatMap(({ unreadable, findings }) => [
        ...unreadable.map(({ error }) => error),
        ...findings.map((finding) => chainError(finding)),
      ]),
      ...recipients.problems,
    ],
  };
}

type Person = Omit<RosterRecipient, 'role'> & { readonly role: Reader['role'] };

/** Recipients of the present roster, and of earlier ones under the name that they had last. */
function peopleOf({ roster, rosters }: OpenedRepository): readonly Person[] {
  const people = new Map<string, Person>(roster.document.recipients.map((one) => [one.recipient, one]));
  for (const { document } of rosters.toReversed()) {
    for (const one of document.recipients) {
      if (!people.has(one.recipient)) people.set(one.recipient, { ...one, role: 'former' });
    }
  }
  return [...people.values()];
}

function describe(person: Person, published: ReadonlySet<Digest>): Omit<Reader, 'snapshots' | 'ranges'> {
  const { name, recipient, role, notAfter } = person;
  const enrolment = enrolmentEvidenceOf(person);
  return {
    ...{ name, recipient, role },
    ...(notAfter === undefined ? {} : { notAfter }),
    ...(enrolment === undefined
      ? {}
      : {
          issuer: enrolment.issuer,
          subject: enrolment.subject,
          evidence: published.has(enrolment.digest) ? 'published' : 'not published yet',
        }),
  };
}

interface SnapshotFacts {
  readonly writer: WriterName;
  readonly sequence: number;
  readonly runs: readonly { readonly run: RunId; readonly recipients: readonly string[] }[];
}

/** Of each snapshot, whom the keys of its runs are sealed to; a list of recipients that says the same is held once. */
function createSnapshotFacts() {
  const snapshots: SnapshotFacts[] = [];
  const lists = new Map<string, readonly string[]>();
  const shared = (recipients: readonly string[]) => {
    const text = recipients.join(' ');
    const known = lists.get(text) ?? recipients;
    lists.set(text, known);
    return known;
  };
  return {
    snapshots,
    add: ({ writer, sequence, runs }: Snapshot) => {
      const held = runs.map(({ run, recipients }) => ({ run, recipients: shared(recipients) }));
      snapshots.push({ writer, sequence, runs: held });
    },
  };
}

interface ReachedRange extends SnapshotRange {
  readonly count: number;
}

async function reachesOf(
  repository: OpenedRepository,
  snapshots: readonly SnapshotFacts[],
  people: readonly Person[],
  options: { readonly signal?: AbortSignal },
): Promise<ReadonlyMap<string, readonly ReachedRange[]>> {
  const rewraps = await readRewraps(repository, new Set(snapshots.flatMap(runsOf)), options);
  const opens = ({ run, recipients }: SnapshotFacts['runs'][number], recipient: string) =>
    recipients.includes(recipient) || rewraps.of(run).some((key) => key.recipients.includes(recipient));
  const ordered = snapshots.toSorted((a, b) => compare(a.writer, b.writer) || a.sequence - b.sequence);
  return new Map(
    people.map(({ recipient }) => [
      recipient,
      rangesOf(ordered, ({ runs }) => runs.every((run) => opens(run, recipient))),
    ]),
  );
}

function runsOf({ runs }: SnapshotFacts): readonly RunId[] {
  return runs.map(({ run }) => run);
}

/** Forgotten snapshots end no range: between its ends every live one is in it. */
function rangesOf(
  ordered: readonly SnapshotFacts[],
  isOpen: (snapshot: SnapshotFacts) => boolean,
): readonly ReachedRange[] {
  const ranges: { writer: WriterName; first: number; last: number; count: number }[] = [];
  let wasOpen = false;
  for (const snapshot of ordered) {
    const { writer, sequence } = snapshot;
    const open = isOpen(snapshot);
    const before = ranges.at(-1);
    if (open && wasOpen && before?.writer === writer) {
      before.last = sequence;
      before.count += 1;
    } else if (open) ranges.push({ writer, first: sequence, last: sequence, count: 1 });
    wasOpen = open;
  }
  return ranges;
}

function compare(a: string, b: string): number {
  return a < b ? -1 : Number(a > b);
}

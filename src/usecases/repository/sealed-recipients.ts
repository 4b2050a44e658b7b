import { type Digest, digestOf } from '../../core/digest.ts';
import type { PortolanError } from '../../core/errors.ts';
import { splitFile, viewHeader } from '../../formats/age/header.ts';
import { type RunId, snapshotKey, type WriterName } from '../../formats/repository/keys.ts';
import type { Roster } from '../../formats/repository/roster.ts';
import type { Snapshot, SnapshotRun } from '../../formats/repository/snapshot.ts';
import { UseCaseError } from '../errors.ts';
import { isFinding } from './chains.ts';
import type { OpenedRepository } from './open.ts';

/** Holds snapshots against the rosters that they name: whom they are sealed to, and whom they leave out. */
export interface RecipientsCheck {
  /** Of each writer the newest first. */
  add(snapshot: Snapshot): Promise<void>;
  readonly problems: readonly PortolanError[];
}

/**
 * A writer's signature says who wrote a snapshot, and not that it was sealed to whom approvers signed for: a writer that was taken over
 * seals as it likes. Stanzas are anonymous, so one that is sealed to nobody in place of a reader shows to that reader alone; one more than
 * there are recipients shows to everybody. A roster of before, with readers who were revoked since, is as little the writer's choice: it
 * went by a later one already, and then the writer is hostile, or remembers nothing and was shown an old one.
 */
export function createRecipientsCheck({ rosters }: Pick<OpenedRepository, 'rosters'>): RecipientsCheck {
  const problems: PortolanError[] = [];
  // The same key stands in every snapshot that builds on its run.
  const seen = new Set<Digest>();
  const followed = new Map<WriterName, Snapshot>();
  return {
    async add(snapshot) {
      const after = followed.get(snapshot.writer);
      followed.set(snapshot.writer, snapshot);
      if (after !== undefined && after.sequence > snapshot.sequence && after.epoch < snapshot.epoch) {
        const found = `it goes by the roster of epoch ${after.epoch}, and snapshot ${snapshot.sequence} went by that of epoch ${snapshot.epoch}`;
        problems.push(readersWrong(after, after.run, found));
      }
      for (const run of snapshot.runs) {
        const isOwn = run.run === snapshot.run;
        const facts = digestOf(`${run.run} ${run.epoch} ${run.recipients.join(' ')} ${run.sealed}`);
        if (!isOwn && seen.has(facts)) continue;
        seen.add(facts);
        const found = await wrongAbout(run, rosters[run.epoch - 1]?.document, isOwn ? snapshot : undefined);
        if (found !== undefined) problems.push(readersWrong(snapshot, run.run, found));
      }
    },
    problems,
  };
}

/** @param own - the snapshot, when the run is its own */
async function wrongAbout(
  run: SnapshotRun,
  roster: Roster | undefined,
  own: Snapshot | undefined,
): Promise<string | undefined> {
  const { recipients } = run;
  if (roster === undefined) return `it names the roster of epoch ${run.epoch}, which is not there`;
  if (own !== undefined && own.epoch !== run.epoch) return `its key goes by the roster of epoch ${run.epoch}`;
  const stranger = recipients.find((one) => !roster.recipients.some(({ recipient }) => recipient === one));
  if (stranger !== undefined) return `${shortened(stranger)} is on no roster of epoch ${run.epoch}`;
  if (recipients.length < roster.minimumRecipients) {
    return `${recipients.length} recipients, and the roster wants ${roster.minimumRecipients}`;
  }
  const dropped = new Set(own?.dropped?.map(({ recipient }) => recipient));
  const missing = roster.recipients.find(({ recipient, role, notAfter }) => {
    if (recipients.includes(recipient)) return false;
    return role === 'break-glass' ? notAfter === undefined : own !== undefined && !dropped.has(recipient);
  });
  if (missing !== undefined) return `${missing.name} (${missing.role}) is left out`;
  return await wrongStanzas(run);
}

async function wrongStanzas({ recipients, sealed }: SnapshotRun): Promise<string | undefined> {
  try {
    const { stanzaTypes } = await viewHeader(splitFile(Buffer.from(sealed, 'base64')).header);
    return stanzaTypes.length === recipients.length
      ? undefined
      : `it is sealed ${stanzaTypes.length} times, to ${recipients.length} recipients`;
  } catch (error) {
    if (!isFinding(error)) throw error;
    return error.message;
  }
}

function readersWrong({ writer, sequence, epoch }: Snapshot, run: RunId, found: string): UseCaseError {
  return new UseCaseError(
    'SNAPSHOT_READERS_WRONG',
    `snapshot ${sequence} of ${writer} is not sealed to those, and only those, whom the roster has`,
    {
      at: { file: snapshotKey(writer, sequence), key: `runs ${run}` },
      expected: `the recipients of epoch ${epoch}, or a reason for each that is dropped`,
      found,
      hint: 'No Portolan writes such a snapshot: look after the machine of this writer, and give it a new key.',
    },
  );
}

function shortened(recipient: string): string {
  return `${recipient.slice(0, 24)}…${recipient.slice(-8)}`;
}

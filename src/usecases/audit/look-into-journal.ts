import {
  type CheckedJournal,
  checkJournal,
  type JournalDocument,
  type JournalHead,
} from '../../formats/audit/journal.ts';
import { type AuditRecord, type AuditState, claimedKeyOf } from '../../formats/audit/record.ts';
import { FormatError } from '../../formats/errors.ts';
import { keyHint } from '../../formats/sigstore/public-key.ts';
import type { TrustedKey } from '../../formats/sigstore/signature-bundle.ts';

export interface JournalReading {
  readonly documents: readonly JournalDocument[];
  /** By whom the records must be signed; none means: by whom the first one says. */
  readonly keys: readonly TrustedKey[];
  /** One that was seen before. */
  readonly head: JournalHead | undefined;
}

/** What was begun, and what became of it. */
export interface RecordedWork {
  readonly begin: AuditRecord;
  /** `open`: it is under way, or the program was killed. */
  readonly outcome: Exclude<AuditState, 'begun'> | 'open';
  readonly end: AuditRecord | undefined;
}

export interface JournalReport extends CheckedJournal {
  readonly keys: readonly TrustedKey[];
  /** Whether a key was known beforehand, and not taken from the journal itself. */
  readonly isKeyKnown: boolean;
  readonly works: readonly RecordedWork[];
}

export function lookIntoJournal({ documents, keys: known, head }: JournalReading): JournalReport {
  const keys = known.length > 0 ? known : firstKeyOf(documents);
  const checked = checkJournal(documents, { keys, head });
  return { ...checked, keys, isKeyKnown: known.length > 0, works: worksOf(checked) };
}

function firstKeyOf(documents: readonly JournalDocument[]): readonly TrustedKey[] {
  for (const { bytes, at } of documents) {
    try {
      const publicKey = claimedKeyOf(bytes, at);
      return [{ publicKey, keyHint: keyHint(publicKey), name: 'the key of the first record' }];
    } catch (error) {
      // What is wrong with it, the check of the whole journal says.
      if (!(error instanceof FormatError)) throw error;
    }
  }
  return [];
}

function worksOf({ entries }: CheckedJournal): RecordedWork[] {
  const records = entries.map(({ record }) => record);
  const ends = new Map(records.flatMap((record) => (record.begun === undefined ? [] : [[record.begun, record]])));
  return records
    .filter(({ state }) => state === 'begun')
    .map((begin) => {
      const end = ends.get(begin.sequence);
      const outcome = end === undefined || end.state === 'begun' ? 'open' : end.state;
      return { begin, outcome, end };
    });
}

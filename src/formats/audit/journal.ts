/**
 * The audit journal (docs/audit.md): records one after the other, each with the digest of the one before. Whoever has neither the
 * journal's key nor the last word of somebody who saw it can alter nothing but cut the end off; with a head that is kept elsewhere,
 * not that either.
 */
import { type Digest, digestOf, isDigest } from '../../core/digest.ts';
import { FormatError } from '../errors.ts';
import type { TrustedKey } from '../sigstore/signature-bundle.ts';
import { type AuditRecord, decodeAuditRecord } from './record.ts';

/** The last record that somebody saw. Written `SEQUENCE:DIGEST`. */
export interface JournalHead {
  readonly sequence: number;
  readonly digest: Digest;
}

export interface JournalDocument {
  readonly bytes: Uint8Array;
  /** For messages. */
  readonly at: string;
}

export interface JournalEntry extends JournalDocument {
  readonly record: AuditRecord;
  readonly digest: Digest;
}

export interface CheckedJournal {
  /** Records whose signatures are right. */
  readonly entries: readonly JournalEntry[];
  readonly findings: readonly FormatError[];
  /** `undefined` of no records. */
  readonly head: JournalHead | undefined;
}

/** `documents` in their order; `head` is one that was seen before. */
export function checkJournal(
  documents: readonly JournalDocument[],
  { keys, head }: { readonly keys: readonly TrustedKey[]; readonly head?: JournalHead | undefined },
): CheckedJournal {
  const entries: JournalEntry[] = [];
  const findings: FormatError[] = [];
  let expected = 1;
  let previous: Digest | undefined;
  for (const document of documents) {
    const digest = digestOf(document.bytes);
    try {
      const { document: record } = decodeAuditRecord(document.bytes, { keys, at: document.at });
      if (record.sequence !== expected) findings.push(missing(document.at, expected, record.sequence));
      else if (record.previous !== previous) findings.push(replaced(document.at, record.previous, previous));
      entries.push({ ...document, record, digest });
      expected = record.sequence;
    } catch (error) {
      if (!(error instanceof FormatError)) throw error;
      findings.push(error);
    }
    expected += 1;
    previous = digest;
  }
  if (head !== undefined) findings.push(...headFindings(documents, entries, head));
  return {
    entries,
    findings,
    head: previous === undefined ? undefined : { sequence: expected - 1, digest: previous },
  };
}

export function formatHead({ sequence, digest }: JournalHead): string {
  return `${sequence}:${digest}`;
}

/** `undefined` for what is no head. */
export function parseHead(text: string): JournalHead | undefined {
  const [, number = '', digest = ''] = /^([1-9][0-9]{0,7}):(.+)$/.exec(text) ?? [];
  return number !== '' && isDigest(digest) ? { sequence: Number(number), digest } : undefined;
}

function headFindings(
  documents: readonly JournalDocument[],
  entries: readonly JournalEntry[],
  head: JournalHead,
): FormatError[] {
  const seen = entries.find(({ record }) => record.sequence === head.sequence);
  if (seen?.digest === head.digest) return [];
  const at = seen?.at ?? documents.at(-1)?.at ?? 'the journal';
  if (seen !== undefined) return [replaced(at, head.digest, seen.digest)];
  return [missing(at, head.sequence, entries.at(-1)?.record.sequence)];
}

function missing(file: string, expected: number, found: number | undefined): FormatError {
  return new FormatError('AUDIT_RECORD_MISSING', `record ${expected} of the audit journal is not where it belongs`, {
    expected: `record ${expected}`,
    found: found === undefined ? 'no record' : `record ${found}`,
    at: { file },
  });
}

function replaced(file: string, expected: Digest | undefined, found: Digest | undefined): FormatError {
  return new FormatError('AUDIT_RECORD_REPLACED', 'the audit journal had another record here', {
    expected: expected ?? 'no record before it',
    found: found ?? 'no record',
    at: { file },
  });
}

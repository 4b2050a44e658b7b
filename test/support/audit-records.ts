import { digestOf } from '../../src/core/digest.ts';
import type { JournalDocument } from '../../src/formats/audit/journal.ts';
import { type AuditRecord, encodeAuditRecord } from '../../src/formats/audit/record.ts';
import type { RepositoryId, WriterName } from '../../src/formats/repository/keys.ts';
import type { SigningKey } from '../../src/formats/sigstore/cosign-key.ts';
import type { TrustedKey } from '../../src/formats/sigstore/signature-bundle.ts';
import { publicKeyText } from './backup-repository.ts';

/** What somebody restored, but for its place in a journal. */
export const AUDITED_WORK = {
  what: 'restore',
  who: { user: 'anna', uid: 1000 },
  host: 'backup-1',
  program: '1.2.3',
  repository: '0123456789abcdef0123456789abcdef' as RepositoryId,
  snapshot: { writer: 'db-1' as WriterName, sequence: 7, digest: digestOf('a snapshot') },
  selection: { database: ['shop'] },
  target: 'postgres://admin@db.example:5432/shop',
} as const;

/** A chain of as many records, as a journal holds them; every second one ends the one before. */
export function auditRecords(key: SigningKey, count: number): JournalDocument[] {
  const documents: JournalDocument[] = [];
  for (let sequence = 1; sequence <= count; sequence += 1) {
    const before = documents.at(-1);
    const record: AuditRecord = {
      version: 1,
      ...AUDITED_WORK,
      sequence,
      ...(before === undefined ? {} : { previous: digestOf(before.bytes) }),
      time: new Date(Date.UTC(2026, 10, 29, 12, 0, sequence)).toISOString(),
      ...(sequence % 2 === 1 ? { state: 'begun' } : { state: 'done', begun: sequence - 1 }),
      publicKey: publicKeyText(key),
    };
    documents.push({ bytes: encodeAuditRecord(record, key), at: `record ${sequence}` });
  }
  return documents;
}

export function trustedAuditKey({ keyHint, publicKey }: SigningKey): TrustedKey {
  return { keyHint, publicKey, name: 'the machine' };
}

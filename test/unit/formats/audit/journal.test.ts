import { readFile } from 'node:fs/promises';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeExported, envelopeOf } from '../../../../src/formats/audit/exported.ts';
import { checkJournal, formatHead, type JournalDocument, parseHead } from '../../../../src/formats/audit/journal.ts';
import { encodeAuditRecord } from '../../../../src/formats/audit/record.ts';
import { keyHint, parsePublicKey } from '../../../../src/formats/sigstore/public-key.ts';
import { auditRecords, trustedAuditKey } from '../../../support/audit-records.ts';
import { createSigningKey } from '../../../support/backup-repository.ts';
import { raised } from '../../../support/raised.ts';

const key = createSigningKey();
const keys = [trustedAuditKey(key)];
const records = auditRecords(key, 6);

const codes = (documents: readonly JournalDocument[], head?: ReturnType<typeof parseHead>) =>
  checkJournal(documents, { keys, head }).findings.map(({ code }) => code);
const recordOf = (document: JournalDocument | undefined) => {
  const [entry] = checkJournal(document === undefined ? [] : [document], { keys }).entries;
  if (entry === undefined) throw new Error('no record');
  return entry.record;
};
const at = (index: number) => records[index] as JournalDocument;

test('a journal as it was written is right, and so is one of nothing', () => {
  const { entries, findings, head } = checkJournal(records, { keys });
  expect(findings).toEqual([]);
  expect(entries.map(({ record }) => record.sequence)).toEqual([1, 2, 3, 4, 5, 6]);
  expect(head).toEqual({ sequence: 6, digest: entries.at(-1)?.digest });
  expect(checkJournal([], { keys })).toEqual({ entries: [], findings: [], head: undefined });
});

test('a record that is missing, twice or in another place is named', () => {
  for (let index = 0; index < records.length - 1; index += 1) {
    expect(codes(records.toSpliced(index, 1)), String(index)).toEqual(['AUDIT_RECORD_MISSING']);
  }
  expect(codes(records.toSpliced(2, 0, at(1)))).toContain('AUDIT_RECORD_MISSING');
  expect(codes([at(1), at(0), ...records.slice(2)])).toContain('AUDIT_RECORD_MISSING');
  expect(codes(records.slice(3))).toEqual(['AUDIT_RECORD_MISSING']);
});

test('an end that was cut off shows against a head that was noted, and not without', () => {
  const noted = checkJournal(records, { keys }).head;
  expect(noted && parseHead(formatHead(noted))).toEqual(noted);
  expect(codes(records.slice(0, 4))).toEqual([]);
  expect(codes(records.slice(0, 4), noted)).toEqual(['AUDIT_RECORD_MISSING']);
  expect(codes([], noted)).toEqual(['AUDIT_RECORD_MISSING']);
  // More was written since.
  expect(codes(records, checkJournal(records.slice(0, 4), { keys }).head)).toEqual([]);
});

test('a journal that the key’s owner wrote afresh is another than was seen', () => {
  const afresh = auditRecords(key, 6);
  expect(codes(afresh)).toEqual([]);
  expect(codes(afresh, checkJournal(records, { keys }).head)).toEqual(['AUDIT_RECORD_REPLACED']);
  expect(codes([...records.slice(0, 3), ...afresh.slice(3)])).toEqual(['AUDIT_RECORD_REPLACED']);
});

test('a record by another key, or whose words were changed, is named and not shown', () => {
  const stranger = createSigningKey();
  const forged = { ...recordOf(at(2)), target: 'folder:/elsewhere' };
  const bytes = encodeAuditRecord(forged, stranger);
  const { entries, findings } = checkJournal(records.with(2, { ...at(2), bytes }), { keys });
  expect(findings.map(({ code }) => code)).toEqual(['SIGNED_DOCUMENT_UNSIGNED', 'AUDIT_RECORD_REPLACED']);
  expect(entries.map(({ record }) => record.sequence)).toEqual([1, 2, 4, 5, 6]);

  const envelope = JSON.parse(new TextDecoder().decode(at(2).bytes)) as { payload: string };
  const payload = Buffer.from(envelope.payload, 'base64').toString().replace('shop', 'post');
  const altered = JSON.stringify({ ...envelope, payload: Buffer.from(payload).toString('base64') });
  expect(codes(records.with(2, { ...at(2), bytes: Buffer.from(altered) }))).toEqual([
    'SIGNED_DOCUMENT_FORGED',
    'AUDIT_RECORD_REPLACED',
  ]);
});

test('no bit of a record can be another, and no byte be missing', () => {
  const whole = at(2).bytes;
  fc.assert(
    fc.property(fc.nat(whole.length - 1), fc.nat(7), (index, bit) => {
      const bytes = Uint8Array.from(whole);
      bytes[index] = (bytes[index] as number) ^ (1 << bit);
      expect(codes(records.with(2, { ...at(2), bytes }))).not.toEqual([]);
    }),
  );
  for (let length = 0; length < whole.length; length += 1) {
    expect(codes(records.with(2, { ...at(2), bytes: whole.subarray(0, length) }))).not.toEqual([]);
  }
});

test('a head is a number and a digest, and nothing else', () => {
  for (const text of ['', '7', '7:', ':sha256:ab', '0:sha256:ab', `07:sha256:${'a'.repeat(64)}`, '7:sha256:xyz']) {
    expect(parseHead(text), text).toBeUndefined();
  }
});

test('what `audit list --json` printed is read again, whatever laid it out', async () => {
  const lines = records.map(({ bytes }) => JSON.stringify({ event: 'record', envelope: envelopeOf(bytes) }));
  const text = [...lines, JSON.stringify({ event: 'result', records: 6 }), ''].join('\n');
  const read = decodeExported(Buffer.from(text), 'records.jsonl');
  expect(read.map(({ bytes }) => Buffer.from(bytes).toString())).toEqual(
    records.map(({ bytes }) => Buffer.from(bytes).toString()),
  );
  expect(read[1]?.at).toBe('records.jsonl, line 2');
  const sorted = records.map(({ bytes }) => {
    const { payload, payloadType, signatures } = envelopeOf(bytes) as Record<string, unknown>;
    return JSON.stringify({ envelope: { signatures, payloadType, payload }, seen: 'elsewhere', event: 'record' });
  });
  expect(codes(decodeExported(Buffer.from(sorted.join('\n')), 'records.jsonl'))).toEqual([]);
  for (const wrong of ['no JSON', '[]', '{"event":"record"}', '{"envelope":{}}', '{"event":"record","envelope":7}']) {
    expect(await raised(() => decodeExported(Buffer.from(wrong), 'records.jsonl'))).toMatchObject({
      code: 'AUDIT_EXPORT_INVALID',
    });
  }
});

test('a journal of version 1 is read for ever', async () => {
  const golden = (name: string) => readFile(new URL(`../../../golden/audit-v1/${name}`, import.meta.url));
  const publicKey = parsePublicKey(await golden('machine.pub'));
  const lines = await golden('records.jsonl');
  const { entries, findings } = checkJournal(decodeExported(lines, 'records.jsonl'), {
    keys: [{ publicKey, keyHint: keyHint(publicKey), name: 'golden' }],
    head: parseHead('7:sha256:a814f648b18fce7cbc196e7759aebffff6356af927d7af063ec335834d346948'),
  });
  expect(findings).toEqual([]);
  // What the line says beside its envelope is what was signed.
  const said = lines
    .toString()
    .trimEnd()
    .split('\n')
    .map((line) => JSON.parse(line) as Record<string, unknown>);
  expect(entries.map(({ record, digest }) => ({ ...record, digest }))).toEqual(
    said.map(({ event: _, envelope: __, ...record }) => record),
  );
  expect(entries.map(({ record }) => record.state)).toEqual([
    ...['begun', 'done', 'begun', 'failed', 'begun', 'aborted', 'begun'],
  ]);
});

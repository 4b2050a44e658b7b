import { createPublicKey, createSign, verify } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { canonicalJson } from '../../../../src/core/canonical-json.ts';
import { digestOf } from '../../../../src/core/digest.ts';
import { repositorySchema, versionSchema } from '../../../../src/formats/repository/documents.ts';
import {
  addSignatures,
  decodeSigned,
  encodeSigned,
  readUnverified,
} from '../../../../src/formats/repository/signed-document.ts';
import {
  codeOf,
  expectOnlyWhole,
  newSigningKey,
  OTHER_REPOSITORY,
  REPOSITORY,
  trusting,
} from './repository-fixture.ts';

const schema = z.strictObject({ version: versionSchema, repository: repositorySchema, text: z.string() });
const rules = { kind: 'mark', schema, what: 'the document' } as const;
const [ada, bob, eve] = [newSigningKey(), newSigningKey(), newSigningKey()];
const keys = [trusting(ada, 'Ada'), trusting(bob, 'Bob')];
const document = { version: 1 as const, repository: REPOSITORY, text: 'hello' };
const reading = { ...rules, keys, repository: REPOSITORY };

interface Envelope {
  payload: string;
  payloadType: string;
  signatures: { keyid: string; sig: string }[];
}
const envelopeOf = (bytes: Uint8Array): Envelope => JSON.parse(Buffer.from(bytes).toString());
const change = (bytes: Uint8Array, alter: (envelope: Envelope) => void): Uint8Array => {
  const envelope = envelopeOf(bytes);
  alter(envelope);
  return Buffer.from(canonicalJson(envelope));
};

describe('a signed document', () => {
  test('is read with its signers and its digest', () => {
    const bytes = encodeSigned(document, [ada], rules);
    const signed = decodeSigned(bytes, reading);
    expect(signed).toMatchObject({ document, digest: digestOf(bytes), sizeBytes: bytes.length });
    expect(signed.signers.map(({ name }) => name)).toEqual(['Ada']);
  });

  test('is signed as DSSE says, over a text that anybody can build', () => {
    const { payload, payloadType, signatures } = envelopeOf(encodeSigned(document, [ada], rules));
    const body = Buffer.from(payload, 'base64').toString();
    expect(payloadType).toBe('application/vnd.portolan.mark.v1+json');
    expect(body).toBe(canonicalJson(document));
    const signedText = `DSSEv1 ${payloadType.length} ${payloadType} ${body.length} ${body}`;
    const signature = Buffer.from(signatures[0]?.sig ?? '', 'base64');
    expect(verify('sha256', Buffer.from(signedText), createPublicKey(ada.privateKey), signature)).toBe(true);
  });

  test('cut or with a flipped bit is refused', () => {
    expectOnlyWhole(encodeSigned(document, [ada, bob], rules), (bytes) =>
      decodeSigned(bytes, { ...reading, threshold: 2 }),
    );
  });

  test('of which two must sign is refused with one signature, also when one signs twice', () => {
    const bytes = encodeSigned(document, [ada, ada], rules);
    expect(envelopeOf(bytes).signatures).toHaveLength(1);
    expect(codeOf(() => decodeSigned(bytes, { ...reading, threshold: 2 }))).toBe('SIGNED_DOCUMENT_UNSIGNED');
    const twice = change(bytes, ({ signatures }) =>
      signatures.push(...envelopeOf(encodeSigned(document, [ada], rules)).signatures),
    );
    expect(codeOf(() => decodeSigned(twice, { ...reading, threshold: 2 }))).toBe('SIGNED_DOCUMENT_INVALID');
    const both = addSignatures(bytes, 'mark', [bob, ada]);
    expect(decodeSigned(both, { ...reading, threshold: 2 }).signers).toHaveLength(2);
  });

  test('has one order of signatures', () => {
    const bytes = encodeSigned(document, [ada, bob], rules);
    expect(
      codeOf(() =>
        decodeSigned(
          change(bytes, ({ signatures }) => signatures.reverse()),
          reading,
        ),
      ),
    ).toBe('SIGNED_DOCUMENT_INVALID');
  });

  test('by somebody else is nobody’s, whatever else it says', () => {
    expect(codeOf(() => decodeSigned(encodeSigned(document, [eve], rules), reading))).toBe('SIGNED_DOCUMENT_UNSIGNED');
    expect(decodeSigned(encodeSigned(document, [eve, bob], rules), reading).signers.map(({ name }) => name)).toEqual([
      'Bob',
    ]);
    const posing = change(encodeSigned(document, [eve], rules), ({ signatures }) => {
      if (signatures[0]) signatures[0].keyid = ada.keyHint;
    });
    expect(codeOf(() => decodeSigned(posing, reading))).toBe('SIGNED_DOCUMENT_FORGED');
  });

  test('with one forged signature is refused though enough others are right', () => {
    const bytes = change(encodeSigned(document, [ada, bob], rules), ({ signatures }) => {
      const [first, second] = signatures;
      if (first && second) first.sig = second.sig;
    });
    expect(codeOf(() => decodeSigned(bytes, reading))).toBe('SIGNED_DOCUMENT_FORGED');
  });

  test('of one kind is never read as another', () => {
    const bytes = encodeSigned(document, [ada], rules);
    expect(codeOf(() => decodeSigned(bytes, { ...reading, kind: 'snapshot' }))).toBe('SIGNED_DOCUMENT_INVALID');
    const renamed = change(bytes, (envelope) => {
      envelope.payloadType = 'application/vnd.portolan.snapshot.v1+json';
    });
    expect(codeOf(() => decodeSigned(renamed, { ...reading, kind: 'snapshot' }))).toBe('SIGNED_DOCUMENT_FORGED');
  });

  test('of a later version is said to be one', () => {
    const later = change(encodeSigned(document, [ada], rules), (envelope) => {
      envelope.payloadType = 'application/vnd.portolan.mark.v2+json';
    });
    expect(codeOf(() => decodeSigned(later, reading))).toBe('REPOSITORY_VERSION_UNSUPPORTED');
    const loose = { ...rules, schema: z.looseObject({ version: z.number() }) };
    expect(codeOf(() => encodeSigned({ ...document, version: 2 }, [ada], loose))).toBe(
      'REPOSITORY_VERSION_UNSUPPORTED',
    );
  });

  test('of another repository is refused', () => {
    const bytes = encodeSigned({ ...document, repository: OTHER_REPOSITORY }, [ada], rules);
    expect(codeOf(() => decodeSigned(bytes, reading))).toBe('REPOSITORY_MISMATCH');
  });

  test.each([
    ['white space', (text: string) => text.replace('{', '{ ')],
    ['a line end', (text: string) => `${text}\n`],
    ['a byte order mark', (text: string) => `\ufeff${text}`],
    [
      'another order of members',
      (text: string) => text.replace(/^\{("payload":"[^"]*"),("payloadType":"[^"]*")/, '{$2,$1'),
    ],
    ['a member that stands twice', (text: string) => text.replace('{', '{"payload":"e30=",')],
    ['a further member', (text: string) => text.replace(/\}$/, ',"x":1}')],
    ['an escape that is not needed', (text: string) => text.replace('"payload"', '"p\\u0061yload"')],
  ])('is refused with %s', (_, alter) => {
    const text = alter(Buffer.from(encodeSigned(document, [ada], rules)).toString());
    expect(codeOf(() => decodeSigned(Buffer.from(text), reading))).toBe('SIGNED_DOCUMENT_INVALID');
  });

  test('is refused when its payload has a second spelling, though a trusted key signed that', () => {
    for (const spelling of [
      `{"version":1,"repository":"${REPOSITORY}","text":"a"}`,
      `{"repository":"${REPOSITORY}","text":"a","text":"b","version":1}`,
    ]) {
      const payloadType = 'application/vnd.portolan.mark.v1+json';
      const message = `DSSEv1 ${payloadType.length} ${payloadType} ${spelling.length} ${spelling}`;
      const sig = createSign('sha256').update(message).sign(ada.privateKey, 'base64');
      const envelope = {
        payload: Buffer.from(spelling).toString('base64'),
        payloadType,
        signatures: [{ keyid: ada.keyHint, sig }],
      };
      expect(codeOf(() => decodeSigned(Buffer.from(canonicalJson(envelope)), reading))).toBe('SIGNED_DOCUMENT_INVALID');
    }
  });

  test('is refused unread when it is too large, and when it is nested without end', () => {
    const bytes = encodeSigned(document, [ada], rules);
    expect(codeOf(() => decodeSigned(bytes, { ...reading, maxBytes: bytes.length - 1 }))).toBe(
      'SIGNED_DOCUMENT_INVALID',
    );
    const deep = Buffer.from('['.repeat(200_000) + ']'.repeat(200_000));
    expect(codeOf(() => decodeSigned(deep, reading))).toBe('SIGNED_DOCUMENT_INVALID');
  });

  test('is not made when nobody could read it', () => {
    const wrong = { ...document, text: 7 } as unknown as typeof document;
    expect(codeOf(() => encodeSigned(wrong, [ada], rules))).toBe('SIGNED_DOCUMENT_INVALID');
  });

  test('shows what it says without a key, and who claims to have signed', () => {
    const read = readUnverified(encodeSigned(document, [eve], rules), rules);
    expect(read).toMatchObject({ document, keyHints: [eve.keyHint] });
  });
});

import { createPublicKey, sign } from 'node:crypto';
import { dsse } from '@sigstore/core';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import { FormatError } from '../../../../src/formats/errors.ts';
import {
  readKeyHint,
  SIGNATURE_MAX_BYTES,
  signManifest,
  verifyManifestSignature,
} from '../../../../src/formats/sigstore/signature-bundle.ts';
import { newSigningKey, trusting } from './key-material.ts';

const key = newSigningKey();
const manifest = Buffer.from('{"schemaVersion":2}');
const expected = {
  manifestDigest: digestOf(manifest),
  trustedKeys: [trusting(newSigningKey(), 'other'), trusting(key)],
};
const verify = (bytes: Uint8Array) => verifyManifestSignature(bytes, expected);
const code = (wanted: string) => expect.objectContaining({ constructor: FormatError, code: wanted });
const json = (value: unknown) => Buffer.from(JSON.stringify(value));

interface Bundle {
  mediaType: string;
  verificationMaterial: Record<string, unknown>;
  dsseEnvelope: { payload: string; payloadType: string; signatures: { sig: string; keyid?: string }[] };
}
const parsed = (): Bundle => JSON.parse(Buffer.from(signManifest(manifest, key)).toString());

/** A genuine signature over any statement, or over anything else. */
function signPayload(payload: Buffer, payloadType = 'application/vnd.in-toto+json'): Uint8Array {
  const sig = sign('sha256', dsse.preAuthEncoding(payloadType, payload), key.privateKey).toString('base64');
  return json({
    ...parsed(),
    dsseEnvelope: { payload: payload.toString('base64'), payloadType, signatures: [{ sig }] },
  });
}
const statement = (change: object = {}) => ({
  _type: 'https://in-toto.io/Statement/v1',
  subject: [{ digest: { sha256: expected.manifestDigest.slice(7) } }],
  predicateType: 'https://sigstore.dev/cosign/sign/v1',
  predicate: {},
  ...change,
});

test('what was signed verifies, and says by which key', () => {
  const bundle = signManifest(manifest, key);
  expect(verify(bundle).name).toBe('test');
  expect(readKeyHint(bundle)).toBe(key.keyHint);
});

test('the statement is, byte for byte, the one that cosign sign writes', () => {
  expect(Buffer.from(parsed().dsseEnvelope.payload, 'base64').toString()).toBe(
    `{"_type":"https://in-toto.io/Statement/v1","subject":[{"digest":{"sha256":"${expected.manifestDigest.slice(7)}"},` +
      '"annotations":{}}],"predicateType":"https://sigstore.dev/cosign/sign/v1","predicate":{}}',
  );
});

test('a key that is not trusted', () => {
  expect(() => verify(signManifest(manifest, newSigningKey()))).toThrow(code('SIGNATURE_UNKNOWN_KEY'));
  const none = { ...expected, trustedKeys: [] };
  expect(() => verifyManifestSignature(signManifest(manifest, key), none)).toThrow(code('SIGNATURE_UNKNOWN_KEY'));
});

test('a signature by another key under the hint of a trusted one', () => {
  const forger = newSigningKey();
  const forged = signManifest(manifest, { ...forger, keyHint: key.keyHint });
  expect(() => verify(forged)).toThrow(code('SIGNATURE_INVALID'));
});

test('a genuine signature over another manifest', () => {
  expect(() => verify(signManifest(Buffer.from('{}'), key))).toThrow(code('SIGNATURE_WRONG_SUBJECT'));
});

test('a signature moved to another statement', () => {
  const other = parsed();
  other.dsseEnvelope.payload = json(statement({ predicate: { moved: true } })).toString('base64');
  expect(() => verify(json(other))).toThrow(code('SIGNATURE_INVALID'));
});

test.each([
  ['the statement of cosign attest-blob', { _type: 'https://in-toto.io/Statement/v0.1' }],
  ['annotations of the signer', { subject: [{ ...statement().subject[0], annotations: { build: '7' } }] }],
])('%s is accepted', (_, change) => {
  expect(verify(signPayload(json(statement(change)))).name).toBe('test');
});

test.each([
  ['another predicate', { predicateType: 'https://slsa.dev/provenance/v1' }],
  ['another type of statement', { _type: 'https://in-toto.io/Statement/v2' }],
  ['no subject', { subject: [] }],
  ['two subjects', { subject: [statement().subject[0], statement().subject[0]] }],
  ['a subject with a further digest', { subject: [{ digest: { ...statement().subject[0]?.digest, sha512: 'ab' } }] }],
  ['a subject without sha256', { subject: [{ digest: { sha512: 'ab' } }] }],
])('a genuine signature over a statement with %s is not taken', (_, change) => {
  expect(() => verify(signPayload(json(statement(change))))).toThrow(code('SIGNATURE_MALFORMED'));
});

test('a genuine signature over something that is no statement', () => {
  expect(() => verify(signPayload(Buffer.from('hello')))).toThrow(code('SIGNATURE_MALFORMED'));
  expect(() => verify(signPayload(json(statement()), 'text/plain'))).toThrow(code('SIGNATURE_MALFORMED'));
});

test.each([
  [
    'a bare message signature',
    (b: Bundle) => ({ ...b, dsseEnvelope: undefined, messageSignature: { signature: 'AA==' } }),
  ],
  ['a certificate', (b: Bundle) => ({ ...b, verificationMaterial: { certificate: { rawBytes: 'AA==' } } })],
  ['a chain', (b: Bundle) => ({ ...b, verificationMaterial: { x509CertificateChain: { certificates: [] } } })],
  ['an older version', (b: Bundle) => ({ ...b, mediaType: 'application/vnd.dev.sigstore.bundle+json;version=0.1' })],
  ['a newer version', (b: Bundle) => ({ ...b, mediaType: 'application/vnd.dev.sigstore.bundle.v0.4+json' })],
])('%s is unsupported', (_, change) => {
  expect(() => verify(json(change(parsed())))).toThrow(code('SIGNATURE_UNSUPPORTED'));
});

test.each([
  ['no envelope', (b: Bundle) => ({ ...b, dsseEnvelope: undefined })],
  ['an unknown member', (b: Bundle) => ({ ...b, more: 1 })],
  ['no signature', (b: Bundle) => ({ ...b, dsseEnvelope: { ...b.dsseEnvelope, signatures: [] } })],
  [
    'two signatures',
    (b: Bundle) => ({ ...b, dsseEnvelope: { ...b.dsseEnvelope, signatures: [{ sig: 'AA==' }, { sig: 'AA==' }] } }),
  ],
  ['an empty signature', (b: Bundle) => ({ ...b, dsseEnvelope: { ...b.dsseEnvelope, signatures: [{ sig: '' }] } })],
  ['a hint that is none', (b: Bundle) => ({ ...b, verificationMaterial: { publicKey: { hint: 'x' } } })],
  ['a list', () => []],
  ['null', () => null],
])('a bundle with %s is malformed', (_, change) => {
  expect(() => verify(json(change(parsed())))).toThrow(code('SIGNATURE_MALFORMED'));
});

test('proofs of a log and timestamps are let pass and not looked at', () => {
  const bundle = parsed();
  Object.assign(bundle.verificationMaterial, { tlogEntries: [{ logIndex: '1' }], timestampVerificationData: {} });
  expect(verify(json(bundle)).name).toBe('test');
});

test('an endless file is not read', () => {
  expect(() => verify(new Uint8Array(SIGNATURE_MAX_BYTES + 1))).toThrow(code('SIGNATURE_TOO_LARGE'));
});

test('cut at any place it is refused', () => {
  const bundle = signManifest(manifest, key);
  for (let length = 0; length < bundle.length; length += 1) {
    expect(() => verify(bundle.subarray(0, length))).toThrow(code('SIGNATURE_MALFORMED'));
  }
});

test('with any one bit flipped it is refused', () => {
  const bundle = signManifest(manifest, key);
  for (let bit = 0; bit < bundle.length * 8; bit += 1) {
    const flipped = Uint8Array.from(bundle);
    flipped[bit >> 3] = (flipped[bit >> 3] ?? 0) ^ (1 << (bit & 7));
    expect(() => verify(flipped)).toThrow(FormatError);
  }
});

test('arbitrary bytes and arbitrary JSON are refused, with our own error', () => {
  fc.assert(
    fc.property(
      fc.oneof(
        fc.uint8Array({ maxLength: 2000 }),
        fc.json().map((text) => Buffer.from(text)),
      ),
      (bytes) => {
        expect(() => verify(bytes)).toThrow(FormatError);
      },
    ),
  );
});

test('a member of any other kind is refused, with our own error', () => {
  const paths: ((bundle: Bundle, value: unknown) => void)[] = [
    (bundle, value) => Object.assign(bundle, { mediaType: value }),
    (bundle, value) => Object.assign(bundle, { verificationMaterial: value }),
    (bundle, value) => Object.assign(bundle.verificationMaterial, { publicKey: value }),
    (bundle, value) => Object.assign(bundle, { dsseEnvelope: value }),
    (bundle, value) => Object.assign(bundle.dsseEnvelope, { payload: value }),
    (bundle, value) => Object.assign(bundle.dsseEnvelope, { signatures: value }),
    (bundle, value) => Object.assign(bundle.dsseEnvelope, { signatures: [{ sig: value }] }),
  ];
  fc.assert(
    fc.property(fc.constantFrom(...paths), fc.jsonValue(), (set, value) => {
      const bundle = parsed();
      set(bundle, value);
      expect(() => verify(json(bundle))).toThrow(FormatError);
    }),
  );
});

test('the public half of a signing key is what verifies', () => {
  expect(createPublicKey(key.privateKey).equals(key.publicKey)).toBe(true);
});

/** What a reader or a writer pins beside the approvers: in the trust file, in the writer key file, and held against rosters. */
import { generateKeyPairSync } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { canonicalJson } from '../../../../src/core/canonical-json.ts';
import { digestOf } from '../../../../src/core/digest.ts';
import type { PinnedIssuer } from '../../../../src/formats/identity/pinned-issuer.ts';
import {
  decodeRepositoryTrust,
  decodeTrustFile,
  encodeRepositoryTrust,
  encodeTrustFile,
  REPOSITORY_TRUST_MAX_BYTES,
} from '../../../../src/formats/repository/repository-trust.ts';
import { encodeRoster, freshEpoch, type Roster } from '../../../../src/formats/repository/roster.ts';
import { verifyRosterChain } from '../../../../src/formats/repository/roster-chain.ts';
import { decodeWriterKey, encodeWriterKey, trustOfWriter } from '../../../../src/formats/repository/writer-key.ts';
import {
  codeOf,
  newSigningKey,
  READER,
  REPOSITORY,
  sampleRoster,
  spki,
  TIME,
  trusting,
  WRITER,
} from './repository-fixture.ts';

const ada = newSigningKey();
const SAFE = 'age1zwvp306sz6humgm9ypn025u0hg4flfht93j3z2ejuvydrs0m04ss4xvs8d';
const publicKey = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
const issuer: PinnedIssuer = {
  url: 'https://id.ship',
  enrolmentClient: '328@backups',
  roleClaim: 'urn:zitadel:iam:org:project:327:roles',
  readerRole: 'backup-reader',
  keys: [{ kid: '1', publicKey, algorithm: 'EdDSA', from: TIME }],
};
const root = { breakGlass: [SAFE], minimumRecipients: 2, issuer };
const keys = [{ name: 'Ada', publicKey: spki(ada) }];
const decode = (value: unknown) => decodeRepositoryTrust(Buffer.from(JSON.stringify(value)), 'root.json');

describe('a trust file', () => {
  test('carries the root, and is read as it was written', () => {
    const trust = decode({ keys, threshold: 1, ...root });
    expect(trust).toMatchObject({ ...root, threshold: 1, keys: [{ name: 'Ada', keyHint: ada.keyHint }] });
    const text = encodeRepositoryTrust(REPOSITORY, { threshold: 1, keys }, root);
    expect(decodeRepositoryTrust(Buffer.from(text), 'trust.json')).toMatchObject({ ...root, repository: REPOSITORY });
    const file = { keys, ...root };
    expect(decodeTrustFile(Buffer.from(encodeTrustFile(file)), 'root.json')).toEqual(file);
  });

  test('without a root pins none', () => {
    const trust = decode({ keys });
    expect([trust.breakGlass, trust.minimumRecipients, trust.issuer]).toEqual([undefined, undefined, undefined]);
  });

  test.each<[string, object]>([
    ['breakGlass', { breakGlass: [] }],
    ['breakGlass', { breakGlass: [SAFE, SAFE] }],
    ['breakGlass.0', { breakGlass: [SAFE.toUpperCase()] }],
    ['breakGlass.0', { breakGlass: [` ${SAFE}`] }],
    ['breakGlass.0', { breakGlass: ['age1nobody'] }],
    ['minimumRecipients', { minimumRecipients: 0 }],
    ['issuer.url', { issuer: { ...issuer, url: 'https://id.ship/' } }],
    ['issuer.url', { issuer: { ...issuer, url: 'https://ID.ship' } }],
    ['issuer.keys', { issuer: { ...issuer, keys: [] } }],
    ['issuer.keys', { issuer: { ...issuer, keys: [issuer.keys[0], issuer.keys[0]] } }],
    ['issuer.keys.0', { issuer: { ...issuer, keys: [{ ...issuer.keys[0], algorithm: 'RS256' }] } }],
    ['issuer.keys.0.algorithm', { issuer: { ...issuer, keys: [{ ...issuer.keys[0], algorithm: 'HS256' }] } }],
    ['issuer', { issuer: { ...issuer, other: 1 } }],
  ])('names %s when it is wrong', (key, change) => {
    let caught: unknown;
    try {
      decode({ keys, ...root, ...change });
    } catch (error) {
      caught = error;
    }
    expect(caught).toMatchObject({ code: 'TRUST_INVALID', at: { file: 'root.json', key } });
  });

  test('is at most as long as it may be, in either form', () => {
    const long = Buffer.from(`${encodeTrustFile({ keys })}${' '.repeat(REPOSITORY_TRUST_MAX_BYTES)}`);
    expect(codeOf(() => decodeRepositoryTrust(long, 'root.json'))).toBe('KEY_TOO_LARGE');
    expect(codeOf(() => decodeRepositoryTrust(long.subarray(1), 'cosign.pub'))).toBe('KEY_TOO_LARGE');
    const many = Array.from({ length: 1000 }, (_, number) => ({ ...issuer.keys[0], kid: `key ${number}` }));
    expect(decode({ keys, issuer: { ...issuer, keys: many } }).issuer?.keys).toHaveLength(1000);
  });
});

describe('a writer key', () => {
  const key = {
    ...({ version: 1, repository: REPOSITORY, writer: WRITER, idKey: new Uint8Array(32) } as const),
    indexIdentity: `AGE-SECRET-KEY-PQ-1${'Q'.repeat(58)}`,
    approvers: { threshold: 1, keys },
  };

  test('pins a root to the byte, and is believed by it', () => {
    const bytes = encodeWriterKey({ ...key, root });
    const written = canonicalJson({ ...key, idKey: Buffer.from(key.idKey).toString('base64'), root });
    expect(new TextDecoder().decode(bytes)).toBe(written);
    expect(decodeWriterKey(bytes)).toEqual({ ...key, root });
    expect(trustOfWriter({ ...key, root })).toMatchObject({ ...root, threshold: 1, repository: REPOSITORY });
    expect(trustOfWriter(decodeWriterKey(encodeWriterKey(key)))).not.toHaveProperty('breakGlass');
  });

  test('with a root that pins nothing, or that is not one, is refused', () => {
    for (const wrong of [{}, { breakGlass: ['x'] }, { minimumRecipients: '2' }, { other: 1 }]) {
      const written = encodeWriterKey({ ...key, root: wrong as never });
      expect(codeOf(() => decodeWriterKey(written))).toBe('WRITER_KEY_INVALID');
    }
  });
});

describe('a chain of rosters, held against the root', () => {
  const reader = { name: 'reader', recipient: READER, role: 'reader' } as const;
  const safe = { name: 'safe', recipient: SAFE, role: 'break-glass' } as const;
  const trust = { keys: [trusting(ada)], breakGlass: [SAFE], minimumRecipients: 2 };

  function verify(...epochs: readonly Partial<Roster>[]) {
    const documents: { epoch: number; bytes: Uint8Array }[] = [];
    for (const [index, changes] of epochs.entries()) {
      const previous = index === 0 ? null : digestOf((documents[index - 1] as { bytes: Uint8Array }).bytes);
      const bytes = encodeRoster(sampleRoster(ada, { epoch: index + 1, previous, ...changes }), [ada]);
      documents.push({ epoch: index + 1, bytes });
    }
    return verifyRosterChain(documents, trust);
  }
  const whole = { recipients: [reader, safe], minimumRecipients: 2 };

  test('is taken when its newest epoch has what is pinned; earlier ones may be from before', () => {
    expect(verify({ recipients: [reader] }, whole).current.document.epoch).toBe(2);
    expect(verify({ ...whole, minimumRecipients: 2, recipients: [safe, reader] }).current.document.epoch).toBe(1);
  });

  test.each<[string, Partial<Roster>]>([
    ['lacks it', { recipients: [reader, { ...reader, name: 'b', recipient: other() }], minimumRecipients: 2 }],
    ['has it as a reader', { ...whole, recipients: [reader, { ...safe, role: 'reader' }] }],
    ['gives it an end', { ...whole, recipients: [reader, { ...safe, notAfter: '2099-01-01T00:00:00.000Z' }] }],
  ])('is refused when its newest epoch %s: the break-glass recipient', (_, changes) => {
    expect(codeOf(() => verify(whole, changes))).toBe('ROSTER_BREAK_GLASS_MISSING');
  });

  test('is refused when its newest epoch has a lower minimum', () => {
    expect(codeOf(() => verify(whole, { ...whole, minimumRecipients: 1 }))).toBe('ROSTER_MINIMUM_TOO_LOW');
  });

  test('says from which epoch on everything is written afresh: the newest that says so', () => {
    expect(freshEpoch(verify(whole, whole).rosters)).toBe(0);
    expect(freshEpoch(verify(whole, { ...whole, fresh: true }, { ...whole, fresh: true }, whole).rosters)).toBe(3);
  });

  function other(): string {
    return 'age1vp58uq6wfpj2ds29wzxdw0dgekzpk7j2r7f47ffqg3g8mtjlusjs477wgz';
  }
});

import { createHash, randomBytes } from 'node:crypto';
import { beforeAll, expect, test } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import { createIdentity } from '../../../../src/formats/age/new-identity.ts';
import { sealBytes } from '../../../../src/formats/age/sealed-bytes.ts';
import {
  answerChallenge,
  decodeChallenge,
  decodeChallengeAnswer,
  encodeChallenge,
  sealChallenge,
  verifyChallengeAnswer,
} from '../../../../src/formats/identity/challenge.ts';
import { decodeEnrolment, enrolmentNonce, verifyEnrolment } from '../../../../src/formats/identity/enrolment.ts';
import { enrolmentEvidenceOf } from '../../../../src/formats/identity/enrolment-evidence.ts';
import { recipientFingerprint } from '../../../../src/formats/identity/fingerprint.ts';
import { decodeProposal, encodeProposal } from '../../../../src/formats/identity/roster-proposal.ts';
import type { RepositoryId } from '../../../../src/formats/repository/keys.ts';
import { raised } from '../../../support/raised.ts';
import { createTestIssuer } from '../../../support/test-issuer.ts';

const REPOSITORY = '00112233445566778899aabbccddeeff' as RepositoryId;
const OTHER = 'ffeeddccbbaa99887766554433221100' as RepositoryId;
const issuer = createTestIssuer();
let anna: { readonly identity: string; readonly recipient: string };
let enrolment: Uint8Array;

beforeAll(async () => {
  anna = await createIdentity('post-quantum');
  enrolment = await issuer.enrol({ repository: REPOSITORY, recipient: anna.recipient, subject: 'anna' });
});

const verify = (bytes: Uint8Array, repository = REPOSITORY) =>
  verifyEnrolment(bytes, issuer.pinned, { repository, now: Date.now() });

/** The document with another member, in canonical form. */
function altered(change: object): Uint8Array {
  const document = { ...JSON.parse(new TextDecoder().decode(enrolment)), ...change };
  const ordered = Object.fromEntries(Object.entries(document).sort(([a], [b]) => (a < b ? -1 : 1)));
  return new TextEncoder().encode(JSON.stringify(ordered));
}

test('an enrolment binds a recipient to the person who logged in', async () => {
  const { enrolment: read, digest, token } = await verify(enrolment);
  expect(read.recipient).toBe(anna.recipient);
  expect(digest).toBe(digestOf(enrolment));
  expect(token).toMatchObject({ subject: 'anna', expired: false });
});

test('the nonce is a hash that anybody can compute again', () => {
  const text = `{"random":"AAAA","recipient":"age1x","repository":"${REPOSITORY}","type":"portolan-enrolment-v1"}`;
  expect(enrolmentNonce({ repository: REPOSITORY, recipient: 'age1x', random: 'AAAA' })).toBe(
    createHash('sha256').update(text).digest('base64url'),
  );
});

test('a token that was replayed for another recipient or another random value is refused', async () => {
  const mallory = await createIdentity('post-quantum');
  for (const change of [{ recipient: mallory.recipient }, { random: randomBytes(32).toString('base64') }]) {
    expect(await raised(() => verify(altered(change)))).toMatchObject({ code: 'ID_TOKEN_NONCE_WRONG' });
  }
});

test('an enrolment for another repository is refused, also when it says this one', async () => {
  expect(await raised(() => verify(enrolment, OTHER))).toMatchObject({ code: 'REPOSITORY_MISMATCH' });
  expect(await raised(() => verify(altered({ repository: OTHER }), OTHER))).toMatchObject({
    code: 'ID_TOKEN_NONCE_WRONG',
  });
});

test('an enrolment that is not one is refused', async () => {
  for (const change of [
    { kind: 'portolan-answer' },
    { random: 'AAAA' },
    { recipient: anna.recipient.toUpperCase() },
    { recipient: anna.identity },
    { recipient: 'age1…' },
    { idToken: '' },
    { extra: 1 },
  ]) {
    const error = await raised(() => decodeEnrolment(altered(change), REPOSITORY));
    expect(error).toMatchObject({ code: 'ENROLMENT_INVALID' });
    expect(error.message).not.toContain(anna.identity);
  }
  expect(await raised(() => decodeEnrolment(altered({ version: 2 }), REPOSITORY))).toMatchObject({
    code: 'REPOSITORY_VERSION_UNSUPPORTED',
  });
  const spaced = Buffer.from(`${Buffer.from(enrolment)}\n`);
  expect(await raised(() => decodeEnrolment(spaced, REPOSITORY))).toMatchObject({ code: 'ENROLMENT_INVALID' });
});

test('an enrolment that is cut anywhere is refused', async () => {
  for (let length = 0; length < enrolment.length; length += 1) {
    const { code } = await raised(() => decodeEnrolment(enrolment.subarray(0, length), REPOSITORY));
    expect(code).toBe('ENROLMENT_INVALID');
  }
});

const subject = () => ({ repository: REPOSITORY, enrolment: digestOf(enrolment) });

test('whoever holds the identity answers a challenge, and nobody else', async () => {
  const challenge = encodeChallenge(subject(), randomBytes(32));
  const sealed = await sealChallenge(challenge, anna.recipient);
  const { answer, enrolment: about, recipient } = await answerChallenge(sealed, [anna.identity], enrolment);
  expect(about).toBe(digestOf(enrolment));
  expect(recipient).toBe(anna.recipient);
  verifyChallengeAnswer(decodeChallengeAnswer(answer), decodeChallenge(challenge));
  const mallory = await createIdentity('post-quantum');
  expect(await raised(() => answerChallenge(sealed, [mallory.identity], enrolment))).toMatchObject({
    code: 'NO_MATCHING_IDENTITY',
  });
});

test('a challenge for another enrolment than the own gets no answer, whoever’s recipient is in it', async () => {
  const mallorys = await issuer.enrol({ repository: REPOSITORY, recipient: anna.recipient, subject: 'mallory' });
  const ask = (about: Uint8Array, repository = REPOSITORY) =>
    sealChallenge(encodeChallenge({ repository, enrolment: digestOf(about) }, randomBytes(32)), anna.recipient);
  const answerWith = async (sealed: Uint8Array, own: Uint8Array, identities = [anna.identity]) =>
    await raised(() => answerChallenge(sealed, identities, own));
  expect(await answerWith(await ask(mallorys), enrolment)).toMatchObject({
    code: 'CHALLENGE_FOREIGN',
    expected: digestOf(enrolment),
    found: digestOf(mallorys),
  });
  expect(await answerWith(await ask(enrolment, OTHER), enrolment)).toMatchObject({ code: 'REPOSITORY_MISMATCH' });
  const carol = await createIdentity('post-quantum');
  const carols = await issuer.enrol({ repository: REPOSITORY, recipient: carol.recipient, subject: 'carol' });
  expect(await answerWith(await ask(carols), carols)).toMatchObject({
    code: 'CHALLENGE_FOREIGN',
    found: recipientFingerprint(carol.recipient),
  });
  const noEnrolment = Buffer.from('{}');
  expect(await answerWith(await ask(noEnrolment), noEnrolment)).toMatchObject({ code: 'ENROLMENT_INVALID' });
});

test('an answer shows nothing of the challenge, and fits no other', async () => {
  const secret = randomBytes(32);
  const challenge = encodeChallenge(subject(), secret);
  const sealed = await sealChallenge(challenge, anna.recipient);
  const { answer } = await answerChallenge(sealed, [anna.identity], enrolment);
  for (const encoding of ['base64', 'hex', 'base64url'] as const)
    expect(Buffer.from(answer).toString()).not.toContain(secret.toString(encoding));
  const others = [
    encodeChallenge(subject(), randomBytes(32)),
    encodeChallenge({ ...subject(), enrolment: digestOf('another') }, secret),
    encodeChallenge({ ...subject(), repository: OTHER }, secret),
  ];
  for (const other of others) {
    expect(
      await raised(() => verifyChallengeAnswer(decodeChallengeAnswer(answer), decodeChallenge(other))),
    ).toMatchObject({ code: 'CHALLENGE_ANSWER_WRONG' });
  }
});

test('what is sealed to the identity and is no challenge is neither answered nor shown', async () => {
  for (const content of ['the key of a run', '{"version":1}', Buffer.from(enrolment)]) {
    const sealed = await sealBytes(Buffer.from(content), [anna.recipient]);
    const error = await raised(() => answerChallenge(sealed, [anna.identity], enrolment));
    expect(['CHALLENGE_INVALID', 'SEALED_TOO_LARGE']).toContain(error.code);
    expect(JSON.stringify({ ...error, message: error.message })).not.toContain('key of a run');
  }
});

test('an answer that is cut or has another form is refused', async () => {
  const sealed = await sealChallenge(encodeChallenge(subject(), randomBytes(32)), anna.recipient);
  const { answer } = await answerChallenge(sealed, [anna.identity], enrolment);
  for (let length = 0; length < answer.length; length += 1) {
    expect(await raised(() => decodeChallengeAnswer(answer.subarray(0, length)))).toMatchObject({
      code: 'CHALLENGE_ANSWER_INVALID',
    });
  }
});

test('a proposal comes back as it went, and is refused when it is cut, of another repository or has more in it', async () => {
  const proposal = { repository: REPOSITORY, roster: randomBytes(100), enrolment };
  const bytes = encodeProposal(proposal);
  expect(decodeProposal(bytes, REPOSITORY)).toEqual({ ...proposal, enrolment: Buffer.from(enrolment) });
  const { enrolment: none } = decodeProposal(encodeProposal({ ...proposal, enrolment: undefined }), REPOSITORY);
  expect(none).toBeUndefined();
  expect(await raised(() => decodeProposal(bytes, OTHER))).toMatchObject({ code: 'REPOSITORY_MISMATCH' });
  for (const length of [0, 1, 100, bytes.length - 1]) {
    expect(await raised(() => decodeProposal(bytes.subarray(0, length), REPOSITORY))).toMatchObject({
      code: 'PROPOSAL_INVALID',
    });
  }
  const more = Buffer.from(Buffer.from(bytes).toString().replace('"version":1', '"version":1,"zeal":1'));
  expect(await raised(() => decodeProposal(more, REPOSITORY))).toMatchObject({ code: 'PROPOSAL_INVALID' });
});

test('evidence of another kind is nobody’s enrolment', () => {
  const evidence = { kind: 'enrolment', issuer: 'https://id', subject: 'anna', digest: subject().enrolment };
  expect(enrolmentEvidenceOf({ evidence })).toEqual(evidence);
  for (const other of [undefined, { kind: 'letter' }, { ...evidence, digest: 'x' }, { ...evidence, more: 1 }])
    expect(enrolmentEvidenceOf(other === undefined ? {} : { evidence: other })).toBeUndefined();
});

test('a fingerprint is the hash of the recipient, in groups that can be read out', () => {
  expect(recipientFingerprint('age1x')).toBe(
    createHash('sha256').update('age1x').digest('hex').slice(0, 32).match(/.{4}/g)?.join(' '),
  );
});

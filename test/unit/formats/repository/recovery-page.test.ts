/** The page for the safe; that its commands restore is shown by test/integration/keys-root.test.ts. */
import { generateKeyPairSync } from 'node:crypto';
import { Encrypter } from 'age-encryption';
import { expect, test } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import { armorIdentityFile, parseIdentityFile } from '../../../../src/formats/age/identity-file.ts';
import { createIdentity, encodeIdentityFile } from '../../../../src/formats/age/new-identity.ts';
import { keyThumbprint } from '../../../../src/formats/repository/issuer-keys.ts';
import { type RecoveryFacts, renderRecoveryPage } from '../../../../src/formats/repository/recovery-page.ts';
import { newSigningKey, READER, sampleRoster, TIME, trusting, WRITER } from './repository-fixture.ts';

const ada = newSigningKey();
const publicKey = generateKeyPairSync('ed25519').publicKey.export({ type: 'spki', format: 'der' }).toString('base64');
const facts: RecoveryFacts = {
  ...{ made: TIME, program: '1.2.3', place: '/srv/backups', rosterDigest: digestOf('roster'), newest: [] },
  roster: sampleRoster(ada, { recipients: [{ name: 'a|b\nc', recipient: READER, role: 'break-glass' }] }),
  trust: { keys: [trusting(ada, 'Ada')] },
};

test('the page of a repository without snapshots has their places, and no secret', () => {
  const page = renderRecoveryPage(facts);
  expect(page).toContain('snapshot=snapshots/WRITER/00000001.json');
  expect(page).not.toContain('## The identity');
  expect(page).not.toContain('## What was there');
  expect(page).not.toContain('--break-glass');
  expect(page).toContain('| break-glass | a\\|b c |');
});

test('the page names the newest snapshot, the keys of the identity provider, and an address that a shell would take apart', () => {
  const newest = [{ writer: WRITER, sequence: 7, digest: digestOf('7'), storageTime: TIME }];
  const keys = [{ kid: 'k1', publicKey, algorithm: 'EdDSA' as const, from: TIME }];
  const issuer = { url: 'https://id.ship', enrolmentClient: 'c', roleClaim: 'roles', readerRole: 'reader', keys };
  const place = "s3://b/it's?endpoint=http://h:9000";
  const page = renderRecoveryPage({ ...facts, place, newest, trust: { ...facts.trust, issuer, minimumRecipients: 2 } });
  expect(page).toContain('snapshot=snapshots/db-1/00000007.json');
  expect(page).toContain(`k1 ${keyThumbprint(publicKey)}, ${TIME} to now`);
  expect(page).toContain(`--repo 's3://b/it'\\''s?endpoint=http://h:9000'`);
  expect(page).toContain('--to folder:restored --break-glass');
  expect(page).toContain('no backup goes to fewer than 2 recipients');
});

test('an identity comes onto the page without its comments, and what a passphrase protects as text that opens again', async () => {
  const identity = await createIdentity('classic');
  const text = encodeIdentityFile(identity, 0);
  const page = renderRecoveryPage({ ...facts, identity: armorIdentityFile(Buffer.from(text)) });
  expect(page).toContain(`\n    ${identity.identity}\n`);
  expect(page).not.toContain('# public key');
  expect(page).toContain('THIS PAGE OPENS EVERY BACKUP');

  const encrypter = new Encrypter();
  encrypter.setPassphrase('of a test');
  encrypter.setScryptWorkFactor(4);
  const armored = armorIdentityFile(await encrypter.encrypt(text));
  expect(armored).toMatch(/^-----BEGIN AGE ENCRYPTED FILE-----\n/);
  const lines = renderRecoveryPage({ ...facts, identity: armored }).split('\n');
  const from = lines.findIndex((line) => line.includes('BEGIN AGE'));
  const to = lines.findIndex((line) => line.includes('END AGE'));
  const typed = lines.slice(from, to + 1).map((line) => line.slice(4));
  const askPassphrase = async () => 'of a test';
  expect(await parseIdentityFile(Buffer.from(`${typed.join('\n')}\n`), { askPassphrase })).toEqual([identity.identity]);
});

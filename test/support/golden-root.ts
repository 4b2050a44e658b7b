/**
 * Wrote test/golden/repository-v1-root: `FOLDER`, which must not exist. A small repository under a root: a break-glass recipient and a
 * minimum that are pinned, a reader who enrolled with an identity provider and whose evidence is published, an epoch that starts
 * afresh, a snapshot that says what became of the provider. Run it again only for a new version of the format, and never over what is there.
 */
import { cp, mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { digestOf } from '../../src/core/digest.ts';
import { createIdentity, encodeIdentityFile } from '../../src/formats/age/new-identity.ts';
import { evidenceKey, snapshotKey } from '../../src/formats/repository/keys.ts';
import { encodeRepositoryTrust } from '../../src/formats/repository/repository-trust.ts';
import type { RosterRecipient } from '../../src/formats/repository/roster.ts';
import { encodeSnapshot, readUnverifiedSnapshot } from '../../src/formats/repository/snapshot.ts';
import { encodeWriterKey } from '../../src/formats/repository/writer-key.ts';
import { createBackupRepository, streamSource } from './backup-repository.ts';
import { changeRoster } from './roster-changes.ts';
import { createTestIssuer } from './test-issuer.ts';

const hello = (text: string) => streamSource('files', { 'hello.txt': Buffer.from(text) });

async function write(folder: string): Promise<void> {
  const [safe, former, reader] = await Promise.all([1, 2, 3].map(() => createIdentity('post-quantum')));
  if (safe === undefined || former === undefined || reader === undefined) throw new Error('no identities');
  const issuer = createTestIssuer();
  const breakGlass: RosterRecipient = { name: 'safe', recipient: safe.recipient, role: 'break-glass' };
  await using repository = await createBackupRepository((request) => ({
    ...request,
    recipients: [breakGlass, { name: 'former', recipient: former.recipient, role: 'reader' }],
    root: { breakGlass: [safe.recipient], minimumRecipients: 2, issuer: issuer.pinned },
  }));
  const { store, writerKey, signer, now } = repository;
  await repository.run([hello('before\n')]);

  const issuedAt = Math.floor(now() / 1000) - 7200;
  const { recipient } = reader;
  const proof = await issuer.enrol({ repository: writerKey.repository, recipient, subject: 'carol-7', issuedAt });
  const enrolment = { kind: 'enrolment', issuer: issuer.pinned.url, subject: 'carol-7', digest: digestOf(proof) };
  const enrolled: RosterRecipient = { name: 'carol', recipient, role: 'reader', evidence: enrolment };
  const change = { fresh: true };
  await changeRoster(repository, (roster) => ({ ...roster, recipients: [breakGlass, enrolled] }), signer, change);
  await store.put(evidenceKey(digestOf(proof)), proof);
  await repository.run([hello('after\n')]);
  await mkdir(folder);
  await cp(join(repository.root, 'store'), join(folder, 'store'), {
    recursive: true,
    filter: (path) => !path.endsWith('.tmp'),
  });
  const newest = join(folder, 'store', snapshotKey(writerKey.writer, 2));
  const { document } = readUnverifiedSnapshot(await readFile(newest));
  const at = document.started;
  await writeFile(newest, encodeSnapshot({ ...document, identityProvider: { state: 'answered', at } }, signer));
  const { approvers, root } = writerKey;
  await writeFile(join(folder, 'trust.json'), encodeRepositoryTrust(writerKey.repository, approvers, root));
  await writeFile(join(folder, 'writer.json'), encodeWriterKey(writerKey));
  for (const [name, identity] of Object.entries({ safe, former, reader }))
    await writeFile(join(folder, `${name}.txt`), encodeIdentityFile(identity, now()));
}

await write(process.argv[2] as string);

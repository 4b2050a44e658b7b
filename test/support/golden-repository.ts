/**
 * Wrote test/golden/repository-v1: `FOLDER`, which must not exist. A repository with an object of every kind: a snapshot sealed to
 * a classic recipient, and after a rotation one to a post-quantum recipient that builds on it; a second writer; a stub, a mark,
 * a rewrap, the word of a verifier. Run it again only for a new version of the format, and never over what is there.
 */
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createChunkReader } from '../../src/adapters/chunk-reader/chunk-reader.ts';
import { createIdentity, encodeIdentityFile, type NewIdentity } from '../../src/formats/age/new-identity.ts';
import type { WriterName } from '../../src/formats/repository/keys.ts';
import { encodeRepositoryTrust } from '../../src/formats/repository/repository-trust.ts';
import type { BackupSource } from '../../src/ports/backup-source.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { checkRepository } from '../../src/usecases/repository/check.ts';
import { forgetSnapshots } from '../../src/usecases/repository/forget.ts';
import { pruneRepository } from '../../src/usecases/repository/prune.ts';
import {
  type BackupRepository,
  createBackupRepository,
  createSigningKey,
  publicKeyText,
  signal,
  streamSource,
} from './backup-repository.ts';
import { pseudoRandom } from './image-content.ts';
import { changeRoster, rewrap } from './roster-changes.ts';

const NAME = (text: string) => text as WriterName;

/** Byte i is (i² + 7i) mod 251, as in the golden bundle. */
const NUMBERS = Uint8Array.from({ length: 100_000 }, (_, i) => (i * i + 7 * i) % 251);
const NOISE = pseudoRandom('golden', 350_000);
const files = (more: Readonly<Record<string, Uint8Array>>) =>
  streamSource('files', { 'numbers.bin': NUMBERS, 'noise.bin': NOISE, 'empty.txt': new Uint8Array(), ...more });

/** A table of two columns and 1000 rows, as a dump stores it. */
const table: BackupSource = {
  kind: 'postgres',
  name: 'postgres',
  place: 'db.example:5432/shop',
  prepare: async () => ({ expectedBytes: 20_000 }),
  async backUp(writer) {
    const name = 'postgres/1/notes.copy';
    const rows = Array.from({ length: 1000 }, (_, index) => `${index + 1}\tnote ${index + 1}\n`).join('');
    await writer.entry({ entry: 'source', source: 'postgres', kind: 'postgres', name: table.place, record: {} });
    const { sizeBytes } = await writer.stream(
      name,
      (async function* () {
        yield Buffer.from(rows);
      })(),
    );
    await writer.entry({
      ...{ entry: 'table', source: 'postgres', database: 'shop', schema: 'public', table: 'notes', oid: 16_385 },
      ...{ columns: ['id', 'text'], streams: [name], rows: 1000 },
    });
    await writer.entry({ entry: 'end', source: 'postgres', record: {} });
    return { kind: 'postgres', name: 'postgres', place: table.place, sizeBytes, items: 1, rows: 1000, notes: [] };
  },
};

async function fill(repository: BackupRepository, classic: NewIdentity, reader: NewIdentity): Promise<void> {
  const { signer, now } = repository;
  const running = { progress: silentProgress, now };
  await repository.run([streamSource('files', { 'hello.txt': Buffer.from('forgotten\n') })]);
  await repository.run([files({ 'hello.txt': Buffer.from('hello\n') }), table], { full: true, tags: ['first'] });
  // The rotation: from the classic recipient to a post-quantum one, and a second writer.
  const [other, index] = [createSigningKey(), await createIdentity('post-quantum')];
  const writer = { name: NAME('db-2'), publicKey: publicKeyText(other), indexRecipient: index.recipient };
  await changeRoster(repository, (roster) => ({
    ...roster,
    recipients: [{ name: 'reader', recipient: reader.recipient, role: 'reader' }],
    writers: [...roster.writers, writer],
  }));
  await rewrap(repository, [classic.identity]);
  const writerKey = { ...repository.writerKey, writer: NAME('db-2'), indexIdentity: index.identity };
  const small = streamSource('files', { 'hello.txt': Buffer.from('hello from db-2\n') });
  await repository.run([small], { writerKey, signer: other });
  await repository.run([files({ 'hello.txt': Buffer.from('hello again\n') }), table], { hold: true, tags: ['second'] });
  const check = { readPercent: 100, identities: [reader.identity], sign: { signer, program: '0.1.0' } };
  const dependencies = { createChunkReader, progress: silentProgress };
  const { problems } = await checkRepository(await repository.open(), check, dependencies, { signal });
  if (problems.length > 0) throw new AggregateError(problems, 'the golden repository is not well');
  const forgetting = { policy: undefined, named: ['db-1/1'], evenHeld: false, writers: [], accept: [] };
  const request = { ...forgetting, signer, copied: false, plan: false };
  await forgetSnapshots(await repository.open(), request, running, { signal });
  const pruning = { signer, plan: false, acceptMissing: false };
  await pruneRepository(await repository.open(), pruning, running, { signal, longestRunMs: 0 });
}

async function write(folder: string): Promise<void> {
  const [classic, reader] = [await createIdentity('classic'), await createIdentity('post-quantum')];
  await using repository = await createBackupRepository((request) => ({
    ...request,
    recipients: [{ name: 'classic', recipient: classic.recipient, role: 'reader' }],
    verifiers: [{ name: NAME('verifier'), publicKey: publicKeyText(request.signer) }],
  }));
  await fill(repository, classic, reader);
  await mkdir(folder);
  await cp(join(repository.root, 'store'), join(folder, 'store'), {
    recursive: true,
    filter: (path) => !path.endsWith('.tmp'),
  });
  const { approvers } = repository.writerKey;
  await writeFile(join(folder, 'trust.json'), encodeRepositoryTrust(repository.writerKey.repository, approvers));
  await writeFile(join(folder, 'classic.txt'), encodeIdentityFile(classic, repository.now()));
  await writeFile(join(folder, 'post-quantum.txt'), encodeIdentityFile(reader, repository.now()));
}

await write(process.argv[2] as string);

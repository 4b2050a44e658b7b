/**
 * Writes a repository for measuring: `FOLDER PACKS SNAPSHOTS`, into FOLDER/store, and FOLDER/trust.json beside it. Every snapshot is
 * signed and names all packs, which are named like real ones and hold nothing: whoever lists and prunes opens none. A pack holds
 * about 16 chunks, so 6400 packs are those of a hundred thousand, and 65536 those of a million.
 *
 *     node test/support/many-snapshots.ts /dev/shm/many 6400 30
 *     scripts/portolan backup list --repo /dev/shm/many/store --trust /dev/shm/many/trust.json --state /dev/shm/many/state
 */
import { randomBytes } from 'node:crypto';
import { cp, mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, digestOf } from '../../src/core/digest.ts';
import { packKey, snapshotKey, type WriterName } from '../../src/formats/repository/keys.ts';
import { encodeRepositoryTrust } from '../../src/formats/repository/repository-trust.ts';
import { encodeSnapshot, type SnapshotPack } from '../../src/formats/repository/snapshot.ts';
import { openSnapshot } from '../../src/usecases/repository/open-snapshot.ts';
import { createBackupRepository, streamSource } from './backup-repository.ts';

const PACK_BYTES = 100;

async function writePacks(store: string, count: number): Promise<SnapshotPack[]> {
  const packs: SnapshotPack[] = [];
  for (let index = 0; index < count; index += 1) {
    const digest = digestOf(`pack ${index}`);
    const key = packKey(digest);
    await mkdir(join(store, key, '..'), { recursive: true });
    await writeFile(join(store, key), new Uint8Array(PACK_BYTES));
    packs.push({ number: 1000 + index, digest, sizeBytes: PACK_BYTES, runIndex: 0 });
  }
  return packs;
}

async function write(folder: string, packs: number, snapshots: number): Promise<void> {
  await using repository = await createBackupRepository();
  await repository.run([streamSource('files', { a: randomBytes(1000) })]);
  const { snapshot } = await openSnapshot(await repository.open(), 'latest', [repository.identity]);
  const store = join(folder, 'store');
  await mkdir(folder, { recursive: true });
  await cp(join(repository.root, 'store'), store, { recursive: true });
  const named = [...snapshot.document.packs, ...(await writePacks(store, packs))];
  let previous: Digest = snapshot.digest;
  for (let sequence = 2; sequence <= snapshots; sequence += 1) {
    const bytes = encodeSnapshot({ ...snapshot.document, sequence, previous, packs: named }, repository.signer);
    await writeFile(join(store, snapshotKey('db-1' as WriterName, sequence)), bytes);
    previous = digestOf(bytes);
  }
  const { repository: id, approvers } = repository.writerKey;
  await writeFile(join(folder, 'trust.json'), encodeRepositoryTrust(id, approvers));
}

const [folder = '', packs, snapshots] = process.argv.slice(2);
await write(folder, Number(packs), Number(snapshots));

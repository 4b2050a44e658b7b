/** Disks of the machine that are full: what a backup keeps beside the repository, and what programs write meanwhile. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { cachedStore } from '../../src/adapters/object-store/wrappers/cached-store.ts';
import { createPostgresPrograms } from '../../src/adapters/postgres-programs/programs.ts';
import { memoryIn, streamSource } from '../support/backup-repository.ts';
import { emptyServer, type FaultScene, startFaultScene } from '../support/connection-faults.ts';
import { failureOf } from '../support/fault-positions.ts';
import { inlineChunkWriterWith } from '../support/inline-chunks.ts';
import { fillDisk, mountTmpfs } from '../support/mounts.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { dumpAll, firstDifference, restoreInto } from '../support/restore-fixture.ts';
import { temporaryFolder } from '../support/temporary.ts';

let scene: FaultScene;
let target: PostgresServer;
beforeAll(async () => {
  scene = await startFaultScene();
  target = await startPostgres();
});
afterAll(async () => {
  await Promise.all([scene?.[Symbol.asyncDispose](), target?.stop()]);
});

async function smallDisk(): Promise<string> {
  const disk = join(await temporaryFolder(), 'disk');
  await mountTmpfs(disk, 4);
  return disk;
}

test('the state folder: before a run nothing is done, after a snapshot it is kept; what and where is said', async () => {
  const disk = await smallDisk();
  const memory = memoryIn(join(disk, 'state'), Date.now);
  let empty = await fillDisk(disk);
  const before = await scene.snapshots();
  const early = await failureOf(() => scene.backUp({ memory }));
  expect(early).toMatchObject({ code: 'NO_SPACE', hint: expect.any(String) });
  expect(early?.at?.file).toContain(disk);
  expect(await scene.snapshots()).toEqual(before);
  await empty();
  // Full only when there is something to remember.
  const createChunkWriter = inlineChunkWriterWith(async () => {
    empty = await fillDisk(disk);
  });
  const late = await failureOf(() =>
    scene.repository.run([streamSource('files', { some: Buffer.from('some') })], { memory, createChunkWriter }),
  );
  expect(late).toMatchObject({ code: 'NO_SPACE', hint: expect.any(String) });
  expect(late?.at?.file).toContain(disk);
  await empty();
  expect(await scene.snapshots()).toHaveLength(before.length + 1);
  await scene.backUp({ memory });
  await scene.expectWhole('with space again');
});

test('the cache: a run does without', async () => {
  const disk = await smallDisk();
  await using _ = { [Symbol.asyncDispose]: await fillDisk(disk) };
  await scene.backUp({ store: cachedStore(scene.repository.store, { folder: join(disk, 'cache'), now: Date.now }) });
  await scene.expectWhole('with a cache that is full');
});

test('temporary files: a backup needs no space there; a restore says what is full, and goes on when there is space', async () => {
  const disk = await smallDisk();
  const empty = await fillDisk(disk);
  const programs = createPostgresPrograms({ folder: target.programs, temporaryFolder: disk });
  await scene.backUp({ programs });
  await scene.expectWhole('without space for temporary files');
  const restore = async () => {
    const report = await restoreInto(scene.repository, target, { change: (same) => ({ ...same, programs }) });
    expect(report).toMatchObject({ done: true, problems: [] });
  };
  const failure = await failureOf(restore);
  expect(failure).toMatchObject({ code: 'NO_SPACE', hint: expect.any(String) });
  expect(failure?.at?.file).toContain(disk);
  expect(await readdir(disk)).toEqual(['filler']);
  await empty();
  await restore();
  expect(firstDifference(scene.expected, (await dumpAll(target)).toSorted())).toBeUndefined();
  await emptyServer(target);
});

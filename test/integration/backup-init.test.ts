import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createFolderStore } from '../../src/adapters/object-store/folder/folder-store.ts';
import { readRosterRecipients } from '../../src/compose/backup-init.ts';
import { createIdentity } from '../../src/formats/age/new-identity.ts';
import { REPOSITORY_KEY, rosterKey, type WriterName } from '../../src/formats/repository/keys.ts';
import type { WriterKey } from '../../src/formats/repository/writer-key.ts';
import type { ObjectStore } from '../../src/ports/object-store.ts';
import { type InitRequest, initRepository } from '../../src/usecases/repository/init.ts';
import { createSigningKey, memoryIn, publicKeyText } from '../support/backup-repository.ts';
import { dyingStore, Killed } from '../support/dying-store.ts';
import { raised } from '../support/raised.ts';
import { temporaryFolder } from '../support/temporary.ts';

async function newRequest(kinds: readonly ('post-quantum' | 'classic')[] = ['post-quantum']): Promise<InitRequest> {
  const signer = createSigningKey();
  const publicKey = publicKeyText(signer);
  const identities = await Promise.all(kinds.map((kind) => createIdentity(kind)));
  return {
    signer,
    approvers: [{ name: 'approver', publicKey }],
    recipients: identities.map(({ recipient }, index) => ({ name: `reader-${index}`, recipient, role: 'reader' })),
    writer: { name: 'db-1' as WriterName, publicKey },
    pruners: [],
    verifiers: [],
  };
}

/** A machine with files and a memory of its own. */
function machine(folder: string) {
  let kept: WriterKey | undefined;
  let dieAtWrite = false;
  return {
    memory: memoryIn(join(folder, 'state'), Date.now),
    get kept() {
      return kept;
    },
    dieAtWrite() {
      dieAtWrite = true;
    },
    files: {
      place: folder,
      readWriterKey: async () => kept,
      write: async (key: WriterKey) => {
        if (dieAtWrite) throw new Killed('killed at the files');
        kept = key;
      },
    },
  };
}

function init(request: InitRequest, store: ObjectStore, { files, memory }: ReturnType<typeof machine>) {
  return initRepository(request, { store, files, memory, now: Date.now });
}

test('a repository is made once: again, it is as it was', async () => {
  const folder = await temporaryFolder();
  const [store, request, here] = [createFolderStore(join(folder, 'store')), await newRequest(), machine(folder)];
  const first = await init(request, store, here);
  expect(first).toMatchObject({
    created: true,
    roster: { epoch: 1 },
    probe: { mayRemove: true, keepsVersions: false },
  });
  const again = { created: false, repository: first.repository, probe: undefined };
  expect(await init(request, store, here)).toMatchObject(again);
  const other = await newRequest();
  expect(await raised(() => init({ ...request, recipients: other.recipients }, store, here))).toMatchObject({
    code: 'REPOSITORY_EXISTS',
  });
  expect(await raised(() => init(request, store, machine(folder)))).toMatchObject({ code: 'REPOSITORY_EXISTS' });
});

test.each(['before', 'after'] as const)('killed %s any change, it goes on with the same id and keys', async (when) => {
  for (let at = 1; ; at += 1) {
    const folder = await temporaryFolder();
    const [store, request, here] = [createFolderStore(join(folder, 'store')), await newRequest(), machine(folder)];
    const failure = await init(request, dyingStore(store, at, when), here).then(
      () => undefined,
      (error: unknown) => error,
    );
    const before = here.kept;
    const report = await init(request, store, here);
    // Until the storage was tried, nothing is kept.
    if (before !== undefined) {
      expect(here.kept).toEqual(before);
      expect(report.repository).toBe(before.repository);
    }
    if (failure === undefined) {
      expect(before).toBeDefined();
      return;
    }
    expect(failure).toBeInstanceOf(Killed);
  }
});

test('killed before the key file of the writer is written, nothing is in the storage', async () => {
  const folder = await temporaryFolder();
  const [store, request, here] = [createFolderStore(join(folder, 'store')), await newRequest(), machine(folder)];
  here.dieAtWrite();
  await expect(init(request, store, here)).rejects.toBeInstanceOf(Killed);
  expect(await store.stat(REPOSITORY_KEY)).toBeUndefined();
  expect(await store.stat(rosterKey(1))).toBeUndefined();
});

test('a place with something else in it is refused', async () => {
  const folder = await temporaryFolder();
  await mkdir(join(folder, 'store'));
  await writeFile(join(folder, 'store', 'notes.txt'), 'mine');
  const store = createFolderStore(join(folder, 'store'));
  const here = machine(folder);
  expect(await raised(async () => init(await newRequest(), store, here))).toMatchObject({
    code: 'REPOSITORY_PLACE_NOT_EMPTY',
  });
  expect(here.kept).toBeUndefined();
});

test('a storage that overwrites is refused, and nothing is made', async () => {
  const folder = await temporaryFolder();
  const store = createFolderStore(join(folder, 'store'));
  const here = machine(folder);
  const overwriting: ObjectStore = {
    ...store,
    put: async (key, bytes, options) => {
      await store.put(key, bytes, options);
      return 'created';
    },
  };
  expect(await raised(async () => init(await newRequest(), overwriting, here))).toMatchObject({
    code: 'STORE_NOT_CREATE_ONLY',
  });
  expect(here.kept).toBeUndefined();
  expect(await store.stat(REPOSITORY_KEY)).toBeUndefined();
});

test('a disk that is not mounted is not taken for a new place', async () => {
  const folder = await temporaryFolder();
  const [request, here] = [await newRequest(), machine(folder)];
  const { repository } = await init(request, createFolderStore(join(folder, 'store')), here);
  const failure = await raised(() => init(request, createFolderStore(join(folder, 'empty')), here));
  expect(failure).toMatchObject({ code: 'REPOSITORY_GONE', expected: repository });
});

test('two machines at once: one of them makes it', async () => {
  const folder = await temporaryFolder();
  const store = createFolderStore(join(folder, 'store'));
  const [first, second] = [machine(join(folder, '1')), machine(join(folder, '2'))];
  const [request, other] = [await newRequest(), await newRequest()];
  const racing: ObjectStore = {
    ...store,
    put: async (key, bytes, options) => {
      if (key === REPOSITORY_KEY) await init(other, store, second);
      return await store.put(key, bytes, options);
    },
  };
  expect(await raised(() => init(request, racing, first))).toMatchObject({ code: 'REPOSITORY_EXISTS' });
});

test('whoever is not named gets a name that nobody has', async () => {
  const [one, two, three] = await Promise.all([1, 2, 3].map(async () => (await createIdentity('classic')).recipient));
  const given = { recipients: [`${one}`, `anna=${two}`], recipientsFiles: [], breakGlass: [`${three}`] };
  expect((await readRosterRecipients(given)).map(({ name }) => name)).toEqual(['reader-1', 'anna', 'break-glass-1']);
  const taken = [{ name: 'reader-1' }, { name: 'reader-2' }];
  expect(await readRosterRecipients(given, taken)).toEqual([
    { name: 'reader-3', recipient: one, role: 'reader' },
    { name: 'anna', recipient: two, role: 'reader' },
    { name: 'break-glass-1', recipient: three, role: 'break-glass' },
  ]);
});

test('recipients of two kinds, and a signer who does not approve, make nothing', async () => {
  const folder = await temporaryFolder();
  const store = createFolderStore(join(folder, 'store'));
  const mixed = await newRequest(['post-quantum', 'classic']);
  expect(await raised(() => init(mixed, store, machine(folder)))).toMatchObject({ code: 'ROSTER_REFUSED' });
  const stranger = { ...(await newRequest()), signer: createSigningKey() };
  expect(await raised(() => init(stranger, store, machine(folder)))).toMatchObject({ code: 'ROLE_MISSING' });
  expect(await store.stat(REPOSITORY_KEY)).toBeUndefined();
});

import { mkdir, readdir, rm, stat, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test, vi } from 'vitest';
import { createFolderState } from '../../../../src/adapters/target-state/folder-state.ts';
import { raised } from '../../../support/raised.ts';
import { targetStateSuite } from '../../../support/target-state-suite.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const MODULE = new URL('../../../../src/adapters/target-state/folder-state.ts', import.meta.url).href;

async function open() {
  const folder = join(await temporaryFolder(), 'state');
  const settings = { folder, now: () => 0 };
  return {
    folder,
    state: createFolderState(settings),
    again: async () => createFolderState(settings),
    holderScript: (holder: string) => `
      import { createFolderState } from ${JSON.stringify(MODULE)};
      const state = createFolderState({ folder: ${JSON.stringify(folder)}, now: () => 0 });
      await state.lock(${JSON.stringify(holder)}, { waitMs: 0 });
      console.log('locked');
      setInterval(() => {}, 1000);
    `,
  };
}

targetStateSuite({ open });

describe('in a folder', () => {
  test('documents are for their owner alone', async () => {
    const { state, folder } = await open();
    await state.write('key', Uint8Array.of(1));
    const modes = await Promise.all(
      ['', 'documents', 'documents/key.document'].map((path) => stat(join(folder, path))),
    );
    expect(modes.map(({ mode }) => mode & 0o777)).toEqual([0o700, 0o700, 0o600]);
  });

  test('a link is not followed', async () => {
    const { state, folder } = await open();
    const secret = join(folder, '..', 'secret');
    await writeFile(secret, 'secret');
    await mkdir(join(folder, 'documents'), { recursive: true });
    await symlink(secret, join(folder, 'documents', 'key.document'));
    expect(await raised(() => state.read('key'))).toMatchObject({ code: 'FILE_UNREADABLE' });
  });

  test('what a killed run left half-written is cleared by the next that holds the lock', async () => {
    const { state, folder } = await open();
    await state.write('key', Uint8Array.of(1));
    await writeFile(join(folder, 'documents', '.key.document.0123456789abcdef.tmp'), 'half');
    expect(await state.list('')).toEqual(['key']);
    await using _lock = await state.lock('next', { waitMs: 0 });
    expect(await readdir(join(folder, 'documents'))).toEqual(['key.document']);
  });

  test('a lock that cannot be described is not kept', async () => {
    const { state, folder } = await open();
    await mkdir(join(folder, 'holder.json'), { recursive: true });
    expect(await raised(() => state.lock('first', { waitMs: 0 }))).toMatchObject({ code: 'FILE_UNWRITABLE' });
    await rm(join(folder, 'holder.json'), { recursive: true });
    await using _lock = await state.lock('second', { waitMs: 0 });
  });

  test('a lock whose file is gone says so', async () => {
    const { state, folder } = await open();
    vi.useFakeTimers({ toFake: ['setInterval', 'clearInterval'] });
    try {
      await using lock = await state.lock('first', { waitMs: 0 });
      await rm(join(folder, 'lock'));
      const lost = new Promise((resolve) => lock.signal.addEventListener('abort', resolve, { once: true }));
      vi.advanceTimersByTime(5000);
      await lost;
      expect(lock.signal.reason).toMatchObject({ code: 'TARGET_LOCK_LOST' });
    } finally {
      vi.useRealTimers();
    }
  });
});

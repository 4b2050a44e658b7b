import { readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { createFolderState } from '../../../../src/adapters/target-state/folder-state.ts';
import { silentProgress } from '../../../../src/ports/progress.ts';
import { type AuditJournal, readJournal, recorded } from '../../../../src/usecases/audit/journal.ts';
import { lookIntoJournal } from '../../../../src/usecases/audit/look-into-journal.ts';
import { UseCaseError } from '../../../../src/usecases/errors.ts';
import { AUDITED_WORK } from '../../../support/audit-records.ts';
import { raised } from '../../../support/raised.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

const { snapshot, ...facts } = AUDITED_WORK;

async function createJournal() {
  const folder = join(await temporaryFolder(), 'audit');
  const warnings: string[] = [];
  const journal: AuditJournal = {
    state: createFolderState({ folder, now: Date.now }),
    holder: 'a test',
    now: Date.now,
    progress: { ...silentProgress, warn: (message) => warnings.push(message) },
  };
  const look = async () => {
    const { documents, key } = await readJournal(journal.state);
    return lookIntoJournal({ documents, keys: key === undefined ? [] : [key], head: undefined });
  };
  const at = (name: string) => join(folder, 'documents', `${name}.document`);
  return { journal, warnings, look, at, folder };
}

function work<T>(
  journal: AuditJournal,
  act: () => Promise<T>,
  {
    signal = new AbortController().signal,
    failureOf = () => undefined,
  }: Partial<Parameters<typeof recorded<T>>[3]> = {},
): Promise<T> {
  return recorded<T>(
    journal,
    facts,
    async (begin) => {
      await begin(snapshot);
      return await act();
    },
    { signal, failureOf },
  );
}

test('a work is recorded before it is done, and with what became of it', async () => {
  const { journal, look, at, folder } = await createJournal();
  const during = await work(journal, look);
  expect(during).toMatchObject({ findings: [], works: [{ outcome: 'open', begin: { sequence: 1, ...AUDITED_WORK } }] });
  await work(journal, async () => 'RESTORE_NOT_EQUAL', { failureOf: (code: string) => code });
  await expect(work(journal, () => Promise.reject(new UseCaseError('SNAPSHOT_NOT_RIGHT', 'no')))).rejects.toThrow('no');
  await expect(work(journal, () => Promise.reject(new TypeError('no')))).rejects.toThrow('no');
  const stop = new AbortController();
  const stopped = work(journal, async () => stop.abort(), { signal: stop.signal });
  await stopped;
  const again = work(journal, () => Promise.reject(stop.signal.reason), { signal: stop.signal });
  await expect(again).rejects.toThrow();

  const { works, findings, head } = await look();
  expect(findings).toEqual([]);
  expect(works.map(({ outcome, end }) => [outcome, end?.code])).toEqual([
    ['done', undefined],
    ['failed', 'RESTORE_NOT_EQUAL'],
    ['failed', 'SNAPSHOT_NOT_RIGHT'],
    ['failed', 'INTERNAL'],
    // It was done before it could be stopped.
    ['done', undefined],
  ]);
  expect(head?.sequence).toBe(10);
  expect((await stat(at('key'))).mode & 0o777).toBe(0o600);
  expect((await stat(at('record-0000000001'))).mode & 0o777).toBe(0o600);
  expect((await stat(join(folder, 'documents'))).mode & 0o777).toBe(0o700);
});

test('a work that is stopped is recorded as stopped', async () => {
  const { journal, look } = await createJournal();
  const stop = new AbortController();
  const act = async () => {
    stop.abort();
    throw stop.signal.reason;
  };
  await expect(work(journal, act, { signal: stop.signal })).rejects.toThrow();
  expect((await look()).works).toMatchObject([{ outcome: 'aborted' }]);
});

test('what never came to its snapshot is not recorded', async () => {
  const { journal, look } = await createJournal();
  const never = recorded(journal, facts, () => Promise.reject(new Error('no such snapshot')), {
    signal: new AbortController().signal,
    failureOf: () => undefined,
  });
  await expect(never).rejects.toThrow('no such snapshot');
  expect((await look()).works).toEqual([]);
});

test('without a place for the record nothing is done; when only the end has none, it is said', async () => {
  const { journal, warnings, look, folder } = await createJournal();
  await writeFile(folder, 'a file where the folder belongs');
  let isDone = false;
  const act = async () => {
    isDone = true;
  };
  expect(await raised(() => work(journal, act))).toMatchObject({
    code: 'AUDIT_UNWRITABLE',
    cause: { code: 'FILE_UNWRITABLE' },
  });
  expect(isDone).toBe(false);

  await rm(folder);
  await work(journal, async () => {
    await rm(folder, { recursive: true });
    await writeFile(folder, 'again');
  });
  expect(warnings).toEqual([expect.stringContaining('AUDIT_UNWRITABLE')]);
  await rm(folder);
  expect((await look()).works).toEqual([]);
});

test('many at once make one chain', async () => {
  const { journal, look } = await createJournal();
  await Promise.all(Array.from({ length: 5 }, () => work(journal, async () => {})));
  const { works, findings } = await look();
  expect(findings).toEqual([]);
  expect(works.map(({ outcome }) => outcome)).toEqual(Array(5).fill('done'));
});

test('a key that is gone is made anew and said; the records of before are no longer this machine’s', async () => {
  const { journal, warnings, look, at } = await createJournal();
  await work(journal, async () => {});
  expect(warnings).toEqual([]);
  const former = await readFile(at('key'));
  await rm(at('key'));
  await work(journal, async () => {});
  expect(warnings).toHaveLength(1);
  expect((await look()).findings.map(({ code }) => code)).toEqual(Array(2).fill('SIGNED_DOCUMENT_UNSIGNED'));
  await writeFile(at('key'), former);
  expect((await look()).findings.map(({ code }) => code)).toEqual(Array(2).fill('SIGNED_DOCUMENT_UNSIGNED'));
  await writeFile(at('key'), 'no key');
  expect(await raised(() => work(journal, async () => {}))).toMatchObject({ code: 'AUDIT_UNWRITABLE' });
});

test('a last record that is damaged does not keep anybody from restoring, and stays to be seen', async () => {
  const { journal, look, at } = await createJournal();
  await work(journal, async () => {});
  await writeFile(at('record-0000000002'), '{"payload":"torn');
  await work(journal, async () => {});
  const { works, findings } = await look();
  expect(findings.map(({ code }) => code)).toEqual(['SIGNED_DOCUMENT_INVALID']);
  expect(works.map(({ outcome }) => outcome)).toEqual(['open', 'done']);
});

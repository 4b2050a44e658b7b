import { existsSync, linkSync, truncateSync, utimesSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { assertUnchanged, closeSource, openSource } from '../../../../src/adapters/sealing/local-files.ts';
import { recipients, temporaryFolder, testEngine } from './fixtures.ts';

const folder = temporaryFolder();
const changed = { name: 'AdapterError', code: 'SOURCE_CHANGED' };

function openNew(name: string): { readonly path: string; readonly source: ReturnType<typeof openSource> } {
  const path = join(folder, name);
  writeFileSync(path, 'content');
  return { path, source: openSource(path) };
}

test('a source that was written to, cut, or only touched is told', () => {
  const changes: readonly ((path: string) => void)[] = [
    (path) => writeFileSync(path, 'CONTENT'),
    (path) => truncateSync(path, 3),
    (path) => writeFileSync(path, ' and more', { flag: 'a' }),
    (path) => utimesSync(path, 1, 1),
  ];
  for (const [index, change] of changes.entries()) {
    const { path, source } = openNew(`changed-${index}`);
    assertUnchanged(source);
    change(path);
    expect(() => assertUnchanged(source)).toThrow(expect.objectContaining({ ...changed, at: { file: path } }));
    closeSource(source);
  }
});

test('a further link to a source is no change of its content', () => {
  const { path, source } = openNew('linked');
  linkSync(path, `${path}-2`);
  assertUnchanged(source);
  closeSource(source);
});

test('a source that is cut while it is sealed or hashed ends the job, and nothing half-written stays', async () => {
  const engine = testEngine();
  const path = join(folder, 'cut');
  const sizeBytes = 2 ** 40;
  const restore = () => {
    writeFileSync(path, '');
    truncateSync(path, sizeBytes);
  };
  const onBytes = () => truncateSync(path, 5);
  restore();
  await expect(engine.digest({ path, sizeBytes }, { onBytes })).rejects.toMatchObject({
    ...changed,
    at: { file: path },
  });
  restore();
  const outPath = join(folder, 'out');
  const job = { segments: [{ path, offsetBytes: 0, lengthBytes: sizeBytes }], plaintextBytes: sizeBytes, outPath };
  await expect(engine.seal(job, recipients, { onBytes })).rejects.toMatchObject({ ...changed, at: { file: path } });
  expect(existsSync(outPath)).toBe(false);
});

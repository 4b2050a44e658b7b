import { createHash } from 'node:crypto';
import { readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { zstdDecompressSync } from 'node:zlib';
import fc from 'fast-check';
import { extract, type Header } from 'tar-stream';
import { expect, test } from 'vitest';
import { evenSteps, writeLayer } from '../../../scripts/images/layer.ts';
import { cachedLayer } from '../../../scripts/images/layer-cache.ts';
import { addFolder, addLink, addText, type Tree } from '../../../scripts/images/tree.ts';
import { temporaryFolder } from '../../support/temporary.ts';

/** Text like source code: what zstd cuts into blocks of varying length. */
function sourceText(lines: number): string {
  return Array.from(
    { length: lines },
    (_, n) => `export const value${n % 977} = call${n % 131}(${(n * 7919) % 10007});`,
  ).join('\n');
}

async function entriesOf(path: string): Promise<{ readonly header: Header; readonly content: Buffer }[]> {
  const archive = extract();
  archive.end(zstdDecompressSync(await readFile(path)));
  const entries: { readonly header: Header; readonly content: Buffer }[] = [];
  for await (const entry of archive) entries.push({ header: entry.header, content: await buffer(entry) });
  return entries;
}

test('a layer has its entries sorted, parents first, without times and names', async () => {
  const folder = await temporaryFolder();
  const tree: Tree = new Map();
  addText(tree, 'usr/bin/tool', 'tool', 0o755);
  addFolder(tree, 'var/data', 0o700, { uid: 999 });
  addLink(tree, 'bin', 'usr/bin');
  await writeLayer(tree, join(folder, 'layer'));
  const entries = await entriesOf(join(folder, 'layer'));
  const facts = entries.map(({ header }) => [
    header.name,
    header.type,
    header.mode,
    header.uid,
    header.gid,
    header.linkname,
  ]);
  expect(facts).toEqual([
    ['bin', 'symlink', 0o777, 0, 0, 'usr/bin'],
    ['usr/', 'directory', 0o755, 0, 0, null],
    ['usr/bin/', 'directory', 0o755, 0, 0, null],
    ['usr/bin/tool', 'file', 0o755, 0, 0, null],
    ['var/', 'directory', 0o755, 0, 0, null],
    ['var/data/', 'directory', 0o700, 999, 999, null],
  ]);
  for (const { header } of entries) {
    expect(header.mtime?.getTime()).toBe(0);
    expect([header.uname, header.gname]).toEqual(['', '']);
  }
});

test('digests are those of the bytes, before and after compression', async () => {
  const path = join(await temporaryFolder(), 'layer');
  const written = await writeLayer(new Map([...textTree([['a', sourceText(5000)]])]), path);
  const bytes = await readFile(path);
  const sha256 = (data: Uint8Array) => `sha256:${createHash('sha256').update(data).digest('hex')}`;
  expect(written).toEqual({
    digest: sha256(bytes),
    sizeBytes: bytes.length,
    diffId: sha256(zstdDecompressSync(bytes)),
  });
});

test('neither the order of additions nor how a file is read shows in the bytes', async () => {
  const folder = await temporaryFolder();
  const text = sourceText(60_000);
  await fc.assert(
    fc.asyncProperty(
      fc.uniqueArray(
        fc.record({ name: fc.stringMatching(/^[a-z]{1,8}(\/[a-z]{1,8})?$/), lengthBytes: fc.nat(400_000) }),
        {
          minLength: 1,
          maxLength: 8,
          selector: ({ name }) => name.split('/')[0],
        },
      ),
      async (files) => {
        const inMemory = textTree(files.map(({ name, lengthBytes }) => [name, text.slice(0, lengthBytes)]));
        const onDisk: Tree = new Map();
        for (const { name, lengthBytes } of [...files].reverse()) {
          const source = join(folder, createHash('sha256').update(`${name}:${lengthBytes}`).digest('hex'));
          await writeFile(source, text.slice(0, lengthBytes));
          onDisk.set(name, {
            kind: 'file',
            mode: 0o644,
            uid: 0,
            gid: 0,
            source,
            sizeBytes: Math.min(lengthBytes, text.length),
          });
        }
        const one = await writeLayer(inMemory, join(folder, 'one'));
        expect(await writeLayer(onDisk, join(folder, 'two'))).toEqual(one);
      },
    ),
    { numRuns: 20 },
  );
});

test('the compressor is fed in even steps, however its input is cut', async () => {
  const step = 1024 * 1024;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(fc.integer({ min: 1, max: 5000 }), fc.integer({ min: 1, max: 3 * step })), { maxLength: 6 }),
      async (sizes) => {
        const content = Buffer.alloc(
          sizes.reduce((sum, size) => sum + size, 0),
          'even steps',
        );
        let offset = 0;
        const cuts = sizes.map((size) => {
          offset += size;
          return content.subarray(offset - size, offset);
        });
        const steps: Buffer[] = [];
        for await (const part of evenSteps(cuts)) steps.push(part);
        expect(steps.slice(0, -1).every(({ length }) => length === step)).toBe(true);
        expect(steps.every(({ length }) => length > 0 && length <= step)).toBe(true);
        expect(Buffer.concat(steps).equals(content)).toBe(true);
      },
    ),
    { numRuns: 50 },
  );
});

test('a path below something that is not a folder is refused', async () => {
  const tree = textTree([
    ['etc', 'file'],
    ['etc/passwd', 'file'],
  ]);
  await expect(writeLayer(tree, join(await temporaryFolder(), 'layer'))).rejects.toThrow('etc');
});

test('a layer of the cache is used again, and not when it was damaged', async () => {
  const folder = await temporaryFolder();
  let made = 0;
  const layer = {
    title: 'layer',
    madeOf: 'a=1',
    tree: async () => {
      made += 1;
      return textTree([['a', sourceText(2000)]]);
    },
  };
  const first = await cachedLayer(layer, join(folder, 'first'), folder);
  expect(await cachedLayer(layer, join(folder, 'second'), folder)).toEqual(first);
  expect(made).toBe(1);
  expect(await readFile(join(folder, 'second'))).toEqual(await readFile(join(folder, 'first')));

  const cached = (await filesOf(join(folder, 'layers'))).find((path) => path.endsWith('.zst')) as string;
  const bytes = await readFile(cached);
  bytes.writeUInt8(bytes.readUInt8(bytes.length >> 1) ^ 1, bytes.length >> 1);
  await writeFile(cached, bytes);
  expect(await cachedLayer(layer, join(folder, 'third'), folder)).toEqual(first);
  expect(made).toBe(2);
  expect(await readFile(join(folder, 'third'))).toEqual(await readFile(join(folder, 'first')));

  await cachedLayer({ ...layer, madeOf: 'a=2' }, join(folder, 'fourth'), folder);
  expect(made).toBe(3);
});

function textTree(files: readonly (readonly [string, string])[]): Tree {
  const tree: Tree = new Map();
  for (const [path, text] of files) addText(tree, path, text);
  return tree;
}

async function filesOf(folder: string): Promise<string[]> {
  return (await readdir(folder)).map((name) => join(folder, name));
}

/**
 * Layers that were written before, by what they are made of: unpacking and compressing the same packages again is most
 * of the time that a build takes. A layer is taken only with the digest that was recorded when it was written.
 */
import { createHash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { copyFile, mkdir, readdir, readFile, rename, rm, stat, utimes } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { temporaryName, writeFileDurable } from '../../src/adapters/files/durable.ts';
import { digestFromHex } from '../../src/core/digest.ts';
import { hashed, type WrittenLayer, writeLayer } from './layer.ts';
import type { Tree } from './tree.ts';

export interface PlannedLayer {
  readonly title: string;
  /** All that decides the layer's bytes beside this program's own source. Without it the layer is written each time. */
  readonly madeOf?: string;
  readonly tree: () => Promise<Tree>;
}

const UNUSED_LIMIT_MS = 30 * 24 * 3600_000;

/** Writes a layer to `path`, from the cache where it can. */
export async function cachedLayer(layer: PlannedLayer, path: string, cacheFolder: string): Promise<WrittenLayer> {
  if (layer.madeOf === undefined) return writeLayer(await layer.tree(), path);
  const folder = join(cacheFolder, 'layers');
  await mkdir(folder, { recursive: true });
  const name = createHash('sha256')
    .update(await ownSource())
    .update(process.versions.zstd ?? process.version)
    .update(layer.madeOf)
    .digest('hex');
  const cached = join(folder, `${name}.tar.zst`);
  const record = join(folder, `${name}.json`);
  const known = await readFile(record, 'utf8').then(
    (text) => JSON.parse(text) as WrittenLayer,
    () => undefined,
  );
  if (known !== undefined && (await copyChecked(cached, path, known))) {
    const now = new Date();
    for (const used of [cached, record]) await utimes(used, now, now);
    return known;
  }
  const written = await writeLayer(await layer.tree(), path);
  const temporary = temporaryName(cached);
  await copyFile(path, temporary);
  await rename(temporary, cached);
  await writeFileDurable(record, JSON.stringify(written));
  return written;
}

/** Removes what no build has used for a month. */
export async function removeUnused(folder: string): Promise<void> {
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    const found = await stat(path).catch(() => undefined);
    if (found?.isFile() && Date.now() - found.mtimeMs > UNUSED_LIMIT_MS) await rm(path, { force: true });
  }
}

async function copyChecked(from: string, to: string, expected: WrittenLayer): Promise<boolean> {
  const hash = createHash('sha256');
  try {
    await pipeline(createReadStream(from), hashed(hash), createWriteStream(to, { flush: true }));
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return false;
    throw cause;
  }
  return digestFromHex(hash.digest('hex')) === expected.digest;
}

/** The files of this folder: a change in what is left out of an image must not find the layer of before. */
async function ownSource(): Promise<string> {
  let text = '';
  for (const folder of [import.meta.dirname, join(import.meta.dirname, 'recipes')]) {
    for (const name of (await readdir(folder)).filter((item) => item.endsWith('.ts')).sort()) {
      text += await readFile(join(folder, name), 'utf8');
    }
  }
  return text;
}

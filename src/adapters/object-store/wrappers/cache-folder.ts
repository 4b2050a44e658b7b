/**
 * A file for each object, named by the SHA-256 of its key:
 *
 *     SHA-256 of the content (32) | content
 *
 * A file that was cut or altered is as good as none. The files that were used last stay when there are too many bytes.
 */
import { createHash } from 'node:crypto';
import { mkdir, readdir, rename, rm, utimes, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, hexOf } from '../../../core/digest.ts';
import { temporaryName } from '../../files/durable.ts';
import { statPlain } from '../../files/plain-file.ts';
import { readSmallFile } from '../../files/small-file.ts';

export interface CacheSettings {
  /** Of one repository alone. */
  readonly folder: string;
  /** Of all files; 512 MiB. */
  readonly maxBytes?: number;
  /** Milliseconds since 1970: marks what was used. */
  readonly now: () => number;
}

/** Nothing here rejects: a cache that cannot be read or written is no cache. */
export interface CacheFolder {
  read(key: string, expected: Digest | undefined, maxBytes: number): Promise<Uint8Array | undefined>;
  write(key: string, content: Uint8Array): Promise<void>;
  remove(key: string): Promise<void>;
}

const MAX_BYTES = 512 << 20;
const HASH_BYTES = 32;
/** What stays when it was too much: else every further file would look through all again. */
const KEPT_SHARE = 0.8;
const NAME = /^[0-9a-f]{64}$/;

export async function openCacheFolder(settings: CacheSettings): Promise<CacheFolder> {
  const { folder, now } = settings;
  const maxBytes = settings.maxBytes ?? MAX_BYTES;
  await mkdir(folder, { recursive: true, mode: 0o700 }).catch(() => {});
  let usedBytes = (await filesIn(folder)).reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
  const pathOf = (key: string) => join(folder, createHash('sha256').update(key).digest('hex'));
  return {
    async read(key, expected, limitBytes) {
      const path = pathOf(key);
      const file = await readSmallFile(path, limitBytes + HASH_BYTES).catch(() => undefined);
      if (file === undefined || file.length < HASH_BYTES) return undefined;
      const content = file.subarray(HASH_BYTES);
      const hash = createHash('sha256').update(content).digest();
      if (!hash.equals(file.subarray(0, HASH_BYTES))) return undefined;
      if (expected !== undefined && hash.toString('hex') !== hexOf(expected)) return undefined;
      const seconds = now() / 1000;
      await utimes(path, seconds, seconds).catch(() => {});
      return content;
    },
    async write(key, content) {
      const sizeBytes = content.length + HASH_BYTES;
      if (sizeBytes > maxBytes * KEPT_SHARE) return;
      if (usedBytes + sizeBytes > maxBytes) usedBytes = await shrink(folder, maxBytes * KEPT_SHARE - sizeBytes);
      const path = pathOf(key);
      const temporary = temporaryName(path);
      try {
        const hash = createHash('sha256').update(content).digest();
        await writeFile(temporary, [hash, content], { flag: 'wx', mode: 0o600 });
        await rename(temporary, path);
        usedBytes += sizeBytes;
      } catch {
        await rm(temporary, { force: true }).catch(() => {});
      }
    },
    async remove(key) {
      await rm(pathOf(key), { force: true }).catch(() => {});
    },
  };
}

interface CacheFile {
  readonly path: string;
  readonly sizeBytes: number;
  readonly usedMs: number;
}

async function filesIn(folder: string): Promise<CacheFile[]> {
  const files: CacheFile[] = [];
  for (const name of await readdir(folder).catch(() => [])) {
    const path = join(folder, name);
    const facts = await statPlain(path).catch(() => undefined);
    // What a killed process was about to write counts too, and goes when its turn comes.
    if (facts?.isFile() && (NAME.test(name) || name.startsWith('.'))) {
      files.push({ path, sizeBytes: facts.size, usedMs: facts.mtimeMs });
    }
  }
  return files;
}

/** Removes what was not used for longest. @returns the bytes that are left */
async function shrink(folder: string, maxBytes: number): Promise<number> {
  const files = (await filesIn(folder)).sort((left, right) => right.usedMs - left.usedMs);
  let keptBytes = 0;
  for (const { path, sizeBytes } of files) {
    if (keptBytes + sizeBytes <= maxBytes) keptBytes += sizeBytes;
    else await rm(path, { force: true }).catch(() => {});
  }
  return keptBytes;
}

import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { type FileHandle, open, readdir, rename, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import { createGzip } from 'node:zlib';
import { encodeTar, type TarFile } from '../../src/formats/archive/tar.ts';

export interface Layer {
  readonly mediaType: string;
  readonly digest: string;
  readonly size: number;
  /** The digest of the tar archive inside. */
  readonly diffId: string;
}

/** Writes one layer of about `sizeBytes` into a folder of blobs. */
export type LayerWriter = (blobs: string, sizeBytes: number) => Promise<Layer>;

const MEBIBYTE = 1024 * 1024;
/** Larger files would leave a small layer far from its size. */
const LARGEST_FILE_BYTES = 32 * MEBIBYTE;

/** A tar archive of one file of random bytes. */
export async function writeRandomLayer(blobs: string, sizeBytes: number): Promise<Layer> {
  const cipher = createCipheriv('aes-256-ctr', randomBytes(32), randomBytes(16));
  const zeros = Buffer.alloc(MEBIBYTE);
  function* content() {
    for (let left = sizeBytes; left > 0; left -= zeros.length) {
      yield cipher.update(zeros.subarray(0, Math.min(left, zeros.length)));
    }
  }
  const archive = encodeTar([{ path: 'data.bin', sizeBytes, executable: false, open: content }]);
  const { digest, size } = await writeBlob(blobs, archive);
  return { mediaType: 'application/vnd.oci.image.layer.v1.tar', digest, size, diffId: digest };
}

/**
 * Gzip of tar archives of the files below `root`, as layers of real images are: programs, libraries, texts, many small
 * files. The order of the files is mixed, and the same every time; when all were taken, they are taken again.
 */
export async function createFileLayers(root: string): Promise<LayerWriter> {
  const files = await filesBelow(root);
  if (files.length === 0) throw new Error(`no files below ${root}`);
  let next = 0;
  return async (blobs, sizeBytes) => {
    let compressedBytes = 0;
    function* content(): Generator<TarFile> {
      const first = next;
      while (compressedBytes < sizeBytes) {
        const { path, size } = files[next % files.length] as SizedFile;
        const folder = Math.floor(next / files.length) === Math.floor(first / files.length) ? 'first' : 'again';
        next += 1;
        if (size > sizeBytes) continue;
        const bytes = () => (size === 0 ? [] : createReadStream(path, { end: size - 1 }));
        yield { path: `${folder}${path}`, sizeBytes: size, executable: false, open: bytes };
      }
    }
    const diff = createHash('sha256');
    async function* archive() {
      for await (const part of encodeTar(content())) {
        diff.update(part);
        yield part;
      }
    }
    // Fast rather than small: what is measured is unpacking.
    const gzip = createGzip({ level: 3, chunkSize: 256 * 1024 });
    Readable.from(archive(), { objectMode: false, highWaterMark: MEBIBYTE })
      .on('error', (cause) => gzip.destroy(cause))
      .pipe(gzip);
    async function* counted() {
      for await (const part of gzip as AsyncIterable<Buffer>) {
        compressedBytes += part.length;
        yield part;
      }
    }
    const blob = await writeBlob(blobs, counted());
    const mediaType = 'application/vnd.oci.image.layer.v1.tar+gzip';
    return { mediaType, ...blob, diffId: `sha256:${diff.digest('hex')}` };
  };
}

interface SizedFile {
  readonly path: string;
  readonly size: number;
}

async function filesBelow(root: string): Promise<SizedFile[]> {
  const found: SizedFile[] = [];
  for (const entry of await readdir(root, { recursive: true, withFileTypes: true })) {
    if (!entry.isFile()) continue;
    const path = join(entry.parentPath, entry.name);
    const { size } = await stat(path);
    if (size <= LARGEST_FILE_BYTES) found.push({ path, size });
  }
  const place = new Map(found.map(({ path }) => [path, createHash('sha256').update(path).digest('hex')]));
  return found.sort((a, b) => ((place.get(a.path) ?? '') < (place.get(b.path) ?? '') ? -1 : 1));
}

/** Written as a stream, named by its digest. */
async function writeBlob(blobs: string, parts: AsyncIterable<Uint8Array>): Promise<{ digest: string; size: number }> {
  const path = join(blobs, `${randomBytes(8).toString('hex')}.part`);
  const hash = createHash('sha256');
  let size = 0;
  {
    await using file: FileHandle = await open(path, 'wx');
    for await (const part of parts) {
      hash.update(part);
      await file.writeFile(part);
      size += part.length;
    }
  }
  const hex = hash.digest('hex');
  await rename(path, join(blobs, hex));
  return { digest: `sha256:${hex}`, size };
}

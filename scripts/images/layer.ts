/**
 * Writes a tree as an OCI layer, the same bytes on every machine: entries sorted by path, time 0, no names of users,
 * parents before children, compressed with zstd (whose output, unlike that of zlib as Node carries it, does not depend on
 * the processor).
 */
import { createHash, type Hash } from 'node:crypto';
import { createReadStream, createWriteStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { Transform, type Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { constants, createZstdCompress, type ZstdCompress } from 'node:zlib';
import { type Pack, pack } from 'tar-stream';
import { type Digest, digestFromHex } from '../../src/core/digest.ts';
import type { Tree, TreeEntry } from './tree.ts';

export const LAYER_MEDIA_TYPE = 'application/vnd.oci.image.layer.v1.tar+zstd';
/**
 * The compressor is fed in steps of this size, one after the other: its output depends on where its input is cut
 * (zstd 1.5.7), and where a stream is cut depends on the disk and the scheduler.
 */
const STEP_BYTES = 1024 * 1024;
/** Level 12 takes twice the time for one per cent less. */
const ZSTD_LEVEL = 9;

export interface WrittenLayer {
  /** Of the compressed file. */
  readonly digest: Digest;
  readonly sizeBytes: number;
  /** Of the archive before compression: "diff_ids" of the image configuration. */
  readonly diffId: Digest;
}

export async function writeLayer(tree: Tree, path: string): Promise<WrittenLayer> {
  const archive = pack();
  const plain = createHash('sha256');
  const packed = createHash('sha256');
  const compressor = createZstdCompress({ params: { [constants.ZSTD_c_compressionLevel]: ZSTD_LEVEL } });
  await Promise.all([
    fill(archive, withParents(tree)),
    feed(compressor, archive as unknown as AsyncIterable<Uint8Array>, plain),
    pipeline(compressor, hashed(packed), createWriteStream(path, { flush: true })),
  ]);
  return {
    digest: digestFromHex(packed.digest('hex')),
    sizeBytes: (await stat(path)).size,
    diffId: digestFromHex(plain.digest('hex')),
  };
}

async function feed(compressor: ZstdCompress, archive: AsyncIterable<Uint8Array>, plain: Hash): Promise<void> {
  try {
    for await (const step of evenSteps(archive)) {
      plain.update(step);
      await new Promise<void>((resolve, reject) => {
        compressor.write(step, (error) => (error ? reject(error) : resolve()));
      });
    }
    // Only now: Node compresses a last step that is still waiting in another way than one that is done.
    compressor.end();
  } catch (cause) {
    compressor.destroy(cause as Error);
    throw cause;
  }
}

/** Passes on its input in pieces of STEP_BYTES; the last one may be shorter. */
export async function* evenSteps(input: AsyncIterable<Uint8Array> | Iterable<Uint8Array>): AsyncGenerator<Buffer> {
  let step = Buffer.alloc(STEP_BYTES);
  let filledBytes = 0;
  for await (const chunk of input) {
    for (let offset = 0; offset < chunk.length; ) {
      const part = chunk.subarray(offset, offset + STEP_BYTES - filledBytes);
      step.set(part, filledBytes);
      offset += part.length;
      filledBytes += part.length;
      if (filledBytes < STEP_BYTES) continue;
      yield step;
      step = Buffer.alloc(STEP_BYTES);
      filledBytes = 0;
    }
  }
  if (filledBytes > 0) yield step.subarray(0, filledBytes);
}

async function fill(archive: Pack, entries: readonly (readonly [string, TreeEntry])[]): Promise<void> {
  try {
    for (const [path, entry] of entries) {
      const header = { name: path, mode: entry.mode, uid: entry.uid, gid: entry.gid, mtime: new Date(0) };
      if (entry.kind === 'folder') await plainEntry(archive, { ...header, name: `${path}/`, type: 'directory' });
      else if (entry.kind === 'link') await plainEntry(archive, { ...header, type: 'symlink', linkname: entry.target });
      else if (typeof entry.source !== 'string') await plainEntry(archive, header, Buffer.from(entry.source));
      else {
        const sink = archive.entry({ ...header, size: entry.sizeBytes }) as unknown as Writable;
        await pipeline(createReadStream(entry.source), sink);
      }
    }
    archive.finalize();
  } catch (cause) {
    archive.destroy(cause as Error);
    throw cause;
  }
}

function plainEntry(
  archive: Pack,
  header: Parameters<Pack['entry']>[0],
  content: Buffer = Buffer.alloc(0),
): Promise<void> {
  return new Promise((resolve, reject) => {
    archive.entry(header, content, (error) => (error ? reject(error) : resolve()));
  });
}

/** Sorted entries with every missing parent folder (0755, uid 0), so that an unpacker has nothing to guess. */
function withParents(tree: Tree): (readonly [string, TreeEntry])[] {
  const all = new Map(tree);
  for (const path of tree.keys()) {
    for (let end = path.indexOf('/'); end > 0; end = path.indexOf('/', end + 1)) {
      const parent = path.slice(0, end);
      const entry = all.get(parent);
      if (entry === undefined) all.set(parent, { kind: 'folder', mode: 0o755, uid: 0, gid: 0 });
      else if (entry.kind !== 'folder') throw new Error(`The layer has ${path}, but ${parent} is a ${entry.kind}.`);
    }
  }
  return [...all].sort(([a], [b]) => (a < b ? -1 : 1));
}

/** Passes on what it hashes. */
export function hashed(hash: Hash): Transform {
  return new Transform({
    transform(chunk: Buffer, _encoding, done) {
      hash.update(chunk);
      done(null, chunk);
    },
  });
}

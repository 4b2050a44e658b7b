/** Writes as many bytes as its argument says into a folder, or reads them back as a stream and into a file; prints what it took. */
import { createCipheriv, randomBytes } from 'node:crypto';
import { open, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createChunkReader } from '../../src/adapters/chunk-reader/chunk-reader.ts';
import { createChunkWriter } from '../../src/adapters/chunk-writer/writer.ts';
import type { Digest } from '../../src/core/digest.ts';
import { createIdentity } from '../../src/formats/age/new-identity.ts';

const PART_BYTES = 65_536;
const COMMON = { idKey: new Uint8Array(32).fill(1), repository: '0'.repeat(32) };
const [, , mode, folder = '', sizeText] = process.argv;

interface Written {
  readonly identity: string;
  readonly chunks: string;
  readonly packs: readonly { readonly number: number; readonly digest: Digest; readonly sizeBytes: number }[];
}

async function* noise(lengthBytes: number): AsyncGenerator<Uint8Array> {
  const cipher = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16));
  for (let left = lengthBytes; left > 0; left -= PART_BYTES)
    yield cipher.update(Buffer.alloc(Math.min(left, PART_BYTES)));
}

if (mode === 'write') {
  const { identity, recipient } = await createIdentity('post-quantum');
  const packs: Written['packs'][number][] = [];
  const writer = await createChunkWriter({
    ...{ ...COMMON, recipient, known: [], knownCount: 0, firstPack: 1 },
    store: (digest, bytes) => writeFile(join(folder, digest), bytes),
    onPack: ({ number, digest, sizeBytes }) => void packs.push({ number, digest, sizeBytes }),
  });
  const { chunks } = await writer.stream(noise(Number(sizeText)));
  await writer.finish();
  await writer.close();
  const written: Written = { identity, packs, chunks: Buffer.from(chunks).toString('base64') };
  await writeFile(join(folder, 'written.json'), JSON.stringify(written));
} else {
  const written = JSON.parse(await readFile(join(folder, 'written.json'), 'utf8')) as Written;
  const packs = new Map(written.packs.map((pack) => [pack.number, { ...pack, identity: written.identity }]));
  const chunks = Buffer.from(written.chunks, 'base64');
  const reader = await createChunkReader({
    ...COMMON,
    pack: (number) => packs.get(number) as NonNullable<ReturnType<typeof packs.get>>,
    async read({ digest }, { offsetBytes, lengthBytes }, into) {
      await using file = await open(join(folder, digest));
      await file.read(into, 0, lengthBytes, offsetBytes);
    },
    findVersion: async () => undefined,
  });
  let readBytes = 0;
  for await (const piece of reader.stream(chunks)) readBytes += piece.length;
  const target = join(folder, 'target');
  await writeFile(target, '');
  await reader.file(chunks, target);
  await reader.close();
  process.stdout.write(JSON.stringify({ readBytes, peakBytes: process.resourceUsage().maxRSS * 1024 }));
}

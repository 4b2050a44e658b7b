/** Writes as many bytes as its argument says, by two streams; prints what it took. */
import { createCipheriv, randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { createChunkWriter } from '../../src/adapters/chunk-writer/writer.ts';
import { createIdentity } from '../../src/formats/age/new-identity.ts';

const STREAMS = 2;
const PART_BYTES = 65_536;
const sizeBytes = Number(process.argv[2]);

/** Noise, half of it in words of few letters: it compresses to about three quarters. */
async function* noise(lengthBytes: number): AsyncGenerator<Uint8Array> {
  const cipher = createCipheriv('aes-128-ctr', randomBytes(16), randomBytes(16));
  const zeros = Buffer.alloc(PART_BYTES);
  for (let left = lengthBytes; left > 0; left -= PART_BYTES) {
    const part = cipher.update(zeros.subarray(0, Math.min(left, PART_BYTES)));
    for (let at = 0; at < part.length / 2; at += 1) part[at] = (part[at] as number) & 0x0f;
    yield part;
    // It was copied. Left to the garbage collector, what this program makes would be measured too.
    part.buffer.transfer(0);
  }
}

const { recipient } = await createIdentity('post-quantum');
const writer = await createChunkWriter({
  idKey: randomBytes(32),
  repository: '0'.repeat(32),
  recipient,
  known: [],
  knownCount: 0,
  firstPack: 1,
  store: () => sleep(50),
});
await Promise.all(Array.from({ length: STREAMS }, () => writer.stream(noise(sizeBytes / STREAMS))));
const { newBytes } = await writer.finish();
await writer.close();
process.stdout.write(JSON.stringify({ newBytes, peakBytes: process.resourceUsage().maxRSS * 1024 }));

/**
 * The C2SP test vectors of the age format (module c2sp.org/CCTV/age, folder testdata), all of them, each read whole and in
 * small pieces. PORTOLAN_AGE_VECTORS names the folder.
 */
import { createDecipheriv, createHash, type KeyObject } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inflateSync } from 'node:zlib';
import type { Identity } from 'age-encryption';
import { describe, expect, test } from 'vitest';
import { dearmor } from '../../src/formats/age/armor.ts';
import { headerLengthBytes, openHeader, splitFile } from '../../src/formats/age/header.ts';
import {
  decryptPayload,
  openPayload,
  PAYLOAD_NONCE_BYTES,
  payloadKey,
  SEALED_CHUNK_BYTES,
  TAG_BYTES,
} from '../../src/formats/age/payload.ts';
import { scryptIdentity } from '../../src/formats/age/scrypt-identity.ts';
import { FormatError } from '../../src/formats/errors.ts';

/** A malformed stanza shows only when an identity tries it, which is told like a forged header. */
const CODES: Readonly<Record<string, readonly string[]>> = {
  'no match': ['NO_MATCHING_IDENTITY'],
  'HMAC failure': ['AGE_HEADER_FORGED'],
  'header failure': ['AGE_MALFORMED', 'AGE_HEADER_FORGED'],
  'payload failure': ['AGE_PAYLOAD_DAMAGED'],
  'armor failure': ['AGE_MALFORMED'],
};
/** The nonce belongs to the payload here; the vectors count it to the header. */
const SHORT_NONCES: readonly string[] = ['stream_no_nonce', 'stream_short_nonce'];
/** Above this a vector is read in pieces of an odd size: byte by byte would take minutes. */
const BYTE_BY_BYTE_BYTES = 300_000;

interface Vector {
  readonly name: string;
  readonly expect: string;
  readonly payloadSha256: string | undefined;
  readonly identities: readonly (string | Identity)[];
  readonly armored: boolean;
  readonly file: Uint8Array;
}

const folder = process.env.PORTOLAN_AGE_VECTORS ?? '';
const vectors = readdirSync(folder).map((name) => parseVector(name, readFileSync(join(folder, name))));

function parseVector(name: string, bytes: Buffer): Vector {
  const end = bytes.indexOf('\n\n');
  const lines = bytes
    .subarray(0, end)
    .toString()
    .split('\n')
    .map((line) => line.split(/: (.*)/s));
  const known = ['expect', 'payload', 'identity', 'passphrase', 'armored', 'compressed', 'file key', 'comment'];
  for (const [key] of lines) if (!known.includes(key ?? '')) throw new Error(`${name}: unknown key ${key}`);
  const all = (key: string) => lines.flatMap(([found, value]) => (found === key ? [value ?? ''] : []));
  const body = bytes.subarray(end + 2);
  return {
    name,
    expect: all('expect')[0] ?? '',
    payloadSha256: all('payload')[0],
    identities: [...all('identity'), ...all('passphrase').map((passphrase) => scryptIdentity(async () => passphrase))],
    armored: all('armored')[0] === 'yes',
    file: all('compressed')[0] === 'zlib' ? inflateSync(body) : body,
  };
}

interface Outcome {
  readonly code: string;
  /** The plaintext that was released before the end or the failure. */
  readonly released: Uint8Array;
}

async function outcomeOf(open: (release: (plaintext: Uint8Array) => void) => Promise<void>): Promise<Outcome> {
  const released: Uint8Array[] = [];
  let code = 'none';
  try {
    await open((plaintext) => released.push(plaintext));
  } catch (error) {
    if (!(error instanceof FormatError)) throw error;
    code = error.code;
  }
  return { code, released: Buffer.concat(released) };
}

/**
 * All the plaintext of a vector that authenticates, in order, with either flag, up to a chunk that is flagged as the last:
 * what the vector's hash is taken over. Portolan may release less before a failure, since it holds a chunk back until it
 * knows whether it is the last one; it must never release anything else.
 */
async function authenticPlaintext(vector: Vector): Promise<Uint8Array> {
  const { header, payload } = splitFile(binaryOf(vector));
  const key = payloadKey(await openHeader(header, vector.identities), payload.subarray(0, PAYLOAD_NONCE_BYTES));
  const plaintext: Uint8Array[] = [];
  for (let index = 0; ; index += 1) {
    const start = PAYLOAD_NONCE_BYTES + index * SEALED_CHUNK_BYTES;
    const chunk = payload.subarray(start, start + SEALED_CHUNK_BYTES);
    // Only a full chunk can stand in the middle.
    const middle = chunk.length === SEALED_CHUNK_BYTES ? openChunk(key, chunk, index, 0) : undefined;
    const opened = middle ?? openChunk(key, chunk, index, 1);
    if (opened !== undefined) plaintext.push(opened);
    if (middle === undefined) return Buffer.concat(plaintext);
  }
}

function openChunk(key: KeyObject, chunk: Uint8Array, index: number, last: 0 | 1): Uint8Array | undefined {
  if (chunk.length < TAG_BYTES) return undefined;
  const nonce = Buffer.alloc(12);
  nonce.writeUInt32BE(index, 7);
  nonce[11] = last;
  const decipher = createDecipheriv('chacha20-poly1305', key, nonce, { authTagLength: TAG_BYTES });
  decipher.setAuthTag(chunk.subarray(-TAG_BYTES));
  const plaintext = decipher.update(chunk.subarray(0, -TAG_BYTES));
  try {
    decipher.final();
    return plaintext;
  } catch {
    return undefined;
  }
}

function sha256(bytes: Uint8Array): string {
  return createHash('sha256').update(bytes).digest('hex');
}

async function openWhole(vector: Vector, release: (plaintext: Uint8Array) => void): Promise<void> {
  const { header, payload } = splitFile(binaryOf(vector));
  release(openPayload(await openHeader(header, vector.identities), payload));
}

async function openInPieces(vector: Vector, release: (plaintext: Uint8Array) => void): Promise<void> {
  const file = binaryOf(vector);
  let length: number | undefined;
  for (let end = 0; length === undefined; end += 1) {
    length = headerLengthBytes(file.subarray(0, end));
    // The file's end inside of the header: the whole reading tells it apart.
    if (length === undefined && end > file.length) length = splitFile(file).header.length;
  }
  const fileKey = await openHeader(file.subarray(0, length), vector.identities);
  const step = file.length <= BYTE_BY_BYTE_BYTES ? 1 : 4093;
  let read = length;
  const source = new ReadableStream<Uint8Array>({
    pull(controller) {
      if (read >= file.length) return controller.close();
      controller.enqueue(file.subarray(read, read + step));
      read += step;
    },
  });
  for await (const plaintext of source.pipeThrough(decryptPayload(fileKey))) release(plaintext);
}

function binaryOf(vector: Vector): Uint8Array {
  return vector.armored ? dearmor(Buffer.from(vector.file).toString('latin1')) : vector.file;
}

test('the folder holds the vectors', () => {
  expect(vectors.length).toBeGreaterThanOrEqual(143);
  expect(vectors.filter((vector) => vector.expect === 'success').length).toBeGreaterThanOrEqual(26);
});

describe.each(vectors)('$name', (vector) => {
  const codes = vector.expect === 'success' ? ['none'] : [...(CODES[vector.expect] ?? [])];
  if (SHORT_NONCES.includes(vector.name)) codes.push('AGE_PAYLOAD_DAMAGED');

  test('whole', async () => {
    const { code, released } = await outcomeOf((release) => openWhole(vector, release));
    expect(codes).toContain(code);
    if (code === 'none') expect(sha256(released)).toBe(vector.payloadSha256);
    else expect(released.length).toBe(0);
  });

  test('in pieces', async () => {
    const { code, released } = await outcomeOf((release) => openInPieces(vector, release));
    expect(codes).toContain(code);
    if (vector.payloadSha256 === undefined) {
      expect(released.length).toBe(0);
      return;
    }
    const authentic = await authenticPlaintext(vector);
    expect(sha256(authentic)).toBe(vector.payloadSha256);
    expect(Buffer.compare(released, authentic.subarray(0, released.length))).toBe(0);
    if (code === 'none') expect(released.length).toBe(authentic.length);
  });
});

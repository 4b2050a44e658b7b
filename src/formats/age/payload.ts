/**
 * The payload of an age file (C2SP age specification, "Payload", age-encryption.org/v1):
 *
 *     nonce                16 bytes, random
 *     chunk 0 … n-2        65536 bytes of ciphertext and a tag of 16 bytes each
 *     chunk n-1            1 to 65536 bytes of ciphertext (0 only if it is chunk 0) and a tag of 16 bytes
 *
 * The payload key is HKDF-SHA-256 of the file key, salted with the nonce. Each chunk is ChaCha20-Poly1305 with the nonce
 *
 *     counter              11 bytes, big endian, from 0
 *     last                 1 byte: 1 for the last chunk, else 0
 *
 * The flag is what tells a whole file from one that was cut between two chunks.
 */
import { createCipheriv, createDecipheriv, createSecretKey, hkdfSync, type KeyObject, randomBytes } from 'node:crypto';
import { giveBack } from '../../core/give-back.ts';
import { FormatError } from '../errors.ts';

export const CHUNK_BYTES = 65_536;
export const TAG_BYTES = 16;
export const PAYLOAD_NONCE_BYTES = 16;
export const SEALED_CHUNK_BYTES = CHUNK_BYTES + TAG_BYTES;

const CIPHER = 'chacha20-poly1305';
const CIPHER_OPTIONS = { authTagLength: TAG_BYTES } as const;

/** Bytes of the payload, with its nonce, that a plaintext becomes. */
export function payloadSizeBytes(plaintextBytes: number): number {
  const chunks = Math.max(1, Math.ceil(plaintextBytes / CHUNK_BYTES));
  return PAYLOAD_NONCE_BYTES + plaintextBytes + chunks * TAG_BYTES;
}

/** Bytes of plaintext in a payload of this size (nonce included). AGE_PAYLOAD_DAMAGED when no plaintext has that size. */
export function plaintextSizeBytes(payloadBytes: number): number {
  const sealed = payloadBytes - PAYLOAD_NONCE_BYTES;
  const chunks = Math.max(1, Math.ceil(sealed / SEALED_CHUNK_BYTES));
  const plaintext = sealed - chunks * TAG_BYTES;
  if (plaintext < 0 || payloadSizeBytes(plaintext) !== payloadBytes) throw damaged('no age payload has this size');
  return plaintext;
}

/** The key of one payload. A KeyObject: a raw key costs createCipheriv ten times as much. */
export function payloadKey(fileKey: Uint8Array, nonce: Uint8Array): KeyObject {
  return createSecretKey(new Uint8Array(hkdfSync('sha256', fileKey, nonce, 'payload', 32)));
}

/** Handles chunk after chunk. Returns the number of bytes that it wrote to `output` at `outputOffset`. */
export type ChunkStep = (input: Uint8Array, output: Uint8Array, outputOffset: number, last: boolean) => number;

/** Seals chunks in order; `input` is the plaintext of one chunk, `output` gets ciphertext and tag. */
export function chunkSealer(key: KeyObject): ChunkStep {
  const nextNonce = chunkNonces();
  return (input, output, outputOffset, last) => {
    const cipher = createCipheriv(CIPHER, key, nextNonce(last), CIPHER_OPTIONS);
    const sealed = cipher.update(input);
    output.set(sealed, outputOffset);
    giveBack(sealed);
    cipher.final();
    output.set(cipher.getAuthTag(), outputOffset + input.length);
    return input.length + TAG_BYTES;
  };
}

/**
 * Opens chunks in order, from chunk `start`; `input` is ciphertext and tag of one chunk. Throws AGE_PAYLOAD_DAMAGED for a
 * chunk that does not authenticate; what then lies in `output` must not be used.
 */
export function chunkOpener(key: KeyObject, start = 0): ChunkStep {
  const nextNonce = chunkNonces(start);
  let first = start === 0;
  return (input, output, outputOffset, last) => {
    const length = input.length - TAG_BYTES;
    if (length < 0) throw damaged('its last chunk is cut');
    if (length === 0 && !(first && last)) throw damaged('an empty chunk follows others');
    if (length < CHUNK_BYTES && !last) throw damaged('a chunk in its middle is cut');
    first = false;
    const decipher = createDecipheriv(CIPHER, key, nextNonce(last), CIPHER_OPTIONS);
    decipher.setAuthTag(input.subarray(length));
    const opened = decipher.update(input.subarray(0, length));
    output.set(opened, outputOffset);
    giveBack(opened);
    try {
      decipher.final();
    } catch {
      throw damaged('a chunk does not authenticate');
    }
    return length;
  };
}

/** Seals a plaintext that is in memory as a whole. Returns nonce and chunks. */
export function sealPayload(fileKey: Uint8Array, plaintext: Uint8Array): Uint8Array {
  const nonce = randomBytes(PAYLOAD_NONCE_BYTES);
  const payload = new Uint8Array(payloadSizeBytes(plaintext.length));
  payload.set(nonce);
  const seal = chunkSealer(payloadKey(fileKey, nonce));
  let written = PAYLOAD_NONCE_BYTES;
  let read = 0;
  do {
    const end = Math.min(plaintext.length, read + CHUNK_BYTES);
    written += seal(plaintext.subarray(read, end), payload, written, end === plaintext.length);
    read = end;
  } while (read < plaintext.length);
  return payload;
}

/** Opens a payload (nonce and chunks) that is in memory as a whole. AGE_PAYLOAD_DAMAGED when any bit is wrong. */
export function openPayload(fileKey: Uint8Array, payload: Uint8Array): Uint8Array {
  const plaintext = new Uint8Array(plaintextSizeBytes(payload.length));
  const open = chunkOpener(payloadKey(fileKey, payload.subarray(0, PAYLOAD_NONCE_BYTES)));
  let read = PAYLOAD_NONCE_BYTES;
  let written = 0;
  do {
    const end = Math.min(payload.length, read + SEALED_CHUNK_BYTES);
    written += open(payload.subarray(read, end), plaintext, written, end === payload.length);
    read = end;
  } while (read < payload.length);
  return plaintext;
}

/** A stream of plaintext in pieces of any size becomes nonce and chunks. */
export function encryptPayload(fileKey: Uint8Array): TransformStream<Uint8Array, Uint8Array> {
  const nonce = randomBytes(PAYLOAD_NONCE_BYTES);
  return chunked(
    CHUNK_BYTES,
    () => chunkSealer(payloadKey(fileKey, nonce)),
    (controller) => controller.enqueue(nonce),
  );
}

/** A stream of nonce and chunks in pieces of any size becomes plaintext; only authenticated chunks come out. */
export function decryptPayload(fileKey: Uint8Array): TransformStream<Uint8Array, Uint8Array> {
  return chunked(SEALED_CHUNK_BYTES, (nonce) => chunkOpener(payloadKey(fileKey, nonce)), undefined);
}

/**
 * Cuts a stream into chunks. The last chunk is known only at the end of the stream, so a full one is held back until more
 * bytes arrive. `announce` marks the sealing direction; without it the stream's first 16 bytes are the nonce.
 */
function chunked(
  chunkBytes: number,
  start: (nonce: Uint8Array) => ChunkStep,
  announce: ((controller: TransformStreamDefaultController<Uint8Array>) => void) | undefined,
): TransformStream<Uint8Array, Uint8Array> {
  const held = new Uint8Array(chunkBytes);
  let used = 0;
  let step = announce === undefined ? undefined : start(held);
  let limit = announce === undefined ? PAYLOAD_NONCE_BYTES : chunkBytes;
  const emit = (controller: TransformStreamDefaultController<Uint8Array>, last: boolean) => {
    if (step === undefined) {
      if (used < PAYLOAD_NONCE_BYTES) throw damaged('it is cut within its nonce');
      step = start(held.slice(0, PAYLOAD_NONCE_BYTES));
      limit = chunkBytes;
      used = 0;
      if (!last) return;
    }
    const output = new Uint8Array(SEALED_CHUNK_BYTES);
    const length = step(held.subarray(0, used), output, 0, last);
    used = 0;
    if (length > 0) controller.enqueue(output.subarray(0, length));
  };
  return new TransformStream({
    start: (controller) => announce?.(controller),
    transform(bytes, controller) {
      for (let read = 0; read < bytes.length; ) {
        if (used === limit) emit(controller, false);
        const taken = Math.min(limit - used, bytes.length - read);
        held.set(bytes.subarray(read, read + taken), used);
        used += taken;
        read += taken;
      }
    },
    flush: (controller) => emit(controller, true),
  });
}

function chunkNonces(start = 0): (last: boolean) => Uint8Array {
  const nonce = Buffer.alloc(12);
  let counter = start;
  return (last) => {
    // 2^53 chunks are 512 EiB: the upper four bytes of the counter stay zero.
    nonce.writeUInt32BE(Math.floor(counter / 2 ** 32), 3);
    nonce.writeUInt32BE(counter % 2 ** 32, 7);
    nonce[11] = last ? 1 : 0;
    counter += 1;
    return nonce;
  };
}

function damaged(why: string): FormatError {
  return new FormatError('AGE_PAYLOAD_DAMAGED', `the age payload is damaged: ${why}`, {
    hint: 'Take the file from its source again.',
  });
}

import type { KeyObject } from 'node:crypto';
import { headerLengthBytes, MAX_HEADER_BYTES, openHeader } from '../../formats/age/header.ts';
import { PAYLOAD_NONCE_BYTES, payloadKey, plaintextSizeBytes } from '../../formats/age/payload.ts';
import { FormatError } from '../../formats/errors.ts';
import { packKey } from '../../formats/repository/keys.ts';
import type { ChunkReaderSettings, PackSource } from '../../ports/chunks.ts';
import { AdapterError } from '../errors.ts';

/** What opens a pack. */
export interface OpenedPack {
  readonly source: PackSource;
  /** Header and nonce: where the first age chunk starts. */
  readonly payloadStart: number;
  readonly plaintextBytes: number;
  readonly key: KeyObject;
  readonly version?: string;
}

/** Thrown when what was read of a pack is not what the snapshot says. */
export class PackDoubt extends Error {
  readonly version: string | undefined;
  /** Frames of the run that were handed on before. */
  readonly done: number;
  constructor(why: string, version: string | undefined, done = 0, cause?: unknown) {
    super(why, { cause });
    this.version = version;
    this.done = done;
  }
}

export interface Packs {
  /** @throws PackDoubt */
  open(number: number): Promise<OpenedPack>;
  /** Looks for a version with the pack's digest. @throws AdapterError OBJECT_DAMAGED, CHUNK_DAMAGED when there is nothing better. */
  recover(number: number, doubt: PackDoubt): Promise<void>;
}

/** A pack is opened once while it is in use; a key takes about 200 bytes. */
const REMEMBERED = 1024;
/** The header for one post-quantum recipient is 2 KiB long. */
const FIRST_READ_BYTES = 4096;

/** `lifetime` ends what is read for several calls at once: no single one of them may. */
export function createPacks(settings: ChunkReaderSettings, lifetime: AbortSignal): Packs {
  const opened = new Map<number, Promise<OpenedPack>>();
  /** By pack: the version that has the pack's digest. Few: every one was damaged. */
  const versions = new Map<number, Promise<string | undefined>>();

  async function openPack(number: number): Promise<OpenedPack> {
    const source = settings.pack(number);
    const version = await versions.get(number);
    try {
      const header = await readHeader(source, version);
      const fileKey = await openHeader(header.bytes, [source.identity]);
      const plaintextBytes = plaintextSizeBytes(source.sizeBytes - header.bytes.length);
      const key = payloadKey(fileKey, header.nonce);
      fileKey.fill(0);
      const payloadStart = header.bytes.length + PAYLOAD_NONCE_BYTES;
      return { source, payloadStart, plaintextBytes, key, ...(version === undefined ? {} : { version }) };
    } catch (error) {
      if (error instanceof FormatError) throw new PackDoubt('its header does not open', version, 0, error);
      throw error;
    }
  }

  async function readHeader(source: PackSource, version: string | undefined) {
    for (const limit of [FIRST_READ_BYTES, MAX_HEADER_BYTES + PAYLOAD_NONCE_BYTES]) {
      const start = new Uint8Array(Math.min(limit, source.sizeBytes));
      await readPack(settings, source, 0, start, version, lifetime);
      const length = headerLengthBytes(start);
      if (length !== undefined && length + PAYLOAD_NONCE_BYTES <= start.length) {
        return { bytes: start.subarray(0, length), nonce: start.subarray(length, length + PAYLOAD_NONCE_BYTES) };
      }
      if (start.length === source.sizeBytes) break;
    }
    throw new PackDoubt('it is cut within its header', version);
  }

  return {
    open(number) {
      const before = opened.get(number);
      if (before !== undefined) {
        // The newest stand last.
        opened.delete(number);
        opened.set(number, before);
        return before;
      }
      const opening = openPack(number);
      opened.set(number, opening);
      opening.catch(() => {
        if (opened.get(number) === opening) opened.delete(number);
      });
      const [oldest] = opened.keys();
      if (opened.size > REMEMBERED && oldest !== undefined) opened.delete(oldest);
      return opening;
    },
    async recover(number, doubt) {
      const source = settings.pack(number);
      const before = versions.get(number);
      if (before !== undefined) {
        const version = await before;
        // Read before the better version was known: that one is still to be tried.
        if (version !== undefined && doubt.version !== version) return;
        throw version === undefined ? objectDamaged(source, doubt) : chunkDamaged(source, doubt);
      }
      const finding = settings.findVersion(source, lifetime);
      versions.set(number, finding);
      opened.delete(number);
      finding.catch(() => versions.delete(number));
      if ((await finding) === undefined) throw objectDamaged(source, doubt);
    },
  };
}

/** @throws PackDoubt when the object is not there or ends too early */
export async function readPack(
  settings: ChunkReaderSettings,
  source: PackSource,
  offsetBytes: number,
  into: Uint8Array,
  version: string | undefined,
  signal: AbortSignal,
): Promise<void> {
  const range = { offsetBytes, lengthBytes: into.length };
  try {
    await settings.read(source, range, into, { signal, ...(version === undefined ? {} : { version }) });
  } catch (error) {
    if (error instanceof AdapterError && (error.code === 'OBJECT_MISSING' || error.code === 'OBJECT_DAMAGED')) {
      throw new PackDoubt('it is missing or cut', version, 0, error);
    }
    throw error;
  }
}

function objectDamaged(source: PackSource, doubt: PackDoubt): AdapterError {
  return new AdapterError('OBJECT_DAMAGED', `A pack is damaged: ${doubt.message}`, {
    ...placeOf(source, doubt),
    hint: 'Put the object back from another copy of the repository, or restore a snapshot that does not need it.',
  });
}

function chunkDamaged(source: PackSource, doubt: PackDoubt): AdapterError {
  return new AdapterError(
    'CHUNK_DAMAGED',
    `A pack is what the snapshot says, but not what it needs: ${doubt.message}`,
    {
      ...placeOf(source, doubt),
      hint: 'Whoever wrote this snapshot wrote it wrong: restore another one, and look into that machine.',
    },
  );
}

function placeOf(source: PackSource, doubt: PackDoubt) {
  return {
    expected: source.digest,
    at: { digest: source.digest, key: packKey(source.digest) },
    ...(doubt.cause === undefined ? {} : { cause: doubt.cause }),
  };
}

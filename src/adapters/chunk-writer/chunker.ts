import { FREE_AT, HASH_AT, LIMIT_AT, MEMORY_PAGES, OUT_AT, REST_AT, ROWS_AT, SCANNER_TEXT } from './scanner-text.ts';
import { assembleModule } from './wasm-text.ts';

/**
 * Content-defined chunks (docs/format-repository.md, "Keys of chunks"). Over the last 64 bytes runs
 *
 *     hash = hash * 2 + gear[byte]      modulo 2^64
 *
 * and a chunk ends after the first byte, from `minBytes` on, whose hash is below 2^64 / (averageBytes - minBytes); or at
 * `maxBytes`; or where the stream ends. The hash sees nothing before the 64 bytes: equal content is cut in equal places,
 * whatever stands before it.
 */
export interface ChunkerLimits {
  readonly minBytes: number;
  readonly averageBytes: number;
  readonly maxBytes: number;
}

export interface Chunker {
  /** Where input may be put: the caller fills it from its start. At least `BLOCK_BYTES`. Valid until the next call. */
  room(): Uint8Array<ArrayBuffer>;
  /** So many bytes of `room()` are input now. */
  accept(lengthBytes: number): void;
  /** Where bytes of the protocol are received: always the same memory, `BLOCK_BYTES`. */
  readonly received: Uint8Array<ArrayBuffer>;
  /** These bytes of `received` are there. What is in CopyData messages is input; what is not is handed to `other`. Returns how much input there was. */
  acceptCopy(fromBytes: number, toBytes: number, other: OtherBytes): number;
  /** CopyData messages since `reset`. */
  rows(): number;
  /** Ends the stream: its last chunk. */
  end(): void;
  /** Forgets what there is, for a new stream. */
  reset(): void;
}

/** Bytes from the start of a message that is not CopyData; returns how many of them it took. */
export type OtherBytes = (bytes: Uint8Array) => number;

/** The most that one call of `accept` or `acceptCopy` takes in. */
export const BLOCK_BYTES = 256 * 1024;
export const GEAR_BYTES = 2048;
const WINDOW_BYTES = 64;
const HEADER_BYTES = 5;
const PAGE_BYTES = 65_536;
/** In front of it lie the first bytes of a header whose rest is still to come. */
const RECEIVED_AT = FREE_AT + 8;
const AREA_AT = PAGE_BYTES + BLOCK_BYTES;
const AREA_END = MEMORY_PAGES * PAGE_BYTES;

interface ScannerExports {
  readonly memory: { readonly buffer: ArrayBuffer };
  readonly scan: (at: number, end: number) => number;
  readonly strip: (at: number, end: number, out: number) => number;
}

/** The types of Node.js leave out what every JavaScript engine has. */
const { Instance, Module } = (
  globalThis as unknown as {
    readonly WebAssembly: {
      readonly Module: new (bytes: Uint8Array) => object;
      readonly Instance: new (module: object) => { readonly exports: unknown };
    };
  }
).WebAssembly;

/** `onChunk` gets each chunk in order; the bytes are valid during the call only. */
export function createChunker(
  gear: Uint8Array,
  { minBytes, averageBytes, maxBytes }: ChunkerLimits,
  onChunk: (chunk: Uint8Array<ArrayBuffer>) => void,
): Chunker {
  const { memory, scan, strip } = new Instance(new Module(assembleModule(SCANNER_TEXT))).exports as ScannerExports;
  const { buffer } = memory;
  const bytes = new Uint8Array(buffer);
  const words = new Int32Array(buffer);
  const longs = new BigUint64Array(buffer);
  bytes.set(gear.subarray(0, GEAR_BYTES), 0);
  const limit = 2n ** 64n / BigInt(averageBytes - minBytes);

  /** The chunk that is being filled: its start, up to where it was scanned, the end of what is there. */
  let start = AREA_AT;
  let scanned = AREA_AT;
  let filled = AREA_AT;
  let rows = 0;
  /** Bytes of an unfinished header, which lie in front of `received`. */
  let carried = 0;

  function makeRoom(): void {
    if (filled + BLOCK_BYTES <= AREA_END) return;
    bytes.copyWithin(AREA_AT, start, filled);
    scanned -= start - AREA_AT;
    filled -= start - AREA_AT;
    start = AREA_AT;
  }

  function advance(newFilled: number): void {
    filled = newFilled;
    while (filled > scanned) {
      // The last byte of the shortest chunk is the first whose hash counts; the 63 before it fill the window.
      const first = start + minBytes - 1;
      if (scanned < first) {
        if (scanned < first - (WINDOW_BYTES - 1)) {
          scanned = Math.min(filled, first - (WINDOW_BYTES - 1));
          longs[HASH_AT / 8] = 0n;
        }
        longs[LIMIT_AT / 8] = 0n;
        const warm = Math.min(filled, first);
        if (scanned < warm) scan(scanned, warm);
        scanned = warm;
        if (scanned === filled) return;
      }
      longs[LIMIT_AT / 8] = limit;
      const longest = start + maxBytes;
      const end = Math.min(filled, longest);
      const cut = scan(scanned, end);
      scanned = cut === 0 ? end : cut;
      if (cut !== 0 || end === longest) emit();
    }
  }

  function emit(): void {
    const chunk = bytes.subarray(start, scanned);
    start = scanned;
    onChunk(chunk);
  }

  return {
    room() {
      makeRoom();
      return bytes.subarray(filled, AREA_END);
    },
    accept(lengthBytes) {
      advance(filled + lengthBytes);
    },
    received: bytes.subarray(RECEIVED_AT, RECEIVED_AT + BLOCK_BYTES),
    acceptCopy(fromBytes, toBytes, other) {
      let at = RECEIVED_AT + fromBytes - carried;
      const end = RECEIVED_AT + toBytes;
      let inputBytes = 0;
      carried = 0;
      while (at < end) {
        makeRoom();
        const stopped = strip(at, end, filled);
        const newFilled = words[OUT_AT / 4] as number;
        rows += words[ROWS_AT / 4] as number;
        words[ROWS_AT / 4] = 0;
        inputBytes += newFilled - filled;
        if (newFilled > filled) advance(newFilled);
        at = stopped;
        if (at === end) break;
        if (bytes[at] === 0x64 && end - at < HEADER_BYTES) {
          carried = end - at;
          bytes.copyWithin(RECEIVED_AT - carried, at, end);
          break;
        }
        at += other(bytes.subarray(at, end));
      }
      return inputBytes;
    },
    rows: () => rows,
    end() {
      if (filled > start) {
        scanned = filled;
        emit();
      }
      start = AREA_AT;
      scanned = AREA_AT;
      filled = AREA_AT;
    },
    reset() {
      start = AREA_AT;
      scanned = AREA_AT;
      filled = AREA_AT;
      rows = 0;
      carried = 0;
      words[REST_AT / 4] = 0;
      words[ROWS_AT / 4] = 0;
    },
  };
}

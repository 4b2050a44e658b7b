/**
 * Contents as files: lines to the compressed parts that are sealed, and back (docs/format-repository.md, "Contents"). Memory
 * does not grow with the number of entries: one part is held, and one frame of it.
 */
import { giveBack } from '../../core/give-back.ts';
import { FormatError } from '../errors.ts';
import {
  CONTENTS_LINE_MAX_BYTES,
  type ContentsEntry,
  createContentsOrder,
  decodeContentsLine,
  encodeContentsLine,
} from './contents.ts';
import { compressFrame, openFrames } from './zstd-frames.ts';

/** The most that a part has, compressed; so much more than CONTENTS_PART_BYTES as one incompressible line may have. */
export const CONTENTS_PART_MAX_BYTES = 33 * 1024 * 1024;
/** Sealed: tags, and the header. */
export const CONTENTS_SEALED_MAX_BYTES = CONTENTS_PART_MAX_BYTES + 128 * 1024;
/** A part is closed once it has so many bytes: what is encoded and sealed is several times in memory. */
const CONTENTS_PART_BYTES = 1024 * 1024;
const FRAME_BYTES = 1024 * 1024;
const LEVEL = 3;

export interface ContentsEncoder {
  /** Entries that stay together, such as all lines of a stream. Resolves when there is room for more; calls keep their order. */
  write(...entries: readonly ContentsEntry[]): Promise<void>;
  /** Hands on what is left. @throws FormatError CONTENTS_INCOMPLETE when a source did not end */
  end(): Promise<void>;
}

export interface ContentsEncoderSettings {
  /** Seals and stores a part; numbers are from 0. The bytes are its own. */
  readonly onPart: (part: number, bytes: Uint8Array) => Promise<void>;
  /** A part is closed once it has so many bytes, compressed; for tests. */
  readonly partBytes?: number;
}

export function createContentsEncoder(settings: ContentsEncoderSettings): ContentsEncoder {
  const { onPart, partBytes = CONTENTS_PART_BYTES } = settings;
  const order = createContentsOrder();
  // Lines are put into bytes at once: as strings they would all live until the frame is full.
  const frame = Buffer.allocUnsafeSlow(FRAME_BYTES);
  let usedBytes = 0;
  let frames: Uint8Array[] = [];
  let frameBytes = 0;
  let part = 0;
  let working: Promise<void> = Promise.resolve();

  const addFrame = (bytes: Uint8Array) => {
    const compressed = compressFrame(bytes, LEVEL);
    frames.push(compressed);
    frameBytes += compressed.length;
  };
  const closeFrame = () => {
    if (usedBytes > 0) addFrame(frame.subarray(0, usedBytes));
    usedBytes = 0;
  };
  const addLine = (line: string) => {
    const lineBytes = Buffer.byteLength(line);
    if (usedBytes + lineBytes > FRAME_BYTES) closeFrame();
    if (lineBytes > FRAME_BYTES) addFrame(Buffer.from(line));
    else usedBytes += frame.write(line, usedBytes);
  };
  const closePart = async () => {
    closeFrame();
    const bytes = Buffer.concat(frames);
    for (const one of frames) giveBack(one);
    frames = [];
    frameBytes = 0;
    if (bytes.length > 0) await onPart(part++, bytes);
  };
  const after = (step: () => Promise<void>) => {
    working = working.then(step);
    return working;
  };
  return {
    write: (...entries) =>
      after(async () => {
        for (const entry of entries) {
          order.accept(entry);
          addLine(encodeContentsLine(entry));
          if (frameBytes >= partBytes) await closePart();
        }
      }),
    end: () =>
      after(async () => {
        order.end();
        await closePart();
      }),
  };
}

/**
 * Entries of all parts, which are given in order, opened but compressed.
 *
 * @throws FormatError CONTENTS_DAMAGED, CONTENTS_ENTRY_INVALID, CONTENTS_INCOMPLETE, CHUNK_TABLE_INVALID
 */
export async function* decodeContents(
  parts: AsyncIterable<Uint8Array> | Iterable<Uint8Array>,
): AsyncGenerator<ContentsEntry> {
  const order = createContentsOrder();
  const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
  for await (const part of parts) {
    if (part.length > CONTENTS_PART_MAX_BYTES) throw damaged('a part is larger than any part');
    // Earlier writers counted characters of JavaScript, of which one has up to three bytes.
    for (const frame of openFrames(part, Math.max(3 * FRAME_BYTES, CONTENTS_LINE_MAX_BYTES))) {
      if (frame === undefined) throw damaged('a frame is cut, damaged or too large');
      if (frame.at(-1) !== 0x0a) throw damaged('a frame does not end with a line');
      for (let start = 0; start < frame.length; ) {
        const end = frame.indexOf(0x0a, start);
        let line: string;
        try {
          line = utf8.decode(frame.subarray(start, end));
        } catch {
          throw damaged('a line is not UTF-8');
        }
        start = end + 1;
        const entry = decodeContentsLine(line);
        order.accept(entry);
        yield entry;
      }
    }
  }
  order.end();
}

function damaged(problem: string): FormatError {
  return new FormatError('CONTENTS_DAMAGED', `the contents of the snapshot are damaged: ${problem}`);
}

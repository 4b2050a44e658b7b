/**
 * 64-bit ELF files, little-endian (System V ABI, "Object Files"; offsets in bytes):
 *
 *     header    0 magic, class, order   18 machine   32 program headers at   40 section headers at   58 size, 60 count and
 *               62 index of the section of names
 *     program   0 type   4 flags   8 offset   32 size in the file
 *     section   0 name   4 type   8 flags   24 offset   32 size   40 link   44 info
 */

const MACHINES: Readonly<Record<number, 'x64' | 'arm64'>> = { 62: 'x64', 183: 'arm64' };
const PROGRAM_HEADER_BYTES = 56;
const SECTION_HEADER_BYTES = 64;
const TYPE_NOTE = 4;
const SECTION_NOBITS = 8;
const FLAG_ALLOC = 2n;

export interface ElfFacts {
  readonly machine: 'x64' | 'arm64' | undefined;
  /** Names of the notes that the program's segments hold. */
  readonly notes: readonly string[];
  readonly sections: readonly string[];
}

/** @throws Error when the bytes are no 64-bit little-endian ELF file. */
export function readElf(bytes: Buffer): ElfFacts {
  assertElf(bytes);
  const notes: string[] = [];
  for (const { type, offset, sizeBytes } of programHeaders(bytes)) {
    if (type !== TYPE_NOTE) continue;
    for (let at = offset; at + 12 <= offset + sizeBytes; ) {
      const nameBytes = bytes.readUInt32LE(at);
      const contentBytes = bytes.readUInt32LE(at + 4);
      notes.push(bytes.toString('latin1', at + 12, at + 12 + Math.max(0, nameBytes - 1)));
      at += 12 + roundUp(nameBytes) + roundUp(contentBytes);
    }
  }
  const sections = sectionHeaders(bytes);
  const names = sections[bytes.readUInt16LE(62)];
  return {
    machine: MACHINES[bytes.readUInt16LE(18)],
    notes,
    sections: sections.map(({ nameAt }) => (names === undefined ? '' : textAt(bytes, names.offset + nameAt))),
  };
}

/**
 * Leaves out what no running program reads: symbols for debuggers, and the sections about source lines. As `strip` does it,
 * but for either architecture, and the same bytes on every machine. What is loaded keeps its place.
 */
export function withoutSymbols(bytes: Buffer): Buffer {
  assertElf(bytes);
  const sections = sectionHeaders(bytes);
  const firstUnloaded = sections.findIndex(({ flags }, index) => index > 0 && (flags & FLAG_ALLOC) === 0n);
  const kept = firstUnloaded === -1 ? sections : sections.slice(0, firstUnloaded);
  // Sections refer to each other by number: only a tail can go.
  if (sections.slice(kept.length).some(({ flags }) => (flags & FLAG_ALLOC) !== 0n)) return bytes;
  const loadedEnd = Math.max(
    ...programHeaders(bytes).map(({ offset, sizeBytes }) => offset + sizeBytes),
    ...kept.map(({ type, offset, sizeBytes }) => (type === SECTION_NOBITS ? 0 : offset + sizeBytes)),
  );
  const namesSection = sections[bytes.readUInt16LE(62)];
  if (namesSection === undefined) return bytes;
  const names = bytes.subarray(namesSection.offset, namesSection.offset + namesSection.sizeBytes);
  const namesAt = roundUp(loadedEnd, 8);
  const headersAt = roundUp(namesAt + names.length, 8);
  const result = Buffer.alloc(headersAt + (kept.length + 1) * SECTION_HEADER_BYTES);
  bytes.copy(result, 0, 0, loadedEnd);
  names.copy(result, namesAt);
  [...kept, namesSection].forEach(({ at }, index) => {
    bytes.copy(result, headersAt + index * SECTION_HEADER_BYTES, at, at + SECTION_HEADER_BYTES);
  });
  result.writeBigUInt64LE(BigInt(namesAt), headersAt + kept.length * SECTION_HEADER_BYTES + 24);
  result.writeBigUInt64LE(BigInt(headersAt), 40);
  result.writeUInt16LE(kept.length + 1, 60);
  result.writeUInt16LE(kept.length, 62);
  return result;
}

function assertElf(bytes: Buffer): void {
  if (bytes.length < 64 || bytes.toString('latin1', 0, 6) !== '\x7fELF\x02\x01') {
    throw new Error('this is no 64-bit ELF program');
  }
}

function programHeaders(bytes: Buffer) {
  const start = Number(bytes.readBigUInt64LE(32));
  return Array.from({ length: bytes.readUInt16LE(56) }, (_, index) => {
    const at = start + index * PROGRAM_HEADER_BYTES;
    return {
      type: bytes.readUInt32LE(at),
      offset: Number(bytes.readBigUInt64LE(at + 8)),
      sizeBytes: Number(bytes.readBigUInt64LE(at + 32)),
    };
  });
}

function sectionHeaders(bytes: Buffer) {
  const start = Number(bytes.readBigUInt64LE(40));
  return Array.from({ length: bytes.readUInt16LE(60) }, (_, index) => {
    const at = start + index * SECTION_HEADER_BYTES;
    return {
      at,
      nameAt: bytes.readUInt32LE(at),
      type: bytes.readUInt32LE(at + 4),
      flags: bytes.readBigUInt64LE(at + 8),
      offset: Number(bytes.readBigUInt64LE(at + 24)),
      sizeBytes: Number(bytes.readBigUInt64LE(at + 32)),
    };
  });
}

function textAt(bytes: Buffer, start: number): string {
  return bytes.toString('latin1', start, bytes.indexOf(0, start));
}

function roundUp(value: number, multiple = 4): number {
  return Math.ceil(value / multiple) * multiple;
}

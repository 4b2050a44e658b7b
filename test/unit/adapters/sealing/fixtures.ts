/** A temporary folder, an engine and keys for the tests of the sealing engine. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { afterAll } from 'vitest';
import { createSealingEngine, type SealingEngineOptions } from '../../../../src/adapters/sealing/engine.ts';
import { digestOf } from '../../../../src/core/digest.ts';
import type { OpenJob, PieceSegment, SealedPiece, SealingEngine } from '../../../../src/ports/sealing.ts';

export const identity = await generateX25519Identity();
export const recipients = [await identityToRecipient(identity)];

export function temporaryFolder(): string {
  const folder = mkdtempSync(join(tmpdir(), 'portolan-sealing-'));
  afterAll(() => rmSync(folder, { recursive: true, force: true }));
  return folder;
}

export function testEngine(options: SealingEngineOptions = {}): SealingEngine {
  const engine = createSealingEngine({ workers: 2, ...options });
  afterAll(() => engine.close());
  return engine;
}

/** Writes a file and returns the segment that takes it whole. */
export function wholeFile(path: string, bytes: Uint8Array): PieceSegment {
  writeFileSync(path, bytes);
  return { path, offsetBytes: 0, lengthBytes: bytes.length, wholeBlob: digestOf(bytes) };
}

/** A job that writes the whole plaintext of a piece to one new file of its size. */
export function openToFile(path: string, expected: SealedPiece, plaintextBytes: number, target: string): OpenJob {
  writeFileSync(target, new Uint8Array(plaintextBytes));
  const write = { pieceOffsetBytes: 0, lengthBytes: plaintextBytes, path: target, fileOffsetBytes: 0 };
  return { path, expected, plaintextBytes, writes: [write], zeroRuns: [] };
}

import { createHeader } from '../../formats/age/header.ts';
import { chunksSizeBytes } from '../../formats/repository/chunk-table.ts';
import type { ChunkWriterSettings } from '../../ports/chunks.ts';
import type { SealedPack } from './messages.ts';
import { freeSlot, type SharedMemory } from './shared-memory.ts';

/** Puts sealed packs into the store, on the main thread, and gives their slots back. */
export interface PackStore {
  /** Makes every slot free, at the start. */
  open(): Promise<void>;
  put(pack: SealedPack): void;
  /** Resolves when everything that was put is stored. */
  settled(): Promise<void>;
  totals(): { readonly packs: number; readonly storedBytes: number; readonly newBytes: number };
}

/** `onFailure` is told once a pack is lost. */
export function createPackStore(
  memory: SharedMemory,
  { recipient, store, onPack }: Pick<ChunkWriterSettings, 'recipient' | 'store' | 'onPack'>,
  signal: AbortSignal,
  onFailure: (error: unknown) => void,
): PackStore {
  const running = new Set<Promise<void>>();
  let packs = 0;
  let storedBytes = 0;
  let newBytes = 0;

  async function refill(slot: number): Promise<void> {
    const { header, fileKey } = await createHeader([recipient]);
    freeSlot(memory, slot, header, fileKey);
  }

  async function putPack({ slot, number, startAt, sizeBytes, digest, chunks }: SealedPack): Promise<void> {
    const bytes = (memory.slots[slot] as Uint8Array).subarray(startAt, startAt + sizeBytes);
    await store(digest, bytes, signal);
    signal.throwIfAborted();
    packs += 1;
    storedBytes += sizeBytes;
    newBytes += chunksSizeBytes(chunks);
    await onPack?.({ number, digest, sizeBytes, chunks });
    await refill(slot);
  }

  return {
    async open() {
      for (let slot = 0; slot < memory.slots.length; slot += 1) await refill(slot);
    },
    put(pack) {
      if (signal.aborted) return;
      const work = putPack(pack)
        .catch(onFailure)
        .finally(() => running.delete(work));
      running.add(work);
    },
    async settled() {
      while (running.size > 0) await Promise.all(running);
    },
    totals: () => ({ packs, storedBytes, newBytes }),
  };
}

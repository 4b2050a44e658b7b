import { realpath } from 'node:fs/promises';
import { createFileTransfer } from '../adapters/medium/file-transfer.ts';
import { openMedium } from '../adapters/medium/medium.ts';
import type { Trust } from '../formats/sigstore/trust.ts';
import type { Progress } from '../ports/progress.ts';
import { type CopyReport, copyBundles, sameMedium } from '../usecases/bundle/copy.ts';
import type { BundleAddress } from './bundle-medium.ts';

export interface CopySettings {
  readonly from: BundleAddress;
  /** The folder of the other medium; absolute. */
  readonly to: string;
  /** Every bundle, instead of the one that the address names. */
  readonly all: boolean;
  readonly trust?: Trust;
}

export async function composeCopy(
  { from, to, all, trust }: CopySettings,
  { progress, signal }: { readonly progress: Progress; readonly signal: AbortSignal },
): Promise<CopyReport> {
  const source = await openMedium(from.folder);
  const transfer = createFileTransfer();
  const target = await openMedium(to, { create: true, readBack: transfer.readBack });
  const [one, other] = await Promise.all([from.folder, to].map((folder) => realpath(folder).catch(() => folder)));
  if (one === other) throw sameMedium(to);
  const request = {
    all,
    ...(from.tag === undefined ? {} : { tag: from.tag }),
    ...(trust === undefined ? {} : { trust }),
  };
  return copyBundles(request, { source, target, transfer, progress }, { signal });
}

import { mkdir, open, rename, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Digest, hexOf } from '../../core/digest.ts';
import { decodeLayerPackages, encodeLayerPackages, type LayerPackages } from '../../formats/packages/layer-packages.ts';
import { temporaryName } from '../files/durable.ts';

/**
 * Results of scanned layers, one small JSON file a layer, by the layer's digest. A cache and no more: an entry that is
 * missing, cut or of another version means that the layer is scanned again, and an entry that cannot be written is not.
 */
export interface ScanCache {
  find(layer: Digest): Promise<LayerPackages | undefined>;
  store(layer: Digest, packages: LayerPackages): Promise<void>;
}

const ENTRY_MAX_BYTES = 64 * 1024 * 1024;

/** `folder` is made when first needed. */
export function folderScanCache(folder: string): ScanCache {
  const pathOf = (layer: Digest) => join(folder, `${hexOf(layer)}.json`);
  return {
    async find(layer) {
      try {
        await using file = await open(pathOf(layer), 'r');
        if ((await file.stat()).size > ENTRY_MAX_BYTES) return undefined;
        return decodeLayerPackages(await file.readFile('utf8'));
      } catch {
        return undefined;
      }
    },
    async store(layer, packages) {
      const path = pathOf(layer);
      const temporary = temporaryName(path);
      try {
        await mkdir(folder, { recursive: true });
        await using file = await open(temporary, 'wx');
        await file.writeFile(encodeLayerPackages(packages));
        await rename(temporary, path);
      } catch {
        await rm(temporary, { force: true }).catch(() => {});
      }
    },
  };
}

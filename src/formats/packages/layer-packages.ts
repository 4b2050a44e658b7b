/**
 * What one layer of an image says about installed packages, and how layers add up. The encoding is that of the cache of
 * scanned layers: JSON with a version; a reader takes no other.
 */
import { z } from 'zod';
import { ancestorsOf } from './interest.ts';
import type { Distribution } from './os-release.ts';
import { type InstalledPackage, PACKAGE_TYPES } from './package.ts';

/** Why a layer was read in part or not at all. */
export const LAYER_REASONS = [
  /** Not a tar archive by its media type. */
  'media-type',
  'encrypted',
  /** The archive or its compression is damaged. */
  'damaged',
  /** It expands to far more than a layer should, or names more than real systems have. */
  'limit',
  /** A database entry, or a whole file, is not what it should be. */
  'malformed',
  /** A file of interest is a hard link to a file that was not kept. */
  'hard-link',
  /** An rpm database is there; rpm is not read. */
  'rpm',
] as const;
export type LayerReason = (typeof LAYER_REASONS)[number];

export type LayerFile =
  | { readonly path: string; readonly packages: readonly InstalledPackage[] }
  | { readonly path: string; readonly distribution: Distribution };

export interface LayerPackages {
  readonly status: 'read' | 'partial' | 'not-read';
  readonly reasons: readonly LayerReason[];
  readonly files: readonly LayerFile[];
  /** Paths that are gone from lower layers, with all that was below. */
  readonly removed: readonly string[];
  /** Folders whose content in lower layers is gone. The empty path is the root. */
  readonly emptied: readonly string[];
}

const text = z.string();
const packageSchema = z.strictObject({
  type: z.enum(PACKAGE_TYPES),
  name: text,
  version: text,
  architecture: text.exactOptional(),
  license: text.exactOptional(),
  source: text.exactOptional(),
});
const cacheSchema = z.strictObject({
  version: z.literal(1),
  status: z.enum(['read', 'partial', 'not-read']),
  reasons: z.array(z.enum(LAYER_REASONS)),
  files: z.array(
    z.union([
      z.strictObject({ path: text, packages: z.array(packageSchema) }),
      z.strictObject({ path: text, distribution: z.strictObject({ id: text, versionId: text.exactOptional() }) }),
    ]),
  ),
  removed: z.array(text),
  emptied: z.array(text),
});

export function encodeLayerPackages(layer: LayerPackages): string {
  return JSON.stringify({ version: 1, ...layer });
}

/** `undefined` when the text is anything else: the layer is scanned again. */
export function decodeLayerPackages(json: string): LayerPackages | undefined {
  let value: unknown;
  try {
    value = JSON.parse(json);
  } catch {
    return undefined;
  }
  const parsed = cacheSchema.safeParse(value);
  if (!parsed.success) return undefined;
  const { version: _, ...layer } = parsed.data;
  return layer;
}

export interface InstalledSoftware {
  readonly distribution: Distribution | undefined;
  readonly packages: readonly InstalledPackage[];
}

/** Lays layers over one another, the lowest first. A whiteout counts for lower layers only, never for its own. */
export function overlayLayers(layers: readonly LayerPackages[]): InstalledSoftware {
  let files = new Map<string, LayerFile>();
  for (const layer of layers) {
    const removed = new Set(layer.removed);
    const emptied = new Set(layer.emptied);
    if (removed.size + emptied.size > 0) {
      // By file, not by whiteout: a layer may hold very many of either.
      files = new Map([...files].filter(([path]) => !isGone(path, removed, emptied)));
    }
    for (const file of layer.files) files.set(file.path, file);
  }
  const kept = [...files.values()];
  const releases = kept.filter((file) => 'distribution' in file);
  return {
    distribution: (releases.find(({ path }) => path === 'etc/os-release') ?? releases[0])?.distribution,
    packages: kept.flatMap((file) => ('packages' in file ? file.packages : [])),
  };
}

function isGone(path: string, removed: ReadonlySet<string>, emptied: ReadonlySet<string>): boolean {
  if (removed.has(path) || emptied.has('')) return true;
  return ancestorsOf(path).some((folder) => removed.has(folder) || emptied.has(folder));
}

/** From a recipe to an image: layers, configuration and manifest (OCI image specification v1.1), the same bytes each time. */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { canonicalJson } from '../../src/core/canonical-json.ts';
import { digestOf } from '../../src/core/digest.ts';
import type { Descriptor } from '../../src/formats/oci/types.ts';
import { type Apt, type Architecture, openApt } from './apt.ts';
import { ABSENT } from './debian.ts';
import { LAYER_MEDIA_TYPE, type WrittenLayer } from './layer.ts';
import { cachedLayer, type PlannedLayer, removeUnused } from './layer-cache.ts';
import { INDEX_MEDIA_TYPE, MANIFEST_MEDIA_TYPE, type StagedBlobs, updateLayout } from './layout.ts';

const CONFIG_MEDIA_TYPE = 'application/vnd.oci.image.config.v1+json';
/** A time that says nothing, so that it is the same in every build. */
const CREATED = '1970-01-01T00:00:00Z';

/** OCI image configuration, "config" property; the names are the specification's. */
export interface RunConfig {
  readonly User: string;
  readonly Entrypoint: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
  readonly WorkingDir?: string;
  readonly ExposedPorts?: Readonly<Record<string, Readonly<Record<string, never>>>>;
  readonly Volumes?: Readonly<Record<string, Readonly<Record<string, never>>>>;
  readonly StopSignal?: string;
}

export interface ImagePlan {
  readonly title: string;
  readonly description: string;
  readonly licenses: string;
  readonly layers: readonly PlannedLayer[];
  readonly config: RunConfig;
  /** Debian packages inside, `name=version`. */
  readonly packages: readonly string[];
  /** The image whose layers this one begins with. */
  readonly base?: { readonly reference: string; readonly plan: ImagePlan };
}

export interface RecipeContext {
  readonly architecture: Architecture;
  readonly apt: () => Promise<Apt>;
  readonly cacheFolder: string;
  /** Of the checkout. */
  readonly repositoryFolder: string;
  /** A new folder on the file system of the cache, removed after the build. */
  readonly workFolder: string;
}

export interface Recipe {
  /** With its tag, as charts write it. */
  readonly reference: string;
  plan(context: RecipeContext): Promise<ImagePlan>;
}

export interface BuildRequest {
  readonly recipe: Recipe;
  readonly architectures: readonly Architecture[];
  readonly layoutFolder: string;
  readonly cacheFolder: string;
  readonly repositoryFolder: string;
}

export interface BuiltImage {
  readonly reference: string;
  readonly descriptor: Descriptor;
  /** Compressed layers of all architectures. */
  readonly layerBytes: number;
  readonly packages: readonly string[];
}

/** Builds an image into a layout. One architecture gives a manifest, several an index of manifests. */
export async function buildImage(request: BuildRequest): Promise<BuiltImage> {
  const { recipe, architectures } = request;
  let layerBytes = 0;
  const packages = new Set<string>();
  const descriptor = await updateLayout(request.layoutFolder, recipe.reference, async (staged) => {
    const manifests: Descriptor[] = [];
    for (const architecture of architectures) {
      const workFolder = join(staged.folder, architecture);
      await mkdir(workFolder);
      const apt = () => openApt(request.cacheFolder, architecture, ABSENT);
      const plan = await recipe.plan({ ...request, architecture, apt, workFolder });
      const layers: WrittenLayer[] = [];
      for (const [index, layer] of plan.layers.entries()) {
        const path = join(staged.folder, `${architecture}-layer-${index}`);
        const written = await cachedLayer(layer, path, request.cacheFolder);
        await staged.take(path, written.digest);
        layers.push(written);
        layerBytes += written.sizeBytes;
      }
      for (const item of plan.packages) packages.add(item);
      manifests.push(await putManifest(staged, plan, layers, architecture));
    }
    const [only, ...others] = manifests;
    if (only !== undefined && others.length === 0) return only;
    const index = await staged.put({ schemaVersion: 2, mediaType: INDEX_MEDIA_TYPE, manifests });
    return { mediaType: INDEX_MEDIA_TYPE, ...index };
  });
  for (const name of ['layers', 'debs']) await removeUnused(join(request.cacheFolder, name));
  return { reference: recipe.reference, descriptor, layerBytes, packages: [...packages].sort() };
}

async function putManifest(
  staged: StagedBlobs,
  plan: ImagePlan,
  layers: readonly WrittenLayer[],
  architecture: Architecture,
): Promise<Descriptor> {
  const { config, manifest } = documents(plan, layers, architecture);
  await staged.put(config);
  return {
    mediaType: MANIFEST_MEDIA_TYPE,
    ...(await staged.put(manifest)),
    platform: { os: 'linux', architecture },
  };
}

function documents(plan: ImagePlan, layers: readonly WrittenLayer[], architecture: Architecture) {
  const config = {
    created: CREATED,
    os: 'linux',
    architecture,
    config: {
      ...plan.config,
      Labels: {
        'org.opencontainers.image.title': plan.title,
        'org.opencontainers.image.description': plan.description,
        'org.opencontainers.image.licenses': plan.licenses,
      },
    },
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
    history: plan.layers.map(({ title }) => ({ created: CREATED, created_by: title })),
  };
  const configText = canonicalJson(config);
  const manifest: Record<string, unknown> = {
    schemaVersion: 2,
    mediaType: MANIFEST_MEDIA_TYPE,
    config: { mediaType: CONFIG_MEDIA_TYPE, digest: digestOf(configText), size: Buffer.byteLength(configText) },
    layers: layers.map(({ digest, sizeBytes }) => ({ mediaType: LAYER_MEDIA_TYPE, digest, size: sizeBytes })),
    annotations: {
      'org.opencontainers.image.title': plan.title,
      ...(plan.packages.length > 0 ? { 'vnd.portolan.debian.packages': plan.packages.join(' ') } : {}),
      ...(plan.base ? baseAnnotations(plan.base, layers, architecture) : {}),
    },
  };
  return { config, manifest };
}

/** The base is built from the first layers of this very build, so its digest is what building it alone gives. */
function baseAnnotations(
  base: NonNullable<ImagePlan['base']>,
  layers: readonly WrittenLayer[],
  architecture: Architecture,
): Record<string, string> {
  const { manifest } = documents(base.plan, layers.slice(0, base.plan.layers.length), architecture);
  return {
    'org.opencontainers.image.base.name': base.reference,
    'org.opencontainers.image.base.digest': digestOf(canonicalJson(manifest)),
  };
}

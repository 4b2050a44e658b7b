import { createBlobStore } from '../adapters/blob-store/blob-store.ts';
import { createHelmRenderer } from '../adapters/helm/renderer.ts';
import { createSourceChain, type NamedSource } from '../adapters/images/source-chain.ts';
import { createLayoutSource } from '../adapters/oci-layout/layout-source.ts';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import type { RegistrySource } from '../adapters/registry/registry-source.ts';
import type { BlobStore } from '../ports/blobs.ts';
import type { ImageSource } from '../ports/images.ts';
import type { Progress } from '../ports/progress.ts';
import { type InitReport, initBundle } from '../usecases/bundle/init.ts';
import type { ImageSourceSettings, LockDependencies } from '../usecases/bundle/lock-types.ts';
import { credentialFiles, proxyOf } from './registry-settings.ts';

export interface BundleInputSettings {
  readonly env: Readonly<Record<string, string | undefined>>;
  readonly progress: Progress;
  /** Folder of blobs that were fetched or packed before; see `cacheFolder` of environment.ts. */
  readonly cache: string;
  /** The helm program: a path, or a name that is looked for on PATH. */
  readonly helm: string;
  /** Absolute path of certificates in PEM that registries are trusted by, beside the system's. */
  readonly caFile?: string;
}

/** What `lockBundle` and `prepareFrozen` need, and the connections to end afterwards. */
export interface BundleInputs extends AsyncDisposable {
  readonly dependencies: LockDependencies;
}

export async function openBundleInputs(settings: BundleInputSettings): Promise<BundleInputs> {
  const { env } = settings;
  const store = createBlobStore(settings.cache);
  const opened: RegistrySource[] = [];
  return {
    dependencies: {
      files: createProjectFiles(),
      store,
      renderer: createHelmRenderer({
        helmPath: settings.helm,
        ...(env.PATH === undefined ? {} : { searchPath: env.PATH }),
      }),
      imageSource: (images) => createImageSource(images, { env, store, caFile: settings.caFile }, opened),
      progress: settings.progress,
    },
    async [Symbol.asyncDispose]() {
      await Promise.all(opened.map((source) => source.close()));
    },
  };
}

/** `bundle init`. */
export function composeInit(folder: string, options: { readonly signal?: AbortSignal } = {}): Promise<InitReport> {
  return initBundle(folder, createProjectFiles(), options);
}

interface Surroundings {
  readonly env: BundleInputSettings['env'];
  readonly store: BlobStore;
  readonly caFile: string | undefined;
}

/** Layouts, then registries. */
function createImageSource(images: ImageSourceSettings, around: Surroundings, opened: RegistrySource[]): ImageSource {
  let registries: Promise<RegistrySource> | undefined;
  const layouts: NamedSource[] = images.layouts.map((folder) => ({
    name: `the layout ${folder}`,
    // Sealing hashes every layer on its way into a piece, so lengths are enough here.
    source: createLayoutSource(folder, { layerCheck: 'size' }),
  }));
  const registry: ImageSource = {
    async acquire(request, options) {
      registries ??= openRegistries(images, around, opened);
      return (await registries).acquire(request, options);
    },
  };
  return createSourceChain([...layouts, { name: 'the registry', source: registry }]);
}

/** Loads the HTTP client only now: what comes from layouts alone starts quicker and takes 15 MiB less without it. */
async function openRegistries(
  images: ImageSourceSettings,
  around: Surroundings,
  opened: RegistrySource[],
): Promise<RegistrySource> {
  const [{ createRegistrySource }, { createCredentialLookup }] = await Promise.all([
    import('../adapters/registry/registry-source.ts'),
    import('../adapters/registry/credentials.ts'),
  ]);
  const source = createRegistrySource({
    store: around.store,
    registries: Object.fromEntries(images.registries),
    credentials: createCredentialLookup({ files: credentialFiles(around.env) }),
    proxy: proxyOf(around.env),
    ...(around.caFile === undefined ? {} : { caFile: around.caFile }),
  });
  opened.push(source);
  return source;
}

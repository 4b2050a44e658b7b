import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { createImageFolderTarget } from '../../src/adapters/image-folder/image-folder.ts';
import { openMedium } from '../../src/adapters/medium/medium.ts';
import { createLayoutSource } from '../../src/adapters/oci-layout/layout-source.ts';
import { createFolderState } from '../../src/adapters/target-state/folder-state.ts';
import { createWorkFolder } from '../../src/adapters/work-folder/work-folder.ts';
import type { BundleLock } from '../../src/formats/bundle/lock-types.ts';
import type { ImageTarget } from '../../src/ports/image-target.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { importBundle, planImport } from '../../src/usecases/import/import.ts';
import type { ImportDependencies, ImportPart, ImportRequest } from '../../src/usecases/import/types.ts';
import { createBundleFixture, type FileContents } from './bundle-fixture.ts';
import { createContent, pseudoRandom, writeLayout } from './image-content.ts';
import { realImage, realLayer } from './target-images.ts';

export interface ImportOptions {
  readonly target?: ImageTarget;
  readonly parts?: readonly ImportPart[];
  readonly request?: Partial<ImportRequest>;
  readonly dependencies?: Partial<ImportDependencies>;
  readonly signal?: AbortSignal;
}

/** A publisher, a stick, and a closed side that keeps images and state in folders: everything real, nothing needs a server. */
export async function createImportFixture() {
  const publisher = await createBundleFixture();
  const closedFolder = join(publisher.root, 'closed');
  await mkdir(closedFolder);
  const imagesFolder = join(closedFolder, 'images');
  const state = createFolderState({ folder: join(closedFolder, 'state'), now: Date.now });

  async function withImport<T>(
    options: ImportOptions,
    act: (request: ImportRequest, dependencies: ImportDependencies) => Promise<T>,
  ) {
    await using work = await createWorkFolder(closedFolder);
    const request: ImportRequest = {
      trust: publisher.trust,
      identities: [publisher.identity],
      parts: new Set(options.parts ?? ['images']),
      allowDowngrade: false,
      allowOrphans: false,
      chartTimeoutMs: 60_000,
      lockWaitMs: 0,
      holder: 'a test',
      host: 'linux-amd64',
      ...options.request,
    };
    return await act(request, {
      medium: await openMedium(publisher.mediumFolder),
      engine: publisher.engine,
      progress: silentProgress,
      state,
      work,
      images: options.target ?? createImageFolderTarget({ folder: imagesFolder }),
      now: () => new Date(1_767_225_600_000),
      ...options.dependencies,
    });
  }

  return {
    publisher,
    closedFolder,
    imagesFolder,
    state,
    /** Builds a bundle with images of pseudo-random layers: `sizes` by reference, in bytes of each layer. */
    async build(
      sizes: Readonly<Record<string, readonly number[]>>,
      options: { readonly lock?: Partial<BundleLock>; readonly files?: FileContents } = {},
    ) {
      const content = createContent();
      const folder = join(publisher.root, 'layouts', String(Math.random()).slice(2));
      await mkdir(folder, { recursive: true });
      const references = Object.keys(sizes);
      for (const [reference, layers] of Object.entries(sizes)) {
        const made = [];
        for (const [index, sizeBytes] of layers.entries()) {
          made.push(await realLayer(content, { [`data-${index}`]: pseudoRandom(`${index} ${sizeBytes}`, sizeBytes) }));
        }
        content.tag(reference, realImage(content, made));
      }
      await writeLayout(folder, content, (tag) => tag);
      const source = createLayoutSource(folder, { layerCheck: 'size' });
      const images = [];
      for (const reference of references) {
        const image = await source.acquire({ reference, platforms: ['linux/amd64'] });
        if (image === undefined) throw new Error(`${reference} is not in the layout`);
        images.push(image);
      }
      return await publisher.build(options.files ?? {}, {
        images,
        ...(options.lock === undefined ? {} : { lock: options.lock }),
      });
    },
    plan: (options: ImportOptions = {}) =>
      withImport(options, (request, dependencies) => planImport(request, dependencies)),
    import: (options: ImportOptions = {}) =>
      withImport(options, (request, dependencies) =>
        importBundle(request, dependencies, options.signal === undefined ? {} : { signal: options.signal }),
      ),
    dispose: () => publisher.dispose(),
  };
}

export type ImportFixture = Awaited<ReturnType<typeof createImportFixture>>;

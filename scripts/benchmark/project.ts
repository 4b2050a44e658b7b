import { createHash } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { createFileLayers, type Layer, writeRandomLayer } from './layers.ts';
import { throwIfStopped } from './measure.ts';

/** What layers of real images weigh, in MB: a few large ones, many small ones. They add up to 2,100. */
const LAYER_SIZES_MB = [620, 410, 300, 220, 150, 110, 80, 60, 50, 35, 25, 18, 10, 6, 4, 2];
const IMAGES = 4;
const MB = 1_000_000;
const MANIFEST_TYPE = 'application/vnd.oci.image.manifest.v1+json';

export interface ProjectImage {
  /** `bench.local/image-0:1.0.0` */
  readonly reference: string;
  /** Its place in a registry: `image-0:1.0.0`. */
  readonly name: string;
  readonly digest: string;
  readonly size: number;
  readonly config: { readonly digest: string; readonly size: number };
  readonly layers: readonly Layer[];
}

export interface Project {
  readonly folder: string;
  /** The folder of the layers' files: what the hand-made chain packs. */
  readonly blobs: string;
  readonly layerBytes: number;
  readonly images: readonly ProjectImage[];
  /** A small file of the bundle, to be changed for a rebuild. */
  readonly note: string;
  /** Makes version 1.0.1 of it: one small layer of one image is another one. */
  upgrade(): Promise<readonly ProjectImage[]>;
}

/**
 * Writes a definition with four images in an OCI layout, and a chart that names them. Layers are of random bytes, which
 * nothing makes smaller, or of this machine's files in /usr, compressed.
 */
export async function createProject(folder: string, scale: number, kind: 'random' | 'files'): Promise<Project> {
  const layout = join(folder, 'images');
  const blobs = join(layout, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });
  await mkdir(join(folder, 'chart', 'templates'), { recursive: true });
  const writeLayer = kind === 'random' ? writeRandomLayer : await createFileLayers('/usr');
  const images: ProjectImage[] = [];
  for (let image = 0; image < IMAGES; image++) {
    const layers: Layer[] = [];
    for (const sizeMb of LAYER_SIZES_MB.filter((_, index) => index % IMAGES === image)) {
      throwIfStopped();
      layers.push(await writeLayer(blobs, Math.round(sizeMb * MB * scale)));
    }
    images.push(await writeImage(blobs, `image-${image}:1.0.0`, layers));
  }
  const note = join(folder, 'note.txt');
  await writeFile(note, 'first\n');
  await writeDefinition(folder, '1.0.0', images);
  return {
    folder,
    blobs,
    images,
    note,
    layerBytes: images.flatMap(({ layers }) => layers).reduce((sum, { size }) => sum + size, 0),
    async upgrade() {
      const small = images[IMAGES - 1] as ProjectImage;
      const layers = [...small.layers.slice(0, -1), await writeLayer(blobs, small.layers.at(-1)?.size ?? 0)];
      const changed = await writeImage(blobs, small.name.replace('1.0.0', '1.0.1'), layers);
      const upgraded = [...images.slice(0, -1), changed];
      await writeDefinition(folder, '1.0.1', upgraded);
      return upgraded;
    },
  };
}

async function writeImage(blobs: string, name: string, layers: readonly Layer[]): Promise<ProjectImage> {
  const config = await writeJson(blobs, {
    architecture: 'amd64',
    os: 'linux',
    rootfs: { type: 'layers', diff_ids: layers.map(({ diffId }) => diffId) },
  });
  const manifest = await writeJson(blobs, {
    schemaVersion: 2,
    mediaType: MANIFEST_TYPE,
    config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
    layers: layers.map(({ mediaType, digest, size }) => ({ mediaType, digest, size })),
  });
  return { ...manifest, reference: `bench.local/${name}`, name, config, layers };
}

async function writeDefinition(folder: string, version: string, images: readonly ProjectImage[]): Promise<void> {
  await writeLayoutFiles(join(folder, 'images'), images);
  await writeFile(join(folder, 'chart', 'Chart.yaml'), `apiVersion: v2\nname: bench\nversion: ${version}\n`);
  await writeFile(
    join(folder, 'chart', 'templates', 'pods.yaml'),
    images
      .map(
        ({ reference }, index) =>
          `apiVersion: v1\nkind: Pod\nmetadata: { name: pod-${index} }\nspec: { containers: [{ name: main, image: "${reference}" }] }\n`,
      )
      .join('---\n'),
  );
  await writeFile(
    join(folder, 'bundle.yaml'),
    [
      'name: bench',
      `version: ${version}`,
      `sequence: ${version === '1.0.0' ? 1 : 2}`,
      'platforms: [linux/amd64]',
      'charts:',
      '  - { name: bench, path: chart, release: bench, namespace: bench, stage: app }',
      'images: { layouts: [images] }',
      'files:',
      '  - { path: note.txt, source: note.txt }',
      '',
    ].join('\n'),
  );
}

/** The two files that make a folder of blobs an OCI image layout. */
export async function writeLayoutFiles(layout: string, images: readonly ProjectImage[]): Promise<void> {
  await writeFile(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(
    join(layout, 'index.json'),
    JSON.stringify({
      schemaVersion: 2,
      manifests: images.map(({ digest, size, reference }) => ({
        mediaType: MANIFEST_TYPE,
        digest,
        size,
        annotations: {
          'org.opencontainers.image.ref.name': reference,
          'io.containerd.image.name': reference,
        },
      })),
    }),
  );
}

async function writeJson(blobs: string, value: unknown): Promise<{ digest: string; size: number }> {
  const bytes = Buffer.from(JSON.stringify(value));
  const hex = createHash('sha256').update(bytes).digest('hex');
  await writeFile(join(blobs, hex), bytes);
  return { digest: `sha256:${hex}`, size: bytes.length };
}

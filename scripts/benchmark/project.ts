import { createCipheriv, createHash, randomBytes } from 'node:crypto';
import { mkdir, open, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';

/** What layers of real images weigh, in MB: a few large ones, many small ones. They add up to 2,100. */
const LAYER_SIZES_MB = [620, 410, 300, 220, 150, 110, 80, 60, 50, 35, 25, 18, 10, 6, 4, 2];
const MB = 1_000_000;

export interface Project {
  readonly folder: string;
  /** The folder of the layers' files: what the hand-made chain packs. */
  readonly blobs: string;
  readonly layerBytes: number;
  /** A small file of the bundle, to be changed for a rebuild. */
  readonly note: string;
}

/** Writes a definition with four images of incompressible layers in an OCI layout, and a chart that names them. */
export async function createProject(folder: string, scale: number): Promise<Project> {
  const layout = join(folder, 'images');
  const blobs = join(layout, 'blobs', 'sha256');
  await mkdir(blobs, { recursive: true });
  await mkdir(join(folder, 'chart', 'templates'), { recursive: true });
  const images: { digest: string; size: number; reference: string }[] = [];
  let layerBytes = 0;
  for (let image = 0; image < 4; image++) {
    const layers = [];
    for (const sizeMb of LAYER_SIZES_MB.filter((_, index) => index % 4 === image)) {
      const layer = await writeLayer(blobs, Math.round(sizeMb * MB * scale));
      layerBytes += layer.size;
      layers.push({ mediaType: 'application/vnd.oci.image.layer.v1.tar', ...layer });
    }
    const config = await writeJson(blobs, {
      architecture: 'amd64',
      os: 'linux',
      rootfs: { type: 'layers', diff_ids: layers.map(({ digest }) => digest) },
    });
    const manifest = await writeJson(blobs, {
      schemaVersion: 2,
      mediaType: 'application/vnd.oci.image.manifest.v1+json',
      config: { mediaType: 'application/vnd.oci.image.config.v1+json', ...config },
      layers,
    });
    images.push({ ...manifest, reference: `bench.local/image-${image}:1.0.0` });
  }
  await writeFile(join(layout, 'oci-layout'), '{"imageLayoutVersion":"1.0.0"}');
  await writeFile(
    join(layout, 'index.json'),
    JSON.stringify({
      schemaVersion: 2,
      manifests: images.map(({ digest, size, reference }) => ({
        mediaType: 'application/vnd.oci.image.manifest.v1+json',
        digest,
        size,
        annotations: { 'org.opencontainers.image.ref.name': reference },
      })),
    }),
  );
  await writeFile(join(folder, 'chart', 'Chart.yaml'), 'apiVersion: v2\nname: bench\nversion: 1.0.0\n');
  await writeFile(
    join(folder, 'chart', 'templates', 'pods.yaml'),
    images
      .map(
        ({ reference }, index) =>
          `apiVersion: v1\nkind: Pod\nmetadata: { name: pod-${index} }\nspec: { containers: [{ name: main, image: "${reference}" }] }\n`,
      )
      .join('---\n'),
  );
  const note = join(folder, 'note.txt');
  await writeFile(note, 'first\n');
  await writeFile(
    join(folder, 'bundle.yaml'),
    [
      'name: bench',
      'version: 1.0.0',
      'sequence: 1',
      'platforms: [linux/amd64]',
      'charts:',
      '  - { name: bench, path: chart, release: bench, namespace: bench, stage: app }',
      'images: { layouts: [images] }',
      'files:',
      '  - { path: note.txt, source: note.txt }',
      '',
    ].join('\n'),
  );
  return { folder, blobs, layerBytes, note };
}

/** A tar archive of one file of random bytes; written as a stream. */
async function writeLayer(blobs: string, sizeBytes: number): Promise<{ digest: string; size: number }> {
  const path = join(blobs, 'layer.part');
  const hash = createHash('sha256');
  const cipher = createCipheriv('aes-256-ctr', randomBytes(32), randomBytes(16));
  const zeros = Buffer.alloc(1024 * 1024);
  await using file = await open(path, 'wx');
  let size = 0;
  const write = async (bytes: Uint8Array) => {
    hash.update(bytes);
    await file.writeFile(bytes);
    size += bytes.length;
  };
  await write(tarHeader('data.bin', sizeBytes));
  for (let left = sizeBytes; left > 0; left -= zeros.length) {
    await write(cipher.update(zeros.subarray(0, Math.min(left, zeros.length))));
  }
  await write(Buffer.alloc(1024 + ((512 - (sizeBytes % 512)) % 512)));
  const hex = hash.digest('hex');
  await rename(path, join(blobs, hex));
  return { digest: `sha256:${hex}`, size };
}

function tarHeader(name: string, sizeBytes: number): Buffer {
  const header = Buffer.alloc(512);
  header.write(name, 0);
  header.write('0000644\0', 100);
  header.write('0000000\0', 108);
  header.write('0000000\0', 116);
  header.write(`${sizeBytes.toString(8).padStart(11, '0')}\0`, 124);
  header.write(`${'0'.repeat(11)}\0`, 136);
  header.write('        0', 148);
  header.write('ustar\x0000', 257);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148);
  return header;
}

async function writeJson(blobs: string, value: unknown): Promise<{ digest: string; size: number }> {
  const bytes = Buffer.from(JSON.stringify(value));
  const hex = createHash('sha256').update(bytes).digest('hex');
  await writeFile(join(blobs, hex), bytes);
  return { digest: `sha256:${hex}`, size: bytes.length };
}

import { readFile, writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { onTestFinished } from 'vitest';
import { ctr } from './cluster.ts';
import { succeed } from './program.ts';
import { temporaryFolder } from './temporary.ts';

const BUILDER = resolve(import.meta.dirname, '../../scripts/image');

/** Gives the node an image with a shell under a name of the running test, and takes it away again. */
export async function imageOnNode(reference: string): Promise<void> {
  const folder = await temporaryFolder();
  const layout = join(folder, 'layout');
  await succeed(BUILDER, ['web', '--out', layout]);
  const index = JSON.parse(await readFile(join(layout, 'index.json'), 'utf8'));
  index.manifests[0].annotations['org.opencontainers.image.ref.name'] = reference;
  await writeFile(join(layout, 'index.json'), JSON.stringify(index));
  const archive = join(folder, 'image.tar');
  await succeed('tar', ['--create', '--file', archive, '--directory', layout, '.']);
  onTestFinished(async () => {
    await ctr('images', 'rm', reference);
  });
  await ctr('images', 'import', archive);
}

/**
 * A process that puts objects into a folder store: `FOLDER COUNT SIZE`, keys `race/0` and on, filled with a byte of its own.
 * Says `created KEY` of each that it created.
 */
import { createFolderStore } from '../../src/adapters/object-store/folder/folder-store.ts';

const [folder = '', count = '', sizeBytes = ''] = process.argv.slice(2);
const store = createFolderStore(folder);
const content = new Uint8Array(Number(sizeBytes)).fill(process.pid & 255);
for (let index = 0; index < Number(count); index += 1) {
  const key = `race/${index}`;
  if ((await store.put(key, content)) === 'created') process.stdout.write(`created ${key}\n`);
}

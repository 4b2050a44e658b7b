/** The demo: every step is a command that a person could type, printed before it runs, and each claim is checked. */
import { cp, mkdir, readdir, readFile, realpath, rm, stat, writeFile } from 'node:fs/promises';
import { dirname, join, relative, resolve } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { $, type ProcessOutput, type ProcessPromise, which } from 'zx';
import { demonstrateBackups } from './backup.ts';

const root = resolve(import.meta.dirname, '..', '..');
const folder = resolve(process.argv[2] ?? 'demo');
/** A folder is removed only if a demo made it. */
const MARK = '.portolan-demo';
/** The switch itself says that the shop is off, in the chart's default values and in the merged ones. */
const SWITCHED_OFF = /"?enableShop"?: ?false/g;
const keys = join(root, 'keys.example');
const stick = join(folder, 'stick');
const portolan = join(root, 'scripts', 'portolan');
/** No cluster, no server: the images alone, into a folder. On a node the same command without --only does the rest. */
const importing = [
  ...['bundle', 'import', 'second-stick', '--trust', join(keys, 'cosign.pub'), '-i', join(keys, 'identity.txt')],
  ...['--only', 'images', '--images', 'folder=closed/images', '--state', 'closed/state'],
];
const timings: { step: string; seconds: number }[] = [];

$.cwd = folder;
$.env = {
  ...process.env,
  // The password of the example key stands in its README: it protects nothing.
  COSIGN_PASSWORD: 'never-use-this',
  // What a person has configured stays as it is.
  XDG_CONFIG_HOME: join(folder, 'configuration'),
};

await prepareFolder();
await step('Build the images of the example product, without a container engine', async () => {
  await show($`${join(root, 'scripts', 'image')} all --out ${join(folder, 'cms', '.images')}`);
});
await step('Lock: pack and render the charts, find every image, pin everything by digest', async () => {
  await show($`${portolan} bundle lock cms --provider k3s --feature blog=on --feature shop=off`);
});
await step('Build onto a folder that stands for the stick: sealed with age, signed with a cosign key', async () => {
  await show(
    $`${portolan} bundle build cms --frozen --out stick -R ${keys}/recipient.txt --sign-key ${keys}/cosign.key`,
  );
});
await step('What a courier sees, without any key', async () => {
  await show($`${portolan} bundle inspect stick`);
});
await step('Verify: signature, every byte, and with the key every blob inside', async () => {
  await show($`${portolan} bundle verify stick --trust ${keys}/cosign.pub -i ${keys}/identity.txt`);
});
await step('Damage one bit of a copy: verify names the file', damageCopy);
await step('Unpack', async () => {
  await show($`${portolan} bundle unpack stick opened --trust ${keys}/cosign.pub -i ${keys}/identity.txt`);
});
await step('The shop was switched off: no trace of it is inside', lookForShop);
await step('Build again: nothing changed, nothing is sealed anew', async () => {
  await show(
    $`${portolan} bundle build cms --frozen --out stick -R ${keys}/recipient.txt --sign-key ${keys}/cosign.key`,
  );
});
await step('Open the lists with stock age, without Portolan', openWithStockAge);
await step('Copy to a second stick, and read it back past the cache', async () => {
  await show($`${portolan} bundle copy stick second-stick --trust ${keys}/cosign.pub`);
});
await step('The closed side looks first: what an import would do, and what stands against it', async () => {
  await show($`${portolan} ${importing} --plan`);
});
await step('Import the images into a folder, straight from the sealed pieces', importIntoFolder);
await step('Import again: nothing is missing, nothing is sent', async () => {
  await show($`${portolan} ${importing}`);
});
await step('What the closed side has now', async () => {
  await show($`${portolan} bundle status --state closed/state`);
});
await demonstrateBackups({ folder, portolan, keys, step, show, claim }, await postgresPrograms());
await summary();

/** Those that scripts/peers fetched, else the machine's own. A server that is run by another account reaches them by their true path. */
async function postgresPrograms(): Promise<string | undefined> {
  for (const place of [join(process.env.PORTOLAN_PEERS ?? '', 'postgres/17/bin'), '/usr/lib/postgresql/17/bin']) {
    const found = await realpath(join(place, 'initdb')).catch(() => undefined);
    if (found !== undefined) return dirname(found);
  }
  return undefined;
}

/** The receipt is checked against what lies in the folder. */
async function importIntoFolder(): Promise<void> {
  await show($`${portolan} ${importing} --receipt closed/receipt.json`);
  const envelope = JSON.parse(await readFile(join(folder, 'closed', 'receipt.json'), 'utf8'));
  const receipt = JSON.parse(Buffer.from(envelope.payload, 'base64').toString());
  const held = new Set(await readdir(join(folder, 'closed', 'images', 'blobs', 'sha256')));
  const absent = receipt.images.blobs.filter((digest: string) => !held.has(digest.slice('sha256:'.length)));
  claim(
    absent.length === 0,
    `the ${receipt.images.blobs.length} blobs that the signed receipt names are in the folder`,
  );
}

async function prepareFolder(): Promise<void> {
  const names: string[] = await readdir(folder).catch(() => []);
  if (names.length > 0 && !names.includes(MARK)) {
    throw new Error(`${folder} holds something that no demo made: name another folder`);
  }
  await rm(folder, { recursive: true, force: true });
  await mkdir(join(folder, 'closed'), { recursive: true });
  await writeFile(join(folder, MARK), '');
  await cp(join(root, 'bundles', 'cms'), join(folder, 'cms'), {
    recursive: true,
    filter: (path) => !path.endsWith('.images') && !path.endsWith('bundle.lock.json'),
  });
}

async function step(title: string, run: () => Promise<void>): Promise<void> {
  const started = performance.now();
  process.stdout.write(`\n=== ${title}\n`);
  await run();
  timings.push({ step: title, seconds: (performance.now() - started) / 1000 });
}

/** Prints the command and what it says. */
async function show(running: ProcessPromise): Promise<ProcessOutput> {
  const shown = running.cmd.replaceAll(`${root}/`, '').replaceAll(`${folder}/`, '');
  process.stdout.write(`$ ${shown}\n`);
  const output = await running.quiet().nothrow();
  process.stdout.write(indent(`${output.stdout}${output.exitCode === 0 ? '' : output.stderr}`));
  if (output.exitCode !== 0) throw new Error(`exit status ${output.exitCode}: ${shown}`);
  return output;
}

function indent(text: string): string {
  return text.replaceAll(/^(?=.)/gm, '    ');
}

function claim(holds: boolean, what: string): void {
  if (!holds) throw new Error(`this should hold, and does not: ${what}`);
  process.stdout.write(`    ok: ${what}\n`);
}

async function damageCopy(): Promise<void> {
  const copy = join(folder, 'damaged');
  await cp(stick, copy, { recursive: true });
  const blobs = join(copy, 'blobs', 'sha256');
  const sized = await Promise.all(
    (await readdir(blobs)).map(async (name) => ({ name, size: (await stat(join(blobs, name))).size })),
  );
  const { name, size } = sized.sort(
    (a, b) => b.size - a.size || (a.name < b.name ? -1 : 1),
  )[0] as (typeof sized)[number];
  const bytes = await readFile(join(blobs, name));
  const at = Math.floor(size / 3);
  bytes[at] = (bytes[at] as number) ^ 1;
  await writeFile(join(blobs, name), bytes);
  process.stdout.write(`    one bit of ${relative(folder, join(blobs, name))} is flipped\n`);
  const verify = await $`${portolan} bundle verify damaged --trust ${keys}/cosign.pub`.quiet().nothrow();
  process.stdout.write(indent(verify.stderr));
  claim(verify.exitCode === 3, 'verify ends with exit status 3');
  claim(verify.stderr.includes(name), 'verify names the file');
  await rm(copy, { recursive: true });
}

async function lookForShop(): Promise<void> {
  const opened = join(folder, 'opened');
  const contents = JSON.parse(await readFile(join(opened, 'contents.json'), 'utf8'));
  claim(contents.features.shop === false && contents.features.blog === true, 'the sealed list says: blog on, shop off');
  const { features, ...rest } = contents;
  claim(!/shop/i.test(JSON.stringify(rest)), 'apart from that, the list does not know the word');
  let files = 0;
  const layers = new Set<string>(
    contents.blobs
      .filter((blob: { roles: string[] }) => blob.roles.includes('image-layer'))
      .map((blob: { digest: string }) => blob.digest),
  );
  for (const entry of await readdir(opened, { recursive: true, withFileTypes: true })) {
    const path = join(entry.parentPath, entry.name);
    if (!entry.isFile() || entry.name === 'contents.json') continue;
    if (/shop/i.test(relative(opened, path))) throw new Error(`${path} is named after the shop`);
    const bytes = await readFile(path);
    // Charts are stored uncompressed in their .tgz, so a search finds what is in them; of layers, the paths are looked at.
    const text = layers.has(`sha256:${entry.name}`) ? pathsOfLayer(bytes) : bytes.toString('latin1');
    if (/shop/i.test(text.replaceAll(SWITCHED_OFF, ''))) throw new Error(`${path} speaks of the shop`);
    files++;
  }
  claim(
    files > 0,
    `${files} files were searched (charts, values, SQL, configuration, manifests, paths in layers): nothing but enableShop: false`,
  );
}

/** The names in a tar archive: every header has its name at offset 0 and its size, in octal, at 124 (POSIX ustar). */
function pathsOfLayer(layer: Buffer): string {
  const tar = layer[0] === 0x1f ? gunzipSync(layer) : layer;
  const paths: string[] = [];
  for (let at = 0; at + 512 <= tar.length && tar[at] !== 0; ) {
    const size = Number.parseInt(tar.toString('latin1', at + 124, at + 135), 8) || 0;
    paths.push(tar.toString('latin1', at, at + 100).replace(/\0.*$/, ''));
    at += 512 + Math.ceil(size / 512) * 512;
  }
  return paths.join('\n');
}

async function openWithStockAge(): Promise<void> {
  const age = await which('age', { nothrow: true });
  if (age === null) {
    process.stdout.write('    age is not on this machine; with it, the commands of stick/README.txt open everything\n');
    return;
  }
  const index = JSON.parse(await readFile(join(stick, 'index.json'), 'utf8'));
  const blob = (digest: string) => `stick/blobs/sha256/${digest.slice('sha256:'.length)}`;
  const tagged = index.manifests.find(
    (one: { annotations?: Record<string, string> }) => one.annotations?.['org.opencontainers.image.ref.name'],
  );
  const manifest = JSON.parse(await readFile(join(folder, blob(tagged.digest)), 'utf8'));
  const lists = blob(manifest.layers[0].digest);
  await show($`age -d -i ${keys}/identity.txt ${lists} | tar -t --ignore-zeros`);
}

async function summary(): Promise<void> {
  const sizes = await Promise.all(
    ['cms/.images', 'stick', 'opened', 'backup/store'].map(
      async (name) => [name, await sizeOf(join(folder, name))] as const,
    ),
  );
  process.stdout.write('\n=== Summary\n');
  for (const { step: title, seconds } of timings)
    process.stdout.write(`${seconds.toFixed(1).padStart(7)} s  ${title}\n`);
  for (const [name, size] of sizes)
    process.stdout.write(`${(size / 1e6).toFixed(1).padStart(7)} MB ${join(folder, name)}\n`);
  process.stdout.write(`\nEverything lies in ${folder}. The stick explains itself: ${join(stick, 'README.txt')}\n`);
}

async function sizeOf(path: string): Promise<number> {
  let total = 0;
  for (const entry of await readdir(path, { recursive: true, withFileTypes: true }).catch(() => [])) {
    if (entry.isFile()) total += (await stat(join(entry.parentPath, entry.name))).size;
  }
  return total;
}

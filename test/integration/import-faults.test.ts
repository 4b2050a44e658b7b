/** Bad days of an import that need no cluster: images into folders and registries, by the real program. */
import { cp, mkdtemp, readdir, readFile, truncate, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { startContainerd } from '../support/containerd-process.ts';
import { interruptAt } from '../support/interruption.ts';
import { fillDisk, mountExt4, mountTmpfs, remount } from '../support/mounts.ts';
import {
  goOn,
  killHard,
  type PortolanEnded,
  type PortolanRunning,
  type ProgramOptions,
  portolan,
  startPortolan,
  succeed,
  waitUntilStopped,
} from '../support/program.ts';
import { createPublisher, manifestOf, type Publisher, snapshot } from '../support/publisher.ts';
import { startRegistryProcess } from '../support/registry-process.ts';

const IMAGE = 'registry.example/demo/web:1.0';
/** Manifest, configuration and layer. */
const IMAGE_BLOBS = 3;
/** From one kill to the next: runs with other seeds meet other places. */
const STRIDE = 11;

let publisher: Publisher;
beforeAll(async () => {
  publisher = await createPublisher();
  expect(await publisher.build()).toMatchObject({ status: 0 });
});
afterAll(() => publisher?.dispose());

/** Lets the system read the files of a folder from their disk again. */
async function forgetCached(folder: string): Promise<void> {
  for (const entry of await readdir(folder, { recursive: true, withFileTypes: true })) {
    if (entry.isFile()) await succeed('dd', [`if=${join(entry.parentPath, entry.name)}`, 'iflag=nocache', 'count=0']);
  }
}

/** A closed side without a cluster: a folder for the images and one for what Portolan remembers. */
async function closedSide(parent?: string) {
  const folder = parent ?? (await mkdtemp(publisher.at('closed-')));
  const images = join(folder, 'images');
  const state = join(folder, 'state');
  const side = {
    folder,
    images,
    args: (stick = publisher.medium, target = `folder=${images}`, more: readonly string[] = []) => [
      ...['bundle', 'import', stick, '-i', publisher.identity, '--trust', publisher.trust],
      ...['--only', 'images', '--images', target, '--state', state, '--wait-lock', '0', ...more],
    ],
    import: (stick?: string, target?: string, program?: ProgramOptions) => portolan(side.args(stick, target), program),
    /** The names that lead to images. */
    async names(): Promise<string[]> {
      const text = await readFile(join(images, 'index.json'), 'utf8').catch(() => '{"manifests":[]}');
      const { manifests } = JSON.parse(text) as { manifests: { annotations?: Record<string, string> }[] };
      return manifests.flatMap(({ annotations }) => annotations?.['org.opencontainers.image.ref.name'] ?? []);
    },
    /** Bundles that are applied, and what did not end. */
    async status() {
      const { result } = await portolan(['bundle', 'status', '--state', state]);
      const bundles = (result?.bundles ?? []) as { applied?: { version: string }; running?: unknown }[];
      return bundles.map(({ applied, running }) => ({ version: applied?.version, running }));
    },
    async expectDone(): Promise<void> {
      expect(await side.names()).toEqual([IMAGE]);
      expect(await side.status()).toEqual([{ version: '1.0.0', running: undefined }]);
      // Every blob by its digest, and nothing half written.
      const blobs = join(images, 'blobs', 'sha256');
      const names = await readdir(blobs);
      const sums = await succeed('sha256sum', names, { cwd: blobs });
      expect(sums).toBe(names.map((name) => `${name}  ${name}\n`).join(''));
    },
  };
  return side;
}

function expectRefusal(ended: PortolanEnded, status: number, code: string): void {
  expect(ended, ended.stdout + ended.stderr).toMatchObject({ status, error: { code }, result: undefined });
}

async function copyOfStick(): Promise<string> {
  const stick = join(await mkdtemp(publisher.at('case-')), 'stick');
  await cp(publisher.medium, stick, { recursive: true });
  return stick;
}

describe('the stick', () => {
  test('each file that is damaged is named, before anything has a name', async () => {
    const stick = await copyOfStick();
    const files = (await readdir(stick, { recursive: true, withFileTypes: true })).filter((entry) => entry.isFile());
    const told: string[] = [];
    for (const entry of files) {
      const path = join(entry.parentPath, entry.name);
      const good = await readFile(path);
      const bad = Buffer.from(good);
      bad[bad.length >> 1] = (bad[bad.length >> 1] as number) ^ 1;
      await writeFile(path, bad);
      const side = await closedSide();
      const ended = await side.import(stick);
      await writeFile(path, good);
      // README.txt is for people; the signature lies there twice, and one copy is enough.
      if (ended.status === 0) {
        await side.expectDone();
        continue;
      }
      told.push(entry.name);
      // A folder whose marker is damaged is no medium at all.
      expect(ended.status, entry.name + ended.stdout).toBe(entry.name === 'oci-layout' ? 1 : 3);
      expect(ended.stdout, entry.name).toContain(entry.name);
      expect(await side.names()).toEqual([]);
    }
    const manifest = await manifestOf(publisher.medium, 'demo-1.0.0');
    const blobs = [manifest, ...manifest.layers].map(({ digest }) => digest.slice('sha256:'.length));
    expect(blobs.length).toBeGreaterThan(4);
    expect(told).toEqual(expect.arrayContaining(blobs));
  });

  test.each(['unmounted', 'unreadable'])('is pulled out while images are read (%s)', async (how) => {
    const stick = await mkdtemp(publisher.at('disk-'));
    const { image } = await mountExt4(stick, 32);
    await cp(publisher.medium, stick, { recursive: true });
    await remount(stick, 'ro');
    const side = await closedSide();
    const env = interruptAt(side.folder, 'SIGSTOP', { path: /blobs\/sha256/ });
    const running = startPortolan(side.args(stick), { env });
    await waitUntilStopped(running);
    if (how === 'unmounted') await succeed('umount', ['--lazy', stick]);
    else {
      await truncate(image, 4096);
      await forgetCached(stick);
    }
    goOn(running);
    const ended = await running.ended;
    if (how === 'unmounted') await succeed('mount', ['-o', 'ro', image, stick]);
    expectRefusal(ended, 1, 'DISK_GONE');
    expect(await side.names()).toEqual([]);
    expect(await side.import()).toMatchObject({ status: 0 });
    await side.expectDone();
  });

  test('is read-only', async () => {
    const stick = await mkdtemp(publisher.at('disk-'));
    await mountExt4(stick, 32);
    await cp(publisher.medium, stick, { recursive: true });
    await remount(stick, 'ro');
    const before = await snapshot(stick);
    const side = await closedSide();
    expect(await side.import(stick)).toMatchObject({ status: 0 });
    await side.expectDone();
    expect(await snapshot(stick)).toEqual(before);
  });
});

describe('the disk of the target is full', () => {
  test.each(['folder', 'k3s-images'])('beforehand: %s= is not written to', async (kind) => {
    const disk = await mkdtemp(publisher.at('disk-'));
    await mountTmpfs(disk, 1);
    const free = await fillDisk(disk);
    const target = `${kind}=${join(disk, 'images')}`;
    const side = await closedSide();
    const ended = await side.import(undefined, target);
    expectRefusal(ended, 1, 'TARGET_TOO_SMALL');
    expect(await readdir(disk)).toEqual(['filler']);
    await free();
    expect(await side.import(undefined, target)).toMatchObject({ status: 0 });
  });

  test.each([
    ['folder', /blobs\/sha256/],
    ['k3s-images', /images\/[^/]+$/],
  ] as const)('while %s= is written to', async (kind, path) => {
    const disk = await mkdtemp(publisher.at('disk-'));
    await mountTmpfs(disk, 2);
    const images = join(disk, 'images');
    const target = `${kind}=${images}`;
    const side = await closedSide();
    const running = startPortolan(side.args(undefined, target), { env: interruptAt(images, 'SIGSTOP', { path }) });
    await waitUntilStopped(running);
    const free = await fillDisk(disk);
    goOn(running);
    expectRefusal(await running.ended, 1, 'NO_SPACE');
    expect(namesIn(await snapshot(images))).toEqual([]);
    await free();
    expect(await side.import(undefined, target)).toMatchObject({ status: 0, result: { images: { sent: 1 } } });
    expect(await side.status()).toEqual([{ version: '1.0.0', running: undefined }]);
  });

  test('of a registry: told, and nothing is under a name', async () => {
    const disk = await mkdtemp(publisher.at('disk-'));
    await mountTmpfs(disk, 1);
    const registry = await startRegistryProcess(disk);
    onTestFinished(() => registry.close());
    const free = await fillDisk(disk);
    const side = await closedSide();
    const target = `registry=http://${registry.host}`;
    const ended = await side.import(undefined, target);
    expect(ended, ended.stdout + ended.stderr).toMatchObject({ status: 1, result: undefined });
    expect(ended.error?.hint).toBeTypeOf('string');
    expect((await portolan(['bundle', 'status', '--state', join(side.folder, 'state')])).status).toBe(0);
    expect((await fetch(`http://${registry.host}/v2/demo/web/manifests/1.0`)).status).toBe(404);
    await free();
    expect(await side.import(undefined, target)).toMatchObject({ status: 0 });
    await succeed('crane', ['validate', '--insecure', '--remote', `${registry.host}/demo/web:1.0`]);
  });

  test("of the node's containerd while images are sent", async () => {
    const disk = await mkdtemp(publisher.at('disk-'));
    await mountTmpfs(disk, 40);
    const containerd = await startContainerd({ root: disk });
    onTestFinished(() => containerd.close());
    const side = await closedSide();
    const node = { CONTAINERD_ADDRESS: containerd.options.address };
    const stop = interruptAt(side.folder, 'SIGSTOP', { path: /documents/ });
    const running = startPortolan(side.args(undefined, 'containerd'), { env: { ...stop, ...node } });
    await waitUntilStopped(running);
    const free = await fillDisk(disk);
    goOn(running);
    expectRefusal(await running.ended, 1, 'NO_SPACE');
    expect(await containerd.ctr('images', 'ls', '-q')).toBe('');
    await free();
    expect(await side.import(undefined, 'containerd', { env: node })).toMatchObject({ status: 0 });
    expect(await containerd.ctr('images', 'ls', '-q')).toContain(IMAGE);
    expect(await side.status()).toEqual([{ version: '1.0.0', running: undefined }]);
  });

  test('where Portolan keeps what it remembers: told, and the next run converges', async () => {
    const disk = await mkdtemp(publisher.at('disk-'));
    await mountTmpfs(disk, 1);
    const side = await closedSide();
    const state = ['--state', join(disk, 'state')];
    const free = await fillDisk(disk);
    expectRefusal(await portolan(side.args(undefined, undefined, state)), 1, 'NO_SPACE');
    expect(await side.names()).toEqual([]);
    await free();
    expect(await portolan(side.args(undefined, undefined, state))).toMatchObject({ status: 0 });
  });
});

/** Archives and lists, by which an engine finds images. */
function namesIn(files: ReadonlyMap<string, string>): string[] {
  return [...files.keys()].filter((path) => /\/index\.json$|\.(?:tar|zst|gz)$/.test(path));
}

test('killed at every point at which it changes a disk, it comes to the same end', async () => {
  let call = 1 + (Number(process.env.PORTOLAN_SEED) % STRIDE);
  for (let ended = false; !ended; call += STRIDE) {
    const side = await closedSide();
    const killed = await portolan(side.args(), { env: interruptAt(side.folder, 'SIGKILL', { call }) });
    ended = killed.signal === null;
    if (ended) expect(killed, killed.stdout).toMatchObject({ status: 0 });
    // A name leads to a whole image, or there is none.
    if ((await side.names()).length > 0) {
      expect(await readdir(join(side.images, 'blobs', 'sha256'))).toHaveLength(IMAGE_BLOBS);
    }
    const again = await side.import();
    expect(again, `${call}: ${again.stdout}`).toMatchObject({ status: 0 });
    await side.expectDone();
  }
  expect(call).toBeGreaterThan(STRIDE * 5);
});

describe('another one', () => {
  test("an older bundle, another publisher's, another audience's: nothing is changed", async () => {
    const side = await closedSide();
    const stick = join(await mkdtemp(publisher.at('case-')), 'stick');
    const definition = publisher.at('project', 'bundle.yaml');
    const text = await readFile(definition, 'utf8');
    onTestFinished(() => writeFile(definition, text));
    await writeFile(definition, text.replace('sequence: 1', 'sequence: 2').replace('1.0.0', '2.0.0'));
    expect(await publisher.build({ medium: stick })).toMatchObject({ status: 0 });
    await writeFile(
      definition,
      `${text.replace('sequence: 1', 'sequence: 3').replace('1.0.0', '3.0.0')}audience: [another-ship]\n`,
    );
    expect(await publisher.build({ medium: stick })).toMatchObject({ status: 0 });
    expect(await side.import(`${stick}:demo-2.0.0`)).toMatchObject({ status: 0 });
    const before = await snapshot(side.folder);

    expectRefusal(await side.import(), 3, 'DOWNGRADE_REFUSED');
    const key = (await readFile(publisher.trust, 'utf8')).trim();
    const trust = publisher.at('trust.json');
    await writeFile(trust, JSON.stringify({ keys: [{ name: 'publisher', publicKey: key }], audience: ['this-ship'] }));
    const args = side.args(`${stick}:demo-3.0.0`);
    args[args.indexOf('--trust') + 1] = trust;
    expectRefusal(await portolan(args), 3, 'AUDIENCE_MISMATCH');
    await succeed('cosign', ['generate-key-pair', '--output-key-prefix', 'stranger'], {
      cwd: publisher.root,
      env: publisher.env,
    });
    const other = side.args(`${stick}:demo-3.0.0`);
    other[other.indexOf('--trust') + 1] = publisher.at('stranger.pub');
    expectRefusal(await portolan(other), 3, 'NOT_SIGNED_BY_TRUSTED');
    expect(await snapshot(side.folder)).toEqual(before);
  });
});

describe('two at once', () => {
  /** An import that stands still while it sends images, with the lock held. */
  async function standing() {
    const side = await closedSide();
    const env = interruptAt(side.folder, 'SIGSTOP', { path: /blobs\/sha256/ });
    const running = startPortolan(side.args(), { env });
    onTestFinished(() => killHard(running));
    await waitUntilStopped(running);
    return { side, running };
  }

  test('the second says who holds the target', async () => {
    const { side, running } = await standing();
    const second = await side.import();
    expectRefusal(second, 1, 'TARGET_LOCKED');
    expect(second.stdout).toContain(`process ${running.child.pid}`);
    goOn(running);
    expect(await running.ended).toMatchObject({ status: 0 });
    await side.expectDone();
  });

  test('the second waits, and finds it done', async () => {
    const { side, running } = await standing();
    const second = startPortolan(side.args(undefined, undefined, ['--wait-lock', '120']));
    onTestFinished(() => killHard(second));
    await waitUntilSaid(second, 'waiting for');
    goOn(running);
    expect(await running.ended).toMatchObject({ status: 0 });
    expect(await second.ended).toMatchObject({ status: 0, result: { images: { sent: 0 } } });
    await side.expectDone();
  });

  test('a holder that was killed is no holder', async () => {
    const { side, running } = await standing();
    killHard(running);
    await running.ended;
    expect(await side.import()).toMatchObject({ status: 0 });
    await side.expectDone();
  });

  test('Ctrl-C in the middle: status 130, nothing under a name, and the next run converges', async () => {
    const { side, running } = await standing();
    process.kill(running.child.pid as number, 'SIGINT');
    goOn(running);
    expect(await running.ended).toMatchObject({ status: 130, result: undefined });
    expect(await side.names()).toEqual([]);
    expect(await side.import()).toMatchObject({ status: 0 });
    await side.expectDone();
  });
});

/** Waits until a running program has printed a text. */
async function waitUntilSaid({ child }: PortolanRunning, text: string): Promise<void> {
  let said = '';
  const gone = new Promise<never>((_, reject) =>
    child.once('close', () => reject(new Error(`it never said: ${text}`))),
  );
  const heard = new Promise<void>((resolve) => {
    for (const stream of [child.stdout, child.stderr]) {
      stream?.on('data', (part: string) => {
        said += part;
        if (said.includes(text)) resolve();
      });
    }
  });
  await Promise.race([heard, gone]);
}

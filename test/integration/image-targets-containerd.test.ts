import { spawnSync } from 'node:child_process';
import { mkdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type ContainerdOptions, createContainerdTarget } from '../../src/adapters/containerd/containerd.ts';
import { AdapterError } from '../../src/adapters/errors.ts';
import type { Digest } from '../../src/core/digest.ts';
import type { ImageTarget, TargetImage } from '../../src/ports/image-target.ts';
import { startContainerd } from '../support/containerd-process.ts';
import { createContent, type ImageContent, pseudoRandom } from '../support/image-content.ts';
import { describeImageTarget } from '../support/image-target-suite.ts';
import { mountTmpfs } from '../support/mounts.ts';
import { succeed } from '../support/program.ts';
import {
  attachmentOf,
  blobsOf,
  ELSEWHERE,
  realImage,
  realLayer,
  type StreamOptions,
  streamOf,
  targetImage,
} from '../support/target-images.ts';
import { temporaryFolder } from '../support/temporary.ts';

describeImageTarget('containerd', async () => {
  const containerd = await startContainerd();
  return {
    create: () => createContainerdTarget(containerd.options),
    async read(reference) {
      const listed = await containerd.ctr('images', 'ls', `name==${reference}`);
      const digest = /sha256:[0-9a-f]{64}/.exec(listed)?.[0];
      if (digest === undefined) return undefined;
      const get = (wanted: string) =>
        spawnSync('ctr', ['-a', containerd.options.address ?? '', '-n', 'k8s.io', 'content', 'get', wanted]);
      return { digest: digest as Digest, blob: async (wanted) => get(wanted).stdout };
    },
    close: () => containerd.close(),
  };
});

const WEB = 'registry.example/cms/web:1.4.0';
const PINNED = 'io.cri-containerd.pinned';
const MIB = 1024 * 1024;

async function raise(options: Parameters<typeof startContainerd>[0] = {}) {
  const containerd = await startContainerd(options);
  onTestFinished(() => containerd.close());
  return { containerd, target: createContainerdTarget(containerd.options) };
}

async function raiseOnSmallDisk() {
  const root = join(await temporaryFolder(), 'disk');
  await mountTmpfs(root, 40);
  return { ...(await raise({ root })), root };
}

async function oneImage(sizeBytes = 20_000): Promise<{ content: ImageContent; image: TargetImage }> {
  const content = createContent();
  const layer = await realLayer(content, { run: 'web', data: pseudoRandom('web', sizeBytes) });
  return { content, image: targetImage(content, WEB, realImage(content, [layer])) };
}

const send = (target: ImageTarget, content: ImageContent, image: TargetImage, options: StreamOptions = {}) =>
  target.write([image], streamOf(content, blobsOf([image]), options));

async function isDone(target: ImageTarget, image: TargetImage): Promise<boolean> {
  return (await target.survey([image])).images.has(image.reference);
}

async function codeOf(work: Promise<unknown>): Promise<unknown> {
  const error = await work.then(
    () => undefined,
    (cause: unknown) => cause,
  );
  expect(error).toBeInstanceOf(AdapterError);
  return (error as AdapterError).code;
}

/** Where the bytes of a blob are halfway through, once. */
function midway(image: TargetImage, act: () => void | Promise<void>): StreamOptions {
  const layer = image.blobs.find(({ role }) => role === 'image-layer');
  let done = false;
  return {
    onPart: async ({ digest, sizeBytes }, part) => {
      if (done || digest !== layer?.digest || part * 3000 < sizeBytes / 2) return;
      done = true;
      await act();
    },
  };
}

describe('containerd', () => {
  it('unpacks what it takes, and pins it for good against the garbage collection of the kubelet', async () => {
    const { containerd, target } = await raise();
    const { content, image } = await oneImage();
    await send(target, content, image);
    const mounted = join(containerd.folder, 'mounted');
    await mkdir(mounted);
    await containerd.ctr('images', 'mount', WEB, mounted);
    expect(await readFile(join(mounted, 'run'), 'utf8')).toBe('web');
    await containerd.ctr('images', 'unmount', mounted);
    // The kubelet's plugin learns of the image and labels it in its turn.
    const labelled = () => containerd.ctr('images', 'ls', `name==${WEB}`);
    while (!(await labelled()).includes('io.cri-containerd.image=managed')) await sleep(20);
    expect(await labelled()).toContain(`${PINNED}=pinned`);
    expect(await isDone(target, image)).toBe(true);
  });

  it('counts an image that is not pinned as not done, and pins it without any blob', async () => {
    const { containerd, target } = await raise();
    const { content, image } = await oneImage();
    await send(target, content, image);
    await containerd.ctr('images', 'label', WEB, `${PINNED}=`);
    const survey = await target.survey([image]);
    expect([...survey.images]).toEqual([]);
    expect(survey.blobs.size).toBe(image.blobs.length);
    await target.write([image], streamOf(content, []));
    expect(await isDone(target, image)).toBe(true);
  });

  it('names an image as the kubelet looks for it: by its digest alone where the chart has one', async () => {
    const { containerd, target } = await raise();
    const { content, image } = await oneImage();
    const reference = `${WEB}@${image.digest}`;
    const images = [
      { ...image, reference },
      { ...image, reference: 'docker.io/library/web:2' },
    ];
    await target.write(images, streamOf(content, blobsOf(images)));
    expect((await target.survey(images)).images.size).toBe(2);
    const names = (await containerd.ctr('images', 'ls', '-q')).trim().split('\n');
    expect(names).toContain(`registry.example/cms/web@${image.digest}`);
    expect(names).toContain('docker.io/library/web:2');
    expect(names).not.toContain(reference);
    expect(await target.remove(images)).toHaveLength(2);
  });

  it('leaves attachments and blobs of other platforms out, and does not ask for them again', async () => {
    const { target } = await raise();
    const content = createContent();
    const [here, there] = [
      realImage(content, [await realLayer(content, { run: 'here' })]),
      realImage(content, [await realLayer(content, { run: 'there' })], { platform: ELSEWHERE }),
    ];
    const index = content.index([there, here]);
    const image = targetImage(content, WEB, index, [attachmentOf(content, index)]);
    const attached = image.blobs.filter(({ role }) => role === 'image-attachment').map(({ digest }) => digest);
    expect([...((await target.survey([image])).unwanted ?? [])].sort()).toEqual(attached.toSorted());
    await send(target, content, image);
    const survey = await target.survey([image]);
    expect([...survey.images]).toEqual([WEB]);
    for (const { digest } of image.blobs) expect(survey.blobs.has(digest) || survey.unwanted?.has(digest)).toBe(true);
    for (const digest of attached) expect(survey.blobs.has(digest)).toBe(false);
    // As well when the image is written once more beside others: what was left out is not missed.
    await target.write([image], streamOf(content, []));
    expect(await isDone(target, image)).toBe(true);
  });

  it('says which blob was collected as garbage since the survey, and takes it the next time', async () => {
    const { target } = await raise();
    const content = createContent();
    const base = await realLayer(content, { run: 'base' });
    const old = targetImage(content, 'registry.example/old:1', realImage(content, [base]));
    const fresh = targetImage(content, WEB, realImage(content, [base, await realLayer(content, { more: 'fresh' })]));
    await send(target, content, old);
    const { blobs } = await target.survey([fresh]);
    expect(blobs.has(base.descriptor.digest)).toBe(true);
    await target.remove([old]);
    await expect(target.write([fresh], streamOf(content, blobsOf([fresh], blobs)))).rejects.toMatchObject({
      code: 'TARGET_INCOMPLETE',
      at: { digest: base.descriptor.digest },
    });
    const again = await target.survey([fresh]);
    await target.write([fresh], streamOf(content, blobsOf([fresh], again.blobs)));
    expect(await isDone(target, fresh)).toBe(true);
  });

  it('gives the disk back when an image is removed', async () => {
    const { containerd, target } = await raise();
    const { content, image } = await oneImage();
    await send(target, content, image);
    expect(await target.remove([image])).toEqual([WEB]);
    expect((await target.survey([image])).blobs.size).toBe(0);
    expect((await containerd.ctr('snapshots', 'ls')).trim().split('\n')).toHaveLength(1);
  });

  it('unpacks with a snapshotter that the transfer service does not know', async () => {
    const { containerd } = await raise({ snapshotter: 'native' });
    const target = createContainerdTarget({ ...containerd.options, snapshotter: 'native' });
    const { content, image } = await oneImage();
    await send(target, content, image);
    expect(await isDone(target, image)).toBe(true);
    expect(await containerd.ctr('snapshots', '--snapshotter', 'native', 'ls')).toMatch(/sha256:/);
  });

  it('names the file systems that fill up', async () => {
    const { containerd, target } = await raise();
    const [need, ...others] = await target.space(1000, 5000);
    expect(others).toEqual([]);
    expect(need?.path.startsWith(join(containerd.folder, 'root'))).toBe(true);
    expect(need?.neededBytes).toBe(6000);
    expect(need?.freeBytes).toBeGreaterThan(0);
  });
});

describe('containerd on a bad day', () => {
  it('is full: nothing is named, and it takes the image once there is space', async () => {
    const { containerd, target, root } = await raiseOnSmallDisk();
    const { content, image } = await oneImage(60 * MIB);
    expect(await codeOf(send(target, content, image))).toBe('NO_SPACE');
    expect(await isDone(target, image)).toBe(false);
    expect(await containerd.ctr('images', 'ls', '-q')).toBe('');
    await succeed('mount', ['-o', 'remount,size=300m', root]);
    await send(target, content, image);
    expect(await isDone(target, image)).toBe(true);
  });

  it('has no space left to unpack: nothing is named', async () => {
    const { containerd, target, root } = await raiseOnSmallDisk();
    const content = createContent();
    // Zeros: small as a blob, large as files.
    const layer = await realLayer(content, { run: 'web', data: new Uint8Array(60 * MIB) });
    const image = targetImage(content, WEB, realImage(content, [layer]));
    expect(await codeOf(send(target, content, image))).toBe('NO_SPACE');
    expect(await containerd.ctr('images', 'ls', '-q')).toBe('');
    await succeed('mount', ['-o', 'remount,size=300m', root]);
    await send(target, content, image);
    expect(await isDone(target, image)).toBe(true);
  });

  it('is killed in the middle: the next write converges', async () => {
    const { containerd, target } = await raise();
    const { content, image } = await oneImage(8 * MIB);
    expect(
      await codeOf(
        send(
          target,
          content,
          image,
          midway(image, () => containerd.kill()),
        ),
      ),
    ).toBe('CONTAINERD_UNREACHABLE');
    await containerd.start();
    expect(await isDone(target, image)).toBe(false);
    await send(target, content, image);
    expect(await isDone(target, image)).toBe(true);
  });

  it('hangs in the middle: it is given up in time, and the next write converges', async () => {
    const { containerd } = await raise();
    // Long enough for a busy machine to get to the pause.
    const limits = { answerMs: 10_000, stallMs: 10_000 };
    const impatient = createContainerdTarget({ ...containerd.options, limits });
    const { content, image } = await oneImage(8 * MIB);
    let isPaused = false;
    const midst = midway(image, () => {
      isPaused = true;
      containerd.pause();
    });
    try {
      expect(await codeOf(send(impatient, content, image, midst))).toBe('CONTAINERD_TIMEOUT');
      expect(isPaused).toBe(true);
      expect(await codeOf(impatient.survey([image]))).toBe('CONTAINERD_TIMEOUT');
    } finally {
      containerd.resume();
    }
    const target = createContainerdTarget(containerd.options);
    await send(target, content, image);
    expect(await isDone(target, image)).toBe(true);
  });

  it.each([
    ['there is no program', { ctr: ['/nonexistent/ctr'] }, 'CONTAINERD_MISSING'],
    ['it does not run', { address: '/nonexistent/containerd.sock' }, 'CONTAINERD_UNREACHABLE'],
    [
      'this user may not use it',
      { ctr: ['setpriv', '--reuid=65534', '--regid=65534', '--clear-groups', 'ctr'] },
      'CONTAINERD_DENIED',
    ],
  ] as const)('is reported by the check when %s', async (_why, change, code) => {
    const { containerd } = await raise();
    const options: ContainerdOptions = { ...containerd.options, ...change };
    expect((await createContainerdTarget(options).check()).map((problem) => problem.code)).toEqual([code]);
    const { content, image } = await oneImage();
    expect(await codeOf(send(createContainerdTarget(options), content, image))).toBe(code);
  });

  it('answers another version of ctr: both are named', async () => {
    const folder = await temporaryFolder();
    const script = join(folder, 'ctr');
    const version = (text: string) => `  Version:  ${text}\\n  Revision: 1\\n`;
    await writeFile(
      script,
      `#!/bin/sh\nprintf 'Client:\\n${version('v2.1.5-k3s1')}\\nServer:\\n${version('1.6.20')}  UUID: 1\\n'\n`,
      { mode: 0o755 },
    );
    const target = createContainerdTarget({ ctr: [script], environment: { PATH: process.env.PATH ?? '' } });
    const problems = await target.check();
    expect(problems.map(({ code, expected, found }) => [code, expected, found])).toEqual([
      ['CONTAINERD_FAILED', '1.6.20', 'v2.1.5-k3s1'],
    ]);
  });
});

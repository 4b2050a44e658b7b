/** Full disks, read-only media, wrong keys, hostile files: exit status, code, and that nothing was left or overwritten. */
import { execFile } from 'node:child_process';
import {
  chmod,
  cp,
  lstat,
  mkdir,
  mkdtemp,
  readdir,
  readFile,
  rename,
  rm,
  symlink,
  truncate,
  writeFile,
} from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestOf } from '../../src/core/digest.ts';
import { interruptAt } from '../support/interruption.ts';
import { fillDisk, mountExfat, mountTmpfs, remount } from '../support/mounts.ts';
import {
  goOn,
  type PortolanEnded,
  portolan,
  portolanText,
  startPortolan,
  waitUntilStopped,
} from '../support/program.ts';
import {
  createPublisher,
  manifestOf,
  PASSWORD,
  PROJECT_FILES,
  type Publisher,
  snapshot,
} from '../support/publisher.ts';

const TAG = 'demo-1.0.0';
let publisher: Publisher;
beforeAll(async () => {
  publisher = await createPublisher();
  expect(await publisher.build()).toMatchObject({ status: 0, result: { tag: TAG } });
});
afterAll(() => publisher?.dispose());

/** A folder of its own, removed with the publisher's. */
const folder = () => mkdtemp(publisher.at('case-'));

/** A copy of the publisher's medium. */
async function copyOfMedium(): Promise<string> {
  const medium = join(await folder(), 'stick');
  await cp(publisher.medium, medium, { recursive: true });
  return medium;
}

function expectRefusal(ended: PortolanEnded, status: number, code: string): void {
  expect(ended, ended.stdout + ended.stderr).toMatchObject({ status, error: { code }, result: undefined });
}

/** The codes of the problems that verify found. */
function codesOf({ result }: PortolanEnded): string {
  const problems = (result?.problems ?? []) as readonly { readonly code: string }[];
  return problems.map(({ code }) => code).join(' ');
}

describe('a full disk', () => {
  test('that can be told beforehand: nothing is written', async () => {
    const disk = await folder();
    await mountTmpfs(disk, 8);
    expectRefusal(await publisher.build({ medium: disk }), 1, 'MEDIUM_TOO_SMALL');
    expect(await readdir(disk)).toEqual([]);
    const medium = join(disk, 'stick');
    expectRefusal(await publisher.build({ medium }), 1, 'MEDIUM_TOO_SMALL');
    expect(await readdir(disk)).toEqual([]);
  });

  test.each([/\.part$/, /\/\.README\.txt\./, /\/\.index\.json\./])(
    'that fills before %s is written: what was there stays, and the next build goes on',
    async (path) => {
      const disk = await folder();
      await mountTmpfs(disk, 48);
      await cp(publisher.medium, disk, { recursive: true });
      const before = await publisher.verify(disk);
      const running = publisher.startBuild(
        { medium: disk, args: ['--no-reuse'] },
        { env: interruptAt(disk, 'SIGSTOP', { path }) },
      );
      await waitUntilStopped(running);
      const free = await fillDisk(disk);
      goOn(running);
      expectRefusal(await running.ended, 1, 'NO_SPACE');
      const after = await publisher.verify(disk);
      expect(after.result).toEqual(before.result);
      expect(after.status).toBe(0);
      const names = (await readdir(disk, { recursive: true })).filter((name) => /\.part$|\.tmp$|\.portolan/.test(name));
      expect(names).toEqual([]);
      await free();
      expect(await publisher.build({ medium: disk })).toMatchObject({ status: 0 });
      expect(await publisher.verify(disk)).toMatchObject({ status: 0 });
      const { layers } = await manifestOf(disk, TAG);
      expect(await readdir(join(disk, 'blobs', 'sha256'))).toHaveLength(layers.length + 4);
    },
  );

  test('that is full of what an interrupted build left: that goes', async () => {
    const disk = await folder();
    await mountTmpfs(disk, 24);
    expect(await publisher.build({ medium: disk })).toMatchObject({ status: 0 });
    await writeFile(publisher.blobPath(digestOf('left'), disk), Buffer.alloc(12 * 1024 * 1024));
    await publisher.change('1.0.1');
    const built = await publisher.build({ medium: disk });
    await publisher.change('1.0.0', 'small\n');
    expect(built, built.stdout).toMatchObject({ status: 0 });
    for (const tag of [TAG, 'demo-1.0.1'])
      expect(await publisher.verify(`${disk}:${tag}`)).toMatchObject({ status: 0 });
  });

  test('that is full to the last byte: not even a lock or a folder is left', async () => {
    const disk = await folder();
    await mountTmpfs(disk, 2);
    await mkdir(join(disk, 'empty'));
    const free = await fillDisk(disk);
    expectRefusal(await publisher.build({ medium: join(disk, 'empty') }), 1, 'NO_SPACE');
    expectRefusal(await publisher.build({ medium: join(disk, 'new') }), 1, 'NO_SPACE');
    expectRefusal(await publisher.unpack(publisher.medium, join(disk, 'opened')), 1, 'NO_SPACE');
    await free();
    expect(await readdir(disk, { recursive: true })).toEqual(['empty']);
  });

  test('to unpack to, told beforehand and found out later: nothing is left', async () => {
    const disk = await folder();
    await mountTmpfs(disk, 2);
    expectRefusal(await publisher.unpack(publisher.medium, join(disk, 'opened')), 1, 'TARGET_TOO_SMALL');
    expect(await readdir(disk)).toEqual([]);

    const larger = await folder();
    await mountTmpfs(larger, 16);
    const args = ['bundle', 'unpack', publisher.medium, join(larger, 'opened'), '--trust', publisher.trust];
    const env = interruptAt(larger, 'SIGSTOP', { path: /\/files\/big\.bin$/ });
    const running = startPortolan([...args, '-i', publisher.identity], { env });
    await waitUntilStopped(running);
    const free = await fillDisk(larger);
    goOn(running);
    expectRefusal(await running.ended, 1, 'NO_SPACE');
    await free();
    expect(await readdir(larger)).toEqual([]);
  });
});

test('an exFAT stick: built onto, killed, built onto by two, verified, unpacked to', async () => {
  const disk = await folder();
  await mountExfat(disk, 64);
  const medium = join(disk, 'stick');
  const killed = await publisher.build({ medium }, { env: interruptAt(medium, 'SIGKILL', { path: /\.part$/ }) });
  expect(killed.signal).toBe('SIGKILL');
  const first = publisher.startBuild({ medium }, { env: interruptAt(medium, 'SIGSTOP', { path: /\/index\.json$/ }) });
  await waitUntilStopped(first);
  expectRefusal(await publisher.build({ medium }), 1, 'MEDIUM_BUSY');
  goOn(first);
  expect(await first.ended).toMatchObject({ status: 0 });
  expect(await publisher.build({ medium })).toMatchObject({ status: 0, result: { pieces: { sealed: 0 } } });
  expect(await publisher.verify(medium)).toMatchObject({ status: 0, result: { ok: true } });
  const { layers } = await manifestOf(medium, TAG);
  expect(await readdir(join(medium, 'blobs', 'sha256'))).toHaveLength(layers.length + 4);
  expect((await readdir(medium)).sort()).toEqual(
    ['README.txt', 'blobs', `${TAG}.sigstore.json`, 'index.json', 'oci-layout'].sort(),
  );
  const target = join(disk, 'opened');
  expect(await publisher.unpack(medium, target)).toMatchObject({ status: 0 });
  for (const [path, bytes] of Object.entries(PROJECT_FILES)) {
    expect(Buffer.compare(await readFile(join(target, 'files', path)), bytes)).toBe(0);
  }
  expect((await readdir(disk)).sort()).toEqual(['opened', 'stick']);
});

test('a read-only medium is read, and not written', async () => {
  const disk = await folder();
  await mountTmpfs(disk, 32);
  await cp(publisher.medium, disk, { recursive: true });
  await remount(disk, 'ro');
  expect(await publisher.verify(disk)).toMatchObject({ status: 0, result: { ok: true } });
  expect(await portolan(['bundle', 'list', disk])).toMatchObject({ status: 0, result: { bundles: [{ tag: TAG }] } });
  const target = join(await folder(), 'opened');
  expect(await publisher.unpack(disk, target)).toMatchObject({ status: 0 });
  expectRefusal(await publisher.build({ medium: disk }), 1, 'READ_ONLY');
  expectRefusal(await publisher.build({ medium: join(disk, 'new') }), 1, 'READ_ONLY');
  const sign = ['bundle', 'sign', disk, '--sign-key', publisher.at('cosign.key')];
  expectRefusal(await portolan(sign, { env: { COSIGN_PASSWORD: PASSWORD } }), 1, 'READ_ONLY');
  expectRefusal(await publisher.unpack(publisher.medium, join(disk, 'opened')), 1, 'READ_ONLY');
  await remount(disk, 'rw');
});

test('a disk is mounted where a bundle should be unpacked: the hint names a folder on it', async () => {
  const disk = await folder();
  await mountTmpfs(disk, 16);
  const refused = await publisher.unpack(publisher.medium, disk);
  expectRefusal(refused, 1, 'FILE_UNWRITABLE');
  expect(await readdir(disk)).toEqual([]);
  expect(await publisher.unpack(publisher.medium, join(disk, 'opened'))).toMatchObject({ status: 0 });
});

describe('keys and passwords', () => {
  /** Builds with other arguments in the place of the usual keys; nothing may be written. */
  async function buildWith(args: readonly string[], env: Record<string, string | undefined> = {}) {
    const medium = join(await folder(), 'stick');
    const definition = ['bundle', 'build', publisher.at('project'), '--out', medium, '--cache', publisher.at('cache')];
    const ended = await portolan([...definition, ...args], { env: { COSIGN_PASSWORD: undefined, ...env } });
    expect(await readdir(join(medium, '..'))).toEqual([]);
    return ended;
  }
  const signKey = () => ['--sign-key', publisher.at('cosign.key')];
  const recipient = () => ['-r', publisher.recipient];

  test('a wrong password, from a file and from the environment', async () => {
    const file = publisher.at('password.txt');
    await writeFile(file, 'wrong-and-secret\n');
    const fromFile = await buildWith([...recipient(), ...signKey(), '--password-file', file]);
    const fromEnvironment = await buildWith([...recipient(), ...signKey()], { COSIGN_PASSWORD: 'wrong-and-secret' });
    for (const ended of [fromFile, fromEnvironment]) {
      expectRefusal(ended, 1, 'WRONG_PASSWORD');
      expect(ended.stdout + ended.stderr).not.toContain('wrong-and-secret');
    }
  });

  test('no password, and no terminal to ask for it', async () => {
    expectRefusal(await buildWith([...recipient(), ...signKey()]), 2, 'NO_TERMINAL');
  });

  test('the right password, from a file whose editor ended the line', async () => {
    const medium = join(await folder(), 'stick');
    const file = publisher.at('password-right.txt');
    await writeFile(file, `${PASSWORD}\n`);
    const env = { COSIGN_PASSWORD: 'wrong' };
    expect(await publisher.build({ medium, args: ['--password-file', file] }, { env })).toMatchObject({ status: 0 });
  });

  test('the password and the identity are in no argument of any process, no output and no environment of a child', async () => {
    const medium = join(await folder(), 'stick');
    const helm = publisher.at('helm-that-tells');
    const told = publisher.at('told.txt');
    await writeFile(helm, `#!/bin/sh\n{ env; echo "$@"; } >>'${told}'\nexec helm "$@"\n`);
    await chmod(helm, 0o755);
    const running = publisher.startBuild(
      { medium, args: ['--helm', helm] },
      { env: interruptAt(medium, 'SIGSTOP', { path: /\/index\.json$/ }) },
    );
    await waitUntilStopped(running);
    const lines = await Promise.all(
      (await readdir('/proc'))
        .filter((name) => /^\d+$/.test(name))
        .map((pid) => readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')),
    );
    expect(lines.some((line) => line.includes(medium))).toBe(true);
    goOn(running);
    const built = await running.ended;
    expect(built).toMatchObject({ status: 0 });
    const unpacked = await publisher.unpack(medium, join(await folder(), 'opened'));
    const text = [
      ...lines,
      built.stdout,
      built.stderr,
      unpacked.stdout,
      unpacked.stderr,
      await readFile(told, 'utf8'),
    ].join('\n');
    expect(text).not.toContain(PASSWORD);
    const secret = /AGE-SECRET-KEY-\S+/.exec(await readFile(publisher.identity, 'utf8'))?.[0] ?? '';
    expect(secret).not.toBe('');
    expect(text).not.toContain(secret);
  });

  test('key files that are missing, a folder, or of another kind', async () => {
    const missing = publisher.at('missing');
    const env = { COSIGN_PASSWORD: PASSWORD };
    expectRefusal(await buildWith([...recipient(), '--sign-key', missing], env), 1, 'FILE_MISSING');
    expectRefusal(await buildWith([...recipient(), '--sign-key', publisher.root], env), 1, 'FILE_UNREADABLE');
    expectRefusal(await buildWith([...recipient(), '--sign-key', publisher.trust], env), 2, 'SIGNING_KEY_UNSUPPORTED');
    expectRefusal(await buildWith([...recipient(), '--sign-key', publisher.identity], env), 2, 'SIGNING_KEY_INVALID');
    expectRefusal(await buildWith([...recipient(), ...signKey(), '--password-file', missing]), 1, 'FILE_MISSING');
    expectRefusal(await buildWith(['-R', missing, ...signKey()], env), 1, 'FILE_MISSING');
    expectRefusal(await publisher.verify(publisher.medium, ['-i', missing]), 1, 'FILE_MISSING');
    expectRefusal(await publisher.verify(publisher.medium, ['-i', publisher.trust]), 2, 'IDENTITY_INVALID');
    const verify = ['bundle', 'verify', publisher.medium, '--trust'];
    expectRefusal(await portolan([...verify, missing]), 1, 'FILE_MISSING');
    const wrong = await portolan([...verify, publisher.at('cosign.key')]);
    expect(wrong).toMatchObject({ status: 2 });
    expect(wrong.stdout + wrong.stderr).not.toContain('ENCRYPTED');
  });

  test('key files without an end are refused at once', async () => {
    const huge = publisher.at('huge');
    await writeFile(huge, '');
    await truncate(huge, 2 ** 40);
    const env = { COSIGN_PASSWORD: PASSWORD };
    expectRefusal(await buildWith([...recipient(), '--sign-key', huge], env), 1, 'FILE_TOO_LARGE');
    expectRefusal(await buildWith([...recipient(), ...signKey(), '--password-file', huge]), 1, 'FILE_TOO_LARGE');
    expectRefusal(await buildWith(['-R', huge, ...signKey()], env), 1, 'FILE_TOO_LARGE');
    expectRefusal(await publisher.verify(publisher.medium, ['-i', huge]), 1, 'FILE_TOO_LARGE');
    expectRefusal(await portolan(['bundle', 'verify', publisher.medium, '--trust', huge]), 1, 'FILE_TOO_LARGE');
    for (const endless of ['/dev/zero', '/dev/urandom']) {
      const ended = await publisher.verify(publisher.medium, ['-i', endless]);
      expect(ended).toMatchObject({ status: 1 });
      expect(['FILE_TOO_LARGE', 'FILE_UNREADABLE']).toContain(ended.error?.code);
    }
  });

  test('recipients of two kinds, none, a mistyped one', async () => {
    const { recipient: postQuantum } = await publisher.createIdentity('pq.txt', ['-pq']);
    const env = { COSIGN_PASSWORD: PASSWORD };
    expectRefusal(await buildWith([...recipient(), '-r', postQuantum, ...signKey()], env), 2, 'RECIPIENTS_MIXED');
    expectRefusal(await buildWith(signKey(), env), 2, 'RECIPIENTS_EMPTY');
    const mistyped = publisher.recipient.replace(/.$/, (last) => (last === 'q' ? 'p' : 'q'));
    expectRefusal(await buildWith(['-r', mistyped, ...signKey()], env), 2, 'RECIPIENT_INVALID');
  });

  test('an identity in the place of a recipient is refused and never shown', async () => {
    const env = { COSIGN_PASSWORD: PASSWORD };
    const file = publisher.at('recipients.txt');
    for (const flags of [[], ['-pq']]) {
      const { path } = await publisher.createIdentity(`given${flags.length}.txt`, flags);
      const secret = /AGE-SECRET-KEY-\S+/.exec(await readFile(path, 'utf8'))?.[0] ?? '';
      expect(secret).not.toBe('');
      await writeFile(file, `# operators\n${secret}\n`);
      for (const args of [
        ['-r', secret],
        ['-r', secret.toLowerCase()],
        ['-R', file],
        ['-R', path],
      ]) {
        const ended = await buildWith([...args, ...signKey()], env);
        expectRefusal(ended, 2, 'RECIPIENT_IS_IDENTITY');
        const shown = await portolanText(
          ['bundle', 'build', publisher.at('project'), '--out', 'x', ...args, ...signKey()],
          { env },
        );
        for (const text of [ended.stdout, ended.stderr, shown.stdout, shown.stderr]) {
          expect(text.toUpperCase()).not.toContain(secret.slice(-20));
        }
      }
    }
  });

  test('another identity than the recipients', async () => {
    const { path } = await publisher.createIdentity('stranger.txt');
    const verified = await publisher.verify(publisher.medium, ['-i', path]);
    expect(verified).toMatchObject({ status: 1, result: { problems: [{ code: 'NO_MATCHING_IDENTITY' }] } });
    const target = join(await folder(), 'opened');
    expectRefusal(await publisher.unpack(publisher.medium, target, ['-i', path]), 1, 'NO_MATCHING_IDENTITY');
    expect(await readdir(join(target, '..'))).toEqual([]);
  });
});

describe('folders that are not ours', () => {
  const makers: Readonly<Record<string, (medium: string) => Promise<unknown>>> = {
    'holiday pictures': (medium) => writeFile(join(medium, 'beach.jpg'), 'picture'),
    'an image layout': async (medium) => {
      await rm(medium, { recursive: true });
      await cp(publisher.at('project', 'images'), medium, { recursive: true });
    },
    'a medium whose blobs are a link to a folder of this machine': async (medium) => {
      await cp(publisher.medium, medium, { recursive: true });
      await rename(join(medium, 'blobs'), join(medium, '..', 'elsewhere'));
      await writeFile(join(medium, '..', 'elsewhere', 'sha256', 'f'.repeat(64)), 'precious');
      await symlink(join(medium, '..', 'elsewhere'), join(medium, 'blobs'));
    },
    'a medium whose work folder is a link': async (medium) => {
      await cp(publisher.medium, medium, { recursive: true });
      await mkdir(join(medium, '..', 'elsewhere'));
      await writeFile(join(medium, '..', 'elsewhere', 'thesis.part'), 'precious');
      await symlink(join(medium, '..', 'elsewhere'), join(medium, '.portolan'));
    },
    'a layout of a later version': (medium) => writeFile(join(medium, 'oci-layout'), '{"imageLayoutVersion":"2.0.0"}'),
  };
  test.each(Object.entries(makers))('%s', async (_, make) => {
    const medium = join(await folder(), 'stick');
    await mkdir(medium);
    await make(medium);
    const before = await snapshot(join(medium, '..'));
    const ended = await publisher.build({ medium });
    expect(ended, ended.stdout).toMatchObject({ result: undefined });
    expect(['MEDIUM_NOT_OURS', 'LAYOUT_INVALID']).toContain(ended.error?.code);
    expect([1, 2]).toContain(ended.status);
    expect(await snapshot(join(medium, '..'))).toEqual(before);
  });

  test('a file', async () => {
    const medium = join(await folder(), 'stick');
    await writeFile(medium, 'not a folder');
    expectRefusal(await publisher.build({ medium }), 2, 'MEDIUM_NOT_OURS');
    expect(await readFile(medium, 'utf8')).toBe('not a folder');
  });

  test('a folder whose parent does not exist', async () => {
    const medium = join(await folder(), 'mistyped', 'stick');
    expectRefusal(await publisher.build({ medium }), 1, 'FILE_UNWRITABLE');
    expect(await readdir(join(medium, '..', '..'))).toEqual([]);
  });

  test('what a desktop leaves on a fresh stick does no harm', async () => {
    const medium = await folder();
    await mkdir(join(medium, 'System Volume Information'));
    await mkdir(join(medium, 'lost+found'));
    expect(await publisher.build({ medium })).toMatchObject({ status: 0 });
    expect(await readdir(medium)).toContain('System Volume Information');
  });

  test('a target that is not empty, a file, or a mistyped path', async () => {
    const parent = await folder();
    await mkdir(join(parent, 'full'));
    await writeFile(join(parent, 'full', 'mine'), 'mine');
    await writeFile(join(parent, 'file'), 'mine');
    const before = await snapshot(parent);
    expectRefusal(await publisher.unpack(publisher.medium, join(parent, 'full')), 2, 'TARGET_NOT_EMPTY');
    expect(await publisher.unpack(publisher.medium, join(parent, 'file'))).toMatchObject({ result: undefined });
    expectRefusal(await publisher.unpack(publisher.medium, join(parent, 'a', 'b')), 1, 'FILE_UNWRITABLE');
    expect(await snapshot(parent)).toEqual(before);
    expect((await readdir(parent)).sort()).toEqual(['file', 'full']);
  });
});

describe('hostile files on a medium', () => {
  /** The largest resident size of the program, in KiB, while it looks at a medium. */
  async function peakOf(args: readonly string[]): Promise<{ readonly peakKiB: number; readonly ended: PortolanEnded }> {
    const running = startPortolan(args);
    let peakKiB = 0;
    let isDone = false;
    const watch = (async () => {
      while (!isDone) {
        const status = await readFile(`/proc/${running.child.pid}/status`, 'utf8').catch(() => '');
        peakKiB = Math.max(peakKiB, Number(/^VmHWM:\s+(\d+)/m.exec(status)?.[1] ?? 0));
        await sleep(5);
      }
    })();
    const ended = await running.ended;
    isDone = true;
    await watch;
    return { peakKiB, ended };
  }
  const PEAK_KIB = 256 * 1024;
  const verifyArgs = (medium: string) => [
    'bundle',
    'verify',
    medium,
    '--trust',
    publisher.trust,
    '-i',
    publisher.identity,
  ];

  test('an index.json without an end', async () => {
    const medium = await copyOfMedium();
    await truncate(join(medium, 'index.json'), 2 ** 40);
    for (const args of [verifyArgs(medium), ['bundle', 'list', medium]]) {
      const { peakKiB, ended } = await peakOf(args);
      expectRefusal(ended, 1, 'FILE_TOO_LARGE');
      expect(peakKiB).toBeLessThan(PEAK_KIB);
    }
  });

  test('an index.json with very many entries, and one of indexes in indexes', async () => {
    const medium = await copyOfMedium();
    const index = JSON.parse(await readFile(join(medium, 'index.json'), 'utf8'));
    const many = Array.from({ length: 30_000 }, (_, at) => ({ ...index.manifests[1], digest: digestOf(String(at)) }));
    await writeFile(join(medium, 'index.json'), JSON.stringify({ ...index, manifests: many }));
    const { peakKiB, ended } = await peakOf(verifyArgs(medium));
    expect(ended).toMatchObject({ status: 1, result: undefined });
    expect(ended.error?.code).toMatch(/^MANIFEST_/);
    expect(peakKiB).toBeLessThan(PEAK_KIB);

    // Each of ten levels names the next one twice: a thousand manifests if somebody followed them all.
    let bytes = JSON.stringify(index);
    for (let level = 0; level < 10; level += 1) {
      const digest = digestOf(bytes);
      await writeFile(publisher.blobPath(digest, medium), bytes);
      const entry = { mediaType: 'application/vnd.oci.image.index.v1+json', digest, size: bytes.length };
      bytes = JSON.stringify({ schemaVersion: 2, manifests: [entry, entry] });
    }
    await writeFile(join(medium, 'index.json'), bytes);
    expectRefusal(await portolan(verifyArgs(medium)), 1, 'MANIFEST_LIMIT');
  });

  test('a manifest without an end', async () => {
    const medium = await copyOfMedium();
    const { digest } = await manifestOf(medium, TAG);
    await truncate(publisher.blobPath(digest, medium), 2 ** 40);
    const { peakKiB, ended } = await peakOf(verifyArgs(medium));
    expectRefusal(ended, 1, 'FILE_TOO_LARGE');
    expect(peakKiB).toBeLessThan(PEAK_KIB);
  });

  test('lists without an end', async () => {
    const medium = await copyOfMedium();
    const { layers } = await manifestOf(medium, TAG);
    const path = publisher.blobPath(layers[0]?.digest as string, medium);
    await truncate(path, 2 ** 40);
    const { peakKiB, ended } = await peakOf(verifyArgs(medium));
    expect(ended).toMatchObject({
      status: 3,
      result: { problems: [{ code: 'FILE_OF_BUNDLE_DAMAGED', at: { file: path } }] },
    });
    expect(peakKiB).toBeLessThan(PEAK_KIB);
    const inspected = await peakOf(['bundle', 'inspect', medium]);
    expect(inspected.ended).toMatchObject({ status: 0, result: { courier: { recipients: ['X25519'] } } });
    expect(inspected.peakKiB).toBeLessThan(PEAK_KIB);
  });

  test('signatures without an end, and very many of them', async () => {
    const medium = await copyOfMedium();
    await truncate(join(medium, `${TAG}.sigstore.json`), 2 ** 40);
    for (let at = 0; at < 1000; at += 1) {
      await writeFile(join(medium, `${TAG}.${at.toString(16).padStart(16, '0')}.sigstore.json`), '{}');
    }
    // The referrer is sound, and the remarks name the files.
    const { peakKiB, ended } = await peakOf(verifyArgs(medium));
    expect(ended).toMatchObject({ status: 0, result: { ok: true } });
    expect(ended.events.some(({ event }) => event === 'warning')).toBe(true);
    expect(peakKiB).toBeLessThan(PEAK_KIB);
  });

  /** What may lie in the place of a file, and looks at nothing but its name. */
  const disguises: Readonly<Record<string, (path: string) => Promise<unknown>>> = {
    'a link to /dev/zero': (path) => symlink('/dev/zero', path),
    'a link to the true bytes outside of the medium': async (path) => {
      const outside = join(await folder(), 'outside');
      await cp(join(publisher.medium, 'blobs', 'sha256', path.slice(-64)), outside).catch(() =>
        writeFile(outside, '{}'),
      );
      await symlink(outside, path);
    },
    'a named pipe': (path) => promisify(execFile)('mkfifo', [path]),
    'a folder': (path) => mkdir(path),
    'a link to nothing': (path) => symlink('/nowhere', path),
    'a link to itself': (path) => symlink(path, path),
  };
  test.each(Object.entries(disguises))('%s in the place of any file', async (_, disguise) => {
    const medium = await copyOfMedium();
    const { digest, layers } = await manifestOf(medium, TAG);
    for (const layer of layers) {
      const path = publisher.blobPath(layer.digest, medium);
      await rename(path, `${path}.kept`);
      await disguise(path);
      const verified = await publisher.verify(medium);
      expect(verified, verified.stdout).toMatchObject({
        status: 3,
        result: { problems: [{ code: 'FILE_OF_BUNDLE_MISSING', at: { file: path } }] },
      });
      const target = join(await folder(), 'opened');
      const unpacked = await publisher.unpack(medium, target);
      expect(unpacked).toMatchObject({ result: undefined, error: { at: { file: path } } });
      expect([1, 3]).toContain(unpacked.status);
      expect(await readdir(join(target, '..'))).toEqual([]);
      await rm(path, { recursive: true });
      await rename(`${path}.kept`, path);
    }
    for (const path of [publisher.blobPath(digest, medium), join(medium, 'index.json'), join(medium, 'oci-layout')]) {
      await rename(path, `${path}.kept`);
      await disguise(path);
      expect(await publisher.verify(medium)).toMatchObject({
        status: 1,
        result: undefined,
        error: { at: { file: path } },
      });
      await rm(path, { recursive: true });
      await rename(`${path}.kept`, path);
    }
    const signature = join(medium, `${TAG}.sigstore.json`);
    await rm(signature);
    await disguise(signature);
    expect(await publisher.verify(medium)).toMatchObject({ status: 0, result: { ok: true } });
    // A build puts plain files in their places, and writes through none of them.
    await disguise(join(medium, 'README.txt.kept'));
    await rm(join(medium, 'README.txt'));
    await rename(join(medium, 'README.txt.kept'), join(medium, 'README.txt'));
    const built = await publisher.build({ medium });
    if (built.status === 0) {
      for (const name of [`${TAG}.sigstore.json`, 'README.txt'])
        expect((await lstat(join(medium, name))).isFile()).toBe(true);
    } else expect(built, built.stdout).toMatchObject({ status: 1, error: { code: 'FILE_UNWRITABLE' } });
    expect(await publisher.verify(medium)).toMatchObject({ status: 0 });
  });

  test.each(Object.entries(disguises))('%s in the place of the lock', async (_, disguise) => {
    const medium = await copyOfMedium();
    await mkdir(join(medium, '.portolan'));
    await disguise(join(medium, '.portolan', 'lock'));
    const built = await publisher.build({ medium });
    if (built.status !== 0) expect(built, built.stdout).toMatchObject({ status: 1, error: { code: 'MEDIUM_BUSY' } });
    expect(await publisher.verify(medium)).toMatchObject({ status: 0 });
  });

  test('pieces of another bundle, swapped in', async () => {
    const medium = await copyOfMedium();
    const other = publisher.at('other-stick');
    expect(await publisher.build({ medium: other, args: ['--no-reuse'] })).toMatchObject({ status: 0 });
    const [ours, theirs] = [await manifestOf(medium, TAG), await manifestOf(other, TAG)];
    for (const [at, layer] of ours.layers.entries()) {
      const path = publisher.blobPath(layer.digest, medium);
      const kept = await readFile(path);
      // The lists by the other lists; a piece by the one that comes after it there, for that holds something else.
      const pieces = theirs.layers.length - 1;
      const swapped = theirs.layers[at === 0 ? 0 : 1 + (at % pieces)] ?? layer;
      expect(swapped.digest).not.toBe(layer.digest);
      await cp(publisher.blobPath(swapped.digest, other), path);
      for (const args of [[], ['-i', publisher.identity]]) {
        const verified = await publisher.verify(medium, args);
        expect(verified).toMatchObject({ status: 3, result: { problems: [{ at: { file: path } }] } });
        expect(codesOf(verified)).toMatch(/^(FILE_OF_BUNDLE|PIECE)_DAMAGED$/);
      }
      const target = join(await folder(), 'opened');
      expect(await publisher.unpack(medium, target)).toMatchObject({ status: 3, error: { at: { file: path } } });
      expect(await readdir(join(target, '..'))).toEqual([]);
      await writeFile(path, kept);
    }
    expect(await publisher.verify(medium)).toMatchObject({ status: 0 });
  });
});

test('a build beside a bundle whose manifest is damaged removes nothing of that bundle', async () => {
  const medium = await copyOfMedium();
  const { digest } = await manifestOf(medium, TAG);
  const path = publisher.blobPath(digest, medium);
  const bytes = await readFile(path);
  await writeFile(path, 'damaged');
  await publisher.change('1.0.2');
  const built = await publisher.build({ medium });
  await publisher.change('1.0.0', 'small\n');
  expect(built, built.stdout).toMatchObject({ status: 0 });
  expect(await publisher.verify(`${medium}:demo-1.0.2`)).toMatchObject({ status: 0 });
  expect(await publisher.verify(`${medium}:${TAG}`)).toMatchObject({ status: 3, error: { code: 'BLOB_DAMAGED' } });
  await writeFile(path, bytes);
  expect(await publisher.verify(`${medium}:${TAG}`)).toMatchObject({ status: 0 });
});

/** Exit statuses and events of every bundle command, by the real command line. */
import { cp, mkdtemp, readdir, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { interruptAt } from '../support/interruption.ts';
import { type PortolanEnded, portolan, portolanText, run } from '../support/program.ts';
import { createPublisher, manifestOf, PASSWORD, type Publisher } from '../support/publisher.ts';

const TAG = 'demo-1.0.0';
const DIGEST = expect.stringMatching(/^sha256:[0-9a-f]{64}$/);
let publisher: Publisher;
beforeAll(async () => {
  publisher = await createPublisher();
  expect(await publisher.build()).toMatchObject({ status: 0 });
});
afterAll(() => publisher?.dispose());

const folder = () => mkdtemp(publisher.at('case-'));
const project = () => publisher.at('project');
const cache = () => ['--cache', publisher.at('cache')];
const trust = () => ['--trust', publisher.trust];
const identity = () => ['-i', publisher.identity];
const signKey = () => ['--sign-key', publisher.at('cosign.key')];
const env = { COSIGN_PASSWORD: PASSWORD };

/** A copy of the medium with one bit of its last piece changed. */
async function damagedMedium(): Promise<{ readonly medium: string; readonly path: string }> {
  const medium = join(await folder(), 'stick');
  await cp(publisher.medium, medium, { recursive: true });
  const path = publisher.blobPath((await manifestOf(medium, TAG)).layers.at(-1)?.digest as string, medium);
  const bytes = await readFile(path);
  bytes.writeUInt8(bytes.readUInt8(bytes.length - 100) ^ 1, bytes.length - 100);
  await writeFile(path, bytes);
  return { medium, path };
}

/** Every line of stdout is an event; the last one says how it ended; stderr is empty. */
function expectEvents(ended: PortolanEnded, last: 'result' | 'error' | 'interrupted'): void {
  expect(ended.stderr).toBe('');
  expect(ended.events.at(-1)?.event).toBe(last);
  const known = ['progress', 'note', 'warning', 'result', 'error', 'interrupted'];
  for (const { event } of ended.events) expect(known).toContain(event);
  for (const event of ended.events.filter((one) => one.event === 'progress')) {
    expect(event).toMatchObject({ task: expect.any(String), doneBytes: expect.any(Number), done: expect.any(Boolean) });
  }
}

describe('0: done', () => {
  test('init, lock and build of the example', async () => {
    const example = join(await folder(), 'hello');
    const written = await portolan(['bundle', 'init', example]);
    expect(written).toMatchObject({
      status: 0,
      result: { folder: example, written: expect.arrayContaining(['bundle.yaml']) },
    });
    const locked = await portolan(['bundle', 'lock', example, ...cache()]);
    expect(locked).toMatchObject({ status: 0, result: { name: 'hello', path: join(example, 'bundle.lock.json') } });
    const medium = join(await folder(), 'stick');
    const build = ['bundle', 'build', example, '--out', medium, '-r', publisher.recipient, ...signKey(), ...cache()];
    const built = await portolan(build, { env });
    expect(built).toMatchObject({
      status: 0,
      result: { tag: 'hello-0.1.0', root: DIGEST, manifestDigest: DIGEST, medium },
    });
    for (const ended of [written, locked, built]) expectEvents(ended, 'result');
    const frozen = await portolan([...build, '--frozen'], { env });
    expect(frozen).toMatchObject({ status: 0, result: { root: built.result?.root, lock: null } });
  });

  test('list', async () => {
    const ended = await portolan(['bundle', 'list', publisher.medium]);
    expect(ended).toMatchObject({ status: 0, result: { bundles: [{ tag: TAG, missing: 0, manifestDigest: DIGEST }] } });
    expectEvents(ended, 'result');
  });

  test('inspect, without a key and with one', async () => {
    const courier = await portolan(['bundle', 'inspect', publisher.medium]);
    expect(courier).toMatchObject({ status: 0, result: { courier: { tag: TAG, recipients: ['X25519'] } } });
    expect(courier.result).not.toHaveProperty('holder');
    for (const word of ['web', 'notes', 'big.bin', 'settings']) expect(courier.stdout).not.toContain(word);
    const holder = await portolan(['bundle', 'inspect', publisher.medium, ...identity()]);
    expect(holder).toMatchObject({ status: 0, result: { holder: { root: DIGEST, contents: { name: 'demo' } } } });
    for (const ended of [courier, holder]) expectEvents(ended, 'result');
  });

  test('verify and unpack', async () => {
    const verified = await publisher.verify();
    expect(verified).toMatchObject({ status: 0, result: { ok: true, problems: [], root: DIGEST } });
    const target = join(await folder(), 'opened');
    const unpacked = await publisher.unpack(publisher.medium, target);
    expect(unpacked).toMatchObject({ status: 0, result: { tag: TAG, folder: target, root: verified.result?.root } });
    const images = join(await folder(), 'images');
    const layout = await publisher.unpack(publisher.medium, images, [...identity(), '--as', 'oci-layout']);
    expect(layout).toMatchObject({ status: 0 });
    expect((await readdir(images)).sort()).toEqual(['blobs', 'index.json', 'oci-layout']);
    for (const ended of [verified, unpacked, layout]) expectEvents(ended, 'result');
  });

  test('sign, which adds nothing the second time', async () => {
    const ended = await portolan(['bundle', 'sign', publisher.medium, ...signKey(), ...identity()], { env });
    expect(ended).toMatchObject({ status: 0, result: { tag: TAG, added: false } });
    expectEvents(ended, 'result');
  });
});

test('1: failed', async () => {
  const absent = join(await folder(), 'absent');
  for (const [args, code] of [
    [['bundle', 'list', absent], 'MEDIUM_NOT_FOUND'],
    [['bundle', 'inspect', absent], 'MEDIUM_NOT_FOUND'],
    [['bundle', 'verify', absent, ...trust()], 'MEDIUM_NOT_FOUND'],
    [['bundle', 'verify', `${publisher.medium}:demo-9.9.9`, ...trust()], 'BUNDLE_NOT_FOUND'],
    [['bundle', 'unpack', absent, `${absent}2`, ...trust(), ...identity()], 'MEDIUM_NOT_FOUND'],
    [['bundle', 'sign', absent, ...signKey()], 'MEDIUM_NOT_FOUND'],
    [['bundle', 'init', project()], 'ALREADY_THERE'],
    [['bundle', 'lock', absent], 'FILE_MISSING'],
    [['bundle', 'build', absent, '--out', `${absent}3`, '-r', publisher.recipient, ...signKey()], 'FILE_MISSING'],
  ] as const) {
    const ended = await portolan([...args], { env });
    expect(ended, `${args.join(' ')}: ${ended.stdout}`).toMatchObject({
      status: 1,
      error: { code, hint: expect.any(String) },
    });
    expectEvents(ended, 'error');
  }
  expect(await readdir(join(absent, '..'))).toEqual([]);
});

test('2: wrong use', async () => {
  for (const args of [
    ['bundle', 'list'],
    ['bundle', 'inspect'],
    ['bundle', 'verify', publisher.medium],
    ['bundle', 'unpack', publisher.medium, 'somewhere', ...trust()],
    ['bundle', 'sign', publisher.medium],
    ['bundle', 'init', 'one', 'two'],
    ['bundle', 'lock', project(), '--feature', 'shop'],
    ['bundle', 'lock', project(), '--feature', 'unknown=on'],
    ['bundle', 'build', project(), '--out', 'x', ...signKey()],
    [
      'bundle',
      'build',
      project(),
      '--out',
      'x',
      '-r',
      publisher.recipient,
      ...signKey(),
      '--frozen',
      '--provider',
      'k3s',
    ],
    ['bundle', 'verify', publisher.medium, ...trust(), '--no-such-option'],
    ['bundle', 'forget', publisher.medium],
  ]) {
    const ended = await portolan(args, { env, cwd: publisher.root });
    expect(ended, `${args.join(' ')}: ${ended.stdout}`).toMatchObject({
      status: 2,
      error: { code: expect.any(String) },
    });
    expectEvents(ended, 'error');
  }
});

test('3: the thing that was checked is not right', async () => {
  const { medium, path } = await damagedMedium();
  for (const keys of [[], identity()]) {
    const ended = await portolan(['bundle', 'verify', medium, ...trust(), ...keys]);
    expect(ended).toMatchObject({
      status: 3,
      result: { ok: false, problems: [{ at: { file: path } }] },
      error: { code: 'BUNDLE_NOT_RIGHT', others: [{ at: { file: path } }] },
    });
    expectEvents(ended, 'error');
  }
  const target = join(await folder(), 'opened');
  const unpacked = await publisher.unpack(medium, target);
  expect(unpacked).toMatchObject({ status: 3, error: { at: { file: path } } });
  expectEvents(unpacked, 'error');
  const other = await createPublisher();
  const stranger = await portolan(['bundle', 'verify', publisher.medium, '--trust', other.trust]);
  await other.dispose();
  expect(stranger).toMatchObject({ status: 3, result: { problems: [{ code: 'NOT_SIGNED_BY_TRUSTED' }] } });
});

test('130: interrupted', async () => {
  const place = await folder();
  const medium = join(place, 'stick');
  const built = await publisher.build({ medium }, { env: interruptAt(medium, 'SIGINT', { path: /\.part$/ }) });
  const target = join(place, 'opened');
  const args = ['bundle', 'unpack', publisher.medium, target, ...trust(), ...identity()];
  const unpacked = await portolan(args, { env: interruptAt(place, 'SIGTERM', { path: /\/content$/ }) });
  for (const ended of [built, unpacked]) {
    expect(ended).toMatchObject({ status: 130, result: undefined, error: undefined });
    expectEvents(ended, 'interrupted');
  }
});

describe('for people', () => {
  test('results are on stdout, and stderr is quiet where it is no terminal', async () => {
    const target = join(await folder(), 'opened');
    for (const args of [
      ['bundle', 'list', publisher.medium],
      ['bundle', 'inspect', publisher.medium, ...identity()],
      ['bundle', 'verify', publisher.medium, ...trust(), ...identity()],
      ['bundle', 'unpack', publisher.medium, target, ...trust(), ...identity()],
      [
        'bundle',
        'build',
        project(),
        '--out',
        join(await folder(), 'stick'),
        '-r',
        publisher.recipient,
        ...signKey(),
        ...cache(),
      ],
    ]) {
      const ended = await portolanText(args, { env });
      expect(ended, ended.stderr).toMatchObject({ status: 0, stderr: '' });
      expect(ended.stdout).toContain(TAG);
      // biome-ignore lint/suspicious/noControlCharactersInRegex: escape sequences are what is looked for
      expect(ended.stdout).not.toMatch(/\u001b/);
    }
  });

  test('on a terminal progress is drawn on stderr alone', async () => {
    // script(1) gives the program a terminal; stdout is kept apart.
    const out = join(await folder(), 'out');
    const command = `"$PROGRAM" bundle verify "$MEDIUM" --trust "$TRUST" -i "$KEY" >"$OUT"`;
    const drawn = await run('script', ['-qec', command, '/dev/null'], {
      env: {
        PROGRAM: new URL('../../scripts/portolan', import.meta.url).pathname,
        MEDIUM: publisher.medium,
        TRUST: publisher.trust,
        KEY: publisher.identity,
        OUT: out,
      },
    });
    expect(drawn.status).toBe(0);
    expect(drawn.stdout).toContain('Verifying');
    expect(await readFile(out, 'utf8')).toContain(`${TAG}: verified`);
  });

  test('an error says what, where and what to do, and names the page that says more', async () => {
    const { medium, path } = await damagedMedium();
    const ended = await portolanText(['bundle', 'verify', medium, ...trust()]);
    expect(ended.status).toBe(3);
    for (const word of ['error BUNDLE_NOT_RIGHT', path, 'try:', 'portolan help FILE_OF_BUNDLE_DAMAGED']) {
      expect(ended.stderr).toContain(word);
    }
    const help = await portolanText(['help', 'FILE_OF_BUNDLE_DAMAGED']);
    expect(help).toMatchObject({ status: 0, stderr: '' });
    expect(help.stdout).toContain('FILE_OF_BUNDLE_DAMAGED');
  });
});

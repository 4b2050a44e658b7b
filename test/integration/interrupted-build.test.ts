/** Killed or interrupted anywhere, a build leaves the medium as it was or complete, and the next one goes on. */
import { mkdir, mkdtemp, readdir, readFile, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { createInterruptedBuilds, expectTidy } from '../support/interrupted-builds.ts';
import { interruptAt } from '../support/interruption.ts';
import { goOn, killHard, startPortolan, waitUntilStopped } from '../support/program.ts';
import { snapshot } from '../support/publisher.ts';

type Builds = Awaited<ReturnType<typeof createInterruptedBuilds>>;
let builds: Builds;
beforeAll(async () => {
  builds = await createInterruptedBuilds();
});
afterAll(() => builds?.publisher.dispose());

/** Numbers from 1, drawn from the seed of the run; every place is tried by the soak test. */
function draw(count: number, most: number): number[] {
  return fc.sample(fc.integer({ min: 1, max: most }), { numRuns: count, seed: Number(process.env.PORTOLAN_SEED) });
}

describe.each(['nothing', 'earlier'] as const)('onto a medium with %s', (holds) => {
  test('kill -9 before any change to the disk', async () => {
    const outcomes = [];
    for (const call of [1, 2, 3, 10, ...draw(4, 70)]) outcomes.push(await builds.killAt(holds, { call }));
    expect(outcomes.filter((outcome) => outcome?.left === 'former').length).toBeGreaterThan(3);
  });

  test('kill -9 just before the commit: the next build seals nothing again', async () => {
    expect(await builds.killAt(holds, { path: /\/index\.json$/ })).toMatchObject({ left: 'former', sealed: 0 });
  });

  test('kill -9 just after the commit: the new bundle is there', async () => {
    expect(await builds.killAt(holds, { path: /\/demo-1\.0\.0\.sigstore\.json$/ })).toMatchObject({
      left: 'new',
      sealed: 0,
    });
  });

  test('kill -9 from outside, at any time', async () => {
    for (const milliseconds of draw(3, 1200)) {
      const medium = await builds.prepare(holds);
      const running = builds.build(medium);
      await sleep(milliseconds);
      killHard(running);
      await running.ended;
      await builds.expectFormerOrNew(medium, holds);
      await builds.expectNextBuild(medium);
    }
  });

  test('Ctrl-C: exit status 130, nothing half written', async () => {
    for (const call of [1, 5, ...draw(3, 50)]) {
      const medium = await builds.prepare(holds);
      const ended = await builds.build(medium, interruptAt(medium, 'SIGINT', { call })).ended;
      const left = await builds.expectFormerOrNew(medium, holds);
      // Whoever interrupts in the last moment finds it done.
      if (left === 'former') expect(ended).toMatchObject({ status: 130, error: undefined });
      else expect([0, 130]).toContain(ended.status);
      expect(ended.events.map(({ event }) => event)).toContain(ended.status === 130 ? 'interrupted' : 'result');
      if (left === 'former' && holds === 'nothing') await expectNoRemains(medium);
      await builds.expectNextBuild(medium);
    }
  });
});

/** An interrupted build may leave sealed pieces for the next one; no lock, and nothing half written. */
async function expectNoRemains(medium: string): Promise<void> {
  const names = await readdir(medium, { recursive: true }).catch(() => []);
  expect(names.filter((name) => /\.part$|\.tmp$|\.portolan/.test(name))).toEqual([]);
}

test('an interrupted build that sealed nothing leaves no folder behind', async () => {
  const medium = await builds.prepare('nothing');
  const ended = await builds.build(medium, interruptAt(medium, 'SIGINT', { call: 1 })).ended;
  expect(ended.status).toBe(130);
  expect(await readdir(join(medium, '..'))).toEqual([]);
});

test('two builds at once on one medium: the second is refused, and the first is not disturbed', async () => {
  const medium = await builds.prepare('earlier');
  const first = builds.build(medium, interruptAt(medium, 'SIGSTOP', { path: /\/index\.json$/ }));
  const lock = join(medium, '.portolan', 'lock');
  await waitUntilStopped(first);
  const before = await snapshot(medium);
  expect(before.has(lock)).toBe(true);
  expect(await builds.build(medium).ended).toMatchObject({
    status: 1,
    error: { code: 'MEDIUM_BUSY', at: { file: lock } },
  });
  expect(await snapshot(medium)).toEqual(before);
  await builds.expectFormerOrNew(medium, 'earlier');
  goOn(first);
  expect(await first.ended).toMatchObject({ status: 0, result: { root: builds.roots.new } });
  await expectTidy(builds.publisher, medium);
});

describe('the lock', () => {
  const holder = { host: 'another-machine', boot: 'another-boot', pid: 1, started: '1' };
  test('of another machine that is at work is respected; one that has been silent is taken over', async () => {
    const medium = await builds.prepare('earlier');
    const lock = join(medium, '.portolan', 'lock');
    await mkdir(join(medium, '.portolan'));
    await writeFile(lock, JSON.stringify(holder));
    expect(await builds.build(medium).ended).toMatchObject({ status: 1, error: { code: 'MEDIUM_BUSY' } });
    await utimes(lock, 1_000_000_000, 1_000_000_000);
    await builds.expectNextBuild(medium);
  });

  test.each([
    ['empty', ''],
    ['no JSON', 'lock'],
    ['of a process that is gone', JSON.stringify({ ...holder, pid: 2 ** 22 + 1 })],
    ['of a process number that another process has now', JSON.stringify({ ...holder, pid: process.pid, started: '0' })],
  ])('%s is taken over', async (_, text) => {
    const boot = (await readFile('/proc/sys/kernel/random/boot_id', 'utf8')).trim();
    const medium = await builds.prepare('earlier');
    await mkdir(join(medium, '.portolan'));
    const here = text.replace(holder.host, hostname()).replace(holder.boot, boot);
    await writeFile(join(medium, '.portolan', 'lock'), here);
    await builds.expectNextBuild(medium);
  });
});

describe('unpack', () => {
  test('killed at any time, there is no folder of that name; the next one clears what was left', async () => {
    const { publisher } = builds;
    const outcomes = [];
    for (const call of [1, 2, 3, 4, 5, ...draw(5, 60)]) {
      const parent = await mkdtemp(publisher.at('unpack-'));
      const folder = join(parent, 'opened');
      const args = ['bundle', 'unpack', publisher.medium, folder, '--trust', publisher.trust, '-i', publisher.identity];
      const ended = await startPortolan(args, { env: interruptAt(parent, 'SIGKILL', { call }) }).ended;
      outcomes.push(ended.signal);
      if (ended.signal === 'SIGKILL') {
        // Either it never got its name, or it was killed when all was done.
        const names = (await readdir(parent)).filter((name) => name === 'opened');
        if (names.length > 0) {
          expect((await readdir(folder)).sort()).toContain('contents.json');
          await rm(folder, { recursive: true });
        }
        expect(await publisher.unpack(publisher.medium, folder)).toMatchObject({ status: 0 });
      } else expect(ended).toMatchObject({ status: 0 });
      expect(await readdir(parent)).toEqual(['opened']);
      await rm(parent, { recursive: true });
    }
    expect(outcomes.filter((signal) => signal === 'SIGKILL').length).toBeGreaterThan(4);
  });

  test('interrupted, it leaves nothing', async () => {
    const { publisher } = builds;
    const parent = await mkdtemp(publisher.at('unpack-'));
    const args = ['bundle', 'unpack', publisher.medium, join(parent, 'opened'), '--trust', publisher.trust];
    const env = interruptAt(parent, 'SIGINT', { path: /\/content$/ });
    const ended = await startPortolan([...args, '-i', publisher.identity], { env }).ended;
    expect(ended).toMatchObject({ status: 130 });
    expect(await readdir(parent)).toEqual([]);
  });

  test('two at once into one folder: the second is refused', async () => {
    const { publisher } = builds;
    const parent = await mkdtemp(publisher.at('unpack-'));
    const folder = join(parent, 'opened');
    const args = ['bundle', 'unpack', publisher.medium, folder, '--trust', publisher.trust, '-i', publisher.identity];
    const first = startPortolan(args, { env: interruptAt(parent, 'SIGSTOP', { path: /\/opened$/ }) });
    await waitUntilStopped(first);
    expect(await publisher.unpack(publisher.medium, folder)).toMatchObject({
      status: 1,
      error: { code: 'TARGET_BUSY' },
    });
    goOn(first);
    expect(await first.ended).toMatchObject({ status: 0 });
    expect(await readdir(parent)).toEqual(['opened']);
  });
});

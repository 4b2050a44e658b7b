import { cp, mkdtemp, readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import { hexOf } from '../../src/core/digest.ts';
import { interruptAt, type Moment } from './interruption.ts';
import { portolan } from './program.ts';
import { createPublisher, manifestOf, type Publisher } from './publisher.ts';

const TAG = 'demo-1.0.0';

/** A publisher with a locked project, and a medium that holds an earlier build of the same version with another file. */
export async function createInterruptedBuilds() {
  const publisher = await createPublisher();
  const earlier = await publisher.build();
  await publisher.change('1.0.0', 'changed since');
  const locked = await portolan(['bundle', 'lock', publisher.at('project'), '--cache', publisher.at('cache')]);
  expect(locked).toMatchObject({ status: 0 });
  const whole = await publisher.build({ medium: publisher.at('whole'), args: ['--frozen'] });
  expect(whole).toMatchObject({ status: 0 });
  const roots = { former: String(earlier.result?.root), new: String(whole.result?.root) };
  expect(roots.former).not.toBe(roots.new);

  /** A medium to build onto: absent, or a copy of the one with the earlier build. */
  async function prepare(holds: 'nothing' | 'earlier'): Promise<string> {
    const medium = join(await mkdtemp(publisher.at('run-')), 'stick');
    if (holds === 'earlier') await cp(publisher.medium, medium, { recursive: true });
    return medium;
  }

  /** What is on the medium after an interruption: what was there before, or the new bundle whole. Nothing else. */
  async function expectFormerOrNew(medium: string, holds: 'nothing' | 'earlier'): Promise<'former' | 'new'> {
    const verified = await publisher.verify(`${medium}:${TAG}`);
    if (verified.status === 0 && verified.result?.root === roots.new) return 'new';
    if (holds === 'earlier')
      expect(verified, verified.stdout).toMatchObject({ status: 0, result: { root: roots.former } });
    else expect(verified, verified.stdout).toMatchObject({ status: 1, error: { code: 'MEDIUM_NOT_FOUND' } });
    return 'former';
  }

  /** The next build succeeds, and leaves nothing that the medium does not name. */
  async function expectNextBuild(medium: string): Promise<{ readonly sealed: number; readonly reused: number }> {
    const built = await publisher.build({ medium, args: ['--frozen'] });
    expect(built, built.stdout + built.stderr).toMatchObject({ status: 0, result: { root: roots.new } });
    await expectTidy(publisher, medium);
    const verified = await publisher.verify(`${medium}:${TAG}`);
    expect(verified, verified.stdout).toMatchObject({ status: 0, result: { ok: true, root: roots.new } });
    expect(verified.events.map(({ event }) => event)).not.toContain('warning');
    return built.result?.pieces as { sealed: number; reused: number };
  }

  return {
    publisher,
    roots,
    prepare,
    expectFormerOrNew,
    expectNextBuild,
    build: (medium: string, env: Record<string, string> = {}) =>
      publisher.startBuild({ medium, args: ['--frozen'] }, { env }),
    /** Kills a build at a moment, and checks all of the above. `undefined`: the build was done before that moment came. */
    async killAt(holds: 'nothing' | 'earlier', moment: Moment) {
      const medium = await prepare(holds);
      const env = interruptAt(medium, 'SIGKILL', moment);
      const ended = await publisher.build({ medium, args: ['--frozen'] }, { env });
      if (ended.status === 0) return undefined;
      expect(ended, ended.stdout + ended.stderr).toMatchObject({ status: null, signal: 'SIGKILL' });
      const left = await expectFormerOrNew(medium, holds);
      const pieces = await expectNextBuild(medium);
      await rm(join(medium, '..'), { recursive: true });
      return { left, ...pieces };
    },
  };
}

/** Only files that belong to a medium with one bundle and one signature are there. */
export async function expectTidy(publisher: Publisher, medium: string): Promise<void> {
  const names = ['README.txt', 'blobs', `${TAG}.sigstore.json`, 'index.json', 'oci-layout'];
  expect((await readdir(medium)).sort()).toEqual(names.sort());
  const { digest, layers } = await manifestOf(medium, TAG);
  const blobs = await readdir(publisher.blobPath(digest, medium).slice(0, -65));
  for (const layer of layers) expect(blobs).toContain(hexOf(layer.digest));
  // The manifest, its layers, the empty configuration, the referrer and its layer.
  expect(blobs).toHaveLength(layers.length + 4);
}

import { afterEach, beforeEach, expect, it } from 'vitest';
import { portolan } from '../support/program.ts';
import { createProjectFixture, HEAD, type ProjectFixture } from '../support/project-fixture.ts';

let project: ProjectFixture;
beforeEach(async () => {
  project = await createProjectFixture();
});
afterEach(() => project.dispose());

const lock = (...more: string[]) =>
  portolan(['bundle', 'lock', '.', '--cache', `${project.root}/cache`, ...more], { cwd: project.folder });

it('bundle init and bundle lock work one after the other, and the lock is told as one event', async () => {
  const started = await portolan(['bundle', 'init'], { cwd: project.folder });
  expect(started.status).toBe(0);
  expect(started.result?.written).toContain('bundle.yaml');
  const first = await lock('--feature', 'shop=on');
  expect(first.status).toBe(0);
  expect(first.result).toMatchObject({ features: { shop: true }, provider: 'k3s', changes: null });
  const second = await lock();
  expect(second.result?.changes).toContainEqual({ what: 'feature', name: 'shop', from: 'on', to: 'off' });
  const again = await portolan(['bundle', 'init'], { cwd: project.folder });
  expect([again.status, again.error?.code]).toEqual([1, 'ALREADY_THERE']);
});

it('bundle lock ends with 2 for wrong input, tells every problem, and leaves the old lock alone', async () => {
  await project.write({ 'bundle.yaml': `${HEAD}chart: []\nfile: []\n`, 'bundle.lock.json': 'mine' });
  const before = await project.snapshot();
  const ended = await lock();
  expect(ended.status).toBe(2);
  expect(ended.error).toMatchObject({ code: 'DEFINITION_INVALID' });
  expect(ended.events.filter(({ event }) => event === 'result')).toEqual([]);
  expect(await project.snapshot()).toEqual(before);
});

import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, it } from 'vitest';
import { endOfHelm } from '../../../../src/adapters/helm/helm-process.ts';
import { raisedCodes } from '../../../support/raised.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

/** A program in the place of helm that says when it is there, and does as it likes when it is asked to stop. */
async function program(onTerm: string): Promise<{ folder: string; helmPath: string; started: string }> {
  const folder = await temporaryFolder();
  const helmPath = join(folder, 'helm');
  const started = join(folder, 'started');
  await writeFile(
    helmPath,
    `#!/bin/sh\ntrap '${onTerm}' TERM\necho out; echo err >&2\n: > started\nwhile :; do sleep 0.05; done\n`,
  );
  await chmod(helmPath, 0o755);
  return { folder, helmPath, started };
}

const runOf = ({ folder, helmPath }: { folder: string; helmPath: string }) => ({
  helmPath,
  arguments: [],
  environment: { PATH: process.env.PATH ?? '' },
  folder,
  timeoutMs: 60_000,
  outputLimitBytes: 1000,
});

async function whenThere(path: string): Promise<void> {
  while (
    !(await readFile(path).then(
      () => true,
      () => false,
    ))
  )
    await new Promise((resolve) => setTimeout(resolve, 10));
}

it('asks helm to stop when time is up, and takes what it says', async () => {
  const fake = await program('echo written down >&2; exit 3');
  const end = await endOfHelm({ ...runOf(fake), timeoutMs: 1500, graceMs: 60_000 });
  expect(end).toMatchObject({ status: 3, timedOut: true, output: 'out\n', message: 'err\nwritten down\n' });
});

it('believes a helm that comes to its good end after it was asked to stop', async () => {
  const fake = await program('exit 0');
  expect(await endOfHelm({ ...runOf(fake), timeoutMs: 1500, graceMs: 60_000 })).toMatchObject({
    status: 0,
    timedOut: false,
  });
});

it('kills a helm that does not stop', async () => {
  const fake = await program('');
  expect(await endOfHelm({ ...runOf(fake), timeoutMs: 500, graceMs: 200 })).toMatchObject({
    status: null,
    signal: 'SIGKILL',
    timedOut: true,
  });
});

it('rejects with the reason of an abort only after helm has ended', async () => {
  const fake = await program('sleep 0.3; echo done > ended; exit 1');
  const abort = new AbortController();
  const running = endOfHelm({ ...runOf(fake), graceMs: 60_000 }, { signal: abort.signal });
  await whenThere(fake.started);
  const reason = new Error('enough');
  abort.abort(reason);
  await expect(running).rejects.toBe(reason);
  expect(await readFile(join(fake.folder, 'ended'), 'utf8')).toBe('done\n');
});

it('says when there is no helm', async () => {
  const fake = await program('');
  expect(await raisedCodes(() => endOfHelm({ ...runOf(fake), helmPath: '/nowhere/helm' }))).toEqual([
    'AdapterError HELM_MISSING',
  ]);
});

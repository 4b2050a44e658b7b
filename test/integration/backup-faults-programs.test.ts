/** What pg_dump and pg_dumpall do in a backup goes wrong once in each way; `soak` has their versions, too. */
import { setTimeout as sleep } from 'node:timers/promises';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FaultScene, startFaultScene } from '../support/connection-faults.ts';
import { type FaultyPrograms, PROGRAM_FAULTS } from '../support/faulty-programs.ts';
import {
  backUpBy,
  backUpWithProgramFaults,
  callsOfBackUp,
  faultyProgramsOf,
  isWork,
} from '../support/program-faults.ts';

let scene: FaultScene;
let programs: FaultyPrograms;
let all: readonly string[];
beforeAll(async () => {
  scene = await startFaultScene();
  programs = await faultyProgramsOf(scene);
  all = await callsOfBackUp(scene, programs);
  expect(all.filter((call) => call.startsWith('pg_dump -') && isWork(call))).toHaveLength(1);
  expect(all.filter((call) => call.startsWith('pg_dumpall -') && isWork(call))).toHaveLength(1);
});
afterAll(() => scene?.[Symbol.asyncDispose]());

test.each(PROGRAM_FAULTS)('%s: the run fails and leaves nothing; the next one is whole', async (fault) => {
  const failed = await backUpWithProgramFaults(scene, programs, fault, { all, only: isWork });
  expect(failed).toBeGreaterThan(0);
});

test('a run that is interrupted ends programs that hang, wherever it is', async () => {
  const before = await scene.snapshots();
  for (const index of all.keys()) {
    await programs.arm(index + 1, 'hangs');
    const stop = new AbortController();
    const running = backUpBy(scene, programs, { signal: stop.signal }).then(
      () => 'done',
      (cause: unknown) => cause,
    );
    while ((await programs.calls()).length <= index) await sleep(10);
    const reason = new Error('interrupted');
    stop.abort(reason);
    expect(await running, all[index]).toBe(reason);
    await scene.expectQuiet(`${all[index]}`);
  }
  expect(await scene.snapshots()).toEqual(before);
});

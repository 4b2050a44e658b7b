/** A call of pg_restore in a restore goes wrong in each way; `soak` takes every call. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FaultScene, startFaultScene } from '../support/connection-faults.ts';
import { type FaultyPrograms, PROGRAM_FAULTS } from '../support/faulty-programs.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { callsOfRestore, faultyProgramsOf, isWork, restoreWithProgramFaults } from '../support/program-faults.ts';

let scene: FaultScene;
let target: PostgresServer;
let programs: FaultyPrograms;
let all: readonly string[];
beforeAll(async () => {
  scene = await startFaultScene();
  target = await startPostgres();
  programs = await faultyProgramsOf(scene);
  all = await callsOfRestore(scene, target, programs);
  expect(all.filter(isWork)).toHaveLength(3);
});
afterAll(async () => {
  await Promise.all([scene?.[Symbol.asyncDispose](), target?.stop()]);
});

// pg_restore prints nothing that could be cut.
const FAULTS = PROGRAM_FAULTS.filter((fault) => fault !== 'cut');

test.each(FAULTS)('%s: the restore fails; the next one goes on and is right', async (fault) => {
  // Another call for each.
  const places = { all, only: isWork, count: 1, at: FAULTS.indexOf(fault) / FAULTS.length };
  expect(await restoreWithProgramFaults(scene, target, programs, fault, places)).toBe(1);
});

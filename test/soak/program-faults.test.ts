/** Each call of PostgreSQL's programs in a backup and in a restore goes wrong once in each way: what the integration tests take samples of. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type FaultScene, startFaultScene } from '../support/connection-faults.ts';
import { type FaultyPrograms, PROGRAM_FAULTS, type ProgramFault } from '../support/faulty-programs.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import {
  backUpWithProgramFaults,
  callsOfBackUp,
  callsOfRestore,
  faultyProgramsOf,
  isWork,
  restoreWithProgramFaults,
} from '../support/program-faults.ts';

let scene: FaultScene;
let target: PostgresServer;
let programs: FaultyPrograms;
beforeAll(async () => {
  scene = await startFaultScene();
  target = await startPostgres();
  programs = await faultyProgramsOf(scene);
});
afterAll(async () => {
  await Promise.all([scene?.[Symbol.asyncDispose](), target?.stop()]);
});

/** A version is waited for half a minute; half of one is none. Who cannot tell a version is not used, however that comes. */
function isStruck(fault: ProgramFault, alsoVersions: readonly ProgramFault[]): (call: string) => boolean {
  return (call) => isWork(call) || alsoVersions.includes(fault);
}

test.each(PROGRAM_FAULTS)('%s at every call of a backup', async (fault) => {
  const all = await callsOfBackUp(scene, programs);
  const only = isStruck(fault, ['killed', 'fails', 'cut', 'nothing']);
  expect(await backUpWithProgramFaults(scene, programs, fault, { all, only })).toBeGreaterThan(0);
});

// pg_restore prints nothing that could be cut.
test.each(PROGRAM_FAULTS.filter((fault) => fault !== 'cut'))('%s at every call of a restore', async (fault) => {
  const all = await callsOfRestore(scene, target, programs);
  const options = { all, only: isStruck(fault, ['fails']), count: Number.POSITIVE_INFINITY };
  expect(await restoreWithProgramFaults(scene, target, programs, fault, options)).toBeGreaterThan(0);
});

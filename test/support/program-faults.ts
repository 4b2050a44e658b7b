/** Calls of PostgreSQL's programs in a backup or a restore that go wrong in one way. */
import { join } from 'node:path';
import { expect } from 'vitest';
import { emptyServer, expectRestored, type FaultScene, impatient, programsIn } from './connection-faults.ts';
import { failureOf, spread } from './fault-positions.ts';
import { createFaultyPrograms, type FaultyPrograms, type ProgramFault } from './faulty-programs.ts';
import type { PostgresServer } from './postgres-server.ts';
import { restoreInto } from './restore-fixture.ts';

export async function faultyProgramsOf(scene: FaultScene): Promise<FaultyPrograms> {
  return await createFaultyPrograms(join(scene.repository.root, 'programs'), scene.source.programs);
}

/** Over programs that are given up within a moment. */
export async function backUpBy(
  scene: FaultScene,
  { folder }: FaultyPrograms,
  options: { readonly signal?: AbortSignal } = {},
): Promise<void> {
  await scene.backUp({ programs: impatient(programsIn(folder)), ...options });
}

/** How a backup without a fault calls programs. */
export async function callsOfBackUp(scene: FaultScene, programs: FaultyPrograms): Promise<readonly string[]> {
  await programs.arm();
  await scene.backUp({ programs: programsIn(programs.folder) });
  return await programs.calls();
}

export function isWork(call: string): boolean {
  return !call.endsWith('--version');
}

export interface ProgramCalls {
  /** When there is no fault. */
  readonly all: readonly string[];
  /** At which of them something happens. */
  readonly only: (call: string) => boolean;
}

/**
 * Backs up once for each of the calls. A run that fails leaves no snapshot; one that goes well in spite
 * of the fault is whole, and so is the one after all of them.
 *
 * @returns how many failed
 */
export async function backUpWithProgramFaults(
  scene: FaultScene,
  programs: FaultyPrograms,
  fault: ProgramFault,
  { all, only }: ProgramCalls,
): Promise<number> {
  let failed = 0;
  for (const [index, call] of all.entries()) {
    if (!only(call)) continue;
    const before = await scene.snapshots();
    await programs.arm(index + 1, fault);
    const failure = await failureOf(() => backUpBy(scene, programs));
    const name = `${fault} at call ${index + 1}, ${call.slice(0, 40)}${failure === undefined ? '' : `: ${failure.code}`}`;
    expect((await programs.calls()).length, name).toBeGreaterThan(index);
    const after = await scene.snapshots();
    expect(after.length - before.length, name).toBe(failure === undefined ? 1 : 0);
    if (failure === undefined) await scene.expectWhole(name);
    else {
      failed += 1;
      expect(failure.hint, name).toBeDefined();
    }
    await scene.expectQuiet(name);
  }
  await scene.backUp();
  await scene.expectWhole(`after ${fault}`);
  return failed;
}

async function restoreBy(scene: FaultScene, target: PostgresServer, { folder }: FaultyPrograms): Promise<void> {
  const report = await restoreInto(scene.repository, target, {
    snapshot: 'db-1/1',
    change: (dependencies) => ({ ...dependencies, programs: impatient(programsIn(folder)) }),
  });
  if (report.problems[0] !== undefined) throw report.problems[0];
  expect(report.done).toBe(true);
}

/** How a restore without a fault calls programs. */
export async function callsOfRestore(
  scene: FaultScene,
  target: PostgresServer,
  programs: FaultyPrograms,
): Promise<readonly string[]> {
  await programs.arm();
  await restoreBy(scene, target, programs);
  await expectRestored(scene, target, 'without a fault');
  return await programs.calls();
}

/**
 * Restores once for each of `count` calls that `only` fits, spread as `at` says: it fails or is right, and the one after it goes
 * on and is right.
 *
 * @returns how many failed
 */
export async function restoreWithProgramFaults(
  scene: FaultScene,
  target: PostgresServer,
  programs: FaultyPrograms,
  fault: ProgramFault,
  { all, only, count, at }: ProgramCalls & { readonly count: number; readonly at?: number },
): Promise<number> {
  const fitting = all.flatMap((call, index) => (only(call) ? [index] : []));
  let failed = 0;
  await emptyServer(target);
  for (const place of spread(count, 0, fitting.length - 1, at)) {
    const index = fitting[place] as number;
    await programs.arm(index + 1, fault);
    const failure = await failureOf(() => restoreBy(scene, target, programs));
    const name = `${fault} at call ${index + 1}, ${all[index]?.slice(0, 90)}${failure === undefined ? '' : `: ${failure.code}`}`;
    expect((await programs.calls()).length, name).toBeGreaterThan(index);
    await programs.arm();
    if (failure !== undefined) {
      failed += 1;
      expect(failure.hint, name).toBeDefined();
      // What a program only said to have done cannot be told from what somebody removed: the restore says that it is not right.
      if (fault === 'nothing') await emptyServer(target);
      await restoreBy(scene, target, programs);
    }
    await expectRestored(scene, target, name);
  }
  return failed;
}

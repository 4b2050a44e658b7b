/** A server that works on something for long is told from one whose answer never comes. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createDatabase } from '../../src/adapters/postgres/database.ts';
import type { DatabaseSession } from '../../src/ports/database.ts';
import type { PostgresPrograms } from '../../src/ports/postgres-programs.ts';
import { emptyServer, type FaultScene, impatient, programsIn, startFaultScene } from '../support/connection-faults.ts';
import { startProxy } from '../support/postgres-proxy.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';
import { raised } from '../support/raised.ts';
import { restoreInto } from '../support/restore-fixture.ts';

let scene: FaultScene;
let target: PostgresServer;
beforeAll(async () => {
  scene = await startFaultScene();
  target = await startPostgres();
});
afterAll(async () => {
  await Promise.all([scene?.[Symbol.asyncDispose](), target?.stop()]);
});

function databaseBehind({ folder, port }: { readonly folder: string; readonly port: number }) {
  return createDatabase({
    address: { host: folder, port, user: 'postgres', name: 'shop', sslMode: 'disable', connectTimeoutMs: 1000 },
    password: {},
    applicationName: 'portolan test',
    connectWaitMs: 0,
    silenceMs: 100,
  });
}

test('a statement is waited for as long as the server works on it, also for a lock', async () => {
  await using proxy = await startProxy('', scene.source, { overTcp: true });
  await using session = await databaseBehind(proxy).open();
  await using holder = await databaseBehind(scene.source).open();
  await holder.query('begin');
  await holder.query('lock table accounts');
  await session.query('set lock_timeout = 0');
  const before = proxy.connections;
  const waiting = session.query('select count(*)::text as count from accounts');
  while (proxy.connections < before + 4) await new Promise(setImmediate);
  await holder.query('rollback');
  expect(await waiting).toEqual([{ count: '3000' }]);
});

test.each(['silent', 'long'] as const)('%s: an answer that never comes is given up', async (fault) => {
  await using proxy = await startProxy('', scene.source, { overTcp: true });
  await using session = await databaseBehind(proxy).open();
  proxy.arm({ message: 1, side: 'before', fault });
  expect(await raised(() => session.query('select 1'))).toMatchObject({
    code: 'DATABASE_TIMEOUT',
    hint: expect.any(String),
  });
});

test('a server that hangs altogether is given up', async () => {
  await using proxy = await startProxy('', scene.source, { overTcp: true });
  const session = await databaseBehind(proxy).open();
  proxy.freeze();
  expect(await raised(() => session.run('select 1'))).toMatchObject({ code: 'DATABASE_TIMEOUT' });
});

test('a program that prints nothing is let be while the server works for it', async () => {
  let asked = 0;
  let holder: DatabaseSession | undefined;
  async function* meanwhile(holds: boolean, output: AsyncGenerator<Uint8Array, void, void>) {
    if (holds) {
      holder = await databaseBehind(target).open();
      await holder.query('begin');
      await holder.query('lock table accounts');
    }
    yield* output;
  }
  const counting = (programs: PostgresPrograms): PostgresPrograms => ({
    find: async (...args) => {
      const set = await programs.find(...args);
      return {
        ...set,
        output: (run, options) =>
          meanwhile(
            run.arguments.includes('--section=post-data'),
            set.output(
              {
                ...run,
                isAtWork: async () => {
                  const answer = (await run.isAtWork?.()) ?? false;
                  if (holder === undefined) return answer;
                  asked += 1;
                  // Nothing changed since the second time.
                  if (asked === 4) await holder.query('rollback');
                  return answer;
                },
              },
              options,
            ),
          ),
      };
    },
  });
  const report = await restoreInto(scene.repository, target, {
    change: (dependencies) => ({
      ...dependencies,
      programs: counting(impatient(programsIn(target.programs))),
    }),
  });
  await holder?.[Symbol.asyncDispose]();
  expect(report).toMatchObject({ done: true, problems: [] });
  expect(asked).toBeGreaterThanOrEqual(4);
  await emptyServer(target);
});

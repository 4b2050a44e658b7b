/** One fault at many calls of the database in a restore; which ones, the seed says: all of them have their turn. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type FaultScene,
  messagesOfRestore,
  restoreWithFaults,
  startFaultScene,
  WIRE_FAULTS,
} from '../support/connection-faults.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';

const COUNT = 30;

let scene: FaultScene;
let target: PostgresServer;
let messages: readonly string[];
beforeAll(async () => {
  scene = await startFaultScene();
  target = await startPostgres();
  messages = await messagesOfRestore(scene, target);
});
afterAll(async () => {
  await Promise.all([scene?.[Symbol.asyncDispose](), target?.stop()]);
});

test.each(WIRE_FAULTS)('%s all over a restore', async (fault) => {
  const at = (Number(process.env.PORTOLAN_SEED) % 100) / 100;
  const { struck, failed } = await restoreWithFaults(scene, target, fault, { messages, count: COUNT, at });
  expect(struck).toBeGreaterThan(COUNT / 2);
  expect(failed).toBeGreaterThan(struck / 4);
});

/** One fault at calls of the database in a restore, at the first and in the middle; `soak` takes more of them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  type FaultScene,
  messagesOfRestore,
  restoreWithFaults,
  startFaultScene,
  WIRE_FAULTS,
} from '../support/connection-faults.ts';
import { type PostgresServer, startPostgres } from '../support/postgres-server.ts';

let scene: FaultScene;
let target: PostgresServer;
let messages: readonly string[];
beforeAll(async () => {
  scene = await startFaultScene();
  target = await startPostgres();
  messages = await messagesOfRestore(scene, target);
  expect(messages.length).toBeGreaterThan(50);
});
afterAll(async () => {
  await Promise.all([scene?.[Symbol.asyncDispose](), target?.stop()]);
});

test.each(WIRE_FAULTS)('%s: the restore fails, or is right; the next one goes on and is', async (fault) => {
  const { struck, failed } = await restoreWithFaults(scene, target, fault, { messages, count: 2 });
  expect(struck).toBeGreaterThanOrEqual(1);
  expect(failed).toBeGreaterThanOrEqual(1);
});

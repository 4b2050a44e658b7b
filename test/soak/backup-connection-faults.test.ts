/** One fault at many calls of the database in a backup; which ones, the seed says: all of them have their turn. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  backUpWithFaults,
  type FaultScene,
  messagesOfBackUp,
  startFaultScene,
  WIRE_FAULTS,
} from '../support/connection-faults.ts';

const COUNT = 30;

let scene: FaultScene;
let messages: readonly string[];
beforeAll(async () => {
  scene = await startFaultScene();
  messages = await messagesOfBackUp(scene);
});
afterAll(() => scene?.[Symbol.asyncDispose]());

test.each(WIRE_FAULTS)('%s all over a backup', async (fault) => {
  const at = (Number(process.env.PORTOLAN_SEED) % 100) / 100;
  const { struck, failed } = await backUpWithFaults(scene, fault, { messages, count: COUNT, at });
  expect(struck).toBeGreaterThan(COUNT / 2);
  expect(failed).toBeGreaterThan(struck / 4);
});

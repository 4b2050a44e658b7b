/** One fault at calls of the database in a backup, at the first and in the middle; `soak` takes more of them. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import {
  backUpWithFaults,
  type FaultScene,
  messagesOfBackUp,
  startFaultScene,
  WIRE_FAULTS,
} from '../support/connection-faults.ts';

let scene: FaultScene;
let messages: readonly string[];
beforeAll(async () => {
  scene = await startFaultScene();
  messages = await messagesOfBackUp(scene);
  expect(messages.length).toBeGreaterThan(50);
});
afterAll(() => scene?.[Symbol.asyncDispose]());

test.each(WIRE_FAULTS)('%s: the run fails and leaves nothing, or it is whole; the next one is', async (fault) => {
  const { struck, failed } = await backUpWithFaults(scene, fault, { messages, count: 2 });
  expect(struck).toBeGreaterThanOrEqual(1);
  expect(failed).toBeGreaterThanOrEqual(1);
});

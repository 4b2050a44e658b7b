/**
 * An import, an upgrade, a rollback and a removal, killed (SIGKILL) at their writes to the cluster and run again: always the
 * same end. What is looked at is what a person finds: releases, Pods, documents, the ledger and its traces, Portolan's own memory.
 */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import type { ApiProxy } from '../support/api-proxy.ts';
import { RELEASES_NAMESPACE, SECOND_FILES } from '../support/bad-days-project.ts';
import { type BadDaysTarget, raiseBadDays } from '../support/bad-days-target.ts';
import { kubectl } from '../support/cluster.ts';
import { type KillPoint, killPoints, runKilled } from '../support/killed-runs.ts';

/** Each round kills all four once. Two points a write make some 160: other seeds meet other ones. */
const ROUNDS = 3;

let bad: Awaited<ReturnType<typeof raiseBadDays>>;
let proxy: ApiProxy;
let target: BadDaysTarget;
beforeAll(async () => {
  bad = await raiseBadDays([
    { version: '1.0.0', sequence: 1 },
    { version: '1.1.0', sequence: 2, extra: true, files: SECOND_FILES },
  ]);
  ({ proxy, target } = bad);
});
afterAll(() => bad?.dispose());

interface Act {
  readonly name: string;
  readonly args: readonly string[];
  /** What the second run says when the first had ended but for its answer. */
  readonly over?: string;
}

function acts(): Act[] {
  return [
    { name: 'import', args: target.importArgs('bad-1.0.0', []) },
    { name: 'upgrade', args: target.importArgs('bad-1.1.0', []) },
    { name: 'rollback', args: target.manageArgs('rollback', []), over: 'NOTHING_TO_ROLL_BACK' },
    { name: 'remove', args: target.manageArgs('remove', []), over: 'BUNDLE_NOT_INSTALLED' },
  ];
}

/** Helm's records of a release: none may be left half done, and no kill may cost more than one. */
async function revisions(): Promise<{ readonly words: string[]; readonly count: number }> {
  const text = await kubectl([
    'get',
    'secrets',
    '--namespace',
    RELEASES_NAMESPACE,
    '--selector',
    'owner=helm',
    '-o',
    'json',
  ]);
  const { items } = JSON.parse(text) as { items: { metadata: { labels: Record<string, string> } }[] };
  return { words: [...new Set(items.map(({ metadata }) => metadata.labels.status ?? ''))].sort(), count: items.length };
}

describe('killed anywhere and run again', { shuffle: false }, () => {
  interface Expected {
    readonly state: Awaited<ReturnType<BadDaysTarget['endState']>>;
    readonly writes: number;
    readonly revisions: number;
  }
  const expected = new Map<string, Expected>();

  test('first without being killed', async () => {
    await target.forgetNamespaces();
    for (const { name, args } of acts()) {
      proxy.begin();
      const ended = await target.start(args).ended;
      expect(ended, ended.stdout + ended.stderr).toMatchObject({ status: 0 });
      const writes = proxy.writes.length;
      expected.set(name, { state: await target.endState(), writes, revisions: (await revisions()).count });
    }
    expect(expected.get('upgrade')?.state).toMatchObject({
      bundles: [{ applied: '1.1.0', former: '1.0.0', running: undefined }],
      marks: '0001 0002 0003 0004',
      running: ['bad-app 1.1.0 1/1', 'bad-data 1.1.0 1/1'],
      jobs: '',
    });
    expect(Math.min(...[...expected.values()].map(({ writes }) => writes))).toBeGreaterThan(10);
  });

  test.each(Array.from({ length: ROUNDS }, (_, round) => round))('round %i', async (round) => {
    await target.forgetNamespaces();
    const seed = Number(process.env.PORTOLAN_SEED);
    for (const { name, args, over } of acts()) {
      const clean = expected.get(name) as Expected;
      const point = killPoints(clean.writes, ROUNDS, seed + name.length)[round] as KillPoint;
      const { last, ended } = await runKilled(target, proxy, args, point);
      const where = `${name} killed ${JSON.stringify(point)} ${last?.method} ${last?.path}`;
      expect(ended.signal ?? ended.status, where + ended.stdout).toBe(last === undefined ? 0 : 'SIGKILL');
      const again = await target.start(args).ended;
      expect([undefined, over], `${where}\n${again.stdout}${again.stderr}`).toContain(again.error?.code);
      expect(await target.endState(), where).toEqual(clean.state);
      const { words, count } = await revisions();
      expect(
        words.filter((word) => !/^(?:deployed|superseded|uninstalled|failed)$/.test(word)),
        where,
      ).toEqual([]);
      expect(count, where).toBeLessThanOrEqual(clean.revisions + 2);
    }
  });
});

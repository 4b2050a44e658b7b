import { inspect } from 'node:util';
import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { eventWords, isTroubled, podLines, podWords } from '../../../../src/adapters/helm-releases/pod-words.ts';
import { isOutage, saidBy } from '../../../../src/adapters/helm-releases/release-errors.ts';
import {
  decodeHistory,
  decodeReleaseValues,
  lastDeployed,
} from '../../../../src/adapters/helm-releases/release-records.ts';
import type { KubernetesObject } from '../../../../src/ports/kubernetes.ts';
import { raised, raisedCodes } from '../../../support/raised.ts';

const pod = (status: unknown): KubernetesObject => ({
  apiVersion: 'v1',
  kind: 'Pod',
  metadata: { name: 'web-1', namespace: 'cms' },
  status,
});
const linesOf = (status: unknown) => podLines(podWords(pod(status)));
const container = (more: Record<string, unknown>) => ({ containerStatuses: [{ name: 'web', ready: false, ...more }] });

describe("a Pod's words", () => {
  it.each<[string, unknown, string[]]>([
    [
      'an image that cannot be had',
      container({ state: { waiting: { reason: 'ImagePullBackOff', message: 'Back-off pulling image "x"' } } }),
      ['Pod cms/web-1 container web: ImagePullBackOff: Back-off pulling image "x"'],
    ],
    [
      'a program that ends again and again',
      container({
        restartCount: 3,
        state: { waiting: { reason: 'CrashLoopBackOff' } },
        lastState: { terminated: { exitCode: 137, reason: 'OOMKilled' } },
      }),
      ['Pod cms/web-1 container web: CrashLoopBackOff; before: exit status 137 (OOMKilled), restarted 3 times'],
    ],
    [
      'a program that runs and never gets ready',
      container({ state: { running: {} } }),
      ['Pod cms/web-1 container web: runs, but is not ready'],
    ],
    [
      'an init container that fails',
      {
        initContainerStatuses: [
          { name: 'init', state: { terminated: { exitCode: 2, reason: 'Error', message: 'no' } } },
        ],
      },
      ['Pod cms/web-1 container init: exit status 2: no'],
    ],
    [
      'a Pod that cannot be placed',
      { conditions: [{ type: 'PodScheduled', status: 'False', reason: 'Unschedulable', message: '0/1 nodes' }] },
      ['Pod cms/web-1: Unschedulable: 0/1 nodes'],
    ],
    [
      'a Pod that was put out',
      { phase: 'Failed', reason: 'Evicted', message: 'low on disk' },
      ['Pod cms/web-1: Evicted: low on disk'],
    ],
    ['what only waits its turn', container({ state: { waiting: { reason: 'PodInitializing' } } }), []],
    ['what is done', container({ state: { terminated: { exitCode: 0 } } }), []],
    ['what is well', { containerStatuses: [{ name: 'web', ready: true, state: { running: {} } }] }, []],
  ])('about %s', (_, status, lines) => {
    expect(linesOf(status)).toEqual(lines);
    expect(isTroubled(podWords(pod(status)))).toBe(lines.length > 0);
  });

  it('never steer the terminal, and have an end', () => {
    const [line] = linesOf(container({ state: { waiting: { reason: 'X', message: `\u001b[2J${'y'.repeat(5000)}` } } }));
    expect(line).not.toContain('\u001b');
    expect(line?.length).toBeLessThan(500);
  });

  it('are there for whatever a server answers', () => {
    fc.assert(
      fc.property(fc.anything(), (status) => {
        expect(Array.isArray(linesOf(status))).toBe(true);
        const event = { apiVersion: 'v1', kind: 'Event', metadata: { name: 'e' }, involvedObject: status };
        expect(() => eventWords(event)).not.toThrow();
      }),
    );
  });

  it('come from events too', () => {
    const event = {
      apiVersion: 'v1',
      kind: 'Event',
      metadata: { name: 'e' },
      type: 'Warning',
      reason: 'FailedMount',
      message: 'no secret',
      count: 4,
      eventTime: null,
      lastTimestamp: '2026-01-01T00:00:00Z',
      involvedObject: { kind: 'Pod', namespace: 'cms', name: 'web-1' },
    };
    expect(eventWords(event)).toMatchObject({
      isWarning: true,
      time: '2026-01-01T00:00:00Z',
      line: 'Pod cms/web-1: FailedMount: no secret (4 times)',
    });
  });
});

describe("helm's words", () => {
  const end = { status: 1, signal: null, output: '', timedOut: false, overflowed: false };

  it('are its error without what it logged before', () => {
    const message =
      'level=WARN msg="upgrade failed"\nError: UPGRADE FAILED: resource Deployment/cms/web not ready\nmore\n';
    expect(saidBy({ ...end, message })).toBe('UPGRADE FAILED: resource Deployment/cms/web not ready more');
    expect(saidBy({ ...end, message: '', timedOut: true })).not.toBe('');
  });

  it.each([
    [
      'Kubernetes cluster unreachable: Get "https://x/version": dial tcp 10.0.0.1:6443: connect: connection refused',
      true,
    ],
    ['etcdserver: request timed out', true],
    ['resource Deployment/cms/web not ready. status: InProgress context deadline exceeded', false],
    ['execution error at (app/templates/a.yaml:1:1): no', false],
  ])('tell an outage from a fault: %s', (text, expected) => {
    expect(isOutage(text)).toBe(expected);
  });
});

describe("a release's history", () => {
  const revision = (number: number, status: string) => ({ revision: number, status, chart: 'c-1', description: '' });

  it('is read oldest first, and refused when it is none', async () => {
    const text = JSON.stringify([revision(2, 'deployed'), { ...revision(1, 'superseded'), updated: 'x' }]);
    expect(decodeHistory(text)).toEqual([revision(1, 'superseded'), revision(2, 'deployed')]);
    expect(await raisedCodes(() => decodeHistory('{'))).toEqual(['AdapterError RELEASE_REFUSED']);
  });

  it('has values, which no error repeats', async () => {
    expect(decodeReleaseValues('{"a":1}')).toEqual({ a: 1 });
    expect(decodeReleaseValues('null')).toEqual({});
    const refusal = await raised(() => decodeReleaseValues('hunter2'));
    expect(refusal).toMatchObject({ code: 'RELEASE_REFUSED' });
    expect(inspect(refusal)).not.toContain('hunter2');
  });

  it('leads back to what ran last', () => {
    const history = [revision(1, 'superseded'), revision(2, 'deployed'), revision(3, 'failed')];
    expect(lastDeployed(history)?.revision).toBe(2);
    expect(lastDeployed([revision(1, 'superseded'), revision(2, 'superseded'), revision(3, 'failed')])?.revision).toBe(
      2,
    );
    expect(lastDeployed([revision(1, 'failed')])).toBeUndefined();
  });
});

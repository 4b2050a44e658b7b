import { describe, expect, test } from 'vitest';
import { type MetricsServerSettings, openMetricsServer } from '../../../src/adapters/metrics-server/metrics-server.ts';
import { raised } from '../../support/raised.ts';

async function statusesOf(change: Partial<MetricsServerSettings>) {
  await using server = await openMetricsServer({
    ...{ host: '127.0.0.1', port: 0, contentType: 'text/plain', metrics: () => 'a 1\n', isAlive: () => true },
    ...change,
  });
  expect(server.address).toMatch(/^http:\/\/(127\.0\.0\.1|\[::1\]):\d+\/metrics$/);
  const metrics = await fetch(server.address);
  const health = await fetch(new URL('/healthz', server.address));
  return { metrics: [metrics.status, await metrics.text()], health: [health.status, await health.text()] };
}

describe('what a monitor and a kubelet see', () => {
  test('before anything was read', async () => {
    expect(await statusesOf({ metrics: () => undefined })).toEqual({
      metrics: [503, 'nothing was read yet\n'],
      health: [200, 'ok\n'],
    });
  });

  test('when the program is stuck, which is no matter of the values', async () => {
    expect(await statusesOf({ isAlive: () => false })).toEqual({ metrics: [200, 'a 1\n'], health: [503, 'stuck\n'] });
  });

  test('at an address of the newer kind', async () => {
    expect(await statusesOf({ host: '::1' })).toMatchObject({ metrics: [200, 'a 1\n'] });
  });

  test('an address that is not of this machine is an error', async () => {
    const error = await raised(() => statusesOf({ host: '192.0.2.1' }));
    expect(error).toMatchObject({ code: 'METRICS_ADDRESS_UNUSABLE', found: 'EADDRNOTAVAIL' });
  });
});

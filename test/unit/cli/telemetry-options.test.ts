import { expect, test } from 'vitest';
import { addressOf } from '../../../src/cli/commands/backup-metrics.ts';
import { telemetryOf } from '../../../src/cli/commands/telemetry-options.ts';
import { UsageError } from '../../../src/cli/errors.ts';

test('logs are sent nowhere unless a receiver is named', () => {
  expect(telemetryOf({})).toBeUndefined();
  expect(telemetryOf({ otlpHeadersFile: 'f', otlpCaFile: 'g' })).toBeUndefined();
});

test.each([
  ['http://collector:4318', 'http://collector:4318/v1/logs'],
  ['https://collector/', 'https://collector/v1/logs'],
  ['https://collector/tenant/', 'https://collector/tenant/v1/logs'],
  ['https://collector/v1/logs', 'https://collector/v1/logs'],
])('%s leads to %s', (otlpEndpoint, expected) => {
  expect(telemetryOf({ otlpEndpoint })?.url.href).toBe(expected);
});

test.each([
  'collector:4318',
  'grpc://collector',
  'http://',
  'http://me@collector',
  'http://a:secret@b',
  'http://a/?t=secret',
  'http://a/#b',
])('%s is refused, and not repeated', (otlpEndpoint) => {
  const refused = () => telemetryOf({ otlpEndpoint });
  expect(refused).toThrow(UsageError);
  expect(refused).not.toThrow(/secret/);
});

test('an address to serve at', () => {
  expect(['9464', '0.0.0.0:9464', '[::1]:0', 'localhost:65535', '[::]:1'].map(addressOf)).toEqual([
    { host: '127.0.0.1', port: 9464 },
    { host: '0.0.0.0', port: 9464 },
    { host: '::1', port: 0 },
    { host: 'localhost', port: 65_535 },
    { host: '::', port: 1 },
  ]);
  for (const wrong of ['', ':9464', 'a:b', 'host', '65536', '::1:9464', '[::1]', 'a b:1', '-1', '1.5']) {
    expect(() => addressOf(wrong), wrong).toThrow(UsageError);
  }
});

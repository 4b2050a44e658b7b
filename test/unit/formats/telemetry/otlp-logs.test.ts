import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import {
  decodeOtlpAnswer,
  encodeOtlpLogs,
  encodeOtlpRecord,
  type OtlpRecord,
  parseResourceAttributes,
} from '../../../../src/formats/telemetry/otlp-logs.ts';

const record: OtlpRecord = {
  ...{ timeMs: Date.UTC(2026, 10, 29, 1, 2, 3, 4), level: 'info', event: 'result', command: 'backup run', fields: {} },
};

interface Decoded {
  readonly body: { readonly stringValue: string };
  readonly attributes: readonly { readonly key: string; readonly value: Readonly<Record<string, unknown>> }[];
}
const decoded = (change: Partial<OtlpRecord>) => JSON.parse(encodeOtlpRecord({ ...record, ...change })) as Decoded;
const attributesOf = (fields: OtlpRecord['fields']) =>
  Object.fromEntries(decoded({ fields }).attributes.map(({ key, value }) => [key, value]));

test('a request is the JSON of ExportLogsServiceRequest, numbers of 64 bits as text', () => {
  const fields = { storedBytes: 5, share: 0.5, full: true, place: '/srv', none: undefined, nothing: null };
  const text = encodeOtlpLogs({ 'service.name': 'portolan' }, '1.2.3', [encodeOtlpRecord({ ...record, fields })]);
  expect(JSON.parse(text)).toEqual({
    resourceLogs: [
      {
        resource: { attributes: [{ key: 'service.name', value: { stringValue: 'portolan' } }] },
        scopeLogs: [
          {
            scope: { name: 'portolan', version: '1.2.3' },
            logRecords: [
              {
                timeUnixNano: '1795914123004000000',
                observedTimeUnixNano: '1795914123004000000',
                severityNumber: 9,
                severityText: 'INFO',
                eventName: 'portolan.result',
                body: { stringValue: 'backup run: result' },
                attributes: [
                  { key: 'portolan.command', value: { stringValue: 'backup run' } },
                  { key: 'portolan.event', value: { stringValue: 'result' } },
                  { key: 'portolan.stored_bytes', value: { intValue: '5' } },
                  { key: 'portolan.share', value: { doubleValue: 0.5 } },
                  { key: 'portolan.full', value: { boolValue: true } },
                  { key: 'portolan.place', value: { stringValue: '/srv' } },
                ],
              },
            ],
          },
        ],
      },
    ],
  });
});

describe('a record', () => {
  test.each([
    ['warning', { message: 'look here' }, 'look here'],
    ['error', { code: 'NO_SPACE', message: 'full' }, 'NO_SPACE: full'],
    ['progress', { task: 'reading' }, 'backup run: reading'],
    ['interrupted', {}, 'backup run: interrupted'],
    [
      'record',
      { what: 'restore', state: 'begun', snapshot: { writer: 'db-1', sequence: 7 }, target: 'folder:/out' },
      'restore begun: db-1/7 to folder:/out',
    ],
  ])('of the kind %s says it in words', (event, fields, body) => {
    expect(decoded({ event, fields }).body).toEqual({ stringValue: body });
  });

  test('has what is nested as text of JSON, and a time as text', () => {
    expect(attributesOf({ problems: [{ code: 'A' }], at: new Date(0), big: 2 ** 60 })).toMatchObject({
      'portolan.problems': { stringValue: '[{"code":"A"}]' },
      'portolan.at': { stringValue: '1970-01-01T00:00:00.000Z' },
      'portolan.big': { doubleValue: 2 ** 60 },
    });
  });

  test('is bounded, whatever is in it, and is well-formed text', () => {
    const many = Object.fromEntries(Array.from({ length: 500 }, (_, index) => [`field${index}`, '€'.repeat(100_000)]));
    expect(Buffer.byteLength(encodeOtlpRecord({ ...record, fields: many }))).toBeLessThan(2 << 20);
    fc.assert(
      fc.property(
        fc.string({ unit: 'binary', maxLength: 50 }),
        fc.integer({ min: 8180, max: 8195 }),
        (tail, length) => {
          const message = `${'x'.repeat(length)}${tail}\ud83d`;
          const { body } = decoded({ fields: { message } });
          return body.stringValue.isWellFormed() && body.stringValue.length <= 8193;
        },
      ),
    );
  });
});

test('what a receiver did not take is read out of any answer', () => {
  const partial = (rejected: unknown) =>
    decodeOtlpAnswer(
      JSON.stringify({ partialSuccess: { rejectedLogRecords: rejected, errorMessage: 'too\u001bold' } }),
    );
  expect(partial('3')).toEqual({ rejected: 3, reason: 'too old' });
  expect(partial(3)).toEqual({ rejected: 3, reason: 'too old' });
  for (const other of [
    '',
    '{}',
    '[]',
    'null',
    'OK',
    '{"partialSuccess":{}}',
    '{"partialSuccess":{"rejectedLogRecords":-1}}',
  ]) {
    expect(decodeOtlpAnswer(other)).toEqual({ rejected: 0, reason: '' });
  }
});

test('attributes of the resource are read as OpenTelemetry writes them, what is none is left out', () => {
  expect(
    parseResourceAttributes('k8s.namespace.name=shop, k8s.pod.name=backup-1 ,a=1%2C2%3D3,=x,y,bad=%zz,empty=,b=c=d'),
  ).toEqual({ 'k8s.namespace.name': 'shop', 'k8s.pod.name': 'backup-1', a: '1,2=3', empty: '', b: 'c=d' });
  expect(parseResourceAttributes('')).toEqual({});
});

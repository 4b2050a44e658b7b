import { expect, test } from 'vitest';
import { encodeGauges } from '../../../../src/formats/telemetry/prometheus-text.ts';

test('families are written with their help, type and samples', () => {
  const gauges = [
    { name: 'a_bytes', help: 'What a has.', samples: [{ value: 1.5 }] },
    {
      ...{ name: 'b_seconds', help: 'One for each.' },
      samples: [
        { labels: { writer: 'db-1', kind: 'x' }, value: 1_795_936_515.723 },
        { labels: { writer: 'db-2', kind: 'y' }, value: 0 },
      ],
    },
  ];
  expect(encodeGauges(gauges)).toBe(
    [
      '# HELP a_bytes What a has.',
      '# TYPE a_bytes gauge',
      'a_bytes 1.5',
      '# HELP b_seconds One for each.',
      '# TYPE b_seconds gauge',
      'b_seconds{writer="db-1",kind="x"} 1795936515.723',
      'b_seconds{writer="db-2",kind="y"} 0',
      '',
    ].join('\n'),
  );
});

test('what would end a line or a value is escaped, and a family without a sample is left out', () => {
  const gauges = [
    { name: 'none', help: 'Nothing.', samples: [] },
    {
      name: 'a',
      help: 'back\\slash "quote"\nline',
      samples: [{ labels: { x: 'back\\slash "quote"\nline' }, value: 1 }],
    },
  ];
  expect(encodeGauges(gauges)).toBe(
    '# HELP a back\\\\slash "quote"\\nline\n# TYPE a gauge\na{x="back\\\\slash \\"quote\\"\\nline"} 1\n',
  );
});

test('numbers are those that Go reads', () => {
  const values = [0, -1, 1e21, 1.5e-7, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, Number.NaN];
  const text = encodeGauges([{ name: 'n', help: 'n', samples: values.map((value) => ({ value })) }]);
  const written = text.split('\n').slice(2, -1);
  expect(written).toEqual(['n 0', 'n -1', 'n 1e+21', 'n 1.5e-7', 'n +Inf', 'n -Inf', 'n NaN']);
});

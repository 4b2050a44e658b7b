import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { AdapterError } from '../../../src/adapters/errors.ts';
import { ERROR_CATALOGUE } from '../../../src/cli/error-catalogue.ts';
import { UsageError } from '../../../src/cli/errors.ts';
import { createOutput, printable } from '../../../src/cli/output.ts';
import { errorFields, exitStatusOf, formatError, placeText } from '../../../src/cli/output-errors.ts';
import { formatTable } from '../../../src/cli/output-table.ts';
import { formatBytes, formatCount, formatDuration } from '../../../src/cli/output-units.ts';
import type { LogEvent } from '../../../src/ports/log-export.ts';

const NOW = Date.UTC(2026, 10, 29, 1, 2, 3, 4);
const hostOf = (lines: string[], json: boolean) => ({
  ...{ sink: { write: (text: string) => lines.push(text) }, json, now: () => NOW },
});

const CONTROL = /(?![\n\t])\p{Cc}|[\u202a-\u202e\u2066-\u2069]/u;

describe('text for people', () => {
  test('no control character or direction mark from outside reaches the terminal', () => {
    fc.assert(fc.property(fc.string({ unit: 'binary' }), (text) => !CONTROL.test(printable(text))));
    expect(printable('a\u001b[31m\u202eb\u009b\r')).toBe('a\\u001b[31m\\u202eb\\u009b\\u000d');
    expect(printable('plain ünïcödé 漢字 👍\n\t')).toBe('plain ünïcödé 漢字 👍\n\t');
  });

  test('a result is printed once, with one line end', () => {
    const lines: string[] = [];
    const output = createOutput(hostOf(lines, false));
    output.result({ a: 1 }, () => 'one');
    output.result({ a: 2 }, () => 'two\n');
    output.event('progress', {});
    expect(lines).toEqual(['one\n', 'two\n']);
  });

  test('with --json a result is one line, which begins with time, level and event, and the text is not made', () => {
    const lines: string[] = [];
    const output = createOutput(hostOf(lines, true));
    output.result({ text: 'a\nb' }, () => {
      throw new Error('not wanted');
    });
    expect(lines).toEqual(['{"time":"2026-11-29T01:02:03.004Z","level":"info","event":"result","text":"a\\nb"}\n']);
  });

  test('every event has the level by which a collector sorts it, and a record of the journal keeps its own time', () => {
    const lines: string[] = [];
    const output = createOutput(hostOf(lines, true));
    output.event('note', {});
    output.event('warning', {});
    output.event('error', {});
    output.event('interrupted', {});
    output.event('progress', { done: false });
    output.event('progress', { done: true });
    output.event('record', { time: '2020-01-01T00:00:00.000Z' });
    const events = lines.map((line) => JSON.parse(line) as Record<string, unknown>);
    expect(events.map(({ level }) => level)).toEqual(['info', 'warn', 'error', 'warn', 'debug', 'info', 'info']);
    expect(events.at(-1)?.time).toBe('2020-01-01T00:00:00.000Z');
  });

  test('who listens is told every event, whatever is printed', () => {
    for (const json of [true, false]) {
      const told: LogEvent[] = [];
      const output = createOutput({ ...hostOf([], json), tell: (event) => told.push(event) });
      output.result({ a: 1 }, () => 'text');
      output.event('note', { message: 'm' });
      expect(told).toEqual([
        { timeMs: NOW, level: 'info', event: 'result', fields: { a: 1 } },
        { timeMs: NOW, level: 'info', event: 'note', fields: { message: 'm' } },
      ]);
    }
  });
});

describe('tables', () => {
  test('columns are aligned, cells cannot break their row', () => {
    const table = formatTable(
      [{ title: 'name' }, { title: 'size', align: 'right' }, { title: 'note' }],
      [
        ['a', '10 B', ''],
        ['long\nname', '1 KiB', 'x\u001b'],
      ],
    );
    expect(table.split('\n')).toEqual(['NAME        SIZE  NOTE', 'a           10 B', 'long name  1 KiB  x\\u001b']);
  });
});

describe('units', () => {
  test.each([
    [0, '0 B'],
    [1023, '1023 B'],
    [1024, '1.0 KiB'],
    [1536, '1.5 KiB'],
    [1024 * 1023.9, '1.0 MiB'],
    [150 * 1024 ** 2, '150 MiB'],
    [3 * 1024 ** 5, '3072 TiB'],
  ])('%d bytes are %s', (bytes, text) => expect(formatBytes(bytes)).toBe(text));

  test.each([
    [0, '0 pieces'],
    [1, '1 piece'],
    [2, '2 pieces'],
  ])('%d pieces are %s', (count, text) => expect(formatCount(count, 'piece')).toBe(text));

  test.each([
    [5, '5 ms'],
    [999.6, '1.0 s'],
    [59_949, '59.9 s'],
    [59_960, '1 min 00 s'],
    [185_000, '3 min 05 s'],
    [7_620_000, '2 h 07 min'],
  ])('%d ms are %s', (duration, text) => expect(formatDuration(duration)).toBe(text));
});

describe('errors', () => {
  test('a code has the status of the catalogue; anything else is a fault of the program', () => {
    expect(exitStatusOf(new AdapterError('PIECE_DAMAGED', 'x'))).toBe(ERROR_CATALOGUE.PIECE_DAMAGED.status);
    expect(exitStatusOf(new UsageError('USAGE', 'x'))).toBe(2);
    expect(exitStatusOf(new TypeError('x'))).toBe(1);
    expect(exitStatusOf('text')).toBe(1);
    expect(exitStatusOf(undefined)).toBe(1);
  });

  test('everything that an error knows is printed, and the others in full', () => {
    const inner = new AdapterError('FILE_MISSING', 'third', { at: { digest: 'sha256:d', url: 'https://u' } });
    const second = new AdapterError('NO_SPACE', 'second', { others: [inner], cause: new Error('ENOSPC') });
    const error = new AdapterError('PIECE_DAMAGED', 'first', {
      at: { file: 'f.yaml', line: 3, column: 7, key: 'a.b' },
      expected: 1,
      found: 2,
      hint: 'Do this.',
      others: [second],
    });
    const text = formatError(error);
    for (const part of [
      'first',
      'f.yaml:3:7, a.b',
      'expected: 1',
      'found: 2',
      'Do this.',
      'second',
      'ENOSPC',
      'third',
    ]) {
      expect(text).toContain(part);
    }
    for (const code of ['PIECE_DAMAGED', 'NO_SPACE', 'FILE_MISSING']) expect(text).toContain(`portolan help ${code}`);
    expect(text).toContain('sha256:d, https://u');
    expect(errorFields(error)).toMatchObject({
      code: 'PIECE_DAMAGED',
      expected: 1,
      others: [{ code: 'NO_SPACE', causes: ['ENOSPC'], others: [{ code: 'FILE_MISSING' }] }],
    });
  });

  test('a place without a file still shows its position', () => {
    expect(placeText({ line: 2, column: 5 })).toBe('line 2:5');
    expect(placeText({ file: 'x' })).toBe('x');
    expect(placeText(undefined)).toBe('');
  });

  test('a cycle of causes ends, and a failed connection names each try', () => {
    const cyclic = new AdapterError('REGISTRY_UNREACHABLE', 'x', {
      cause: new AggregateError([new Error('ECONNREFUSED ::1'), new Error('ECONNREFUSED 127.0.0.1')]),
    });
    expect(formatError(cyclic)).toContain('ECONNREFUSED ::1; ECONNREFUSED 127.0.0.1');
    const first = new Error('one');
    const second = new Error('two', { cause: first });
    first.cause = second;
    expect(formatError(new AdapterError('NO_SPACE', 'x', { cause: first })).length).toBeLessThan(1000);
  });
});

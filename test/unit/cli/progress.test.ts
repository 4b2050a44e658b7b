import { describe, expect, test } from 'vitest';
import { createOutput } from '../../../src/cli/output.ts';
import { createProgress } from '../../../src/cli/progress.ts';

function harness({ isTTY = false, json = false, columns = 80 } = {}) {
  const stdout: string[] = [];
  const stderr: string[] = [];
  const clock = { nowMs: 0 };
  const progress = createProgress({
    sink: { write: (text) => stderr.push(text), isTTY, columns },
    output: createOutput({ sink: { write: (text) => stdout.push(text) }, json, now: () => 0 }),
    json,
    nowMs: () => clock.nowMs,
  });
  const events = () => stdout.map((line) => JSON.parse(line) as Record<string, unknown>);
  return { progress, stdout, stderr, clock, events };
}

describe('where stderr is no terminal', () => {
  test('only warnings are printed', () => {
    const { progress, stdout, stderr } = harness();
    const task = progress.task('sealing', 10);
    task.advance(10);
    task.done();
    progress.note('a note');
    expect(stderr).toEqual([]);
    progress.warn('look here');
    progress.close();
    expect(stderr).toEqual(['warning: look here\n']);
    expect(stdout).toEqual([]);
  });
});

describe('on a terminal', () => {
  test('the line tells share, amounts, rate and time left', () => {
    const { progress, stderr, clock } = harness({ isTTY: true });
    const MiB = 1024 * 1024;
    const task = progress.task('sealing', 400 * MiB);
    for (let second = 1; second <= 2; second += 1) {
      clock.nowMs = second * 1000;
      task.advance(50 * MiB);
    }
    // A second task draws, and so does its end, which shows the first one again.
    progress.task('other').done();
    const line = stderr.at(-1) ?? '';
    expect(line).toContain('25 %');
    expect(line).toContain('100 MiB of 400 MiB');
    expect(line).toContain('50.0 MiB/s');
    expect(line).toContain('6.0 s left');
    progress.close();
  });

  test('the rate is that of the last seconds', () => {
    const { progress, stderr, clock } = harness({ isTTY: true });
    const task = progress.task('copying', 1_000_000);
    for (let second = 1; second <= 20; second += 1) {
      clock.nowMs = second * 1000;
      task.advance(second <= 10 ? 10_240 : 1024);
    }
    progress.task('other').done();
    expect(stderr.at(-1)).toContain('1.0 KiB/s');
    progress.close();
  });

  test('a line is never wider than the terminal, and a label cannot steer it', () => {
    const { progress, stderr } = harness({ isTTY: true, columns: 30 });
    progress.task(`evil\u001b[2J${'x'.repeat(100)}`, 5);
    const drawn = (stderr.at(-1) ?? '').replace('\r\u001b[K', '');
    expect(drawn.length).toBeLessThan(30);
    expect(drawn).not.toContain('\u001b');
    progress.close();
  });

  test('a warning takes the line away first, and done leaves a line', () => {
    const { progress, stderr } = harness({ isTTY: true });
    const task = progress.task('packing', 5);
    stderr.length = 0;
    progress.warn('slow stick');
    expect(stderr).toEqual(['\r\u001b[K', 'warning: slow stick\n']);
    stderr.length = 0;
    task.advance(5);
    task.done();
    task.done();
    expect(stderr.filter((text) => text.startsWith('packing'))).toHaveLength(1);
    progress.close();
  });
});

describe('with --json', () => {
  test('progress is an event a second at most, and the end is always one', () => {
    const { progress, stderr, clock, events } = harness({ isTTY: true, json: true });
    const task = progress.task('sealing', 100);
    for (let step = 1; step <= 30; step += 1) {
      clock.nowMs = step * 100;
      task.advance(1);
    }
    task.done();
    expect(stderr).toEqual([]);
    expect(events().map(({ event, doneBytes, done }) => [event, doneBytes, done])).toEqual([
      ['progress', 10, false],
      ['progress', 20, false],
      ['progress', 30, false],
      ['progress', 30, true],
    ]);
  });

  test('notes and warnings are events', () => {
    const { progress, events } = harness({ json: true });
    progress.note('n');
    progress.warn('w');
    const time = '1970-01-01T00:00:00.000Z';
    expect(events()).toEqual([
      { time, level: 'info', event: 'note', message: 'n' },
      { time, level: 'warn', event: 'warning', message: 'w' },
    ]);
  });
});

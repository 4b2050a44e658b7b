import { spawnSync } from 'node:child_process';
import { writeFile } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { expect, test } from 'vitest';
import { temporaryFolder } from '../../support/temporary.ts';

const ROOT = resolve(import.meta.dirname, '../../..');
const PROGRAM = join(ROOT, 'scripts/lib/closing-line.ts');

interface Result {
  readonly status: 'passed' | 'failed';
  readonly message?: string;
  readonly assertionResults: readonly object[];
}

const passing = { status: 'passed', fullName: 'goes well', failureMessages: [] };
const failing = (fullName: string, message: string) => ({ status: 'failed', fullName, failureMessages: [message] });

/** The lines for one report of these files, and the exit status. */
async function close(results: readonly Result[], ...more: string[]) {
  const report = join(await temporaryFolder(), 'integration.json');
  const all = results.flatMap(({ assertionResults }) => assertionResults as { status: string }[]);
  const testResults = results.map((result, index) => ({ name: join(ROOT, `test/${index}.test.ts`), ...result }));
  const numPassedTests = all.filter(({ status }) => status === 'passed').length;
  await writeFile(report, JSON.stringify({ numPassedTests, testResults }));
  const { status, stdout, stderr } = spawnSync(process.execPath, [PROGRAM, report, ...more], {
    cwd: ROOT,
    encoding: 'utf8',
  });
  expect(stderr).toBe('');
  return { status, lines: stdout.trimEnd().split('\n') };
}

test('what passed is counted, in the last line', async () => {
  const { status, lines } = await close([{ status: 'passed', assertionResults: [passing, passing] }]);
  expect({ status, lines }).toEqual({ status: 0, lines: ['2 passed, 0 failed'] });
});

test('each failed test is named, with the start of its error and its place in the test', async () => {
  const stack = `    at inner (${ROOT}/src/core/x.ts:1:2)\n    at ${ROOT}/test/0.test.ts:3:4\n    at ${ROOT}/test/0.test.ts:9:9`;
  const error = `AssertionError: expected \u001b[31m1\u001b[39m to be 2\nsecond\n\nthird\nfourth\n${stack}`;
  const { status, lines } = await close([
    { status: 'failed', assertionResults: [passing, failing('adds numbers', error)] },
  ]);
  expect(status).toBe(1);
  expect(lines).toEqual([
    'failed: test/0.test.ts: adds numbers',
    '    AssertionError: expected 1 to be 2',
    '    second',
    '    third',
    `    at ${ROOT}/test/0.test.ts:3:4`,
    '1 passed, 1 failed',
  ]);
});

test('a file that does not load and a run without a report are one failure each', async () => {
  const broken: Result = { status: 'failed', message: 'SyntaxError: no', assertionResults: [] };
  const { status, lines } = await close([broken], '/nonexistent/cluster.json');
  expect(status).toBe(1);
  expect(lines.slice(0, 3)).toEqual(['failed: test/0.test.ts', '    SyntaxError: no', 'failed: cluster tests']);
  expect(lines.at(-1)).toBe('0 passed, 2 failed');
});

test('very many failures do not hide how it ended', async () => {
  const many = Array.from({ length: 200 }, (_, at) => failing(`test ${at}`, `Error: ${'long '.repeat(1000)}`));
  const { lines } = await close([{ status: 'failed', assertionResults: many }]);
  expect(lines.length).toBeLessThanOrEqual(62);
  expect(Math.max(...lines.map((line) => line.length))).toBeLessThanOrEqual(240);
  expect(lines.slice(-2)).toEqual(['and 170 more', '0 passed, 200 failed']);
});

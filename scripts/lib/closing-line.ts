/**
 * Reads the JSON reports of vitest that are named. Prints each failed test with the first lines of its error, and at the very
 * end `N passed, N failed`. Exits with 1 when something failed.
 */
import { existsSync, readFileSync } from 'node:fs';
import { basename, relative } from 'node:path';
import { stripVTControlCharacters } from 'node:util';

interface Report {
  readonly numPassedTests: number;
  readonly testResults: readonly FileResult[];
}

interface FileResult {
  /** Path of the file. */
  readonly name: string;
  readonly status: string;
  /** Why it did not load, or what its hooks raised. */
  readonly message?: string;
  readonly assertionResults: readonly {
    readonly status: string;
    readonly fullName: string;
    /** Messages with their stacks. */
    readonly failureMessages?: readonly string[] | null;
  }[];
}

interface Failure {
  readonly where: string;
  readonly error: string;
}

/** Of what is shown: the end of a log is all that some people see of it. */
const LINES_LIMIT = 60;
const ERROR_LINES = 3;
const LINE_LENGTH = 240;

function failuresOf(result: FileResult): Failure[] {
  const path = relative(process.cwd(), result.name);
  const tests = result.assertionResults.filter(({ status }) => status === 'failed');
  // A file that does not load, or whose hooks fail, has no failed test of its own.
  if (tests.length === 0) return result.status === 'failed' ? [{ where: path, error: result.message ?? '' }] : [];
  return tests.map(({ fullName, failureMessages }) => ({
    where: `${path}: ${fullName}`,
    error: failureMessages?.[0] ?? '',
  }));
}

function linesOf({ where, error }: Failure): string[] {
  const lines = stripVTControlCharacters(error)
    .split('\n')
    .map((line) => line.trimEnd())
    .filter((line) => line !== '');
  const stack = lines.findIndex((line) => /^\s+at /.test(line));
  const message = (stack < 0 ? lines : lines.slice(0, stack)).slice(0, ERROR_LINES);
  const place = stack < 0 ? [] : lines.slice(stack).filter((line) => /\/test\//.test(line));
  const shown = [...message, ...place.slice(0, 1)].map((line) => `    ${line.trim()}`);
  return [`failed: ${where}`, ...shown].map((line) => line.slice(0, LINE_LENGTH));
}

let passed = 0;
const failures: Failure[] = [];
for (const file of process.argv.slice(2)) {
  if (!existsSync(file)) {
    failures.push({
      where: `${basename(file, '.json')} tests`,
      error: 'There is no report: the run ended before its tests did.',
    });
    continue;
  }
  const report = JSON.parse(readFileSync(file, 'utf8')) as Report;
  passed += report.numPassedTests;
  failures.push(...report.testResults.flatMap(failuresOf));
}

let room = LINES_LIMIT;
let untold = 0;
for (const failure of failures) {
  const lines = linesOf(failure);
  if (lines.length > room) untold += 1;
  else process.stdout.write(`${lines.join('\n')}\n`);
  room -= lines.length;
}
if (untold > 0) process.stdout.write(`and ${untold} more\n`);
process.stdout.write(`${passed} passed, ${failures.length} failed\n`);
process.exitCode = failures.length === 0 ? 0 : 1;

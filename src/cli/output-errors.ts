/** The one place that turns what was thrown into text, an event and an exit status. */
import { type Place, PortolanError } from '../core/errors.ts';
import { ERROR_CATALOGUE, type ErrorCode, type Explanation } from './error-catalogue.ts';
import { type EventFields, printable } from './output.ts';
import { VERSION } from './version.ts';

export const INTERRUPTED_STATUS = 130;

/** The exit status of what a command threw: the catalogue's, or 1 for a fault of the program itself. */
export function exitStatusOf(error: unknown): number {
  return error instanceof PortolanError ? (explanationOf(error.code)?.status ?? 1) : 1;
}

export function explanationOf(code: string): Explanation | undefined {
  return Object.hasOwn(ERROR_CATALOGUE, code) ? ERROR_CATALOGUE[code as ErrorCode] : undefined;
}

/** Several lines for stderr, each ended. `others` are printed in full after the first problem. */
export function formatError(error: unknown): string {
  if (!(error instanceof PortolanError)) return formatInternalError(error);
  const problems = problemsOf(error);
  const lines = problems.flatMap((problem) => problemLines(problem));
  const codes = [...new Set(problems.map((problem) => problem.code))];
  for (const code of codes) lines.push(`More: portolan help ${code}`);
  return printable(`${lines.join('\n')}\n`);
}

/** The fields of `{"event":"error", …}`. */
export function errorFields(error: unknown): EventFields {
  if (!(error instanceof PortolanError)) {
    return { code: 'INTERNAL', message: messageOf(error), stack: error instanceof Error ? error.stack : undefined };
  }
  return {
    code: error.code,
    message: error.message,
    at: error.at,
    expected: error.expected,
    found: error.found,
    hint: error.hint,
    causes: causesOf(error),
    others: error.others.length === 0 ? undefined : error.others.map((other) => errorFields(other)),
  };
}

/** The error and its `others`, whose own `others` follow them. */
function problemsOf(error: PortolanError): readonly PortolanError[] {
  return [error, ...error.others.flatMap(problemsOf)];
}

function problemLines(error: PortolanError): string[] {
  const lines = [`error ${error.code}: ${error.message}`];
  const place = placeText(error.at);
  if (place !== '') lines.push(`  at: ${place}`);
  if (error.expected !== undefined) lines.push(`  expected: ${error.expected}`);
  if (error.found !== undefined) lines.push(`  found: ${error.found}`);
  for (const cause of causesOf(error)) lines.push(`  cause: ${cause}`);
  if (error.hint !== undefined) lines.push(`  try: ${error.hint}`);
  return lines;
}

/** `bundle.yaml:12:3, charts[0].path`. */
export function placeText(at: Place | undefined): string {
  if (at === undefined) return '';
  const parts: string[] = [];
  const position = [at.line, at.column].filter((part) => part !== undefined).join(':');
  if (at.file !== undefined) parts.push(position === '' ? at.file : `${at.file}:${position}`);
  else if (position !== '') parts.push(`line ${position}`);
  for (const part of [at.key, at.digest, at.url]) if (part !== undefined) parts.push(part);
  return parts.join(', ');
}

/** The chain of causes, the nearest first; a cycle or a very long chain is cut. */
function causesOf(error: Error): readonly string[] {
  const causes: string[] = [];
  let cause: unknown = error.cause;
  while (cause !== undefined && causes.length < 5) {
    causes.push(messageOf(cause));
    cause = cause instanceof Error ? cause.cause : undefined;
  }
  return causes;
}

function messageOf(thrown: unknown): string {
  if (!(thrown instanceof Error)) return String(thrown);
  if (thrown instanceof PortolanError) return `${thrown.code}: ${thrown.message}`;
  // An AggregateError of a failed connection has no message of its own.
  if (thrown instanceof AggregateError && thrown.message === '') return thrown.errors.map(messageOf).join('; ');
  return thrown.message === '' ? thrown.name : thrown.message;
}

function formatInternalError(error: unknown): string {
  const stack = error instanceof Error ? (error.stack ?? messageOf(error)) : messageOf(error);
  const causes = error instanceof Error ? causesOf(error).map((cause) => `  cause: ${cause}`) : [];
  const lines = [
    `error INTERNAL: ${messageOf(error)}`,
    ...causes,
    '',
    'This is a fault in Portolan and not in what you did. Please report it with these lines and the command, without secrets:',
    `  portolan ${VERSION}, Node ${process.version}, ${process.platform} ${process.arch}`,
    ...stack.split('\n').map((line) => `  ${line}`),
  ];
  return printable(`${lines.join('\n')}\n`);
}

/**
 * Log records as OTLP has them (OpenTelemetry protocol 1.x, "JSON Protobuf Encoding" of ExportLogsServiceRequest; docs/telemetry.md):
 *
 *     { "resourceLogs": [ { "resource": { "attributes": […] }, "scopeLogs": [ { "scope": { "name", "version" }, "logRecords": [
 *       { "timeUnixNano": "digits", "observedTimeUnixNano": "digits", "severityNumber": 9, "severityText": "INFO", "eventName",
 *         "body": { "stringValue" }, "attributes": [ { "key", "value": { "stringValue" | "boolValue" | "intValue": "digits" | "doubleValue" } } ] } ] } ] } ] }
 *
 * Numbers of 64 bits are text. What is nested in an event becomes text of JSON: receivers index plain values.
 */
import { z } from 'zod';
import { printable } from '../../core/printable.ts';

export interface OtlpRecord {
  readonly timeMs: number;
  readonly level: keyof typeof SEVERITIES;
  readonly event: string;
  /** The command: `backup run`. */
  readonly command: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

export type OtlpAttributes = Readonly<Record<string, string | number | boolean>>;

const SEVERITIES = { debug: 5, info: 9, warn: 13, error: 17 } as const;

/** Of one value, in characters. */
const VALUE_MAX = 8192;
const ATTRIBUTES_MAX = 64;

/** JSON of one record; at most some hundred KiB, and mostly under one. */
export function encodeOtlpRecord({ timeMs, level, event, command, fields }: OtlpRecord): string {
  const at = `${Math.round(timeMs)}000000`;
  return JSON.stringify({
    timeUnixNano: at,
    observedTimeUnixNano: at,
    severityNumber: SEVERITIES[level],
    severityText: level.toUpperCase(),
    eventName: `portolan.${event}`,
    body: { stringValue: cut(bodyOf(event, command, fields)) },
    attributes: attributesOf({ 'portolan.command': command, 'portolan.event': event, ...flattened(fields) }),
  });
}

/** One request of records that {@link encodeOtlpRecord} made. */
export function encodeOtlpLogs(resource: OtlpAttributes, version: string, records: readonly string[]): string {
  const head = JSON.stringify({ attributes: attributesOf(resource) });
  const scope = JSON.stringify({ name: 'portolan', version });
  return `{"resourceLogs":[{"resource":${head},"scopeLogs":[{"scope":${scope},"logRecords":[${records.join(',')}]}]}]}`;
}

const answerSchema = z.looseObject({
  partialSuccess: z
    .looseObject({
      // Text by the specification, a number by some receivers.
      rejectedLogRecords: z.coerce.number().int().nonnegative().optional(),
      errorMessage: z.string().optional(),
    })
    .optional(),
});

/** What a receiver that answered 200 did not take. Anything that cannot be read says that it took all. */
export function decodeOtlpAnswer(text: string): { readonly rejected: number; readonly reason: string } {
  let parsed: z.infer<typeof answerSchema> = {};
  try {
    parsed = answerSchema.safeParse(JSON.parse(text)).data ?? {};
  } catch {
    // An empty answer is one.
  }
  const { rejectedLogRecords = 0, errorMessage = '' } = parsed.partialSuccess ?? {};
  return { rejected: rejectedLogRecords, reason: printable(errorMessage, 200) };
}

/**
 * OTEL_RESOURCE_ATTRIBUTES: `key=value,key=value`, values with percent escapes (OpenTelemetry, "Resource SDK"). What is no such pair is
 * left out.
 */
export function parseResourceAttributes(text: string): OtlpAttributes {
  const pairs = text.split(',').flatMap((pair) => {
    const [, key, value] = /^\s*([^=\s]{1,255})\s*=\s*(.*?)\s*$/s.exec(pair) ?? [];
    const decoded = value === undefined ? undefined : unescaped(value);
    return key === undefined || decoded === undefined ? [] : [[key, printable(decoded)] as const];
  });
  return Object.fromEntries(pairs);
}

function unescaped(value: string): string | undefined {
  try {
    return decodeURIComponent(value);
  } catch {
    return undefined;
  }
}

/** What a person reads in a list of logs. */
function bodyOf(event: string, command: string, fields: OtlpRecord['fields']): string {
  const { code, message, task } = fields;
  if (typeof message === 'string') return typeof code === 'string' ? `${code}: ${message}` : message;
  if (event === 'record') {
    const { what, state, snapshot, target } = fields as Record<string, unknown>;
    const { writer, sequence } = (snapshot ?? {}) as Record<string, unknown>;
    return `${what} ${state}: ${writer}/${sequence} to ${target}`;
  }
  return `${command}: ${typeof task === 'string' ? task : event}`;
}

/** `storedBytes` → `portolan.stored_bytes`; what is nested as JSON. */
function flattened(fields: OtlpRecord['fields']): Record<string, string | number | boolean> {
  const flat: Record<string, string | number | boolean> = {};
  for (const [key, value] of Object.entries(fields)) {
    if (value === undefined || value === null) continue;
    const name = `portolan.${key.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`)}`;
    if (typeof value === 'string' || typeof value === 'number' || typeof value === 'boolean') flat[name] = value;
    else flat[name] = value instanceof Date ? value.toISOString() : JSON.stringify(value);
  }
  return flat;
}

function attributesOf(attributes: OtlpAttributes): object[] {
  return Object.entries(attributes)
    .slice(0, ATTRIBUTES_MAX)
    .map(([key, value]) => ({ key, value: valueOfAttribute(value) }));
}

function valueOfAttribute(value: string | number | boolean): object {
  if (typeof value === 'boolean') return { boolValue: value };
  if (typeof value === 'string') return { stringValue: cut(value) };
  if (Number.isSafeInteger(value)) return { intValue: String(value) };
  return Number.isFinite(value) ? { doubleValue: value } : { stringValue: String(value) };
}

function cut(text: string): string {
  // Half of a pair at the end, or one from outside, is no text that a receiver takes.
  return (text.length > VALUE_MAX ? `${text.slice(0, VALUE_MAX)}…` : text).toWellFormed();
}

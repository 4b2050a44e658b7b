import { setTimeout as sleep } from 'node:timers/promises';
import type { Dispatcher } from 'undici';
import { backoffMs, type RetryPolicy } from '../../core/retry.ts';
import {
  decodeOtlpAnswer,
  encodeOtlpLogs,
  encodeOtlpRecord,
  type OtlpAttributes,
} from '../../formats/telemetry/otlp-logs.ts';
import type { LogExport } from '../../ports/log-export.ts';
import { createTransport, type TransportSettings } from '../registry/transport.ts';

export interface OtlpSettings extends Pick<TransportSettings, 'caFile' | 'proxy'> {
  /** Of logs: `http://collector:4318/v1/logs`. */
  readonly url: URL;
  readonly headers: Readonly<Record<string, string>>;
  readonly resource: OtlpAttributes;
  /** The command, as all records name it. */
  readonly command: string;
  readonly version: string;
  readonly limits?: Partial<OtlpLimits>;
}

export interface OtlpLimits {
  /** What waits to be sent; beyond it the oldest is lost. */
  readonly queueRecords: number;
  readonly queueBytes: number;
  readonly batchRecords: number;
  readonly batchBytes: number;
  /** How long a record waits for others. */
  readonly gatherMs: number;
  /** Of one request. */
  readonly requestMs: number;
  /** Of all that is sent at the end. */
  readonly closeMs: number;
}

const OTLP_LIMITS: OtlpLimits = {
  ...{ queueRecords: 2048, queueBytes: 1 << 20 },
  ...{ batchRecords: 256, batchBytes: 256 << 10 },
  ...{ gatherMs: 1000, requestMs: 10_000, closeMs: 5000 },
};

/** Between tries while the work goes on. */
const PATIENCE: RetryPolicy = { attempts: Number.POSITIVE_INFINITY, baseDelayMs: 1000, maxDelayMs: 30_000 };
/** At the end: a receiver that is gone is not waited for until the last second. */
const CLOSING_TRIES = 3;
const CLOSING_PAUSE_MS = 500;
/** By the specification; everything else that is no success is final. */
const TRY_AGAIN = new Set([429, 502, 503, 504]);
const ANSWER_MAX_BYTES = 64 << 10;

interface Queued {
  readonly text: string;
  readonly sizeBytes: number;
}

/** How a request ended. `again` after so many milliseconds, or whenever there is time. */
type Outcome =
  | { readonly kind: 'taken'; readonly rejected: number; readonly reason: string }
  | { readonly kind: 'refused'; readonly reason: string }
  | { readonly kind: 'again'; readonly reason: string; readonly delayMs?: number };

/**
 * Sends records by OTLP over HTTP, in batches and one request at a time, beside the work and never in its way: what a slow receiver leaves
 * waiting is bounded, the oldest goes first, and what was lost is counted.
 *
 * @throws AdapterError CA_FILE_INVALID, FILE_MISSING, FILE_UNREADABLE, PROXY_INVALID
 */
export async function openOtlpExport(settings: OtlpSettings): Promise<LogExport> {
  const { url, headers, resource, command, version, caFile, proxy } = settings;
  const limits = { ...OTLP_LIMITS, ...settings.limits };
  const transport = createTransport({
    ...(caFile === undefined ? {} : { caFile }),
    ...(proxy === undefined ? {} : { proxy }),
  });
  const dispatcher = await transport.dispatcherFor(url, url.host);
  const ended = new AbortController();
  let waiting: Queued[] = [];
  let waitingBytes = 0;
  let total = 0;
  let lost = 0;
  let reason = '';
  let failures = 0;
  let timer: NodeJS.Timeout | undefined;
  let sending: Promise<void> | undefined;
  let isClosing = false;

  const lose = (records: number, why: string) => {
    lost += records;
    reason = why;
  };
  const trim = () => {
    let over = 0;
    while (waiting.length > over && (waiting.length - over > limits.queueRecords || waitingBytes > limits.queueBytes)) {
      waitingBytes -= (waiting[over] as Queued).sizeBytes;
      over += 1;
    }
    if (over === 0) return;
    waiting = waiting.slice(over);
    lose(over, reason || 'more than the receiver took in time');
  };
  const takeBatch = (): Queued[] => {
    let sizeBytes = 0;
    const beyond = waiting.findIndex((one, index) => {
      sizeBytes += one.sizeBytes;
      return index > 0 && (index >= limits.batchRecords || sizeBytes > limits.batchBytes);
    });
    const batch = waiting.splice(0, beyond === -1 ? waiting.length : beyond);
    waitingBytes -= batch.reduce((sum, one) => sum + one.sizeBytes, 0);
    return batch;
  };
  const post = (batch: readonly Queued[]) => {
    const body = encodeOtlpLogs(
      resource,
      version,
      batch.map(({ text }) => text),
    );
    const signal = AbortSignal.any([ended.signal, AbortSignal.timeout(limits.requestMs)]);
    return send(dispatcher, url, { ...headers, 'user-agent': `portolan/${version}` }, body, signal);
  };
  /** One batch. @returns how long to wait before the next try; `undefined` when there is nothing to wait for */
  const sendBatch = async (): Promise<number | undefined> => {
    const batch = takeBatch();
    const outcome = await post(batch);
    if (outcome.kind !== 'again') {
      failures = 0;
      if (outcome.kind === 'refused') lose(batch.length, outcome.reason);
      else if (outcome.rejected > 0) lose(Math.min(outcome.rejected, batch.length), outcome.reason);
      return undefined;
    }
    failures += 1;
    reason = outcome.reason;
    waiting = [...batch, ...waiting];
    waitingBytes += batch.reduce((sum, one) => sum + one.sizeBytes, 0);
    trim();
    return Math.max(outcome.delayMs ?? 0, backoffMs(failures, PATIENCE));
  };
  const schedule = (delayMs: number) => {
    if (timer !== undefined || sending !== undefined || isClosing) return;
    timer = setTimeout(() => {
      timer = undefined;
      sending = drain().finally(() => {
        sending = undefined;
        if (waiting.length > 0) schedule(nextDelayMs);
      });
    }, delayMs).unref();
  };
  let nextDelayMs = limits.gatherMs;
  const drain = async () => {
    nextDelayMs = limits.gatherMs;
    while (waiting.length > 0 && !isClosing) {
      const delayMs = await sendBatch();
      if (delayMs === undefined) continue;
      nextDelayMs = delayMs;
      return;
    }
  };
  const finish = async () => {
    await sending;
    failures = 0;
    while (waiting.length > 0 && !ended.signal.aborted) {
      const delayMs = await sendBatch();
      if (delayMs === undefined) continue;
      if (failures >= CLOSING_TRIES) return;
      await sleep(CLOSING_PAUSE_MS, undefined, { signal: ended.signal }).catch(() => {});
    }
  };

  return {
    add(event) {
      if (isClosing) return;
      const text = encodeOtlpRecord({ ...event, command });
      const sizeBytes = Buffer.byteLength(text);
      total += 1;
      waiting.push({ text, sizeBytes });
      waitingBytes += sizeBytes;
      trim();
      schedule(limits.gatherMs);
    },
    async close() {
      isClosing = true;
      clearTimeout(timer);
      const limit = setTimeout(() => ended.abort(), limits.closeMs);
      await finish();
      clearTimeout(limit);
      if (waiting.length > 0) lose(waiting.length, reason || 'no time was left');
      await transport.close();
      return lost === 0 ? undefined : { lost, total, reason };
    },
  };
}

async function send(
  dispatcher: Dispatcher,
  url: URL,
  headers: Readonly<Record<string, string>>,
  body: string,
  signal: AbortSignal,
): Promise<Outcome> {
  try {
    const answer = await dispatcher.request({
      origin: url.origin,
      path: url.pathname,
      method: 'POST',
      headers: { ...headers, 'content-type': 'application/json' },
      body,
      signal,
    });
    const text = await readStart(answer.body);
    const { statusCode } = answer;
    if (statusCode >= 200 && statusCode < 300) return { kind: 'taken', ...decodeOtlpAnswer(text) };
    // Not what it says: a receiver may repeat what it was sent.
    const reason = `HTTP ${statusCode}`;
    if (!TRY_AGAIN.has(statusCode)) return { kind: 'refused', reason };
    const seconds = Number(answer.headers['retry-after']);
    return seconds > 0
      ? { kind: 'again', reason, delayMs: Math.min(seconds * 1000, PATIENCE.maxDelayMs) }
      : { kind: 'again', reason };
  } catch (cause) {
    return { kind: 'again', reason: signal.aborted ? 'no answer in time' : failureOf(cause) };
  }
}

/** As much as says what was not taken; the rest is let go. */
async function readStart(body: Dispatcher.ResponseData['body']): Promise<string> {
  const pieces: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const piece of body as AsyncIterable<Uint8Array>) {
    sizeBytes += piece.length;
    if (sizeBytes > ANSWER_MAX_BYTES) break;
    pieces.push(piece);
  }
  return Buffer.concat(pieces).toString('utf8');
}

function failureOf(cause: unknown): string {
  const { code, name } = cause as { readonly code?: unknown; readonly name?: unknown };
  return typeof code === 'string' ? code : String(name);
}

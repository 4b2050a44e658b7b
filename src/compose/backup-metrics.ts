import { resolve } from 'node:path';
import { AdapterError } from '../adapters/errors.ts';
import { writeFileDurable } from '../adapters/files/durable.ts';
import { readSmallFile } from '../adapters/files/small-file.ts';
import { openMetricsServer } from '../adapters/metrics-server/metrics-server.ts';
import { PortolanError } from '../core/errors.ts';
import { pause } from '../core/retry.ts';
import { encodeGauges, PROMETHEUS_TEXT_TYPE } from '../formats/telemetry/prometheus-text.ts';
import {
  type LastReading,
  type RepositoryMetrics,
  repositoryGauges,
  unreadableText,
} from '../formats/telemetry/repository-metrics.ts';
import { isFinding } from '../usecases/repository/chains.ts';
import { type MetricsReport, type MetricsRequest, repositoryMetrics } from '../usecases/repository/metrics.ts';
import { isCode } from '../usecases/repository/objects.ts';
import { openPlace, openTrusted, type RepositoryOptions, type Running, storeOfRuns } from './repository.ts';

export interface MetricsSettings extends RepositoryOptions, MetricsRequest {
  /** How long one reading may take. */
  readonly limitMs: number;
}

export interface MetricsOnce extends MetricsReport {
  /** In Prometheus' format. */
  readonly text: string;
}

/** @throws what keeps the repository from being read; AdapterError STORE_TIMEOUT when it takes too long */
export async function composeBackupMetrics(settings: MetricsSettings, running: Running): Promise<MetricsOnce> {
  const report = await readOnce(settings, running);
  return { ...report, text: textOf(report.metrics, { isReachable: true, isBroken: false }) };
}

/**
 * Into a file, whole or not at all. When the repository cannot be read, what the file had before stays in it, but for what says so.
 *
 * @throws as `composeBackupMetrics`; AdapterError NO_SPACE, READ_ONLY, FILE_UNWRITABLE
 */
export async function composeMetricsFile(
  settings: MetricsSettings & { readonly out: string },
  running: Running,
): Promise<MetricsOnce & { readonly path: string }> {
  const path = resolve(running.cwd, settings.out);
  let once: MetricsOnce;
  try {
    once = await composeBackupMetrics(settings, running);
  } catch (error) {
    if (!running.signal.aborted && error instanceof PortolanError) await writeFailure(path, lastReading(error));
    throw error;
  }
  await writeFileDurable(path, once.text);
  return { ...once, path };
}

async function writeFailure(path: string, last: LastReading): Promise<void> {
  const before = await readSmallFile(path, FILE_MAX_BYTES).catch(() => undefined);
  const kept = before === undefined ? undefined : unreadableText(new TextDecoder().decode(before), last);
  // The failure itself is what is told: that it cannot be written either is the smaller thing.
  await writeFileDurable(path, kept ?? textOf(undefined, last)).catch(() => {});
}

/** Of some thousand writers. */
const FILE_MAX_BYTES = 16 * 1024 * 1024;

export interface MetricsServing extends MetricsSettings {
  readonly host: string;
  readonly port: number;
  /** From the start of one reading to the start of the next. */
  readonly intervalMs: number;
  readonly onListening: (address: string) => void;
  /** After every reading that came to its end. */
  readonly onRead: (report: MetricsReport) => void;
  /** After every other one; what it throws ends the serving. */
  readonly onFailure: (error: PortolanError, isFirst: boolean) => void;
}

/**
 * Serves until the signal is aborted. Values of the last reading that came to its end stay, and their time tells how old they are. Each
 * reading opens the storage afresh: with the keys, the trust and the certificates that are there then.
 */
export async function composeMetricsServer(settings: MetricsServing, running: Running): Promise<void> {
  const { host, port, intervalMs, limitMs, onListening, onRead, onFailure } = settings;
  const { signal, now } = running;
  let text: string | undefined;
  let dueMs = now();
  await using server = await openMetricsServer({
    ...{ host, port, contentType: PROMETHEUS_TEXT_TYPE },
    metrics: () => text,
    isAlive: () => now() < dueMs + limitMs + STUCK_MS,
  });
  onListening(server.address);
  let metrics: RepositoryMetrics | undefined;
  for (let isFirst = true; !signal.aborted; isFirst = false) {
    const startMs = now();
    dueMs = startMs;
    try {
      const report = await readOnce({ ...settings, isRepeated: true }, running);
      metrics = report.metrics;
      text = textOf(metrics, { isReachable: true, isBroken: false });
      onRead(report);
    } catch (error) {
      if (signal.aborted) break;
      if (!(error instanceof PortolanError)) throw error;
      text = textOf(metrics, lastReading(error));
      onFailure(error, isFirst);
    }
    dueMs = Math.max(now(), startMs + intervalMs);
    await pause(dueMs - now(), { signal }).catch(() => {});
  }
}

/** Beyond its time a reading is given up, and that it was is told soon. */
const STUCK_MS = 60_000;

async function readOnce(
  { limitMs, isRepeated = false, ...settings }: MetricsSettings & { readonly isRepeated?: boolean },
  running: Running,
): Promise<MetricsReport> {
  const limit = AbortSignal.timeout(limitMs);
  const signal = AbortSignal.any([running.signal, limit]);
  const reading: Running = { ...running, signal };
  try {
    await using place = await openPlace(settings, reading);
    const repository = await openTrusted(place, settings, reading);
    const store = isRepeated ? storeOfRuns(place, settings, repository.id, running) : repository.store;
    const { memory } = place;
    return await repositoryMetrics({ ...repository, store }, settings, { memory, now: running.now }, { signal });
  } catch (cause) {
    if (running.signal.aborted || !limit.aborted) throw cause;
    throw new AdapterError('STORE_TIMEOUT', `${settings.repo} was not read in time`, {
      cause,
      expected: `at most ${limitMs / 1000} s`,
      hint: 'Check the network and the load of the storage, or read at longer intervals.',
    });
  }
}

function textOf(metrics: RepositoryMetrics | undefined, last: LastReading): string {
  return encodeGauges(repositoryGauges(metrics, last));
}

/** A repository that is gone or forged was looked at; one whose storage does not answer was not. */
function lastReading(error: PortolanError): LastReading {
  const isBroken = isFinding(error) || isCode(error, 'REPOSITORY_MISSING');
  return { isReachable: isBroken, isBroken };
}

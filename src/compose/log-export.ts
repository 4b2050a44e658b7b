import { hostname } from 'node:os';
import { resolve } from 'node:path';
import { AdapterError } from '../adapters/errors.ts';
import { openOtlpExport } from '../adapters/otlp/otlp-export.ts';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import { LOG_HEADERS_MAX_BYTES, parseLogHeaders } from '../formats/telemetry/log-headers.ts';
import { parseResourceAttributes } from '../formats/telemetry/otlp-logs.ts';
import type { LogExport, LostLogs } from '../ports/log-export.ts';
import type { Running } from './environment.ts';
import { proxyOf } from './registry-settings.ts';

export interface LogExportSettings {
  /** Of logs. */
  readonly url: URL;
  readonly headersFile?: string | undefined;
  readonly caFile?: string | undefined;
  /** The words of the command. */
  readonly command: string;
  /** Of this program. */
  readonly version: string;
}

/** @throws FormatError LOG_HEADERS_INVALID; AdapterError FILE_…, CA_FILE_INVALID, PROXY_INVALID */
export async function openLogExport(
  { url, headersFile, caFile, command, version }: LogExportSettings,
  { env, cwd }: Pick<Running, 'env' | 'cwd'>,
): Promise<LogExport> {
  const headers = headersFile === undefined ? {} : await readHeaders(resolve(cwd, headersFile));
  return await openOtlpExport({
    ...{ url, headers, command, version, proxy: proxyOf(env) },
    ...(caFile === undefined ? {} : { caFile: resolve(cwd, caFile) }),
    resource: {
      ...{
        'service.name': 'portolan',
        'service.version': version,
        'host.name': hostname(),
        'process.pid': process.pid,
      },
      ...parseResourceAttributes(env.OTEL_RESOURCE_ATTRIBUTES ?? ''),
    },
  });
}

/** As it is told at the end: a warning, whose code is explained as those of errors are. */
export function logsNotSent({ lost, total, reason }: LostLogs): AdapterError {
  return new AdapterError('LOGS_NOT_SENT', `${lost} of ${total} log records did not reach the receiver: ${reason}`);
}

async function readHeaders(path: string): Promise<Readonly<Record<string, string>>> {
  const bytes = await createProjectFiles().read(path, LOG_HEADERS_MAX_BYTES);
  return parseLogHeaders(new TextDecoder().decode(bytes), path);
}

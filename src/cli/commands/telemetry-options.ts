import { path, text } from '../arguments.ts';
import { UsageError } from '../errors.ts';

/** Of commands that run by themselves, and of those that are recorded. */
export const telemetryOptions = {
  otlpEndpoint: text({
    value: 'URL',
    description:
      'send what the command tells as logs to this receiver, by OTLP over HTTP, such as http://collector:4318',
  }),
  otlpHeadersFile: path({
    value: 'FILE',
    description: 'headers for the receiver of logs, such as its access token: NAME: VALUE, one a line',
  }),
  otlpCaFile: path({ value: 'FILE', description: 'certificates (PEM) that the receiver of logs is trusted by' }),
};

export interface Telemetry {
  /** Of logs. */
  readonly url: URL;
  readonly headersFile: string | undefined;
  readonly caFile: string | undefined;
}

/** `undefined` unless a receiver is named: nothing is ever sent by itself. @throws UsageError USAGE */
export function telemetryOf(options: Readonly<Record<string, unknown>>): Telemetry | undefined {
  const { otlpEndpoint, otlpHeadersFile, otlpCaFile } = options as Partial<
    Record<keyof typeof telemetryOptions, string>
  >;
  if (otlpEndpoint === undefined) return undefined;
  return { url: logsAddressOf(otlpEndpoint), headersFile: otlpHeadersFile, caFile: otlpCaFile };
}

/** `http://collector:4318` → `http://collector:4318/v1/logs`, as OTEL_EXPORTER_OTLP_ENDPOINT is read. */
function logsAddressOf(endpoint: string): URL {
  const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  const isPlain =
    url !== undefined && /^https?:$/.test(url.protocol) && url.username + url.password + url.search + url.hash === '';
  if (!isPlain) {
    throw new UsageError('USAGE', '--otlp-endpoint: not the address of a receiver of logs', {
      expected: 'http://HOST:PORT or https://HOST:PORT, without a password and without ?',
      hint: 'What the receiver asks for goes into the file of --otlp-headers-file.',
    });
  }
  const base = url.pathname.replace(/\/+$/, '');
  url.pathname = base.endsWith('/v1/logs') ? base : `${base}/v1/logs`;
  return url;
}

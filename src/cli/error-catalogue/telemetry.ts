import type { Explanations } from './explanation.ts';

/** Of metrics that are served, and of logs that are sent. */
export const TELEMETRY = {
  METRICS_ADDRESS_UNUSABLE: {
    status: 1,
    meaning: 'The address of --listen is not one of this machine, is taken by another program, or may not be used.',
    remedy: 'Name an address of this machine and a free port above 1023, such as 127.0.0.1:9464.',
  },
  LOGS_NOT_SENT: {
    status: 1,
    meaning:
      'Some of what the command told did not reach the receiver of logs that --otlp-endpoint names. It is only a warning: the work itself is not touched by it, and the exit status is that of the work.',
    remedy:
      'Look at the reason beside it: an address, a certificate, an access token (HTTP 401 or 403), or a receiver that is down or slow. What was told is on stdout and stderr as well, and of a restore in the audit journal.',
  },
  LOG_HEADERS_INVALID: {
    status: 2,
    meaning: 'The file of --otlp-headers-file has a line that is no header. No logs are sent then; the work goes on.',
    remedy: 'Write NAME: VALUE, one a line. The message names the line, and nothing of what it holds.',
  },
} as const satisfies Explanations;

import { printable } from '../../core/printable.ts';
import type { ReleaseName } from '../../ports/releases.ts';
import { AdapterError } from '../errors.ts';
import type { HelmEnd } from '../helm/helm-process.ts';

const SAID_LIMIT = 1500;

/** Helm's own message without what it logged before it. */
export function saidBy({ message, timedOut, signal }: HelmEnd): string {
  const error = /(?:^|\n)Error: ([\s\S]*)$/.exec(message)?.[1] ?? message;
  const text = printable(error, SAID_LIMIT);
  if (text !== '') return text;
  if (timedOut) return 'it did not finish in time';
  return signal === null ? 'nothing' : `it was killed by ${signal}`;
}

/** Whether the cluster, not the chart, is to blame: worth another try. */
export function isOutage(message: string): boolean {
  return /cluster unreachable|cluster reachability check failed|connection refused|connection reset|connection lost|no route to host|i\/o timeout|TLS handshake timeout|unexpected EOF|: EOF\b|net\/http: request canceled|etcdserver:|the server is currently unable to handle the request|apiserver not ready|ServiceUnavailable|too many requests/i.test(
    message,
  );
}

export function isNotFound(message: string): boolean {
  return /release: not found|Release not loaded: .*not found/i.test(message);
}

/** helm did not do it, and the release is what it was. */
export function refused(action: string, { namespace, release }: ReleaseName, end: HelmEnd, note = ''): AdapterError {
  const said = saidBy(end);
  return new AdapterError('RELEASE_REFUSED', `The release ${namespace}/${release}: helm could not ${action}${note}.`, {
    found: said,
    hint: hintFor(said, end.timedOut),
  });
}

function hintFor(said: string, timedOut: boolean): string {
  if (/invalid ownership metadata/.test(said)) {
    return 'The object that helm names was made by somebody else: delete or rename it, or label it as helm says.';
  }
  if (/values don't meet the specifications of the schema/.test(said)) {
    return "Change the values that helm names so that they meet the chart's values.schema.json.";
  }
  if (/forbidden/i.test(said)) return 'Give the user of this kubeconfig the right that helm names.';
  if (/chart requires kubeVersion/.test(said)) return 'Bring the cluster to a version that the chart takes.';
  if (/still exists/.test(said)) return 'Find out what holds the object (its finalizers), and run the command again.';
  if (isOutage(said)) return 'Find out why the API server does not answer, and run the command again.';
  if (timedOut) return 'Find out what helm waited for, give it more time with --timeout, and run the command again.';
  return 'Remove the cause that helm names, and run the command again.';
}

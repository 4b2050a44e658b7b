import type { AdapterErrorCode } from '../errors.ts';

/** Said by registries of every make when the storage or the quota is used up, under whatever status. */
const FULL =
  /no space left|disk quota|not enough (?:disk |free )?space|insufficient storage|quota[^"]{0,80}exceed|exceed[^"]{0,80}(?:quota|configured upper limit)|"(?:Err|err)"\s*:\s*28\b/i;
const READ_ONLY = /read[- ]?only|maintenance mode/i;

/** What the refusal of a write means, and what to do. `body` is the beginning of the answer's body. */
export function writeVerdict(
  status: number,
  body: Uint8Array,
  target: { readonly host: string; readonly repository: string; readonly access?: string },
): [AdapterErrorCode, string] {
  const text = new TextDecoder().decode(body);
  if (status === 507 || FULL.test(text)) {
    return [
      'REGISTRY_FULL',
      `Free space in the storage of ${target.host}, or raise its quota, and run the command again.`,
    ];
  }
  if (status === 413) {
    return [
      'REGISTRY_BODY_LIMIT',
      `Raise the limit of what may be sent in the proxy before ${target.host} (client_max_body_size of nginx, proxy-body-size of its ingress).`,
    ];
  }
  if (status === 405 || READ_ONLY.test(text)) {
    return target.access === 'delete'
      ? [
          'REGISTRY_READ_ONLY',
          `Allow deletion in the settings of ${target.host}, or delete it there with its own tools.`,
        ]
      : ['REGISTRY_READ_ONLY', `Switch ${target.host} to writing, or name another registry.`];
  }
  if (/"DIGEST_INVALID"/.test(text)) {
    return ['BLOB_DIGEST_MISMATCH', 'Run the command again. If it repeats, something on the way alters data.'];
  }
  if (status === 401 || status === 403) {
    const may = target.access === 'delete' ? 'delete in' : 'push to';
    return [
      'REGISTRY_UNAUTHORIZED',
      `Log in to ${target.host} with your container tool, with an account that may ${may} ${target.repository}.`,
    ];
  }
  if (status === 429) return ['REGISTRY_THROTTLED', 'Wait and run the command again: what was sent is kept.'];
  if (status === 404) {
    return [
      'REGISTRY_FAILED',
      `Check that ${target.host} is a registry, and create the project or repository ${target.repository} there if it wants that.`,
    ];
  }
  if (status >= 500) return ['REGISTRY_FAILED', 'Try again later: what was sent is kept.'];
  return ['REGISTRY_FAILED', "Read the registry's own message; check that the address is that of a registry."];
}

import { flag, integer, list, path, pathList, program } from '../arguments.ts';

/** Options that several commands have, with the same words everywhere. */

export const identityOption = pathList({
  short: 'i',
  value: 'FILE',
  description: 'age identity file; repeatable. A passphrase is asked for where the file has one',
});

export const trustOption = path({
  value: 'FILE',
  required: true,
  description: "the publisher's public key (cosign.pub), or trust.json; got by another way than the medium",
});

/** `-r`; the description says what a recipient may open. */
export function recipientsOption(description: string) {
  return list({ short: 'r', value: 'RECIPIENT', description });
}

export const recipientOption = recipientsOption(
  'age recipient that may open the bundle; repeatable. All classic (age1…) or all post-quantum (age1pq1…)',
);

export const recipientsFileOption = pathList({
  short: 'R',
  value: 'FILE',
  description: 'file of age recipients, one a line; repeatable',
});

export const signKeyOption = path({
  value: 'FILE',
  required: true,
  description: 'encrypted cosign private key (cosign.key)',
});

export const passwordFileOption = path({
  value: 'FILE',
  description: 'file with the password of the key; without it COSIGN_PASSWORD, else a prompt',
});

export const noReuseOption = flag({
  description: 'seal every piece afresh, so that a courier cannot tell what stayed the same',
});

export const databasePasswordFileOption = path({
  value: 'FILE',
  description: 'file with the password; without it PGPASSWORD, PGPASSFILE, ~/.pgpass',
});

export const helmOption = program({ value: 'PROGRAM', defaultValue: 'helm', description: 'the helm program' });

/** Without a default: a bundle may carry helm. */
export const carriedHelmOption = program({
  value: 'PROGRAM',
  description: 'helm 4; without it the one that a bundle brought, else helm on PATH',
});

/** Of all servers but the cluster's, whose kubeconfig says whom to trust. `servers` ends in "is" or "are". */
export function caFileOption(servers: string) {
  return path({ value: 'FILE', description: `certificates (PEM) that ${servers} trusted by` });
}

export function waitLockOption(description: string) {
  return integer({ value: 'SECONDS', defaultValue: 60, maximum: 86_400, description });
}

export const bundleArgument = {
  description: 'DIR[:TAG]: the folder of a medium, and which bundle on it where there are several',
  complete: 'folder',
} as const;

import { accessSync, constants, statSync } from 'node:fs';
import { delimiter, join } from 'node:path';

const PROGRAMS = [
  'age',
  'age-keygen',
  'cosign',
  'crane',
  'oras',
  'helm',
  'registry',
  'skopeo',
  'jq',
  'faketime',
  'mkfs.exfat',
  'mount.exfat-fuse',
  'containerd',
  'ctr',
  'runc',
  'wharfie-check',
  'telemetry-check',
  'pgbouncer',
  'minio',
  'versitygw',
  'zitadel-oidc-example',
  'restic',
  'zstd',
];

/** Interoperability is proved with the real programs: a run without them fails before its first test. */
export default function requirePeers(): void {
  const missing = PROGRAMS.filter((program) => !isOnPath(program));
  const vectors = process.env.PORTOLAN_AGE_VECTORS;
  if (vectors === undefined || !statSync(vectors, { throwIfNoEntry: false })?.isDirectory()) {
    missing.push('the age test vectors (PORTOLAN_AGE_VECTORS)');
  }
  if (missing.length > 0) throw new Error(`missing: ${missing.join(', ')}. Run scripts/test, which fetches them.`);
}

function isOnPath(program: string): boolean {
  return (process.env.PATH ?? '').split(delimiter).some((folder) => {
    try {
      accessSync(join(folder, program), constants.X_OK);
      return true;
    } catch {
      return false;
    }
  });
}

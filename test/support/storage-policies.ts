import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { PolicyStatement } from './minio-admin.ts';

export type StorageRole = 'Reader' | 'Writer' | 'Pruner' | 'Verifier' | 'Approver';

interface Names {
  readonly bucket: string;
  readonly prefix: string;
  readonly writer?: string;
  readonly verifier?: string;
}

/** What docs/storage-policies.md gives a role, with what every role has. */
export function policyOf(role: StorageRole, names: Names): readonly PolicyStatement[] {
  const page = readFileSync(join(import.meta.dirname, '../../docs/storage-policies.md'), 'utf8');
  const statementsOf = (title: StorageRole): readonly PolicyStatement[] => {
    const section = page.split(`\n## ${title}\n`)[1]?.split('\n## ')[0];
    const json = section?.match(/```json\n(.*?)```/s)?.[1];
    if (json === undefined) throw new Error(`docs/storage-policies.md has no policy for the ${title}`);
    const named = json
      .replaceAll('BUCKET', names.bucket)
      .replaceAll('PREFIX', names.prefix)
      .replaceAll('WRITER', names.writer ?? 'nobody')
      .replaceAll('VERIFIER', names.verifier ?? 'nobody');
    return JSON.parse(named).Statement;
  };
  return role === 'Reader' ? statementsOf('Reader') : [...statementsOf('Reader'), ...statementsOf(role)];
}

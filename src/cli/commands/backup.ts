import type { CommandSpec, GroupSpec } from '../arguments.ts';
import { BUCKETS } from './repository-options.ts';

/** `portolan backup …`, in the order of help. */
const COMMANDS: readonly (() => Promise<{ readonly spec: CommandSpec }>)[] = [
  () => import('./backup-init.ts'),
  () => import('./backup-run.ts'),
  () => import('./backup-list.ts'),
  () => import('./backup-show.ts'),
  () => import('./backup-ls.ts'),
  () => import('./backup-stats.ts'),
  () => import('./backup-check.ts'),
  () => import('./backup-metrics.ts'),
  () => import('./backup-drill.ts'),
  () => import('./backup-forget.ts'),
  () => import('./backup-prune.ts'),
  () => import('./backup-copy.ts'),
];

export async function backupGroup(): Promise<GroupSpec> {
  const modules = await Promise.all(COMMANDS.map((load) => load()));
  return {
    name: 'backup',
    summary: 'back up into a repository that the storage cannot read',
    description:
      'A repository of backups is a folder or a bucket. Who writes it cannot read it, and who stores it can neither read ' +
      `nor change it unnoticed. ${BUCKETS}`,
    commands: modules.map((module) => module.spec),
  };
}

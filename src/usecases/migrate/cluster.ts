import { z } from 'zod';
import type { Kubernetes } from '../../ports/kubernetes.ts';
import { UseCaseError } from '../errors.ts';
import { type ClusterRunOptions, type ClusterTarget, runInCluster } from './run-in-cluster.ts';
import type { LedgerEntry, MigrationReport, MigrationRequest } from './types.ts';

const named = z.object({ module: z.string(), file: z.string() });
const reportSchema = z.object({
  applied: z.array(named),
  deferred: z.array(named),
  repaired: z.array(named),
  skipped: z.number(),
  orphans: z.array(z.object({ module: z.string(), applied: z.number(), deferred: z.number(), dirty: z.number() })),
});
const bundle = z.object({ name: z.string(), version: z.string(), sequence: z.number(), root: z.string() });
const entrySchema = z.object({
  module: z.string(),
  number: z
    .string()
    .regex(/^\d{1,20}$/)
    .transform(BigInt),
  name: z.string(),
  digest: z.string(),
  kind: z.enum(['expand', 'contract']),
  state: z.enum(['deferred', 'applied', 'dirty', 'baseline']),
  seenAt: z.string(),
  seenIn: bundle.optional(),
  appliedIn: bundle.optional(),
  appliedAt: z.string().optional(),
});
const ledgerSchema = z.object({ ledger: z.array(entrySchema) });

/** In a cluster the way to the database may open a moment after the Pod runs. */
const CONNECT_WAIT = ['--connect-wait', '60'];

/** `applyMigrations`, in a Pod. */
export async function applyMigrationsInCluster(
  request: MigrationRequest,
  target: ClusterTarget,
  dependencies: { readonly kubernetes: Kubernetes },
  options: ClusterRunOptions & { readonly lockWaitMs?: number } = {},
): Promise<MigrationReport> {
  const { lockWaitMs } = options;
  const args = [
    ...['migrate', 'up', ...CONNECT_WAIT],
    ...(lockWaitMs === undefined ? [] : ['--wait-lock', String(Math.ceil(lockWaitMs / 1000))]),
    ...argumentsOf(request),
  ];
  const result = await runInCluster(target, { args, modules: request.modules }, dependencies, options);
  return parsed(reportSchema, result) as MigrationReport;
}

/** `readLedger`, in a Pod. */
export async function readLedgerInCluster(
  target: ClusterTarget,
  dependencies: { readonly kubernetes: Kubernetes },
  options: ClusterRunOptions = {},
): Promise<readonly LedgerEntry[]> {
  const args = ['migrate', 'status', ...CONNECT_WAIT];
  const result = await runInCluster(target, { args, modules: [] }, dependencies, options);
  return parsed(ledgerSchema, result).ledger as readonly LedgerEntry[];
}

function argumentsOf(request: MigrationRequest): string[] {
  const { bundle: release, mode, completedSequence } = request;
  // With a release `up` runs what is due; 0 says that nothing is.
  const completed = mode === 'expand' ? 0 : completedSequence;
  return [
    ...(mode === 'contract' ? ['--contract'] : []),
    ...(request.allowOutOfOrder === true ? ['--allow-out-of-order'] : []),
    ...(request.retry ?? []).flatMap((path) => ['--retry', path]),
    ...(request.repaired ?? []).flatMap((path) => ['--repaired', path]),
    ...(release === undefined
      ? []
      : [
          ...['--bundle', release.name, '--bundle-version', release.version],
          ...['--bundle-sequence', String(release.sequence), '--bundle-root', release.root],
          ...(completed === undefined ? [] : ['--completed-sequence', String(completed)]),
        ]),
  ];
}

function parsed<T>(schema: z.ZodType<T>, result: unknown): T {
  const outcome = schema.safeParse(result);
  if (outcome.success) return outcome.data;
  throw new UseCaseError('MIGRATION_POD_FAILED', 'The Pod told a result in a form that is not known here', {
    expected: 'a result of this version of Portolan',
    hint: 'Use the image of the Portolan that runs the import.',
  });
}

import type { Database } from '../ports/database.ts';
import type { Kubernetes } from '../ports/kubernetes.ts';
import type { MigrationRunners } from '../usecases/import/types.ts';
import { applyMigrations } from '../usecases/migrate/apply.ts';
import { applyMigrationsInCluster, readLedgerInCluster } from '../usecases/migrate/cluster.ts';
import { planMigrations, readLedger } from '../usecases/migrate/plan.ts';

/** With --database from here; else in a Pod, where the bundle says how it reaches its database. */
export function composeMigrationRunners(
  { database, kubernetes }: { readonly database?: Database; readonly kubernetes?: Kubernetes },
  lockWaitMs: number,
): MigrationRunners {
  return (bundleDatabase) => {
    if (database !== undefined) {
      return {
        place: database.place,
        apply: (request, options) => applyMigrations(request, { database }, { ...options, lockWaitMs }),
        plan: (request, options) => planMigrations(request, { database }, options),
        ledger: (options) => readLedger({ database }, options),
      };
    }
    if (bundleDatabase === undefined || kubernetes === undefined) return undefined;
    const { image, ...where } = bundleDatabase;
    const target = { database: where, image };
    return {
      place: `${where.name} at ${where.host} in namespace ${where.namespace}`,
      apply: (request, options) =>
        applyMigrationsInCluster(request, target, { kubernetes }, { ...options, lockWaitMs }),
      ledger: (options) => readLedgerInCluster(target, { kubernetes }, options),
    };
  };
}

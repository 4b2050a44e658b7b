import type { DatabaseRecord } from '../../../formats/repository/database-record.ts';
import type { ReachableDatabase } from '../../../ports/database.ts';
import type { PostgresPrograms } from '../../../ports/postgres-programs.ts';
import type { Exclusions } from './tables.ts';

export interface DumpSettings {
  /** Of the source, with which names of streams begin. */
  readonly source: string;
  /** Of the database, from 1. */
  readonly number: number;
  readonly reachable: ReachableDatabase;
  readonly user: string;
  readonly exclusions: Exclusions;
  readonly programs: PostgresPrograms;
  readonly limits: DumpLimits;
  /** Schemas that the profile's product makes itself. */
  readonly systemSchemas: readonly string[];
}

export interface DumpLimits {
  /** How long anything waits for a lock. */
  readonly lockTimeoutMs: number;
  /** How often the locks are tried in all. */
  readonly attempts: number;
  /** Of a table, read as one. */
  readonly rangeBytes: number;
  /** Between two signs of life of the session that holds the snapshot. */
  readonly heartbeatMs: number;
  readonly argumentsLimitBytes?: number;
}

export interface DumpResult {
  readonly record: DatabaseRecord;
  readonly notes: readonly string[];
  readonly rowsByTable: ReadonlyMap<string, number>;
}

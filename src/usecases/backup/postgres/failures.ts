import { PortolanError } from '../../../core/errors.ts';
import type { ReachableDatabase } from '../../../ports/database.ts';
import { UseCaseError } from '../../errors.ts';
import { type Leader, TablesChanging } from './leader.ts';

/** A lock that was not to be had, a deadlock, something that is gone. */
const IN_THE_WAY = /^(?:55P03|40P01|42P01)/;
const CANCELLED = /^(?:57014|40001)/;

/** Before its first byte pg_dump fails for locks, and for what went away before it was locked; so do our own statements. */
export function mayBeTriedAgain(cause: unknown): boolean {
  if (cause instanceof TablesChanging || codeOf(cause) === 'POSTGRES_PROGRAM_FAILED') return true;
  return codeOf(cause) === 'DATABASE_STATEMENT_FAILED' && IN_THE_WAY.test(foundBy(cause));
}

/** The failure behind a failure: a session that is lost takes every reader with it. */
export async function explain(cause: unknown, leader: Leader, reachable: ReachableDatabase): Promise<unknown> {
  try {
    await leader.session.query('select 1');
  } catch (loss) {
    if (codeOf(loss) === 'DATABASE_LOST') return loss;
  }
  return inOurWords(cause, leader, reachable);
}

export function inOurWords(cause: unknown, leader: Leader | undefined, { database }: ReachableDatabase): unknown {
  if (codeOf(cause) !== 'DATABASE_STATEMENT_FAILED') return cause;
  const found = foundBy(cause);
  const details = { cause, found, at: { url: database.place } };
  if (IN_THE_WAY.test(found)) {
    return new UseCaseError('BACKUP_TABLES_CHANGING', 'Somebody works on a table, or waits to', {
      ...details,
      hint: 'See in pg_stat_activity which statement holds a lock or waits for one; run the backup again when it is done, or let it have a lock_timeout.',
    });
  }
  if (CANCELLED.test(found)) {
    return new UseCaseError('BACKUP_CANCELLED_BY_SERVER', 'The server ended a statement of the backup', {
      ...details,
      hint:
        leader?.facts.isStandby === true
          ? 'This is a standby: raise max_standby_streaming_delay there, turn hot_standby_feedback on, or back up the primary.'
          : 'Somebody cancelled it (pg_cancel_backend): see that nothing ends long statements of this role, and run the backup again.',
    });
  }
  return cause;
}

function foundBy(cause: unknown): string {
  return cause instanceof PortolanError ? String(cause.found ?? '') : '';
}

function codeOf(cause: unknown): string | undefined {
  return cause instanceof PortolanError ? cause.code : undefined;
}

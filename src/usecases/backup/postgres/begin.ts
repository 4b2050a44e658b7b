import { pause } from '../../../core/retry.ts';
import type { Fact } from '../../../formats/repository/database-record.ts';
import type { PostgresPrograms, ProgramSet } from '../../../ports/postgres-programs.ts';
import { type Archive, startArchive } from './archive.ts';
import { warningsIn } from './database-notes.ts';
import { leftOut, readSequenceFacts } from './facts.ts';
import { inOurWords, mayBeTriedAgain } from './failures.ts';
import { type Leader, openLeader, TablesChanging } from './leader.ts';
import type { DumpSettings } from './types.ts';

const PAUSE_MS = 1000;

export interface Begun {
  readonly leader: Leader;
  readonly archive: Archive;
  readonly sequences: readonly Fact[];
  readonly programs: ProgramSet;
  /** What pg_dump has to say, once it has ended. */
  readonly messages: readonly string[];
}

/** All locks, the snapshot, and pg_dump with its own locks: from here on nobody changes the form of a table. Nothing is written yet. */
export async function begin(
  settings: DumpSettings,
  { signal, either }: { readonly signal: AbortSignal; readonly either: AbortSignal },
): Promise<Begun> {
  const { reachable, user, exclusions, limits } = settings;
  for (let attempt = 1; ; attempt += 1) {
    let leader: Leader | undefined;
    try {
      leader = await openLeader(reachable, { user, exclusions, lockTimeoutMs: limits.lockTimeoutMs, signal });
      const programs = await findPrograms(settings.programs, leader.facts.versionNumber, signal);
      const sequences = await readSequenceFacts(leader.session, leftOut(leader));
      const messages: string[] = [];
      const archive = await startArchive(reachable.connection, programs, leader, {
        lockTimeoutMs: limits.lockTimeoutMs,
        signal: either,
        onMessages: (text) => messages.push(...warningsIn(text)),
        ...(limits.argumentsLimitBytes === undefined ? {} : { argumentsLimitBytes: limits.argumentsLimitBytes }),
      });
      return { leader, archive, sequences, programs, messages };
    } catch (cause) {
      await leader?.[Symbol.asyncDispose]();
      signal.throwIfAborted();
      if (!mayBeTriedAgain(cause) || attempt >= limits.attempts) {
        throw cause instanceof TablesChanging ? cause.problem : inOurWords(cause, leader, reachable);
      }
      // Who waits for our locks gets them now.
      await pause(attempt * PAUSE_MS, { signal });
    }
  }
}

export function findPrograms(
  programs: PostgresPrograms,
  versionNumber: number,
  signal: AbortSignal,
): Promise<ProgramSet> {
  return programs.find(Math.floor(versionNumber / 10_000), { programs: ['pg_dump', 'pg_dumpall'], signal });
}

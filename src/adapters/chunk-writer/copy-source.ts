import type { CopyOutJob } from '../../ports/chunks.ts';
import type { Chunker } from './chunker.ts';
import { copyOut } from './copy-out.ts';
import { type CopySession, openCopySession } from './copy-session.ts';

/** Reads tables, and keeps the session with the database from one to the next. */
export interface CopySource {
  /** Feeds what a COPY sends to the chunker. Resolves with the number of rows. */
  feed(job: CopyOutJob, options: FeedOptions): Promise<number>;
  /** Ends the session. */
  close(): Promise<void>;
}

export interface FeedOptions {
  /** Told of what arrives; may throw. */
  readonly advance: (bytes: number) => void;
  readonly signal: AbortSignal;
}

export function createCopySource(chunker: Chunker, silenceMs: number): CopySource {
  let kept: CopySession | undefined;

  async function close(): Promise<void> {
    const session = kept;
    kept = undefined;
    await session?.end();
  }

  return {
    async feed(job, options) {
      const key = JSON.stringify([job.connection, job.session]);
      if (kept?.key !== key || kept.isLost()) await close();
      const session =
        kept ?? (await openCopySession({ ...job, key, received: chunker.received, silenceMs }, options.signal));
      kept = undefined;
      try {
        const rows = await copyOut(session, job.copy, chunker, silenceMs, options);
        kept = session;
        return rows;
      } catch (error) {
        await session.abandon();
        throw error;
      }
    },
    close,
  };
}

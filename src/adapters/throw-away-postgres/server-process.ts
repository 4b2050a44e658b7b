import { spawn } from 'node:child_process';
import { join } from 'node:path';
import { printable } from '../../core/printable.ts';
import { AdapterError } from '../errors.ts';
import { childEnds, collectOutput, killGroup } from '../processes/child.ts';
import type { ServerAccount } from './server-account.ts';

const WORDS_MAX_BYTES = 16 * 1024;
const INITDB_TIMEOUT_MS = 5 * 60_000;
/** An immediate shutdown takes a moment. After this the server is killed, and its processes follow it. */
const END_TIMEOUT_MS = 30_000;

/** No variable of this process: they may hold secrets, and what is restored may read them. */
const ENVIRONMENT = { PATH: '/usr/bin:/bin', LC_ALL: 'C', TZ: 'UTC' };

interface Cluster {
  /** The folder of the programs. */
  readonly programs: string;
  readonly data: string;
  readonly account: ServerAccount;
}

/** @throws AdapterError POSTGRES_NOT_STARTED; the signal's reason */
export async function makeCluster({
  programs,
  data,
  superuser,
  account,
  signal,
}: Cluster & { readonly superuser: string; readonly signal: AbortSignal }): Promise<void> {
  signal.throwIfAborted();
  const child = spawn(
    join(programs, 'initdb'),
    ['--pgdata', data, '--username', superuser, '--auth', 'reject', '--encoding', 'UTF8', '--locale', 'C', '--no-sync'],
    { ...account.ids, cwd: '/', env: ENVIRONMENT, stdio: ['ignore', 'ignore', 'pipe'] },
  );
  const { failed, closed } = childEnds(child);
  const stop = () => child.kill('SIGKILL');
  const limit = AbortSignal.timeout(INITDB_TIMEOUT_MS);
  const either = AbortSignal.any([signal, limit]);
  either.addEventListener('abort', stop, { once: true });
  const words = collectOutput(child.stderr, WORDS_MAX_BYTES, { keep: 'end' });
  try {
    const end = await Promise.race([failed, closed]);
    signal.throwIfAborted();
    if (end instanceof Error) throw notStarted('initdb', programs, end.code ?? end.message, end);
    if (limit.aborted) throw notStarted('initdb', programs, `no end within ${INITDB_TIMEOUT_MS / 1000} s`);
    if (end.status !== 0) throw notStarted('initdb', programs, (await words).text);
  } finally {
    either.removeEventListener('abort', stop);
  }
}

/**
 * A shell between this process and the server. It holds the other end of a pipe: when that closes, because the work is done or
 * because this process is gone in whatever way, it ends the server and removes its folder, in which everything is in the clear.
 */
const KEEPER = `
folder=$1; shift
exec 3<&0
"$@" 3<&- </dev/null & server=$!
{ while read -r _; do :; done <&3; kill -QUIT "$server" 2>/dev/null; } & watcher=$!
wait "$server"; status=$?
kill "$watcher" 2>/dev/null
cd / && rm -rf -- "$folder"
exit "$status"
`;

/** Nothing of it needs to outlive a crash; what is restored is written once. */
const SETTINGS = {
  listen_addresses: '',
  unix_socket_permissions: '0700',
  fsync: 'off',
  synchronous_commit: 'off',
  full_page_writes: 'off',
  wal_level: 'minimal',
  max_wal_senders: 0,
  archive_mode: 'off',
  // In the folder: a container's /dev/shm is small, and what lies there would outlive a server that was killed.
  dynamic_shared_memory_type: 'mmap',
  log_destination: 'stderr',
  logging_collector: 'off',
  // Its words may be shown when it does not start: no statement is among them.
  log_min_error_statement: 'panic',
};

export interface RunningServer {
  /**
   * Does something with the server, unless it ends by itself: then the signal is aborted.
   *
   * @throws AdapterError POSTGRES_NOT_STARTED with the server's own words
   */
  untilEnd(work: (ended: AbortSignal) => Promise<void>): Promise<void>;
  /** Comes back when no process and no file of it is left. */
  end(): Promise<void>;
}

export function runServer({
  programs,
  folder,
  data,
  port,
  account,
}: Cluster & { readonly folder: string; readonly port: number }): RunningServer {
  const settings = Object.entries({ ...SETTINGS, port, unix_socket_directories: quotedInList(folder) });
  const command = [
    join(programs, 'postgres'),
    '-D',
    data,
    ...settings.flatMap(([name, value]) => ['-c', `${name}=${value}`]),
  ];
  const child = spawn('/bin/sh', ['-c', KEEPER, 'sh', folder, ...command], {
    ...account.ids,
    cwd: '/',
    env: ENVIRONMENT,
    stdio: ['pipe', 'ignore', 'pipe'],
    // What ends this process by its group, such as Ctrl-C, must not end the keeper.
    detached: true,
  });
  child.stdin.on('error', () => {});
  const { failed, closed } = childEnds(child);
  const words = collectOutput(child.stderr, WORDS_MAX_BYTES, { keep: 'end' });
  const over = new AbortController();
  const ended = Promise.race([failed, closed]).then((end) => {
    over.abort();
    return end;
  });
  return {
    async untilEnd(work) {
      try {
        await work(over.signal);
      } catch (cause) {
        if (!over.signal.aborted) throw cause;
        const end = await ended;
        if (end instanceof Error) throw notStarted('sh', '/bin', end.code ?? end.message, end);
        throw notStarted('postgres', programs, (await words).text);
      }
    },
    async end() {
      child.stdin.end();
      const limit = setTimeout(() => killGroup(child.pid), END_TIMEOUT_MS);
      await ended;
      clearTimeout(limit);
    },
  };
}

/** A list of folders, each of which may stand in double quotes (SplitDirectoriesString of the server). */
function quotedInList(folder: string): string {
  return `"${folder.replaceAll('"', '""')}"`;
}

function notStarted(program: string, programs: string, words: string, cause?: unknown): AdapterError {
  return new AdapterError('POSTGRES_NOT_STARTED', `A throw-away PostgreSQL server did not start: ${program} failed`, {
    ...(cause === undefined ? {} : { cause }),
    found: printable(words.trim().replaceAll(/\s*\n\s*/g, ' / '), 2000) || 'no message',
    at: { file: join(programs, program) },
    hint: 'Mend what it names. Run as root the server is run by the account nobody, which must be able to read the programs.',
  });
}

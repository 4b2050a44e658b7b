import { execFile } from 'node:child_process';
import { chown, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import type { PostgresServer } from './postgres-server.ts';

const run = promisify(execFile);

export interface Standby extends AsyncDisposable {
  /** Of its socket; the port is that of its primary. */
  readonly folder: string;
}

/** A server that follows another one; that one must let replication in over its socket. */
export async function startStandby(primary: PostgresServer): Promise<Standby> {
  const folder = await mkdtemp('/tmp/portolan-pg-');
  const owner = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  if ('uid' in owner) await chown(folder, owner.uid as number, owner.gid as number);
  const data = join(folder, 'data');
  const call = (program: string, args: readonly string[]) =>
    run(join(primary.programs, program), args, { ...owner, cwd: folder, env: { LC_ALL: 'C' } });
  await call('pg_basebackup', ['-h', primary.folder, '-U', 'postgres', '-D', data, '-R', '-c', 'fast']);
  const options = `-c listen_addresses='' -c port=${primary.port} -c unix_socket_directories='${folder}' -c hot_standby=on`;
  // `-l`: nothing may wait for the server's end by its output.
  await call('pg_ctl', ['-D', data, '-w', '-l', join(folder, 'log'), '-o', options, 'start']);
  return {
    folder,
    async [Symbol.asyncDispose]() {
      await call('pg_ctl', ['-D', data, '-m', 'immediate', 'stop']).catch(() => {});
      await rm(folder, { recursive: true, force: true });
    },
  };
}

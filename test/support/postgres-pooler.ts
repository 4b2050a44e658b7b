import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { chown, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

export interface Pooler extends AsyncDisposable {
  /** The folder of its socket, port 6432. */
  readonly folder: string;
}

const READY_TRIES = 1200;

/** PgBouncer in front of a server. */
export async function startPooler(
  upstream: { readonly folder: string; readonly port: number },
  mode: 'session' | 'transaction',
): Promise<Pooler> {
  const folder = await mkdtemp('/tmp/portolan-pool-');
  // It does not run as root.
  const owner = process.getuid?.() === 0 ? { uid: 65534, gid: 65534 } : {};
  const settings = [
    '[databases]',
    `* = host=${upstream.folder} port=${upstream.port}`,
    '[pgbouncer]',
    `pool_mode = ${mode}`,
    'listen_addr =',
    'listen_port = 6432',
    `unix_socket_dir = ${folder}`,
    'auth_type = any',
    'ignore_startup_parameters = extra_float_digits',
  ];
  // `auth_type = any` drops the name of the user and wants one in the database's line.
  settings[1] += ' user=postgres';
  await writeFile(join(folder, 'settings.ini'), settings.join('\n'));
  if ('uid' in owner) await chown(folder, owner.uid as number, owner.gid as number);
  const child = spawn('pgbouncer', ['-q', join(folder, 'settings.ini')], { ...owner, cwd: folder, stdio: 'ignore' });
  const ended = new Promise<void>((resolve, reject) => {
    child.once('error', (cause) =>
      reject(new Error('missing: pgbouncer. Run scripts/test, which fetches it.', { cause })),
    );
    child.once('close', () => resolve());
  });
  for (let tries = 0; tries < READY_TRIES && child.exitCode === null; tries += 1) {
    if (existsSync(join(folder, '.s.PGSQL.6432'))) break;
    await Promise.race([ended, sleep(50)]);
  }
  return {
    folder,
    async [Symbol.asyncDispose]() {
      child.kill('SIGKILL');
      await ended;
      await rm(folder, { recursive: true, force: true });
    },
  };
}

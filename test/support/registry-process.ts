import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { freePort } from './free-port.ts';

export interface RegistryProcess {
  /** `127.0.0.1:PORT`; plain HTTP. */
  readonly host: string;
  close(): Promise<void>;
}

const PROGRAM = 'registry';
const START_ATTEMPTS = 3;
const READY_TRIES = 1200;

/** The distribution project's registry, from PATH, with its storage in `folder`. `settings` are added to its configuration. */
export async function startRegistryProcess(
  folder: string,
  settings: Readonly<Record<string, unknown>> = {},
): Promise<RegistryProcess> {
  await mkdir(folder, { recursive: true });
  for (let attempt = 1; ; attempt += 1) {
    // Between the search for a free port and its use another program may take it: then once more.
    const host = `127.0.0.1:${await freePort()}`;
    const configPath = join(folder, `config-${attempt}.yml`);
    await writeFile(
      configPath,
      JSON.stringify({
        version: '0.1',
        log: { level: 'error', accesslog: { disabled: true } },
        storage: { filesystem: { rootdirectory: join(folder, 'storage') }, delete: { enabled: true } },
        http: { addr: host },
        ...settings,
      }),
    );
    const child = spawn(PROGRAM, ['serve', configPath], { stdio: 'ignore' });
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()).once('error', () => resolve()));
    if (await isReady(host, child)) {
      return {
        host,
        close: async () => {
          child.kill('SIGKILL');
          await exited;
        },
      };
    }
    child.kill('SIGKILL');
    await exited;
    if (attempt === START_ATTEMPTS) throw new Error('the registry did not start');
  }
}

async function isReady(host: string, child: ChildProcess): Promise<boolean> {
  let failed = false;
  child.once('error', () => {
    failed = true;
  });
  for (let tries = 0; tries < READY_TRIES && !failed && child.exitCode === null; tries += 1) {
    const response = await fetch(`http://${host}/v2/`).catch(() => undefined);
    if (response?.ok) return true;
    await sleep(50);
  }
  return false;
}

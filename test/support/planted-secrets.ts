import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Looks for secrets where they must not be. */
export interface SecretWatch {
  /** What a program printed. */
  add(where: string, text: string): void;
  /** Every file below a folder. */
  addFolder(folder: string): Promise<void>;
  /** Ends the look at the machine's processes. Gives every place where a secret stood. */
  end(): Promise<readonly string[]>;
}

const EVERY_MS = 20;

/** From now on, the arguments of every process of this machine are looked at. */
export function watchForSecrets(secrets: Readonly<Record<string, string>>): SecretWatch {
  const found = new Set<string>();
  const add = (where: string, text: string) => {
    for (const [name, secret] of Object.entries(secrets)) if (text.includes(secret)) found.add(`${name} in ${where}`);
  };
  const stop = new AbortController();
  const watched = (async () => {
    while (!stop.signal.aborted) {
      for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
        const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
        add(`the arguments of ${text.split('\0')[0]}`, text);
      }
      await sleep(EVERY_MS);
    }
  })();
  return {
    add,
    async addFolder(folder) {
      const entries = await readdir(folder, { recursive: true, withFileTypes: true }).catch(() => []);
      for (const entry of entries.filter((one) => one.isFile())) {
        const path = join(entry.parentPath, entry.name);
        add(path, await readFile(path, 'latin1').catch(() => ''));
      }
    },
    async end() {
      stop.abort();
      await watched;
      return [...found];
    },
  };
}

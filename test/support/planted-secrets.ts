import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';

/** Looks for secrets where they must not be. */
export interface SecretWatch {
  /** A secret that came to be only now. All that was looked at is looked at again. */
  plant(name: string, secret: string): void;
  /** What a program printed. */
  add(where: string, text: string): void;
  /** Every file below a folder, as it is now. */
  addFolder(folder: string): Promise<void>;
  /** Ends the look at the machine's processes. Gives every place where a secret stood. */
  end(): Promise<readonly string[]>;
}

export interface WatchOptions {
  /** Also the environments of processes: for secrets that nobody was given by a variable. */
  readonly environments?: boolean;
}

const EVERY_MS = 20;

/** From now on, the arguments of every process of this machine are looked at. */
export function watchForSecrets(
  planted: Readonly<Record<string, string>>,
  { environments = false }: WatchOptions = {},
): SecretWatch {
  const secrets = new Map(Object.entries(planted));
  const texts = new Map<string, Set<string>>();
  const add = (where: string, text: string) => {
    texts.set(where, (texts.get(where) ?? new Set()).add(text));
  };
  const stop = new AbortController();
  const watched = (async () => {
    while (!stop.signal.aborted) {
      for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name))) {
        const text = await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '');
        if (text === '') continue;
        add(`the arguments of ${text.split('\0')[0]}`, text);
        if (!environments) continue;
        add(
          `the environment of ${text.split('\0')[0]}`,
          await readFile(`/proc/${pid}/environ`, 'utf8').catch(() => ''),
        );
      }
      await sleep(EVERY_MS);
    }
  })();
  return {
    plant: (name, secret) => void secrets.set(name, secret),
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
      const found = new Set<string>();
      for (const [where, all] of texts) {
        for (const [name, secret] of secrets) {
          if ([...all].some((text) => text.includes(secret))) found.add(`${name} in ${where}`);
        }
      }
      return [...found];
    },
  };
}

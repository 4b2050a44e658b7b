import type { VerifiedFiles } from '../../ports/verified-files.ts';
import { appendLine, readLines } from '../files/json-lines.ts';

/**
 * How long a hash is believed, in milliseconds. The fingerprint tells when anybody writes to the file; what it cannot
 * tell is a medium that rots, and an hour is too short for that to matter.
 */
const BELIEVED_MS = 60 * 60 * 1000;
const MAX_LINES = 10_000;

interface Entry {
  readonly path: string;
  readonly digest: string;
  readonly fingerprint: string;
  /** Milliseconds since 1970. */
  readonly at: number;
}

/** One file of JSON lines; a line that cannot be read is passed over. `now`: milliseconds since 1970. */
export function createVerifiedFiles(file: string, { now }: { readonly now: () => number }): VerifiedFiles {
  let loaded: Promise<Map<string, Entry>> | undefined;
  const load = () => {
    loaded ??= readEntries(file);
    return loaded;
  };
  return {
    async has({ path, digest }, fingerprint) {
      const entry = (await load()).get(path);
      if (entry === undefined || entry.digest !== digest || entry.fingerprint !== fingerprint) return false;
      const age = now() - entry.at;
      // A clock that was set back makes an entry of the future: it is not believed.
      return age >= 0 && age < BELIEVED_MS;
    },
    async add({ path, digest }, fingerprint) {
      const entry: Entry = { path, digest, fingerprint, at: now() };
      (await load()).set(path, entry);
      await appendLine(file, entry);
    },
  };
}

async function readEntries(file: string): Promise<Map<string, Entry>> {
  return new Map((await readLines(file, MAX_LINES)).flatMap(decodeLine));
}

function decodeLine(line: string): [string, Entry][] {
  try {
    const { path, digest, fingerprint, at } = JSON.parse(line) as Partial<Entry>;
    if (typeof path !== 'string' || typeof digest !== 'string') return [];
    if (typeof fingerprint !== 'string' || typeof at !== 'number') return [];
    return [[path, { path, digest, fingerprint, at }]];
  } catch {
    return [];
  }
}

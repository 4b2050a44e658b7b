import { open, readFile, rm } from 'node:fs/promises';
import { setTimeout as wait } from 'node:timers/promises';

const LIMIT_MS = 300_000;

/** Runs `work` while this process alone holds `path`. A lock whose process is gone is taken over; others are waited for. */
export async function withLock<T>(path: string, work: () => Promise<T>): Promise<T> {
  for (let waitedMs = 0; ; waitedMs += 50) {
    if (await take(path)) break;
    if (waitedMs >= LIMIT_MS)
      throw new Error(`Another build holds ${path}. Wait for it, or remove the file if there is none.`);
    await wait(50);
  }
  try {
    return await work();
  } finally {
    await rm(path, { force: true });
  }
}

async function take(path: string): Promise<boolean> {
  try {
    const file = await open(path, 'wx');
    await file.writeFile(String(process.pid));
    await file.close();
    return true;
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code !== 'EEXIST') throw cause;
  }
  const holder = Number(await readFile(path, 'utf8').catch(() => ''));
  // An empty file: its holder is about to write its number.
  if (holder > 0 && !isRunning(holder)) await rm(path, { force: true });
  return false;
}

/** Whether a process with this number is there, whoever's it is. */
export function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EPERM';
  }
}

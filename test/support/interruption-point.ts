/**
 * Preloaded into the real program (`--import`), with the real file system underneath: at the N-th call that changes
 * something below a folder the process sends itself a signal, before the call is made. So a run can be ended at every point
 * at which it touches a disk, and not only where a timer happens to hit.
 *
 *     PORTOLAN_TEST_POINT     {"folder": …, "signal": "SIGKILL", "call": 7}        the seventh call
 *                             {"folder": …, "signal": "SIGSTOP", "path": "/lock"}   the first whose path ends so
 */
import fs from 'node:fs';
import promises, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';

interface InterruptionPoint {
  readonly folder: string;
  readonly signal: NodeJS.Signals;
  readonly call?: number;
  readonly path?: string;
}

type Call = (...args: unknown[]) => unknown;

const point = JSON.parse(process.env.PORTOLAN_TEST_POINT ?? 'null') as InterruptionPoint | null;
if (point !== null) install(point);

function install({ folder, signal, call, path: wanted }: InterruptionPoint): void {
  let calls = 0;
  let sent = false;
  const reach = (path: unknown) => {
    if (sent || typeof path !== 'string' || !path.startsWith(folder)) return;
    calls += 1;
    if (call === undefined ? !path.endsWith(wanted ?? '') : calls !== call) return;
    sent = true;
    process.kill(process.pid, signal);
  };
  const wrap = (module: object, name: string, pathAt: number) => {
    const original = Reflect.get(module, name) as Call;
    const wrapped: Call = (...args) => {
      reach(args[pathAt]);
      return original(...args);
    };
    Reflect.set(module, name, wrapped);
  };
  // The path that a call makes or changes: of a rename or link the second.
  for (const name of ['mkdir', 'rmdir', 'rm', 'writeFile', 'appendFile', 'chmod', 'truncate']) wrap(promises, name, 0);
  for (const name of ['rename', 'link', 'copyFile']) wrap(promises, name, 1);
  for (const name of ['rmSync']) wrap(fs, name, 0);
  const open = promises.open;
  promises.open = async (path, flags, mode) => {
    if (flags !== undefined && flags !== 'r' && typeof flags !== 'number') reach(path);
    return watched(await open(path, flags, mode), () => reach(path));
  };
  const openSync = fs.openSync;
  const paths = new Map<number, string>();
  fs.openSync = (path, flags, mode) => {
    if (typeof flags === 'number' && (flags & (fs.constants.O_WRONLY | fs.constants.O_RDWR)) !== 0) reach(path);
    const fd = openSync(path, flags, mode);
    paths.set(fd, String(path));
    return fd;
  };
  const fsyncSync = fs.fsyncSync;
  fs.fsyncSync = (fd) => {
    reach(paths.get(fd));
    fsyncSync(fd);
  };
  syncBuiltinESMExports();
}

function watched(handle: FileHandle, reach: () => void): FileHandle {
  for (const name of ['sync', 'datasync', 'writeFile', 'truncate'] as const) {
    const original = handle[name].bind(handle) as Call;
    Reflect.set(handle, name, (...args: unknown[]) => {
      reach();
      return original(...args);
    });
  }
  return handle;
}

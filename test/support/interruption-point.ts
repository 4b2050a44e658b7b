/**
 * Preloaded into the real program (`--import`), with the real file system underneath: at the N-th call that changes
 * something below a folder the process sends itself a signal, before the call is made. So a run can be ended at every point
 * at which it touches a disk, and not only where a timer happens to hit.
 *
 *     PORTOLAN_TEST_POINT     {"folder": …, "signal": "SIGKILL", "call": 7}          the seventh call
 *                             {"folder": …, "signal": "SIGSTOP", "path": "/lock$"}    the first whose path fits
 */
import fs from 'node:fs';
import promises, { type FileHandle } from 'node:fs/promises';
import { syncBuiltinESMExports } from 'node:module';
import { getEnvironmentData, isMainThread, setEnvironmentData } from 'node:worker_threads';

interface InterruptionPoint {
  readonly folder: string;
  readonly signal: NodeJS.Signals;
  readonly call?: number;
  readonly path?: string;
}

/** Places in the shared counts. */
const CALLS = 0;
const SENT = 1;

type Call = (...args: unknown[]) => unknown;

const point = JSON.parse(process.env.PORTOLAN_TEST_POINT ?? 'null') as InterruptionPoint | null;
if (point !== null) install(point);

function install({ folder, signal, call, path: wanted }: InterruptionPoint): void {
  const shared = sharedCounts();
  const reach = (path: unknown) => {
    if (typeof path !== 'string' || !path.startsWith(folder)) return;
    const calls = Atomics.add(shared, CALLS, 1) + 1;
    if (call === undefined ? !new RegExp(wanted ?? '').test(path) : calls !== call) return;
    if (Atomics.exchange(shared, SENT, 1) === 0) process.kill(process.pid, signal);
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

/** One pair of counts for all threads of the process: workers get the main thread's. */
function sharedCounts(): Int32Array {
  const name = 'portolan-test-counts';
  if (isMainThread) setEnvironmentData(name, new Int32Array(new SharedArrayBuffer(8)));
  return getEnvironmentData(name) as unknown as Int32Array;
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

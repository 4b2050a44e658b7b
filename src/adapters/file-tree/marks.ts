import { chmod, type FileHandle, lchown, lutimes } from 'node:fs/promises';
import type { FileMarks, RefusedMark } from '../../ports/file-tree.ts';
import { isErrno } from '../files/file-error.ts';

/** Who may not give a file away; an id that this user namespace does not have; a file system without owners or modes. */
const REFUSALS = new Set(['EPERM', 'EINVAL', 'ENOTSUP', 'ENOSYS', 'EOPNOTSUPP']);

const OWNER_BITS = 0o6000;

/** What sets the marks of one file. */
interface Setters {
  readonly owner: (uid: number, gid: number) => Promise<void>;
  /** Links have no mode. */
  readonly mode?: (mode: number) => Promise<void>;
  readonly times: (seconds: number) => Promise<void>;
}

export function markOpen(file: FileHandle, marks: FileMarks): Promise<RefusedMark[]> {
  return setMarks(marks, {
    owner: (uid, gid) => file.chown(uid, gid),
    mode: (mode) => file.chmod(mode),
    times: (seconds) => file.utimes(seconds, seconds),
  });
}

export function markLink(path: Buffer, marks: FileMarks): Promise<RefusedMark[]> {
  return setMarks(marks, {
    owner: (uid, gid) => lchown(path, uid, gid),
    times: (seconds) => lutimes(path, seconds, seconds),
  });
}

/** Of something that cannot just be opened: a pipe, a device. It must be no link. */
export function markSpecial(path: Buffer, marks: FileMarks): Promise<RefusedMark[]> {
  return setMarks(marks, {
    owner: (uid, gid) => lchown(path, uid, gid),
    mode: (mode) => chmod(path, mode),
    times: (seconds) => lutimes(path, seconds, seconds),
  });
}

/** The owner first, since a change of it takes bits from the mode; the time last, since everything else moves it. */
async function setMarks({ mode, mtimeNs, owner }: FileMarks, set: Setters): Promise<RefusedMark[]> {
  const refused: RefusedMark[] = [];
  const isOwned = owner !== undefined && (await isTaken(() => set.owner(owner.uid, owner.gid)));
  if (owner !== undefined && !isOwned) refused.push('owner');
  // A program that runs as its owner must not become one that runs as somebody else.
  const safeMode = isOwned ? mode : mode & ~OWNER_BITS;
  const setMode = set.mode;
  if (setMode !== undefined && !(await isTaken(() => setMode(safeMode)))) refused.push('mode');
  await set.times(Number(mtimeNs) / 1e9);
  return refused;
}

async function isTaken(act: () => Promise<void>): Promise<boolean> {
  try {
    await act();
    return true;
  } catch (cause) {
    if (isErrno(cause) && REFUSALS.has(cause.code)) return false;
    throw cause;
  }
}

import { AdapterError, type AdapterErrorCode } from '../errors.ts';

const WRITE_CODES: Readonly<Record<string, { code: AdapterErrorCode; text: string; hint: string }>> = {
  ENOSPC: {
    code: 'NO_SPACE',
    text: 'No space is left to write',
    hint: 'Free space on that disk, then run the command again.',
  },
  EDQUOT: {
    code: 'NO_SPACE',
    text: 'The disk quota leaves no space to write',
    hint: 'Free space, then run the command again.',
  },
  EFBIG: {
    code: 'NO_SPACE',
    text: 'The file system cannot hold a file of this size:',
    hint: 'Use another file system.',
  },
  EEXIST: {
    code: 'FILE_EXISTS',
    text: 'A file that would be written exists already:',
    hint: 'Remove it if nobody needs it.',
  },
  EROFS: {
    code: 'READ_ONLY',
    text: 'The file system is read-only: cannot write',
    hint: 'Mount it writable, or choose another folder.',
  },
};

/** What a disk says that was taken away or is broken; ENOTCONN and ESTALE are a mount's whose other end is gone. */
const GONE_CODES = new Set(['EIO', 'ENODEV', 'ENXIO', 'ESTALE', 'ENOTCONN', 'EREMOTEIO']);

/** What the operating system said about a file, as an AdapterError with a place and a remedy. Our own errors pass through. */
export function fileError(cause: unknown, path: string, action: 'read' | 'write'): unknown {
  if (!isErrno(cause)) return cause;
  const known = action === 'write' ? WRITE_CODES[cause.code] : undefined;
  const details = { cause, found: cause.code, at: { file: path } };
  // Opening a socket answers ENXIO as well: that is no disk.
  if (GONE_CODES.has(cause.code) && !(cause.code === 'ENXIO' && cause.syscall === 'open')) {
    return new AdapterError('DISK_GONE', `The disk under ${path} does not answer`, {
      ...details,
      hint: 'Was a stick pulled out? Plug it in, mount it and run the command again. If it happens again, the disk is bad: use another one.',
    });
  }
  if (known) return new AdapterError(known.code, `${known.text} ${path}`, { ...details, hint: known.hint });
  if (action === 'read' && cause.code === 'ENOENT') {
    return new AdapterError('FILE_MISSING', `${path} does not exist`, { ...details, hint: 'Check the path.' });
  }
  return action === 'write'
    ? new AdapterError('FILE_UNWRITABLE', `Cannot write ${path}`, {
        ...details,
        hint: 'Check that the folder exists and that you may write to it.',
      })
    : new AdapterError('FILE_UNREADABLE', `Cannot read ${path}`, {
        ...details,
        hint: 'Check that it is a regular file, that you may read it, and that its disk is well.',
      });
}

/** A system call's failure: an Error with `code` such as ENOENT and the name of the call. */
export function isErrno(cause: unknown): cause is NodeJS.ErrnoException & { code: string } {
  return cause instanceof Error && 'syscall' in cause && typeof (cause as NodeJS.ErrnoException).code === 'string';
}

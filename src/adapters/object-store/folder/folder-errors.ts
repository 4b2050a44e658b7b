import { PortolanError } from '../../../core/errors.ts';
import { AdapterError, type AdapterErrorCode } from '../../errors.ts';
import { isErrno } from '../../files/file-error.ts';

type Verdict = readonly [code: AdapterErrorCode, text: string, hint: string];

const GONE: Verdict = [
  'STORE_FAILED',
  'the disk does not answer',
  'Is the disk still there? Mount it and run the command again. If it happens again, the disk is bad.',
];

const VERDICTS: Readonly<Record<string, Verdict>> = {
  ENOSPC: ['STORE_FULL', 'no space is left', 'Make space on that disk, then run the command again.'],
  EDQUOT: ['STORE_FULL', 'the quota leaves no space', 'Make space or raise the quota, then run the command again.'],
  EFBIG: ['STORE_FULL', 'the file system cannot hold a file of this size', 'Use another file system.'],
  EROFS: ['STORE_DENIED', 'the file system is read-only', 'Mount it writable, or choose another folder.'],
  EACCES: ['STORE_DENIED', 'permission denied', 'Check who owns the folder, and its mode.'],
  EPERM: ['STORE_DENIED', 'not permitted', 'Check who owns the folder, its mode, and that it is not immutable.'],
  ENOENT: ['STORE_MISSING', 'it is not there', 'Check the path, and that the disk is mounted.'],
  ENOTDIR: ['STORE_FAILED', 'something else lies where a folder belongs', 'Look at what lies there.'],
  ELOOP: ['STORE_FAILED', 'a symbolic link lies where a file belongs', 'A repository holds none: look at who made it.'],
  EIO: GONE,
  ENODEV: GONE,
  ENXIO: GONE,
  ESTALE: GONE,
  ENOTCONN: GONE,
  EREMOTEIO: GONE,
};

/** What the operating system said about a file of the store. Our own errors and aborts pass through. */
export function folderError(cause: unknown, path: string): unknown {
  if (cause instanceof PortolanError || !isErrno(cause)) return cause;
  const [code, text, hint] = VERDICTS[cause.code] ?? [
    'STORE_FAILED',
    'the file system failed',
    'Look at the log of the system.',
  ];
  return new AdapterError(code, `${path}: ${text}`, { cause, found: cause.code, hint, at: { file: path } });
}

export function notPlain(path: string): AdapterError {
  return new AdapterError('STORE_FAILED', `${path} is neither a plain file nor a folder of the repository`, {
    expected: 'plain files and folders',
    found: 'a symbolic link, a pipe or a device',
    hint: 'A repository holds no such thing: look at who made it, and remove it.',
    at: { file: path },
  });
}

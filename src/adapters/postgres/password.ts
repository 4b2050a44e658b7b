import { open } from 'node:fs/promises';
import { AdapterError } from '../errors.ts';
import { fileError, isErrno } from '../files/file-error.ts';
import type { DatabaseAddress } from './database-url.ts';
import { passwordFromFile } from './password-file.ts';

/** Where a password may come from; the first that is given wins. Nothing is looked up besides. */
export interface PasswordSources {
  /** A file that holds the password alone. */
  readonly file?: string;
  readonly value?: string;
  /** A file of many, as psql has it. */
  readonly passFile?: { readonly path: string; readonly mustExist: boolean };
}

const LIMIT_BYTES = 1024 * 1024;

/** @throws AdapterError DATABASE_PASSWORD_MISSING, FILE_MISSING, FILE_UNREADABLE, FILE_TOO_LARGE */
export async function findPassword(address: DatabaseAddress, sources: PasswordSources): Promise<string> {
  if (sources.file !== undefined) {
    const { text } = await read(sources.file);
    return text.replace(/\r?\n$/, '');
  }
  if (sources.value !== undefined) return sources.value;
  const passwords = await readPassFile(sources.passFile);
  const found = passwords === undefined ? undefined : passwordFromFile(passwords, address);
  if (found !== undefined) return found;
  throw new AdapterError('DATABASE_PASSWORD_MISSING', 'The database asks for a password, and none was given', {
    hint: 'Give it by --database-password-file, PGPASSWORD or PGPASSFILE.',
  });
}

async function readPassFile(passFile: PasswordSources['passFile']): Promise<string | undefined> {
  if (passFile === undefined) return undefined;
  try {
    const { text, mode } = await read(passFile.path);
    if ((mode & 0o077) === 0) return text;
  } catch (cause) {
    if (!passFile.mustExist && cause instanceof AdapterError && cause.code === 'FILE_MISSING') return undefined;
    throw cause;
  }
  // psql warns and goes on without it, which then looks like a wrong password.
  throw new AdapterError('FILE_UNREADABLE', 'The file of passwords can be read by others', {
    expected: 'mode 0600',
    at: { file: passFile.path },
    hint: 'Run chmod 600 on it.',
  });
}

async function read(path: string): Promise<{ readonly text: string; readonly mode: number }> {
  try {
    const file = await open(path, 'r');
    try {
      const facts = await file.stat();
      // A pipe (`<(command)`) has no size: it is read to its end.
      const bytes = Buffer.alloc(LIMIT_BYTES + 1);
      let filled = 0;
      for (;;) {
        const { bytesRead } = await file.read(bytes, filled, bytes.length - filled, null);
        if (bytesRead === 0) break;
        filled += bytesRead;
      }
      if (filled > LIMIT_BYTES) {
        throw new AdapterError('FILE_TOO_LARGE', 'The file is too large to hold a password', {
          expected: `at most ${LIMIT_BYTES} bytes`,
          at: { file: path },
          hint: 'Check that the path names the file that you mean.',
        });
      }
      return { text: bytes.toString('utf8', 0, filled), mode: facts.mode };
    } finally {
      await file.close();
    }
  } catch (cause) {
    if (isErrno(cause)) throw fileError(cause, path, 'read');
    throw cause;
  }
}

import { userInfo } from 'node:os';
import { AdapterError } from '../errors.ts';
import { readSmallFile } from '../files/small-file.ts';

export interface ServerAccount {
  /** What its processes run as; nothing where it is this process's own account. */
  readonly ids: { readonly uid: number; readonly gid: number } | Record<string, never>;
  /** What the kernel says of who connects: this process's account. */
  readonly clientName: string;
}

const ACCOUNTS = '/etc/passwd';
const ACCOUNTS_MAX_BYTES = 1024 * 1024;

/**
 * PostgreSQL does not run as root. In its place: nobody, who owns nothing. Not the account postgres: what is restored may hold
 * functions that run programs, and that account owns the databases of this machine.
 *
 * @throws AdapterError POSTGRES_NOT_STARTED
 */
export async function serverAccount(): Promise<ServerAccount> {
  const { uid, username } = userInfo();
  if (uid !== 0) return { ids: {}, clientName: username };
  const text = new TextDecoder().decode((await readSmallFile(ACCOUNTS, ACCOUNTS_MAX_BYTES)) ?? new Uint8Array());
  const [, nobodyUid, nobodyGid] = /^nobody:[^:]*:(\d+):(\d+):/m.exec(text) ?? [];
  if (nobodyUid !== undefined && nobodyGid !== undefined && nobodyUid !== '0') {
    return { ids: { uid: Number(nobodyUid), gid: Number(nobodyGid) }, clientName: username };
  }
  throw new AdapterError(
    'POSTGRES_NOT_STARTED',
    'PostgreSQL does not run as root, and this machine has no account nobody',
    {
      at: { file: ACCOUNTS },
      hint: 'Run the command as another user than root.',
    },
  );
}

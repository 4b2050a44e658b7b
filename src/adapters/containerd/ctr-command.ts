import { constants } from 'node:fs';
import { access, stat } from 'node:fs/promises';
import { delimiter, join } from 'node:path';

export interface FoundCtr {
  /** How it is called: `['/usr/local/bin/k3s', 'ctr']`. */
  readonly ctr: readonly string[];
  /** The socket, where `ctr` would look for another one. */
  readonly address?: string;
}

/** Where k3s installs itself; the path of `sudo` often lacks it. */
const USUAL_FOLDERS = ['/usr/local/bin', '/opt/bin', '/var/lib/rancher/rke2/bin'];
const K3S_SOCKET = '/run/k3s/containerd/containerd.sock';

/**
 * The program that reaches containerd on this machine: `k3s ctr` before `ctr`. `undefined` when there is none.
 *
 * @param searchPath folders as in PATH
 */
export async function findCtr(searchPath: string): Promise<FoundCtr | undefined> {
  const folders = [...searchPath.split(delimiter).filter((folder) => folder.startsWith('/')), ...USUAL_FOLDERS];
  const k3s = await firstProgram(folders, 'k3s');
  if (k3s !== undefined) return { ctr: [k3s, 'ctr'] };
  const ctr = await firstProgram(folders, 'ctr');
  if (ctr === undefined) return undefined;
  // The containerd of RKE2, and of a k3s that lies elsewhere.
  const isSocket = await stat(K3S_SOCKET).then(
    (facts) => facts.isSocket(),
    () => false,
  );
  return { ctr: [ctr], ...(isSocket ? { address: K3S_SOCKET } : {}) };
}

async function firstProgram(folders: readonly string[], name: string): Promise<string | undefined> {
  for (const folder of folders) {
    const path = join(folder, name);
    const isProgram = await access(path, constants.X_OK)
      .then(() => stat(path))
      .then(
        (facts) => facts.isFile(),
        () => false,
      );
    if (isProgram) return path;
  }
  return undefined;
}

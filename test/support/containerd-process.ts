import { type ChildProcess, spawn } from 'node:child_process';
import { mkdir, mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { ContainerdOptions } from '../../src/adapters/containerd/containerd.ts';
import { run, succeed } from './program.ts';

/** A containerd of its own, with the kubelet's plugin and without a kubelet. Needs root: it mounts what it unpacks. */
export interface ContainerdProcess {
  readonly folder: string;
  readonly options: ContainerdOptions;
  /** Runs `ctr -n k8s.io`, which must succeed; gives its output. */
  ctr(...args: string[]): Promise<string>;
  /** Stops it without warning. `start` raises it again on the same folder. */
  kill(): Promise<void>;
  /** Suspends it: it neither answers nor ends. */
  pause(): void;
  resume(): void;
  start(): Promise<void>;
  close(): Promise<void>;
}

const READY_TRIES = 600;
/** What it unpacks lies best in memory. */
const PARENT = '/dev/shm';

export async function startContainerd(
  options: { readonly root?: string; readonly snapshotter?: string } = {},
): Promise<ContainerdProcess> {
  if (process.geteuid?.() !== 0) throw new Error('this test starts containerd: run it as root (scripts/test as root)');
  const isThere = await stat(PARENT).then(
    () => true,
    () => false,
  );
  const folder = await mkdtemp(join(isThere ? PARENT : tmpdir(), 'portolan-containerd-'));
  const root = options.root ?? join(folder, 'root');
  const socket = join(folder, 'containerd.sock');
  const config = join(folder, 'config.toml');
  await mkdir(root, { recursive: true });
  await writeFile(
    config,
    [
      'version = 3',
      `root = '${root}'`,
      `state = '${join(folder, 'state')}'`,
      `[grpc]`,
      `address = '${socket}'`,
      `[plugins.'io.containerd.cri.v1.images']`,
      `snapshotter = '${options.snapshotter ?? 'overlayfs'}'`,
      `[plugins.'io.containerd.internal.v1.opt']`,
      `path = '${join(folder, 'opt')}'`,
      `[plugins.'io.containerd.grpc.v1.cri']`,
      `stream_server_address = '127.0.0.1'`,
      `stream_server_port = '0'`,
      '',
    ].join('\n'),
  );
  let child: ChildProcess | undefined;
  const env = { ...process.env, CONTAINERD_ADDRESS: socket, CONTAINERD_NAMESPACE: 'k8s.io' };
  const stop = async () => {
    const running = child;
    child = undefined;
    if (running === undefined || running.exitCode !== null || running.signalCode !== null) return;
    const ended = new Promise((resolve) => running.once('exit', resolve));
    running.kill('SIGKILL');
    await ended;
  };
  const start = async () => {
    child = spawn('containerd', ['--config', config], { stdio: 'ignore' });
    let failure: unknown;
    child.once('error', (cause) => {
      failure = cause;
    });
    for (let tries = 0; tries < READY_TRIES && failure === undefined && child.exitCode === null; tries += 1) {
      const { status } = await run('ctr', ['--connect-timeout', '1s', 'images', 'ls', '-q'], { env });
      if (status === 0) return;
      await sleep(50);
    }
    await stop();
    throw new Error('containerd did not start', { cause: failure });
  };
  const close = async () => {
    await stop();
    const mounts = (await readFile('/proc/self/mounts', 'utf8')).split('\n').map((line) => line.split(' ')[1] ?? '');
    const isOurs = (path: string) => [folder, root].some((ours) => path.startsWith(`${ours}/`));
    for (const mount of mounts.filter(isOurs).reverse()) await run('umount', [mount]);
    await rm(folder, { recursive: true, force: true });
  };
  try {
    await start();
  } catch (cause) {
    await close();
    throw cause;
  }
  return {
    folder,
    options: { ctr: ['ctr'], address: socket, environment: { PATH: process.env.PATH ?? '' } },
    ctr: (...args) => succeed('ctr', args, { env }),
    kill: stop,
    pause: () => void child?.kill('SIGSTOP'),
    resume: () => void child?.kill('SIGCONT'),
    start,
    close,
  };
}

/**
 * Runs what is in an image without a container engine: its layers are unpacked to a folder, which becomes the root of
 * a process in a mount namespace of its own. As root, or in a user namespace with this user's subordinate ids.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { createReadStream, createWriteStream } from 'node:fs';
import { mkdir, readFile, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { createZstdDecompress } from 'node:zlib';
import { type Digest, hexOf } from '../../src/core/digest.ts';

export interface ImageConfig {
  readonly User: string;
  readonly Entrypoint: readonly string[];
  readonly Cmd?: readonly string[];
  readonly Env?: readonly string[];
}

export interface UnpackedImage {
  readonly root: string;
  readonly config: ImageConfig;
}

export interface Ended {
  readonly status: number | null;
  readonly output: string;
}

export interface RunOptions {
  readonly env?: readonly string[];
  /** Default: the image's. */
  readonly user?: string;
}

const OWN_IDS = process.getuid?.() === 0 ? [] : ['--user', '--map-root-user', '--map-auto'];

export async function unpackImage(layout: string, manifest: Digest, root: string): Promise<UnpackedImage> {
  const blob = (digest: Digest) => join(layout, 'blobs/sha256', hexOf(digest));
  const document = JSON.parse(await readFile(blob(manifest), 'utf8'));
  await mkdir(root);
  for (const layer of document.layers) {
    // From a file: tar may be gone before a pipe to it has been closed on this side.
    const archive = `${root}.tar`;
    await pipeline(createReadStream(blob(layer.digest)), createZstdDecompress(), createWriteStream(archive));
    const { status, output } = await ending(
      spawn('unshare', [...OWN_IDS, '--mount', 'tar', '-xpf', archive, '--numeric-owner', '-C', root], {
        stdio: ['ignore', 'pipe', 'pipe'],
      }),
    );
    await rm(archive);
    if (status !== 0) throw new Error(`tar could not unpack ${layer.digest}: ${output}`);
  }
  const { config } = JSON.parse(await readFile(blob(document.config.digest), 'utf8'));
  return { root, config };
}

/** Starts a program in the image, its own entry point where `command` is empty. Signals to the child reach the program itself. */
export function startInImage(
  image: UnpackedImage,
  command: readonly string[],
  options: RunOptions & { readonly stdout?: number } = {},
): ChildProcess {
  const { config, root } = image;
  const full = command.length > 0 ? command : [...config.Entrypoint, ...(config.Cmd ?? [])];
  const mounts = 'mount --rbind /dev "$root/dev" && mount --rbind /proc "$root/proc"';
  const enter = `root=$0 user=$1; shift; ${mounts} && exec chroot --userspec="$user" "$root" "$@"`;
  const environment = ['env', '-i', ...(config.Env ?? []), ...(options.env ?? [])];
  return spawn(
    'unshare',
    [...OWN_IDS, '--mount', ...['bash', '-c', enter, root, options.user ?? config.User, ...environment, ...full]],
    { stdio: ['ignore', options.stdout ?? 'pipe', 'pipe'] },
  );
}

export async function runInImage(
  image: UnpackedImage,
  command: readonly string[],
  options: RunOptions = {},
): Promise<Ended> {
  return ending(startInImage(image, command, options));
}

/** Everything that a program wrote, and how it ended. */
export function ending(child: ChildProcess): Promise<Ended> {
  let output = '';
  for (const stream of [child.stdout, child.stderr]) {
    stream?.setEncoding('utf8').on('data', (text: string) => {
      output += text;
    });
  }
  return new Promise((resolve, reject) => {
    child.once('error', reject);
    child.once('close', (status) => resolve({ status, output }));
  });
}

/** Removes an unpacked image, whose files may belong to subordinate ids. */
export async function removeRoot(folder: string): Promise<void> {
  await ending(spawn('unshare', [...OWN_IDS, '--mount', 'rm', '-rf', folder], { stdio: ['ignore', 'pipe', 'pipe'] }));
}

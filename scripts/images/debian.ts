/**
 * Layers made of Debian packages. Each package is opened with `dpkg-deb -x` into a folder of its own, so that one can
 * neither overwrite nor follow another's links, and merged here. What dpkg knows about it is kept the way small
 * Debian images keep it, one file a package in var/lib/dpkg/status.d, which package scanners read.
 */
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import type { Apt, DebianPackage } from './apt.ts';
import { run } from './process.ts';
import { addFolder, addFolderContent, addLink, addText, dropEmptyFolders, type Tree } from './tree.ts';

/** Needed by maintainer scripts, wrappers in perl and init systems only; and LLVM, without which PostgreSQL runs, uncompiled. */
export const ABSENT = [
  { name: 'debconf', provides: 'debconf-2.0' },
  { name: 'dpkg' },
  { name: 'init-system-helpers' },
  { name: 'iproute2' },
  { name: 'libllvm14' },
  { name: 'libpam-runtime' },
  { name: 'locales' },
  { name: 'lsb-base' },
  { name: 'mawk', provides: 'awk' },
  { name: 'openssl' },
  { name: 'perl' },
  { name: 'perl-base' },
  { name: 'postgresql-client-common' },
  { name: 'postgresql-common' },
  { name: 'readline-common' },
  { name: 'sensible-utils' },
  { name: 'ssl-cert' },
  { name: 'sysvinit-utils' },
  { name: 'ucf' },
] as const;

/** Of every image: a C library with its C.UTF-8, a shell and the small tools, TLS, compression, time zones. */
const BASE_PACKAGES = [
  'base-files',
  'coreutils',
  'dash',
  'libc-bin',
  'libc6',
  'libgcc-s1',
  'libssl3',
  'libstdc++6',
  'libzstd1',
  'tzdata',
  'zlib1g',
] as const;

const EXCLUDED = [
  /^usr\/share\/doc\/[^/]+\/(?!copyright$)/,
  /^usr\/share\/(?:man|info|locale|lintian|bug|doc-base|bash-completion|menu|linda|apport|vim|perl5|initramfs-tools)(?:\/|$)/,
  /^usr\/share\/zoneinfo\/(?:right|posix)(?:\/|$)/,
  /^etc\/(?:init\.d|cron\.[a-z]+|logrotate\.d|ufw|default|update-motd\.d|skel|postgresql-common|ld\.so\.conf\.d\/fakeroot.*)(?:\/|$)/,
  /^(?:usr\/)?lib\/(?:systemd|udev|tmpfiles\.d|sysusers\.d)(?:\/|$)/,
  /^usr\/lib\/postgresql\/\d+\/lib\/(?:bitcode|pgxs)(?:\/|$)/,
  // Present without LLVM it would be an error at the first costly query; absent, the server interprets.
  /^usr\/lib\/postgresql\/\d+\/lib\/llvmjit/,
  /^usr\/share\/postgresql\/\d+\/man(?:\/|$)/,
];

const MERGED = /^(?:bin|sbin|lib|lib32|lib64|libx32)(?=\/|$)/;

export interface DebianLayer {
  /** Unpacks the packages, once. */
  readonly tree: () => Promise<Tree>;
  /** Changes with any package. */
  readonly madeOf: string;
  /** `name=version`, sorted. */
  readonly packages: readonly string[];
}

export interface DebianLayers {
  /** The same bytes in every image that is built from the same versions. */
  readonly base: DebianLayer;
  /** What the given packages need beyond the base. */
  readonly rest: DebianLayer;
}

export async function debianLayers(apt: Apt, packages: readonly string[], workFolder: string): Promise<DebianLayers> {
  const baseVersions = await apt.resolve(BASE_PACKAGES);
  const allVersions = await apt.resolve([...BASE_PACKAGES, ...packages]);
  const files = await apt.download(allVersions);
  const inBase = files.filter(({ name }) => baseVersions.has(name));
  const beyond = files.filter(({ name }) => !baseVersions.has(name));
  return {
    base: debianLayer(inBase, async () => {
      const tree = await packageTree(inBase, workFolder);
      addSkeleton(tree);
      return tree;
    }),
    rest: debianLayer(beyond, () => packageTree(beyond, workFolder)),
  };
}

function debianLayer(files: readonly DebianPackage[], tree: () => Promise<Tree>): DebianLayer {
  let made: Promise<Tree> | undefined;
  return {
    tree: () => {
      made ??= tree();
      return made;
    },
    madeOf: files.map(({ name, version, sha256 }) => `${name}=${version} ${sha256}\n`).join(''),
    packages: files.map(({ name, version }) => `${name}=${version}`),
  };
}

async function packageTree(packages: readonly DebianPackage[], workFolder: string): Promise<Tree> {
  const tree: Tree = new Map();
  for (const item of packages) {
    const folder = join(workFolder, `${item.name}_${item.architecture}`);
    await mkdir(folder, { recursive: true });
    await run('dpkg-deb', ['-x', item.path, folder]);
    await addFolderContent(tree, folder, place);
    const control = (await run('dpkg-deb', ['-f', item.path])).trimEnd();
    addText(
      tree,
      `var/lib/dpkg/status.d/${item.name}`,
      `${control.replace('\n', '\nStatus: install ok installed\n')}\n`,
    );
  }
  dropEmptyFolders(tree);
  return tree;
}

function place(path: string): string | undefined {
  const merged = path.replace(MERGED, (folder) => `usr/${folder}`);
  return EXCLUDED.some((pattern) => pattern.test(merged) || pattern.test(path)) ? undefined : merged;
}

/** What maintainer scripts would have made: merged folders, accounts, folders for things that change. */
function addSkeleton(tree: Tree): void {
  for (const folder of ['bin', 'sbin', 'lib', 'lib64']) {
    addFolder(tree, `usr/${folder}`);
    addLink(tree, folder, `usr/${folder}`);
  }
  for (const folder of [
    'dev',
    'home',
    'media',
    'mnt',
    'opt',
    'proc',
    'run',
    'srv',
    'sys',
    'var/lib',
    'var/cache',
    'var/log',
  ]) {
    addFolder(tree, folder);
  }
  addFolder(tree, 'root', 0o700);
  addFolder(tree, 'tmp', 0o1777);
  addFolder(tree, 'var/tmp', 0o1777);
  addLink(tree, 'var/run', '/run');
  addLink(tree, 'etc/localtime', '/usr/share/zoneinfo/Etc/UTC');
  addText(tree, 'etc/passwd', accounts({}).passwd);
  addText(tree, 'etc/group', accounts({}).group);
  addText(tree, 'etc/nsswitch.conf', 'passwd: files\ngroup: files\nshadow: files\nhosts: files dns\n');
}

/** /etc/passwd and /etc/group with one more account; the number is also its group's. */
export function accounts(extra: { readonly name?: string; readonly id?: number; readonly home?: string }): {
  readonly passwd: string;
  readonly group: string;
} {
  const passwd = ['root:x:0:0:root:/root:/bin/sh', 'nobody:x:65534:65534:nobody:/nonexistent:/bin/false'];
  const group = ['root:x:0:', 'tty:x:5:', 'nogroup:x:65534:'];
  if (extra.name !== undefined) {
    passwd.splice(1, 0, `${extra.name}:x:${extra.id}:${extra.id}:${extra.name}:${extra.home}:/bin/sh`);
    group.splice(2, 0, `${extra.name}:x:${extra.id}:`);
  }
  return { passwd: `${passwd.join('\n')}\n`, group: `${group.join('\n')}\n` };
}

/** Which files of a layer say what is installed, and which entries take files of lower layers away. */

export type FileOfInterest = 'dpkg' | 'apk' | 'npm' | 'os-release';

const FIXED: Readonly<Record<string, FileOfInterest>> = {
  'var/lib/dpkg/status': 'dpkg',
  'lib/apk/db/installed': 'apk',
  'usr/lib/apk/db/installed': 'apk',
  'etc/os-release': 'os-release',
  'usr/lib/os-release': 'os-release',
};
const DISTROLESS = /^var\/lib\/dpkg\/status\.d\/[^/]+$/;
// The package's own package.json, not one deeper inside it. pnpm's folders match as well.
const NPM = /(?:^|\/)node_modules\/(?:@[^/]+\/)?[^/@.][^/]*\/package\.json$/;
/** Databases of rpm: seen and said, not read. */
const RPM = /^(?:var\/lib\/rpm|usr\/lib\/sysimage\/rpm)\/(?:Packages|Packages\.db|rpmdb\.sqlite)$/;
/** Folders that lead to the databases, and folders of npm packages: what replaces one takes away what was in it. */
const LEADING = new Set(
  Object.keys(FIXED)
    .flatMap((path) => ancestorsOf(path))
    .concat('var/lib/dpkg/status.d'),
);
const NPM_FOLDER = /(?:^|\/)node_modules(?:\/@[^/]+)?(?:\/[^/]+)?$/;

/** `path` as {@link normalPath} gives it. */
export function fileOfInterest(path: string): FileOfInterest | undefined {
  if (Object.hasOwn(FIXED, path)) return FIXED[path];
  if (DISTROLESS.test(path)) return path.endsWith('.md5sums') ? undefined : 'dpkg';
  return NPM.test(path) ? 'npm' : undefined;
}

export function isRpmDatabase(path: string): boolean {
  return RPM.test(path);
}

/** Whether something that is not a folder under this name hides files of interest of lower layers. */
export function isFolderOfInterest(path: string): boolean {
  return LEADING.has(path) || NPM_FOLDER.test(path);
}

/** OCI image specification v1.1, "Layer", section "Whiteouts". */
export type Whiteout =
  | { readonly kind: 'remove'; readonly path: string }
  /** Everything in the folder, not the folder itself. The empty path is the root. */
  | { readonly kind: 'empty'; readonly path: string };

export function whiteoutOf(path: string): Whiteout | undefined {
  const slash = path.lastIndexOf('/');
  const folder = path.slice(0, Math.max(slash, 0));
  const base = path.slice(slash + 1);
  if (base === '.wh..wh..opq') return { kind: 'empty', path: folder };
  if (!base.startsWith('.wh.') || base.startsWith('.wh..wh.') || base === '.wh.') return undefined;
  const name = base.slice('.wh.'.length);
  return { kind: 'remove', path: folder === '' ? name : `${folder}/${name}` };
}

/** Without a leading `/` or `./` and empty parts. `undefined` for the root, for paths with `..`, and for endless ones. */
export function normalPath(name: string): string | undefined {
  if (name.length > 4096) return undefined;
  const parts = name.split('/').filter((part) => part !== '' && part !== '.');
  return parts.length === 0 || parts.includes('..') ? undefined : parts.join('/');
}

/** The folders above a path, the outermost first, without the root. */
export function ancestorsOf(path: string): string[] {
  const parts = path.split('/');
  return parts.slice(1).map((_, index) => parts.slice(0, index + 1).join('/'));
}

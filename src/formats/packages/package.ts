/** What the three databases have in common. They are untrusted: an image may hold anything under these names. */

export const PACKAGE_TYPES = ['dpkg', 'apk', 'npm'] as const;
export type PackageType = (typeof PACKAGE_TYPES)[number];

/** A package that a database says is installed. */
export interface InstalledPackage {
  readonly type: PackageType;
  readonly name: string;
  readonly version: string;
  readonly architecture?: string;
  /** As its maker wrote it; usually, not always, an SPDX expression. */
  readonly license?: string;
  /** Name of the source package, where it differs or the database names it. */
  readonly source?: string;
}

export interface ParsedPackages {
  /** In the order of the database. */
  readonly packages: readonly InstalledPackage[];
  /** Entries that could not be used: no name or version, or text that no package has. */
  readonly malformed: number;
  /** Whether the database held more than {@link DATABASE_MAX_PACKAGES} and reading stopped there. */
  readonly truncated: boolean;
}

/** In one database, and in all of one layer: several times the largest real system. */
export const DATABASE_MAX_PACKAGES = 50_000;

const MAX_TEXT_LENGTH = 256;
const MAX_LICENSE_LENGTH = 512;
// Line breaks, terminal escapes, the directional marks that make text read as something else, lone surrogates.
const UNFIT = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}\p{Cs}]/u;

/** Builds a package from fields as they were found. `undefined` when name or version are missing or are not what a package has. */
export function toInstalledPackage(
  type: PackageType,
  fields: {
    readonly name: unknown;
    readonly version: unknown;
    readonly architecture?: unknown;
    readonly license?: unknown;
    readonly source?: unknown;
  },
): InstalledPackage | undefined {
  const name = fitText(fields.name);
  const version = fitText(fields.version);
  if (name === undefined || version === undefined || /\s/.test(name) || /\s/.test(version)) return undefined;
  const architecture = fitText(fields.architecture);
  const license = fitText(fields.license, MAX_LICENSE_LENGTH);
  const source = fitText(fields.source);
  return {
    type,
    name,
    version,
    ...(architecture === undefined ? {} : { architecture }),
    ...(license === undefined ? {} : { license }),
    ...(source === undefined || source === name ? {} : { source }),
  };
}

/** Text that may stand in a report, trimmed; `undefined` for anything else. */
export function fitText(value: unknown, maxLength = MAX_TEXT_LENGTH): string | undefined {
  if (typeof value !== 'string') return undefined;
  const text = value.trim();
  return text === '' || text.length > maxLength || UNFIT.test(text) ? undefined : text;
}

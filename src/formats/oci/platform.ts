import { FormatError } from '../errors.ts';
import type { Platform } from './types.ts';

/**
 * Platforms as text, `os "/" architecture [ "/" variant ]`, normalised as containerd does: x86_64 is amd64, aarch64 is
 * arm64, arm64's variant v8 and amd64's v1 are not written, arm without a variant is v7.
 */

const PART = /^[a-z0-9_.-]{1,64}$/;
// Maps, not objects: a platform called `constructor` must find nothing.
const OS_ALIASES: ReadonlyMap<string, string> = new Map([['macos', 'darwin']]);
const ARCHITECTURE_ALIASES: ReadonlyMap<string, { readonly architecture: string; readonly variant?: string }> = new Map(
  [
    ['x86_64', { architecture: 'amd64' }],
    ['x86-64', { architecture: 'amd64' }],
    ['aarch64', { architecture: 'arm64' }],
    ['i386', { architecture: '386' }],
    ['armhf', { architecture: 'arm', variant: 'v7' }],
    ['armel', { architecture: 'arm', variant: 'v6' }],
  ],
);
/** The variant that is meant where none is written. */
const IMPLIED_VARIANT: ReadonlyMap<string, string> = new Map([
  ['arm64', 'v8'],
  ['amd64', 'v1'],
  ['arm', 'v7'],
]);

/** Raises FormatError PLATFORM_INVALID. */
export function parsePlatform(text: string): Platform {
  const parts = text.toLowerCase().split('/');
  const [os, architecture, variant] = parts;
  if (os === undefined || architecture === undefined || parts.length > 3 || !parts.every((part) => PART.test(part))) {
    throw new FormatError('PLATFORM_INVALID', `${JSON.stringify(text.slice(0, 200))} is not a platform`, {
      expected: 'OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT',
      found: text.slice(0, 200),
      hint: 'Write it like linux/amd64 or linux/arm/v7.',
    });
  }
  return normalisePlatform({ os, architecture, ...(variant === undefined ? {} : { variant }) });
}

export function normalisePlatform(platform: Platform): Platform {
  const os = OS_ALIASES.get(platform.os.toLowerCase()) ?? platform.os.toLowerCase();
  const written = platform.architecture.toLowerCase();
  const alias = ARCHITECTURE_ALIASES.get(written);
  const architecture = alias?.architecture ?? written;
  let variant = platform.variant?.toLowerCase() || alias?.variant;
  if (variant !== undefined && /^[0-9]+$/.test(variant)) variant = `v${variant}`;
  if (architecture === 'arm') variant ??= IMPLIED_VARIANT.get('arm');
  else if (variant !== undefined && variant === IMPLIED_VARIANT.get(architecture)) variant = undefined;
  return { os, architecture, ...(variant === undefined ? {} : { variant }) };
}

/** `linux/amd64`, `linux/arm/v7`. */
export function formatPlatform(platform: Platform): string {
  const { os, architecture, variant } = normalisePlatform(platform);
  return variant === undefined ? `${os}/${architecture}` : `${os}/${architecture}/${variant}`;
}

/**
 * The candidate that runs best on `wanted`: the same variant, else the highest lower one (arm/v6 runs on arm/v7).
 * `undefined` when none runs there.
 */
export function choosePlatform<T extends { readonly platform: Platform }>(
  wanted: Platform,
  candidates: readonly T[],
): T | undefined {
  const target = normalisePlatform(wanted);
  let best: { candidate: T; level: number } | undefined;
  for (const candidate of candidates) {
    const found = normalisePlatform(candidate.platform);
    if (found.os !== target.os || found.architecture !== target.architecture) continue;
    if (formatPlatform(found) === formatPlatform(target)) return candidate;
    const level = variantLevel(found);
    const limit = variantLevel(target);
    if (level === undefined || limit === undefined || level > limit) continue;
    if (best === undefined || level > best.level) best = { candidate, level };
  }
  return best?.candidate;
}

function variantLevel(platform: Platform): number | undefined {
  const variant = platform.variant ?? IMPLIED_VARIANT.get(platform.architecture);
  const digits = variant === undefined ? undefined : /^v([0-9]{1,3})$/.exec(variant)?.[1];
  return digits === undefined ? undefined : Number(digits);
}

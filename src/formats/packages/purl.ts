/**
 * Package URLs (ECMA-427): `pkg:TYPE/NAMESPACE/NAME@VERSION?QUALIFIERS`, the names by which vulnerability databases and
 * other SBOM formats know packages.
 */
import type { Distribution } from './os-release.ts';
import type { InstalledPackage } from './package.ts';

export function packageUrl(found: InstalledPackage, distribution?: Distribution): string {
  if (found.type === 'npm') {
    // A scope is the namespace. The name keeps its case: only old packages have capitals, and there they matter.
    return `pkg:npm/${found.name.split('/').map(encode).join('/')}@${encode(found.version)}`;
  }
  const [type, fallback] = found.type === 'dpkg' ? ['deb', 'debian'] : ['apk', 'alpine'];
  const qualifiers = [
    ...(found.architecture === undefined ? [] : [`arch=${encode(found.architecture)}`]),
    ...(distribution?.versionId === undefined
      ? []
      : [`distro=${encode(`${distribution.id}-${distribution.versionId}`)}`]),
  ];
  const name = encode(found.name.toLowerCase());
  const base = `pkg:${type}/${distribution?.id ?? fallback}/${name}@${encode(found.version)}`;
  return qualifiers.length === 0 ? base : `${base}?${qualifiers.join('&')}`;
}

/** Percent-encodes all but letters, digits, `.`, `-`, `_`, `~` and `:` (ECMA-427, "Character encoding"). */
function encode(text: string): string {
  return encodeURIComponent(text)
    .replaceAll('%3A', ':')
    .replaceAll(/[!'()*]/g, (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`);
}

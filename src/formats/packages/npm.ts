/**
 * package.json of a package that npm, pnpm or yarn put into a node_modules folder: name, version and licence (npm's
 * documentation, "package.json"; `licenses` and `{ "type": … }` are its older forms).
 */
import { type InstalledPackage, toInstalledPackage } from './package.ts';

/** The largest real ones have some 100 KiB. */
export const PACKAGE_JSON_MAX_BYTES = 1024 * 1024;

/** `undefined` when the file is not the package.json of a package: not JSON, or without a name and version. */
export function parsePackageJson(bytes: Uint8Array): InstalledPackage | undefined {
  if (bytes.length > PACKAGE_JSON_MAX_BYTES) return undefined;
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8').decode(bytes));
  } catch {
    return undefined;
  }
  if (!isObject(value)) return undefined;
  return toInstalledPackage('npm', { name: value.name, version: value.version, license: licenseOf(value) });
}

function licenseOf(manifest: Record<string, unknown>): unknown {
  const { license, licenses } = manifest;
  if (isObject(license)) return license.type;
  if (license !== undefined || !Array.isArray(licenses)) return license;
  const types = licenses.map((item) => (isObject(item) ? item.type : item)).filter((type) => typeof type === 'string');
  return types.length > 1 ? `(${types.join(' OR ')})` : types[0];
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === 'object' && value !== null && !Array.isArray(value);
}

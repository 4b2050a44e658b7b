/**
 * modules.json, in a folder or an archive of modules: what each module requires.
 *
 *     { "core": { "requires": [] }, "blog": { "requires": ["core"] } }
 *
 * docs/migrations.md, "A folder of modules".
 */
import { z } from 'zod';
import { canonicalJson } from '../../core/canonical-json.ts';
import { isBundlePath } from '../bundle/bundle-path.ts';
import { FormatError } from '../errors.ts';
import type { Requiring } from './module-order.ts';

export const MODULES_FILE = 'modules.json';
export const MODULES_FILE_LIMIT_BYTES = 1024 * 1024;

const moduleName = z.string().refine(isModuleName, 'a name of a module is that of a plain folder');
const schema = z.record(moduleName, z.strictObject({ requires: z.array(moduleName) }));

/** A module's name is a folder and the first part of `MODULE/FILE`. */
export function isModuleName(name: string): boolean {
  return isBundlePath(name) && !name.includes('/') && !name.startsWith('.');
}

export function encodeModules(modules: readonly Requiring[]): Uint8Array {
  const members = modules.map(({ name, requires }) => [name, { requires }]);
  return new TextEncoder().encode(canonicalJson(Object.fromEntries(members)));
}

/** @throws FormatError MODULES_INVALID */
export function decodeModules(bytes: Uint8Array, file: string): readonly Requiring[] {
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes));
  } catch (cause) {
    throw invalid(`${MODULES_FILE} is not JSON`, file, cause);
  }
  const parsed = schema.safeParse(value);
  if (!parsed.success) throw invalid(`${MODULES_FILE}: ${parsed.error.issues[0]?.message ?? 'invalid'}`, file);
  return Object.entries(parsed.data).map(([name, { requires }]) => ({ name, requires }));
}

function invalid(message: string, file: string, cause?: unknown): FormatError {
  return new FormatError('MODULES_INVALID', message, {
    ...(cause === undefined ? {} : { cause }),
    expected: '{"MODULE": {"requires": ["MODULE", …]}, …}',
    at: { file },
    hint: 'Correct the file: one member for each folder of modules.',
  });
}

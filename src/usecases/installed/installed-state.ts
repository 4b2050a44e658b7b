import type { SigningKey } from '../../formats/sigstore/cosign-key.ts';
import {
  decodeInstalled,
  encodeInstalled,
  INSTALLED_MEDIA_TYPE,
  type Installed,
  installedName,
} from '../../formats/target/installed.ts';
import { createTargetKey, parseTargetKey, TARGET_KEY_NAME } from '../../formats/target/target-key.ts';
import type { StateOptions, TargetState } from '../../ports/target-state.ts';

/** What a target remembers of a bundle; a fresh record when it never had it. */
export async function readInstalled(state: TargetState, name: string, options: StateOptions = {}): Promise<Installed> {
  const bytes = await state.read(installedName(name), options);
  if (bytes === undefined) return nothingInstalled(name);
  return decodeInstalled(bytes, `${state.place}: ${installedName(name)}`);
}

export function nothingInstalled(name: string): Installed {
  return { mediaType: INSTALLED_MEDIA_TYPE, name, brought: [] };
}

/** Called with the target's lock held. */
export function writeInstalled(state: TargetState, installed: Installed, options: StateOptions = {}): Promise<void> {
  return state.write(installedName(installed.name), encodeInstalled(installed), options);
}

/** Every bundle that the target knows, by name. */
export async function listInstalled(state: TargetState, options: StateOptions = {}): Promise<Installed[]> {
  const installed: Installed[] = [];
  for (const name of await state.list(installedName(''), options)) {
    const bytes = await state.read(name, options);
    // Removed between the two calls.
    if (bytes !== undefined) installed.push(decodeInstalled(bytes, `${state.place}: ${name}`));
  }
  return installed;
}

/** The target's signing key; made on first use, with the lock held. */
export async function targetKey(state: TargetState, options: StateOptions = {}): Promise<SigningKey> {
  const place = `${state.place}: ${TARGET_KEY_NAME}`;
  const known = await state.read(TARGET_KEY_NAME, options);
  if (known !== undefined) return parseTargetKey(known, place);
  const pem = createTargetKey();
  await state.write(TARGET_KEY_NAME, pem, options);
  return parseTargetKey(pem, place);
}

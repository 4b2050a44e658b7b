import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import { MAX_IDENTITY_FILE_BYTES, parseIdentityFile } from '../formats/age/identity-file.ts';
import { joinRecipients, parseRecipient, parseRecipientsFile } from '../formats/age/recipients.ts';
import { COSIGN_KEY_MAX_BYTES, openCosignKey, type SigningKey } from '../formats/sigstore/cosign-key.ts';
import { decodeTrust, TRUST_MAX_BYTES, type Trust } from '../formats/sigstore/trust.ts';

/** The largest password file that is read, in bytes. */
const PASSWORD_MAX_BYTES = 4096;

/** Reads identity files; a passphrase is asked for where one is needed. */
export async function readIdentities(
  paths: readonly string[],
  askSecret: (prompt: string) => Promise<string>,
): Promise<string[]> {
  const identities: string[] = [];
  for (const path of paths) {
    const content = await read(path, MAX_IDENTITY_FILE_BYTES);
    const askPassphrase = () => askSecret(`Passphrase of ${path}: `);
    identities.push(...(await parseIdentityFile(content, { file: path, askPassphrase })));
  }
  return identities;
}

/** Recipients given one by one (-r) and in files (-R), as one checked set. */
export async function readRecipients(given: readonly string[], files: readonly string[]): Promise<readonly string[]> {
  const recipients = given.map((text) => parseRecipient(text));
  for (const path of files) {
    const content = await read(path, MAX_IDENTITY_FILE_BYTES);
    recipients.push(...parseRecipientsFile(new TextDecoder().decode(content), path));
  }
  return joinRecipients(recipients).recipients;
}

export async function readTrust(path: string): Promise<Trust> {
  return decodeTrust(await read(path, TRUST_MAX_BYTES), path);
}

export interface PasswordSources {
  readonly passwordFile: string | undefined;
  /** COSIGN_PASSWORD of the environment. */
  readonly passwordFromEnvironment: string | undefined;
  readonly askSecret: (prompt: string) => Promise<string>;
}

/** A signing key with its password, not opened yet: that takes a tenth of a second of another thread. */
interface LockedSigningKey {
  /** @throws FormatError WRONG_PASSWORD, SIGNING_KEY_INVALID, SIGNING_KEY_UNSUPPORTED, KEY_TOO_LARGE */
  open(options?: { readonly signal?: AbortSignal }): Promise<SigningKey>;
}

/** Reads a cosign key. The password comes from a file, else from the environment, else from a prompt. */
export async function readSigningKey(path: string, sources: PasswordSources): Promise<LockedSigningKey> {
  const content = await read(path, COSIGN_KEY_MAX_BYTES);
  const password = await readPassword(path, sources);
  return { open: (options) => openCosignKey(content, password, { file: path, ...options }) };
}

async function readPassword(keyPath: string, sources: PasswordSources): Promise<Uint8Array | string> {
  if (sources.passwordFile !== undefined) {
    const bytes = await read(sources.passwordFile, PASSWORD_MAX_BYTES);
    // An editor's line end is not part of a password.
    return new TextDecoder().decode(bytes).replace(/\r?\n$/, '');
  }
  return sources.passwordFromEnvironment ?? (await sources.askSecret(`Password of ${keyPath}: `));
}

async function read(path: string, limitBytes: number): Promise<Uint8Array> {
  return createProjectFiles().read(path, limitBytes);
}

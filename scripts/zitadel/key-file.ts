import { generateKeyPair } from 'node:crypto';
import { mkdir } from 'node:fs/promises';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { z } from 'zod';
import { writeFileDurable } from '../../src/adapters/files/durable.ts';
import { readSmallFile } from '../../src/adapters/files/small-file.ts';
import { SetupProblem, type ZitadelApi } from './api.ts';

export interface KeyFileSettings {
  readonly keyFolder: string;
  /** When new keys expire. */
  readonly keysUntil: Date;
}

const KEYS = 'user.v2.UserService';
const keyFileSchema = z.looseObject({ type: z.literal('serviceaccount'), userId: z.string() });

/**
 * The key file of a service user, as ZITADEL itself would hand it out, mode 0600. The key is made here, and ZITADEL gets its public half.
 * One that is there for this user stays. Gives its path.
 */
export async function ensureKeyFile(
  api: ZitadelApi,
  { name, userId }: { readonly name: string; readonly userId: string },
  { keyFolder, keysUntil }: KeyFileSettings,
  say: (line: string) => void,
): Promise<string> {
  const file = join(keyFolder, `${name}.json`);
  const expirationDate = keysUntil.toISOString();
  if (api.isDryRun) {
    await api.call(`${KEYS}/AddKey`, { userId, expirationDate, publicKey: '<a public key that is made here>' });
    return file;
  }
  const present = await readSmallFile(file, 64 * 1024);
  if (present !== undefined) {
    requireOf(present, userId, file);
    say(`key file ${file}: is there`);
    return file;
  }
  await mkdir(keyFolder, { recursive: true, mode: 0o700 });
  const { publicKey, privateKey } = await promisify(generateKeyPair)('rsa', {
    modulusLength: 2048,
    publicKeyEncoding: { type: 'spki', format: 'pem' },
    privateKeyEncoding: { type: 'pkcs1', format: 'pem' },
  });
  const answer = await api.call(`${KEYS}/AddKey`, {
    userId,
    expirationDate,
    publicKey: Buffer.from(publicKey).toString('base64'),
  });
  const { keyId } = z.looseObject({ keyId: z.string().min(1) }).parse(answer);
  try {
    const content = { type: 'serviceaccount', keyId, key: privateKey, expirationDate, userId };
    await writeFileDurable(file, `${JSON.stringify(content)}\n`, { mode: 0o600 });
  } catch (cause) {
    // A key that nobody holds must not stay.
    await api.call(`${KEYS}/RemoveKey`, { userId, keyId });
    throw cause;
  }
  say(`key file ${file}: made, until ${expirationDate.slice(0, 10)}`);
  return file;
}

function requireOf(bytes: Uint8Array, userId: string, file: string): void {
  const problem = (message: string) =>
    new SetupProblem(`${file} ${message}`, 'Move it away, or choose another --keys-out; then run the command again.');
  let value: unknown;
  try {
    value = JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    throw problem('is no key file');
  }
  const parsed = keyFileSchema.safeParse(value);
  if (!parsed.success) throw problem('is no key file');
  if (parsed.data.userId !== userId) throw problem(`is the key file of another user, ${parsed.data.userId}`);
}

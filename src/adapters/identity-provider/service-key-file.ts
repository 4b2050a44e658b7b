import { createPrivateKey } from 'node:crypto';
import { z } from 'zod';
import type { ServiceAccount } from '../../ports/identity-provider.ts';
import { AdapterError } from '../errors.ts';
import { readSmallFile } from '../files/small-file.ts';

const MAX_BYTES = 64 * 1024;

/** What ZITADEL hands out for a key of a service user; `expirationDate` may be with it. */
const schema = z.looseObject({
  type: z.literal('serviceaccount'),
  keyId: z.string().min(1).max(200),
  key: z.string().refine(isPrivateKey),
  userId: z.string().min(1).max(200),
});

/** A key file of ZITADEL. Nothing of it is ever part of an error. @throws AdapterError SERVICE_KEY_INVALID, FILE_… */
export async function readServiceKey(file: string): Promise<ServiceAccount> {
  const parsed = schema.safeParse(jsonOf(await read(file)));
  if (!parsed.success) throw invalid(file, wrongMember(parsed.error));
  const { keyId, userId, key } = parsed.data;
  return { kind: 'key', keyId, userId, privateKey: key };
}

/** A service user's name, and a file with its secret. @throws AdapterError SERVICE_KEY_INVALID, FILE_… */
export async function readClientSecret(clientId: string, file: string): Promise<ServiceAccount> {
  // An editor's line end is no part of a secret.
  const clientSecret = new TextDecoder().decode(await read(file)).replace(/\r?\n$/, '');
  if (clientSecret === '' || /[\r\n]/.test(clientSecret)) throw invalid(file, 'it is not one line');
  return { kind: 'secret', clientId, clientSecret };
}

async function read(file: string): Promise<Uint8Array> {
  const bytes = await readSmallFile(file, MAX_BYTES, { followLinks: true });
  if (bytes !== undefined) return bytes;
  throw new AdapterError('FILE_MISSING', `${file} is not there`, {
    at: { file },
    hint: 'Give the file that ZITADEL handed out for the service user.',
  });
}

function jsonOf(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch {
    return undefined;
  }
}

function isPrivateKey(pem: string): boolean {
  try {
    return createPrivateKey(pem).asymmetricKeyType === 'rsa';
  } catch {
    return false;
  }
}

function wrongMember({ issues }: z.ZodError): string {
  const member = issues[0]?.path.join('.');
  return member ? `its member ${member} is missing or not right` : 'it is not JSON';
}

function invalid(file: string, problem: string): AdapterError {
  return new AdapterError('SERVICE_KEY_INVALID', `the credentials of the service account cannot be used: ${problem}`, {
    expected: '{"type":"serviceaccount","keyId","key","userId"} with an RSA key, or one line with the secret',
    at: { file },
    hint: 'Make a new key of the kind JSON for the service user in ZITADEL, and give the file as it is.',
  });
}

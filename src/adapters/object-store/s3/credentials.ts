import { join } from 'node:path';
import { AdapterError } from '../../errors.ts';
import { readSmallFile } from '../../files/small-file.ts';

export interface StorageCredentials {
  readonly accessKeyId: string;
  readonly secretAccessKey: string;
  readonly sessionToken?: string;
  /** From when on they are refused. */
  readonly expiration?: Date;
  /** From when on others are asked for; a minute before they expire unless said. */
  readonly renewFrom?: Date;
}

export interface CredentialsOptions {
  readonly signal?: AbortSignal;
  /** The storage says that these have expired: they are not wanted again. */
  readonly refused?: StorageCredentials;
}

/** Asked again when its credentials are to be renewed, and when the storage says that they have expired. */
export type CredentialsProvider = (options: CredentialsOptions) => Promise<StorageCredentials>;

type Environment = Readonly<Record<string, string | undefined>>;

const MAX_FILE_BYTES = 1 << 20;
const HINT =
  'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE and AWS_PROFILE. They are never taken from arguments or from the address.';

/**
 * As Amazon's tools look: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and AWS_SESSION_TOKEN; else the profile AWS_PROFILE of
 * AWS_SHARED_CREDENTIALS_FILE or ~/.aws/credentials. The file is read afresh each time: who renews them replaces it.
 *
 * @throws AdapterError STORE_CREDENTIALS_MISSING
 */
export function credentialsOf(environment: Environment): CredentialsProvider {
  return async () => {
    const accessKeyId = environment.AWS_ACCESS_KEY_ID;
    const secretAccessKey = environment.AWS_SECRET_ACCESS_KEY;
    const sessionToken = environment.AWS_SESSION_TOKEN;
    if (accessKeyId && secretAccessKey) {
      return { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) };
    }
    if (accessKeyId || secretAccessKey) {
      throw missing('Of AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY only one is set');
    }
    const home = environment.HOME;
    const path = environment.AWS_SHARED_CREDENTIALS_FILE || (home && join(home, '.aws', 'credentials'));
    if (!path) throw missing('There are no credentials for the storage');
    return readProfile(path, environment.AWS_PROFILE || 'default');
  };
}

async function readProfile(path: string, profile: string): Promise<StorageCredentials> {
  const bytes = await readSmallFile(path, MAX_FILE_BYTES, { followLinks: true });
  if (bytes === undefined) throw missing('There are no credentials for the storage', path);
  const settings = settingsOf(new TextDecoder().decode(bytes), profile);
  if (settings === undefined) throw missing(`The file of credentials has no profile ${profile}`, path);
  const accessKeyId = settings.get('aws_access_key_id');
  const secretAccessKey = settings.get('aws_secret_access_key');
  const sessionToken = settings.get('aws_session_token');
  if (!accessKeyId || !secretAccessKey) {
    throw missing(`The profile ${profile} holds no access key`, path, 'aws_access_key_id and aws_secret_access_key');
  }
  return { accessKeyId, secretAccessKey, ...(sessionToken ? { sessionToken } : {}) };
}

/** One section of Amazon's file (AWS SDKs and Tools Reference Guide, "Format of the credentials file"). */
function settingsOf(text: string, profile: string): ReadonlyMap<string, string> | undefined {
  let settings: Map<string, string> | undefined;
  let isWanted = false;
  for (const line of text.split(/\r?\n/)) {
    const section = /^\s*\[\s*([^\]]+?)\s*\]/.exec(line)?.[1];
    if (section !== undefined) {
      isWanted = section === profile;
      if (isWanted) settings ??= new Map();
      continue;
    }
    const setting = /^\s*([^#;=\s][^=]*?)\s*=\s*(.*?)\s*$/.exec(line);
    if (isWanted && setting !== null) settings?.set((setting[1] as string).toLowerCase(), setting[2] as string);
  }
  return settings;
}

function missing(message: string, file?: string, expected?: string): AdapterError {
  return new AdapterError('STORE_CREDENTIALS_MISSING', message, {
    ...(expected === undefined ? {} : { expected }),
    ...(file === undefined ? {} : { at: { file } }),
    hint: HINT,
  });
}

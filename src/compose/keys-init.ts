import { resolve } from 'node:path';
import { writeFileDurable } from '../adapters/files/durable.ts';
import { readSmallFile } from '../adapters/files/small-file.ts';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import { joinRecipients, parseRecipient } from '../formats/age/recipients.ts';
import type { PinnedIssuer } from '../formats/identity/pinned-issuer.ts';
import { decodeKeySet, type IssuerKey, KEY_SET_MAX_BYTES, usableKeys } from '../formats/repository/issuer-keys.ts';
import {
  decodeRepositoryTrust,
  decodeTrustFile,
  encodeTrustFile,
  REPOSITORY_TRUST_MAX_BYTES,
  type TrustFile,
} from '../formats/repository/repository-trust.ts';
import { pinRoot, type RootFile, type RootReport } from '../usecases/repository/pin-root.ts';
import { readNamedKeys } from './backup-init.ts';
import type { Running } from './environment.ts';
import { openIdentityProvider } from './identity.ts';

export interface KeysInitSettings {
  /** As typed. */
  readonly out: string;
  /** `FILE` or `NAME=FILE`. */
  readonly approvers: readonly string[];
  readonly threshold?: number | undefined;
  readonly breakGlass: readonly string[];
  readonly minimumRecipients?: number | undefined;
  readonly minimumEpoch?: number | undefined;
  readonly issuer?: Omit<PinnedIssuer, 'keys'> | undefined;
  /** Whether keys may be added to a file that is there, and ended in it. */
  readonly updateKeys: boolean;
  /** The issuer's keys from a file, not from the network. */
  readonly jwks?: string | undefined;
  /** Certificates that the issuer is trusted by, beside the system's. */
  readonly caFile?: string | undefined;
}

export interface KeysInitOutcome extends RootReport {
  readonly file: string;
  readonly approvers: readonly { readonly name: string; readonly keyHint: string }[];
}

/** Makes a root file, or brings the history of the issuer's keys in one up to date. */
export async function composeKeysInit(settings: KeysInitSettings, running: Running): Promise<KeysInitOutcome> {
  const { cwd, now } = running;
  const path = resolve(cwd, settings.out);
  const { threshold, minimumRecipients, minimumEpoch, issuer, updateKeys } = settings;
  const breakGlass = settings.breakGlass.map((text) => parseRecipient(text));
  const report = await pinRoot(
    {
      ...{ threshold, minimumRecipients, minimumEpoch, issuer, updateKeys },
      approvers: await readNamedKeys(settings.approvers, 'approver', cwd),
      breakGlass: breakGlass.length === 0 ? [] : joinRecipients(breakGlass).recipients,
    },
    { file: rootFile(path), keysOf: (url) => keysOf(url, settings, running), now },
  );
  const { keys } = decodeRepositoryTrust(Buffer.from(encodeTrustFile(report.root)), path);
  return { ...report, file: path, approvers: keys.map(({ name, keyHint }) => ({ name, keyHint })) };
}

function rootFile(path: string): RootFile {
  return {
    path,
    async read() {
      const bytes = await readSmallFile(path, REPOSITORY_TRUST_MAX_BYTES);
      return bytes === undefined ? undefined : decodeTrustFile(bytes, path);
    },
    async write(root: TrustFile) {
      const text = encodeTrustFile(root);
      decodeTrustFile(Buffer.from(text), path);
      await writeFileDurable(path, text);
    },
  };
}

async function keysOf(
  issuer: string,
  { jwks, caFile }: KeysInitSettings,
  running: Running,
): Promise<readonly IssuerKey[]> {
  if (jwks !== undefined) {
    const path = resolve(running.cwd, jwks);
    return decodeKeySet(await createProjectFiles().read(path, KEY_SET_MAX_BYTES), path);
  }
  const provider = await openIdentityProvider(issuer, { caFile }, running);
  try {
    return usableKeys(await provider.publishedKeys({ signal: running.signal }), issuer);
  } finally {
    await provider.close();
  }
}

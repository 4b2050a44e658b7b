import { readFile } from 'node:fs/promises';
import type { ExecCredential } from '../../formats/kubernetes/exec-credential.ts';
import type { ClusterAccess, ExecPlugin, Material } from '../../formats/kubernetes/kubeconfig.ts';
import { AdapterError } from '../errors.ts';
import { fileError } from '../files/file-error.ts';
import { askExecPlugin } from './exec-plugin.ts';

/** What one request shows. */
export interface Credentials {
  readonly headers: Readonly<Record<string, string | string[]>>;
  readonly certificate?: { readonly certificatePem: string; readonly keyPem: string };
}

export interface CredentialSource {
  current(signal?: AbortSignal): Promise<Credentials>;
  /** After a 401: true when asking again may bring others. */
  renew(): boolean;
}

export interface CredentialSettings {
  readonly environment: Readonly<Record<string, string>>;
  readonly now: () => number;
  readonly execTimeoutMs?: number;
}

const EXEC_TIMEOUT_MS = 60_000;
/** As client-go does it: the tokens of service accounts are replaced while a program runs. */
const TOKEN_FILE_MS = 60_000;
/** What runs out within this time is not shown any more. */
const EXPIRY_MARGIN_MS = 30_000;

export function createCredentialSource(access: ClusterAccess, settings: CredentialSettings): CredentialSource {
  const { user } = access;
  let fromFile: { readonly token: string; readonly readAtMs: number } | undefined;
  let fromPlugin: Promise<ExecCredential> | undefined;
  let fixed: Promise<Credentials['certificate']> | undefined;

  const fixedCertificate = async (): Promise<Credentials['certificate']> => {
    if (user.clientCertificate === undefined || user.clientKey === undefined) return undefined;
    const [certificate, key] = await Promise.all([readMaterial(user.clientCertificate), readMaterial(user.clientKey)]);
    return { certificatePem: certificate.toString('utf8'), keyPem: key.toString('utf8') };
  };

  const token = async (): Promise<string | undefined> => {
    if (user.tokenFile === undefined) return user.token;
    if (fromFile === undefined || performance.now() - fromFile.readAtMs > TOKEN_FILE_MS) {
      try {
        const text = await readFile(user.tokenFile, 'utf8');
        fromFile = { token: text.trim(), readAtMs: performance.now() };
      } catch (cause) {
        if (fromFile === undefined && user.token === undefined) throw fileError(cause, user.tokenFile, 'read');
      }
    }
    return fromFile?.token || user.token;
  };

  const ask = async (exec: ExecPlugin, signal: AbortSignal | undefined): Promise<ExecCredential> => {
    const authority = access.authority === undefined ? undefined : await readMaterial(access.authority);
    return await askExecPlugin(
      exec,
      {
        server: access.server,
        skipVerify: access.skipVerify,
        ...(access.serverName === undefined ? {} : { serverName: access.serverName }),
        ...(authority === undefined ? {} : { authorityPem: authority }),
        ...(access.proxyUrl === undefined ? {} : { proxyUrl: access.proxyUrl }),
      },
      { environment: settings.environment, timeoutMs: settings.execTimeoutMs ?? EXEC_TIMEOUT_MS },
      signal === undefined ? {} : { signal },
    );
  };

  /** Calls at the same time share one run of the plugin; one that a caller gave up is no answer for the others. */
  const plugin = async (signal?: AbortSignal): Promise<ExecCredential | undefined> => {
    if (user.exec === undefined) return undefined;
    for (;;) {
      const shared = fromPlugin;
      const known = await shared?.catch(unlessRefused);
      if (known !== undefined && isFresh(known)) return known;
      if (fromPlugin !== shared) continue;
      const run = ask(user.exec, signal);
      fromPlugin = run;
      try {
        return await run;
      } catch (cause) {
        if (fromPlugin === run) fromPlugin = undefined;
        throw cause;
      }
    }
  };

  const isFresh = ({ expiresMs }: ExecCredential): boolean =>
    expiresMs === undefined || expiresMs - EXPIRY_MARGIN_MS > settings.now();

  return {
    async current(signal) {
      fixed ??= fixedCertificate();
      const asked = await plugin(signal);
      const certificate = (await fixed) ?? asked?.certificate;
      const bearer = (await token()) ?? asked?.token;
      return {
        headers: { ...authorization(bearer, user.basic), ...impersonation(user.impersonate) },
        ...(certificate === undefined ? {} : { certificate }),
      };
    },
    renew() {
      const renewable = user.tokenFile !== undefined || user.exec !== undefined;
      fromFile = undefined;
      fromPlugin = undefined;
      return renewable;
    },
  };
}

/** What the plugin said to one it would say to all, and may take its time for it. */
function unlessRefused(failure: unknown): undefined {
  if (failure instanceof AdapterError && failure.code === 'KUBERNETES_UNAUTHORIZED') throw failure;
}

function authorization(
  token: string | undefined,
  basic: ClusterAccess['user']['basic'],
): { readonly authorization?: string } {
  if (token !== undefined) return { authorization: `Bearer ${token}` };
  if (basic === undefined) return {};
  return { authorization: `Basic ${Buffer.from(`${basic.username}:${basic.password}`).toString('base64')}` };
}

function impersonation(as: ClusterAccess['user']['impersonate']): Record<string, string | string[]> {
  if (as === undefined) return {};
  return {
    'impersonate-user': as.user,
    ...(as.uid === undefined ? {} : { 'impersonate-uid': as.uid }),
    ...(as.groups.length === 0 ? {} : { 'impersonate-group': [...as.groups] }),
  };
}

export async function readMaterial(material: Material): Promise<Buffer> {
  if ('bytes' in material) return Buffer.from(material.bytes);
  try {
    return await readFile(material.file);
  } catch (cause) {
    throw fileError(cause, material.file, 'read');
  }
}

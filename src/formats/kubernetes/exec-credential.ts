/**
 * The conversation with a credential plugin (kubernetes.io/docs/reference/config-api/client-authentication.v1): the request is
 * JSON in KUBERNETES_EXEC_INFO, the answer JSON on standard output, both of kind ExecCredential.
 */
import { z } from 'zod';

export interface ExecCredential {
  readonly token?: string;
  readonly certificate?: { readonly certificatePem: string; readonly keyPem: string };
  /** Milliseconds since 1970; without it the credentials are good for as long as the program runs. */
  readonly expiresMs?: number;
}

export interface ExecCluster {
  readonly server: string;
  readonly serverName?: string;
  readonly skipVerify: boolean;
  readonly authorityPem?: Uint8Array;
  readonly proxyUrl?: string;
}

export function encodeExecRequest(apiVersion: string, cluster: ExecCluster | undefined): string {
  return JSON.stringify({
    apiVersion,
    kind: 'ExecCredential',
    spec: {
      interactive: false,
      ...(cluster === undefined
        ? {}
        : {
            cluster: {
              server: cluster.server,
              ...(cluster.serverName === undefined ? {} : { 'tls-server-name': cluster.serverName }),
              ...(cluster.skipVerify ? { 'insecure-skip-tls-verify': true } : {}),
              ...(cluster.authorityPem === undefined
                ? {}
                : { 'certificate-authority-data': Buffer.from(cluster.authorityPem).toString('base64') }),
              ...(cluster.proxyUrl === undefined ? {} : { 'proxy-url': cluster.proxyUrl }),
            },
          }),
    },
  });
}

const answerSchema = z.looseObject({
  apiVersion: z.string(),
  kind: z.literal('ExecCredential'),
  status: z.looseObject({
    expirationTimestamp: z.string().nullish(),
    token: z.string().nullish(),
    clientCertificateData: z.string().nullish(),
    clientKeyData: z.string().nullish(),
  }),
});

/** `undefined` when the text is no answer of that version, or holds no credentials. */
export function decodeExecAnswer(text: string, apiVersion: string): ExecCredential | undefined {
  let parsed: unknown;
  try {
    parsed = JSON.parse(text);
  } catch {
    return undefined;
  }
  const result = answerSchema.safeParse(parsed);
  if (!result.success || result.data.apiVersion !== apiVersion) return undefined;
  const { token, clientCertificateData, clientKeyData, expirationTimestamp } = result.data.status;
  if (Boolean(clientCertificateData) !== Boolean(clientKeyData)) return undefined;
  if (!token && !clientCertificateData) return undefined;
  const expiresMs = expirationTimestamp ? Date.parse(expirationTimestamp) : undefined;
  if (Number.isNaN(expiresMs)) return undefined;
  return {
    ...(token ? { token } : {}),
    ...(clientCertificateData && clientKeyData
      ? { certificate: { certificatePem: clientCertificateData, keyPem: clientKeyData } }
      : {}),
    ...(expiresMs === undefined ? {} : { expiresMs }),
  };
}

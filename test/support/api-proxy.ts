import { writeFile } from 'node:fs/promises';
import type { IncomingMessage, ServerResponse } from 'node:http';
import { Agent, type RequestOptions, request as requestTls } from 'node:https';
import { join } from 'node:path';
import { serveOnLoopback } from './loopback-server.ts';
import { succeed } from './program.ts';

/** A request that changes something; the lock's renewals and questions about rights do not count. */
export interface ApiWrite {
  /** From 1. */
  readonly number: number;
  readonly method: string;
  readonly path: string;
}

export interface ApiProxy {
  /** Leads through the proxy, with the rights of the kubeconfig that it was made from. */
  readonly kubeconfig: string;
  /** Since the last `begin`. */
  readonly writes: readonly ApiWrite[];
  /**
   * Counts afresh. `interrupt` is called before a write is carried out, and after that, before it is answered; where it gives
   * true, there is no answer, and before: nothing is carried out.
   */
  begin(interrupt?: (write: ApiWrite, when: 'before' | 'after') => boolean): void;
  close(): Promise<void>;
}

const NO_WRITE = /\/(?:leases|selfsubjectaccessreviews)(?:\/|\?|$)|[?&]dryRun=/;

/** In front of an API server, over plain HTTP: where a test ends a program at a certain write to the cluster. */
export async function startApiProxy(kubeconfig: string, folder: string): Promise<ApiProxy> {
  const text = await succeed('kubectl', [
    '--kubeconfig',
    kubeconfig,
    'config',
    'view',
    '--raw',
    '--minify',
    '--flatten',
    '-o',
    'json',
  ]);
  const { clusters, users } = JSON.parse(text) as {
    clusters: { cluster: Record<string, string> }[];
    users: { user: Record<string, string> }[];
  };
  const decoded = (value: string | undefined) => Buffer.from(value ?? '', 'base64');
  const upstream = new URL(clusters[0]?.cluster.server ?? '');
  const user = users[0]?.user ?? {};
  const agent = new Agent({
    keepAlive: true,
    ca: decoded(clusters[0]?.cluster['certificate-authority-data']),
    cert: decoded(user['client-certificate-data']),
    key: decoded(user['client-key-data']),
  });
  let writes: ApiWrite[] = [];
  let interrupt: (write: ApiWrite, when: 'before' | 'after') => boolean = () => false;

  const handle = (incoming: IncomingMessage, answer: ServerResponse): void => {
    const { method = '', url: path = '', headers } = incoming;
    let write: ApiWrite | undefined;
    if (/^(?:POST|PUT|PATCH|DELETE)$/.test(method) && !NO_WRITE.test(path)) {
      write = { number: writes.length + 1, method, path };
      writes.push(write);
      if (interrupt(write, 'before')) return void answer.destroy();
    }
    const options: RequestOptions = {
      host: upstream.hostname,
      port: upstream.port,
      method,
      path,
      agent,
      headers: { ...headers, host: upstream.host },
    };
    const outgoing = requestTls(options, (response) => {
      if (write !== undefined && interrupt(write, 'after')) {
        response.resume();
        return void answer.destroy();
      }
      answer.writeHead(response.statusCode ?? 502, response.headers);
      response.pipe(answer);
      response.on('error', () => answer.destroy());
    });
    outgoing.on('error', () => answer.destroy());
    answer.on('close', () => outgoing.destroy());
    incoming.pipe(outgoing);
  };
  const server = await serveOnLoopback(handle);
  const path = join(folder, 'proxy.kubeconfig');
  await writeFile(path, proxyKubeconfig(server.host));
  return {
    kubeconfig: path,
    get writes() {
      return writes;
    },
    begin(next = () => false) {
      writes = [];
      interrupt = next;
    },
    async close() {
      await server.close();
      agent.destroy();
    },
  };
}

function proxyKubeconfig(host: string): string {
  return JSON.stringify({
    apiVersion: 'v1',
    kind: 'Config',
    clusters: [{ name: 'proxied', cluster: { server: `http://${host}` } }],
    users: [{ name: 'nobody', user: {} }],
    contexts: [{ name: 'proxied', context: { cluster: 'proxied', user: 'nobody' } }],
    'current-context': 'proxied',
  });
}

import { spawn } from 'node:child_process';
import { printable } from '../../core/printable.ts';
import {
  decodeExecAnswer,
  type ExecCluster,
  type ExecCredential,
  encodeExecRequest,
} from '../../formats/kubernetes/exec-credential.ts';
import type { ExecPlugin } from '../../formats/kubernetes/kubeconfig.ts';
import { AdapterError } from '../errors.ts';
import { childEnds, collectOutput, killGroup } from '../processes/child.ts';

export interface PluginSettings {
  /** What the plugin's own `env` is added to. */
  readonly environment: Readonly<Record<string, string>>;
  readonly timeoutMs: number;
}

const MAX_OUTPUT_BYTES = 1024 * 1024;
const MAX_COMPLAINT_BYTES = 64 * 1024;
/** A token that a plugin prints among its complaints must not be repeated. */
const TOKEN_LIKE = /[A-Za-z0-9_\-.=+/]{32,}/g;

/**
 * Asks a credential plugin, without a shell and without a person.
 *
 * @throws AdapterError KUBERNETES_UNAUTHORIZED with the last line of what the plugin complained; never with its answer.
 */
export async function askExecPlugin(
  plugin: ExecPlugin,
  cluster: ExecCluster,
  settings: PluginSettings,
  options: { readonly signal?: AbortSignal } = {},
): Promise<ExecCredential> {
  options.signal?.throwIfAborted();
  const request = encodeExecRequest(plugin.apiVersion, plugin.provideClusterInfo ? cluster : undefined);
  const limit = AbortSignal.timeout(settings.timeoutMs);
  const stop = options.signal === undefined ? limit : AbortSignal.any([limit, options.signal]);
  const child = spawn(plugin.command, plugin.arguments, {
    env: { ...settings.environment, ...plugin.environment, KUBERNETES_EXEC_INFO: request },
    stdio: ['ignore', 'pipe', 'pipe'],
    shell: false,
    // A process group of its own, so that what the plugin starts is ended with it.
    detached: true,
  });
  const { failed, closed } = childEnds(child);
  const kill = (): void => {
    killGroup(child.pid);
    child.stdout.destroy();
    child.stderr.destroy();
  };
  stop.addEventListener('abort', kill, { once: true });
  try {
    const output = collectOutput(child.stdout, MAX_OUTPUT_BYTES, { onOverflow: kill });
    const complaints = collectOutput(child.stderr, MAX_COMPLAINT_BYTES);
    const end = await Promise.race([failed, closed]);
    options.signal?.throwIfAborted();
    if (end instanceof Error) throw notStarted(plugin, end);
    if (limit.aborted) throw unusable(plugin, `it did not answer within ${settings.timeoutMs / 1000} s`);
    const [answer, complaint] = await Promise.all([output, complaints]);
    if (end.status !== 0) {
      throw unusable(plugin, `it ended with status ${end.status ?? end.signal}${lastLine(complaint.text)}`);
    }
    const credential = decodeExecAnswer(answer.text, plugin.apiVersion);
    if (credential === undefined) throw unusable(plugin, `its answer is no ExecCredential of ${plugin.apiVersion}`);
    return credential;
  } finally {
    stop.removeEventListener('abort', kill);
  }
}

function lastLine(text: string): string {
  const line = text.trimEnd().split('\n').at(-1) ?? '';
  return line === '' ? '' : `: ${printable(line.replace(TOKEN_LIKE, '…'))}`;
}

function notStarted(plugin: ExecPlugin, cause: Error): AdapterError {
  const { code } = cause as NodeJS.ErrnoException;
  if (code !== 'ENOENT' && code !== 'EACCES') return unusable(plugin, 'it could not be started', cause);
  return new AdapterError('KUBERNETES_UNAUTHORIZED', `The credential plugin ${plugin.command} is not there`, {
    cause,
    found: code,
    hint: plugin.installHint ? printable(plugin.installHint) : 'Install it, or use another context.',
  });
}

function unusable(plugin: ExecPlugin, reason: string, cause?: Error): AdapterError {
  return new AdapterError(
    'KUBERNETES_UNAUTHORIZED',
    `The credential plugin ${plugin.command} gave no credentials: ${reason}`,
    {
      ...(cause === undefined ? {} : { cause }),
      hint: 'Run `kubectl get nodes` with the same kubeconfig and mend what it says about the plugin.',
    },
  );
}

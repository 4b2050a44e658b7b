import { backoffMs, pause } from '../../core/retry.ts';
import type { Kubernetes } from '../../ports/kubernetes.ts';
import type { ReleaseName, ReleaseOptions, ReleaseRevision, Releases, UpgradeRequest } from '../../ports/releases.ts';
import { AdapterError } from '../errors.ts';
import type { HelmEnd } from '../helm/helm-process.ts';
import { type ClusterHelm, type ClusterHelmSettings, createClusterHelm } from './cluster-helm.ts';
import { saveEvidence } from './failure-evidence.ts';
import { awaitGone } from './gone-objects.ts';
import { claimsOf, putClaimsAside, takeClaimsBack } from './kept-claims.ts';
import { isNotFound, isOutage, refused, saidBy } from './release-errors.ts';
import { clearPending, decodeHistory, decodeReleaseValues, isPending, lastDeployed } from './release-records.ts';

export interface ReleasesSettings extends ClusterHelmSettings {
  /** Of the same context: for events, logs, and helm's own records. */
  readonly kubernetes: Kubernetes;
}

const READ_TIMEOUT_MS = 60_000;
/** Over helm's own time limit, which does not count reading the chart and talking to the server. */
const MARGIN_MS = 15_000;
/** What a rollback names must still be there after some attempts that failed. */
const HISTORY_LIMIT = 30;
const OUTAGES_LIMIT = 5;
const OUTAGE_PAUSE = { attempts: OUTAGES_LIMIT, baseDelayMs: 2000, maxDelayMs: 15_000 } as const;
/** The same fields, whoever wrote them last: what the bundle says holds, as it did with helm 3. */
const APPLY = ['--server-side=true', '--force-conflicts', '--history-max', String(HISTORY_LIMIT)] as const;
const WAIT = ['--wait=watcher', '--wait-for-jobs'] as const;

/**
 * Helm releases in one cluster. Every step has a time limit; an abort asks helm to stop, which then writes down how far it
 * came, so that the next run goes on from there.
 */
export function createReleases(settings: ReleasesSettings): Releases {
  const helm = createClusterHelm(settings);
  const { kubernetes } = settings;
  const read = (what: string, name: ReleaseName, args: readonly string[], options: ReleaseOptions) =>
    readThrough(helm, what, name, args, options);

  const history = async (name: ReleaseName, options: ReleaseOptions = {}): Promise<readonly ReleaseRevision[]> => {
    const text = await read('read its history', name, ['history', name.release, '--output', 'json'], options);
    return text === undefined ? [] : decodeHistory(text);
  };
  const manifestOf = async (name: ReleaseName, revision: number | undefined, what: string, options: ReleaseOptions) => {
    const at = revision === undefined ? [] : ['--revision', String(revision)];
    return (await read(`read its ${what}`, name, ['get', what, name.release, ...at], options)) ?? '';
  };

  /**
   * In steps that can each be taken again: helm deletes the objects and keeps its records, the objects go, and only then the
   * records do. So a run that is killed in between leaves something to go on from.
   */
  const uninstall = async (name: ReleaseName, timeoutMs: number, options: ReleaseOptions = {}): Promise<boolean> => {
    const last = (await history(name, options)).at(-1);
    if (last === undefined) return false;
    const manifest = await manifestOf(name, undefined, 'manifest', options);
    const claims = claimsOf(manifest, name);
    const run = async (args: readonly string[]) => {
      const common = ['uninstall', name.release, '--namespace', name.namespace, '--timeout', seconds(timeoutMs)];
      const end = await helm.end({ arguments: [...common, ...args], timeoutMs: timeoutMs + MARGIN_MS }, options);
      if (end.status !== 0) throw refused('uninstall it', name, end);
    };
    if (last.status !== 'uninstalled') {
      await putClaimsAside(name, claims, kubernetes, options);
      // Its waiting for the objects may end too soon, and then takes it for a failure that they are still there.
      await run(['--keep-history', '--cascade', 'foreground', '--wait=hookOnly']);
    }
    await awaitGone(manifest, name, kubernetes, { ...options, timeoutMs });
    await run(['--ignore-not-found']);
    await takeClaimsBack(name, new Set(claims.map(({ namespace }) => namespace)), kubernetes, options);
    return true;
  };

  /** The history, once what killed runs left pending is gone: an upgrade refuses it, and a rollback would keep it for good. */
  const withoutPending = async (name: ReleaseName, options: ReleaseOptions) => {
    let revisions = await history(name, options);
    // More than one, when runs were killed before they could finish what the one before had left.
    for (let last = revisions.at(-1); last !== undefined && isPending(last); last = revisions.at(-1)) {
      await clearPending(name, last, kubernetes, options);
      revisions = await history(name, options);
      if (revisions.at(-1)?.revision === last.revision) break;
    }
    return revisions;
  };

  const rollback = async (
    name: ReleaseName,
    revision: number,
    timeoutMs: number,
    options: ReleaseOptions = {},
  ): Promise<ReleaseRevision> => {
    const target = (await withoutPending(name, options)).find((one) => one.revision === revision);
    // The same chart with the same values keeps its description: that is how a later run knows it.
    const described = target === undefined || target.description === '' ? [] : ['--description', target.description];
    const end = await helm.end(
      {
        arguments: [
          ...['rollback', name.release, String(revision), '--namespace', name.namespace],
          ...[...APPLY, ...WAIT, '--timeout', seconds(timeoutMs), ...described],
        ],
        timeoutMs: timeoutMs + MARGIN_MS,
      },
      options,
    );
    if (end.status !== 0) throw refused(`roll it back to revision ${revision}`, name, end);
    return newest(await history(name, options), name);
  };

  /** Makes helm take the next revision: finishes or forgets what a killed run left half done. */
  const settle = async (name: ReleaseName, timeoutMs: number, options: ReleaseOptions) => {
    let revisions = await withoutPending(name, options);
    if (revisions.at(-1)?.status.startsWith('uninstall')) {
      await uninstall(name, timeoutMs, options);
      revisions = [];
    }
    return revisions;
  };

  const attempt = async (
    request: UpgradeRequest,
    timeoutMs: number,
    options: ReleaseOptions,
  ): Promise<{ readonly end: HelmEnd; readonly before: readonly ReleaseRevision[] }> => {
    const before = await settle(request, timeoutMs, options);
    const end = await helm.end(
      {
        arguments: [
          ...['upgrade', request.release, request.chartPath, '--install', '--namespace', request.namespace],
          ...[...APPLY, ...WAIT, '--timeout', seconds(timeoutMs), '--hide-notes', '--reset-values'],
          ...['--description', request.description],
        ],
        values: request.values,
        timeoutMs: timeoutMs + MARGIN_MS,
      },
      options,
    );
    return { end, before };
  };

  /** Back to what ran before; volumes stay. What it says completes the error's sentence. */
  const undo = async (
    request: UpgradeRequest,
    before: readonly ReleaseRevision[],
    options: ReleaseOptions,
  ): Promise<string> => {
    const target = lastDeployed(before);
    if (target === undefined) {
      await uninstall(request, request.timeoutMs, options);
      return 'and was uninstalled again; its volumes stay';
    }
    await rollback(request, target.revision, request.timeoutMs, options);
    return `and was rolled back to revision ${target.revision}`;
  };

  /** Saves what the cluster says about a revision that failed, goes back, and makes the error of it. */
  const explainAndUndo = async (
    request: UpgradeRequest,
    end: HelmEnd,
    failed: ReleaseRevision,
    before: readonly ReleaseRevision[],
    options: ReleaseOptions,
  ): Promise<AdapterError> => {
    const texts = await Promise.all(
      ['manifest', 'hooks'].map((what) =>
        manifestOf(request, failed.revision, what, options).catch(() => {
          options.signal?.throwIfAborted();
          return '';
        }),
      ),
    );
    const evidence = await saveEvidence(
      { ...request, message: end.message, manifest: texts.join('\n---\n'), folder: request.failureFolder },
      kubernetes,
      options,
    ).catch((cause: unknown) => {
      options.signal?.throwIfAborted();
      // A full disk must not keep the release from going back.
      return cause instanceof AdapterError ? { lines: [], fault: cause } : Promise.reject(cause);
    });
    const outcome = await undo(request, before, options).catch((cause: unknown) => {
      options.signal?.throwIfAborted();
      return cause instanceof AdapterError ? cause : Promise.reject(cause);
    });
    return releaseFailed(request, saidBy(end), evidence, outcome);
  };

  return {
    history,
    uninstall,
    rollback,
    async status(name, options = {}) {
      return (await history(name, options)).at(-1);
    },
    async manifest(name, revision, options = {}) {
      return manifestOf(name, revision, 'manifest', options);
    },
    async values(name, revision, options = {}) {
      const at = revision === undefined ? [] : ['--revision', String(revision)];
      const args = ['get', 'values', name.release, '--output', 'json', ...at];
      return decodeReleaseValues((await read('read its values', name, args, options)) ?? 'null');
    },
    async upgrade(request, options = {}) {
      await ensureNamespace(request.namespace, kubernetes, options);
      await takeClaimsBack(request, new Set([request.namespace]), kubernetes, options);
      const startMs = performance.now();
      const leftMs = () => Math.max(1000, request.timeoutMs - (performance.now() - startMs));
      for (let outages = 1; ; outages++) {
        const { end, before } = await attempt(request, leftMs(), options);
        if (end.status === 0) return newest(await history(request, options), request);
        const said = saidBy(end);
        if (isOutage(said) && outages < OUTAGES_LIMIT && leftMs() > OUTAGE_PAUSE.maxDelayMs) {
          await pause(backoffMs(outages, OUTAGE_PAUSE), options);
          continue;
        }
        const after = await history(request, options).catch((cause) => {
          options.signal?.throwIfAborted();
          throw refused('upgrade it', request, end, `, and afterwards the cluster said: ${(cause as Error).message}`);
        });
        const failed = after.at(-1);
        if (failed === undefined || failed.revision <= (before.at(-1)?.revision ?? 0)) {
          throw refused('upgrade it', request, end, '; nothing was changed');
        }
        throw await explainAndUndo(request, end, failed, before, options);
      }
    },
  };
}

function releaseFailed(
  { namespace, release, failureFolder, timeoutMs }: UpgradeRequest,
  said: string,
  { lines, fault }: { readonly lines: readonly string[]; readonly fault?: AdapterError },
  outcome: string | AdapterError,
): AdapterError {
  const what = typeof outcome === 'string' ? outcome : 'and could not be brought back to what ran before';
  const words = lines[0] === undefined ? '' : ` ${lines[0]}`;
  return new AdapterError('RELEASE_FAILED', `The release ${namespace}/${release} failed ${what}.${words}`, {
    expected: `ready within ${Math.round(timeoutMs / 1000)} s`,
    found: said,
    at: { file: failureFolder },
    others: [
      ...lines.slice(1).map((line) => new AdapterError('POD_NOT_READY', line, { at: { file: failureFolder } })),
      ...(typeof outcome === 'string' ? [] : [outcome]),
      ...(fault === undefined ? [] : [fault]),
    ],
    hint: `Read the events and logs in ${failureFolder}, remove the cause, and run the same command again.`,
  });
}

/** A reading command; `undefined` when there is no such release. Tried again while the cluster cannot be reached. */
async function readThrough(
  helm: ClusterHelm,
  action: string,
  name: ReleaseName,
  args: readonly string[],
  options: ReleaseOptions,
): Promise<string | undefined> {
  for (let attempt = 1; ; attempt++) {
    const call = { arguments: [...args, '--namespace', name.namespace], timeoutMs: READ_TIMEOUT_MS };
    const end = await helm.end(call, options);
    if (end.status === 0) return end.output;
    const said = saidBy(end);
    if (isNotFound(said)) return undefined;
    if (!isOutage(said) || attempt >= OUTAGES_LIMIT) throw refused(action, name, end);
    await pause(backoffMs(attempt, OUTAGE_PAUSE), options);
  }
}

/** Not helm's `--create-namespace`, which writes to a namespace that is there already. */
async function ensureNamespace(name: string, kubernetes: Kubernetes, options: ReleaseOptions): Promise<void> {
  const key = { apiVersion: 'v1', kind: 'Namespace' } as const;
  try {
    if ((await kubernetes.get({ ...key, name }, options)) !== undefined) return;
    await kubernetes.create({ ...key, metadata: { name } }, options);
  } catch (cause) {
    // Who may work in one namespace only need not see it: helm says so if it is missing.
    const isFine = cause instanceof AdapterError && /^KUBERNETES_(?:EXISTS|FORBIDDEN)$/.test(cause.code);
    if (!isFine) throw cause;
  }
}

function newest(revisions: readonly ReleaseRevision[], { namespace, release }: ReleaseName): ReleaseRevision {
  const last = revisions.at(-1);
  if (last !== undefined) return last;
  throw new AdapterError('RELEASE_REFUSED', `The release ${namespace}/${release} is gone.`, {
    hint: 'Somebody removed it in this moment: run the command again.',
  });
}

function seconds(timeoutMs: number): string {
  return `${Math.max(1, Math.ceil(timeoutMs / 1000))}s`;
}

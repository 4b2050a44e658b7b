import { z } from 'zod';
import { isValuesMap, type ValuesMap } from '../../formats/helm/values.ts';
import type { Kubernetes } from '../../ports/kubernetes.ts';
import type { ReleaseName, ReleaseRevision } from '../../ports/releases.ts';
import { AdapterError } from '../errors.ts';

const historySchema = z.array(
  z.looseObject({
    revision: z.number().int(),
    status: z.string(),
    chart: z.string().default(''),
    description: z.string().default(''),
  }),
);

/** What `helm history --output json` prints; oldest first. @throws AdapterError RELEASE_REFUSED. */
export function decodeHistory(text: string): readonly ReleaseRevision[] {
  try {
    return historySchema
      .parse(JSON.parse(text))
      .map(({ revision, status, chart, description }) => ({ revision, status, chart, description }))
      .sort((a, b) => a.revision - b.revision);
  } catch (cause) {
    throw new AdapterError('RELEASE_REFUSED', 'The history of a release cannot be read.', {
      cause,
      found: text.slice(0, 80),
      hint: 'Check that --helm names helm 4.',
    });
  }
}

/** What `helm get values --output json` prints. @throws AdapterError RELEASE_REFUSED, which repeats nothing: values may be secret. */
export function decodeReleaseValues(text: string): ValuesMap {
  try {
    const values: unknown = JSON.parse(text);
    return isValuesMap(values) ? values : {};
  } catch {
    throw new AdapterError('RELEASE_REFUSED', 'The values of a release cannot be read.', {
      hint: 'Check that --helm names helm 4.',
    });
  }
}

export function isPending({ status }: ReleaseRevision): boolean {
  return status.startsWith('pending-');
}

/** The revision to go back to: the deployed one, else the newest that was once deployed. */
export function lastDeployed(history: readonly ReleaseRevision[]): ReleaseRevision | undefined {
  return (
    history.findLast(({ status }) => status === 'deployed') ?? history.findLast(({ status }) => status === 'superseded')
  );
}

/**
 * Deletes the record of a revision that a killed run left pending, and nothing else: helm refuses every further step
 * while it is there. The objects that it speaks of carry the release's name, so the next revision takes them over.
 * The caller holds the target's lock.
 */
export async function clearPending(
  { release, namespace }: ReleaseName,
  { revision }: ReleaseRevision,
  kubernetes: Kubernetes,
  options: { readonly signal?: AbortSignal },
): Promise<void> {
  // Helm's storage, driver "secret": pkg/storage/storage.go, makeKey.
  const key = { apiVersion: 'v1', kind: 'Secret', namespace, name: `sh.helm.release.v1.${release}.v${revision}` };
  const record = await kubernetes.get(key, options);
  // Only if it still is what was seen: a run that was slow to die may have finished it meanwhile.
  if (record?.metadata.labels?.status?.startsWith('pending-') !== true) return;
  const { uid } = record.metadata;
  await kubernetes.delete(key, { ...options, ...(uid === undefined ? {} : { uid }) });
}

/**
 * What an API server offers: `APIGroupDiscoveryList` of apidiscovery.k8s.io (v2, v2beta1 before 1.30), which tells everything in two
 * answers, and `APIVersions`, `APIGroupList` and `APIResourceList`, which every server knows.
 */
import { z } from 'zod';
import { isValuesMap } from '../helm/values.ts';

export const AGGREGATED_ACCEPT =
  'application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList,' +
  'application/json;g=apidiscovery.k8s.io;v=v2beta1;as=APIGroupDiscoveryList,application/json';

export interface DiscoveredResource {
  /** The plural. */
  readonly name: string;
  readonly kind: string;
  readonly namespaced: boolean;
  readonly verbs: readonly string[];
}

const resourceSchema = z.looseObject({
  name: z.string(),
  kind: z.string(),
  namespaced: z.boolean(),
  verbs: z.array(z.string()).nullish(),
});
const resourceListSchema = z.looseObject({ resources: z.array(resourceSchema).nullish() });

/** The resources of one group version, subresources (`pods/log`) left out. `undefined` when it is no such list. */
export function decodeResourceList(document: unknown): readonly DiscoveredResource[] | undefined {
  const result = resourceListSchema.safeParse(document);
  if (!result.success) return undefined;
  return (result.data.resources ?? [])
    .filter(({ name }) => !name.includes('/'))
    .map(({ name, kind, namespaced, verbs }) => ({ name, kind, namespaced, verbs: verbs ?? [] }));
}

const kindSchema = z.looseObject({ kind: z.string().nullish() }).nullish();
const aggregatedSchema = z.looseObject({
  kind: z.literal('APIGroupDiscoveryList'),
  items: z.array(
    z.looseObject({
      metadata: z.looseObject({ name: z.string().nullish() }).nullish(),
      versions: z
        .array(
          z.looseObject({
            version: z.string(),
            resources: z.array(z.looseObject({ responseKind: kindSchema })).nullish(),
          }),
        )
        .nullish(),
    }),
  ),
});

/** `v1`, `v1/Pod`, `apps/v1/Deployment` …; `undefined` when the document is of another kind. */
export function decodeAggregated(document: unknown): readonly string[] | undefined {
  const result = aggregatedSchema.safeParse(document);
  if (!result.success) return undefined;
  return result.data.items.flatMap(({ metadata, versions }) =>
    (versions ?? []).flatMap(({ version, resources }) => {
      const groupVersion = metadata?.name ? `${metadata.name}/${version}` : version;
      const kinds = (resources ?? []).flatMap(({ responseKind }) => responseKind?.kind || []);
      return [groupVersion, ...kinds.map((kind) => `${groupVersion}/${kind}`)];
    }),
  );
}

/** The group versions that `APIVersions` (of /api) or `APIGroupList` (of /apis) names. */
export function decodeGroupVersions(document: unknown): readonly string[] {
  if (!isValuesMap(document)) return [];
  const { versions, groups } = document as { versions?: unknown; groups?: unknown };
  if (Array.isArray(versions)) return versions.filter((version) => typeof version === 'string');
  if (!Array.isArray(groups)) return [];
  return groups.flatMap((group: { versions?: unknown } | null) =>
    (Array.isArray(group?.versions) ? group.versions : []).flatMap((version: { groupVersion?: unknown } | null) =>
      typeof version?.groupVersion === 'string' ? version.groupVersion : [],
    ),
  );
}

/** `apps/v1` → `/apis/apps/v1`; the core group `v1` → `/api/v1`. */
export function groupVersionPath(apiVersion: string): string {
  const parts = apiVersion.split('/').map((part) => encodeURIComponent(part));
  return parts.length === 1 ? `/api/${parts[0]}` : `/apis/${parts.join('/')}`;
}

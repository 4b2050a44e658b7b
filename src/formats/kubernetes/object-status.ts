/**
 * The `status` of objects, as far as it tells how they fare (kubernetes.io/docs/reference/kubernetes-api/workload-resources/pod-v1,
 * "PodStatus"). What a server answers is read as well as it can be, and never refused.
 */
import { z } from 'zod';

const named = { reason: z.string().optional(), message: z.string().optional() };

const conditionsSchema = z.array(z.looseObject({ type: z.string(), status: z.string(), ...named })).default([]);
const stateSchema = z.looseObject({
  waiting: z.looseObject(named).optional(),
  running: z.looseObject({}).optional(),
  terminated: z.looseObject({ exitCode: z.number(), ...named }).optional(),
});
const containersSchema = z
  .array(
    z.looseObject({
      name: z.string(),
      ready: z.boolean().default(false),
      restartCount: z.number().default(0),
      state: stateSchema.default({}),
      lastState: stateSchema.default({}),
    }),
  )
  .default([]);
const podStatusSchema = z.looseObject({
  phase: z.string().default('Unknown'),
  ...named,
  conditions: conditionsSchema,
  initContainerStatuses: containersSchema,
  containerStatuses: containersSchema,
});
const withConditionsSchema = z.looseObject({ conditions: conditionsSchema });

export type PodStatus = z.output<typeof podStatusSchema>;
export type ContainerStatus = PodStatus['containerStatuses'][number];
export type Condition = PodStatus['conditions'][number];
export type Termination = NonNullable<ContainerStatus['state']['terminated']>;

export function decodePodStatus(status: unknown): PodStatus {
  return podStatusSchema.safeParse(status).data ?? podStatusSchema.parse({});
}

/** Why a Pod has no node, once the scheduler has looked. */
export function unplacedBy({ conditions }: PodStatus): Condition | undefined {
  return conditions.find(({ type, status }) => type === 'PodScheduled' && status === 'False');
}

/** The conditions of any object, such as a Job. */
export function decodeConditions(status: unknown): readonly Condition[] {
  return withConditionsSchema.safeParse(status).data?.conditions ?? [];
}

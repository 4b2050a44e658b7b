import { z } from 'zod';
import type { Directory, UserEntry } from './directory.ts';
import type { ServiceTokens, TokenAnswer } from './service-tokens.ts';

/** A call of ZITADEL's API, by whatever path. */
export interface ApiCall {
  readonly path: string;
  readonly body: Buffer;
  readonly authorization: string | undefined;
}

const callSchema = z.object({
  pagination: z.object({ offset: z.coerce.number().default(0), limit: z.number().default(100) }).optional(),
  query: z.object({ offset: z.coerce.number().default(0), limit: z.number().default(100) }).optional(),
  filters: z
    .array(
      z.union([
        z.strictObject({ projectId: z.object({ id: z.string() }) }),
        z.strictObject({ roleKey: z.object({ key: z.string() }) }),
      ]),
    )
    .default([]),
  queries: z.array(z.strictObject({ inUserIdsQuery: z.object({ userIds: z.array(z.string()) }) })).default([]),
});

/**
 * The API's ListAuthorizations (zitadel/authorization/v2) and ListUsers (zitadel/user/v2), in JSON; `undefined` for other paths. Who may
 * not read users sees himself alone, and no error.
 */
export function answerZitadelApi(
  { path, body, authorization }: ApiCall,
  directory: Directory,
  tokens: ServiceTokens,
  { apiPageSize }: { readonly apiPageSize: number },
): TokenAnswer | undefined {
  const list = LISTS[path];
  if (list === undefined) return undefined;
  const caller = tokens.apiCaller(/^Bearer (.+)$/.exec(authorization ?? '')?.[1] ?? '');
  if (caller === undefined || !caller.active) {
    return { status: 401, body: { code: 'unauthenticated', message: 'Errors.Token.Invalid' } };
  }
  const call = callSchema.parse(JSON.parse(body.toString()));
  const { offset, limit } = call.pagination ?? call.query ?? { offset: 0, limit: apiPageSize };
  const users = [...directory.people.values(), ...directory.accounts.values()];
  const seen = caller.mayReadUsers ? users : [caller];
  const found = list.search(seen, call, directory);
  const page = found.slice(offset, offset + Math.min(limit, apiPageSize));
  return { status: 200, body: list.answer(page, found.length, apiPageSize) };
}

type Call = z.infer<typeof callSchema>;

const AUTHORIZATIONS = {
  search: (users: readonly UserEntry[], { filters }: Call, directory: Directory): object[] =>
    users.flatMap((user) =>
      [...user.roles].flatMap(([project, roles]) => {
        const isSought = filters.every((filter) =>
          'projectId' in filter ? filter.projectId.id === project : roles.includes(filter.roleKey.key),
        );
        return isSought && roles.length > 0 ? [authorization(user, project, roles, directory)] : [];
      }),
    ),
  answer: (page: readonly object[], total: number, limit: number) => ({
    pagination: { totalResult: String(total), appliedLimit: String(limit) },
    // Empty lists are left out of JSON made of protocol buffers.
    ...(page.length === 0 ? {} : { authorizations: page }),
  }),
};

function authorization(user: UserEntry, project: string, roles: readonly string[], directory: Directory) {
  return {
    id: `${user.id}-${project}`,
    project: { id: project, name: 'project', organizationId: directory.organization.id },
    organization: { id: directory.organization.id, name: 'ship' },
    user: { id: user.id, displayName: user.name, organizationId: directory.organization.id },
    state: 'STATE_ACTIVE',
    roles: roles.map((key) => ({ key, displayName: key })),
  };
}

const USERS = {
  search: (users: readonly UserEntry[], { queries }: Call): object[] =>
    users
      .filter(({ id }) => queries.every(({ inUserIdsQuery }) => inUserIdsQuery.userIds.includes(id)))
      .map(({ id, name, active }) => ({
        userId: id,
        state: active ? 'USER_STATE_ACTIVE' : 'USER_STATE_INACTIVE',
        username: name,
      })),
  answer: (page: readonly object[], total: number, limit: number) => ({
    details: { totalResult: String(total), appliedLimit: String(limit), timestamp: '2026-11-29T00:00:00Z' },
    ...(page.length === 0 ? {} : { result: page }),
  }),
};

const LISTS: Readonly<Record<string, typeof AUTHORIZATIONS | typeof USERS>> = {
  '/zitadel.authorization.v2.AuthorizationService/ListAuthorizations': AUTHORIZATIONS,
  '/v2/users': USERS,
};

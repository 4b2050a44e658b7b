/**
 * What scripts/zitadel-setup calls of ZITADEL's API, on loopback and in memory: no ZITADEL, but every request is held against the
 * members, limits and enumerations of its protos (proto/zitadel/*.v2, version 4), and answers leave out what protocol buffers leave out.
 */
import { createPublicKey } from 'node:crypto';
import type { IncomingMessage, ServerResponse } from 'node:http';
import type { ServerOptions } from 'node:https';
import { json } from 'node:stream/consumers';
import { z } from 'zod';
import { serveOnLoopback } from './loopback-server.ts';
import { newId } from './openid-provider/directory.ts';

export interface ManagedProject {
  readonly projectId: string;
  readonly name: string;
  projectRoleAssertion: boolean;
  readonly roles: string[];
}

export interface ManagedApplication {
  readonly applicationId: string;
  readonly projectId: string;
  readonly name: string;
  configuration: Record<string, unknown>;
}

export interface ManagedUser {
  readonly userId: string;
  readonly username: string;
  /** A person without. */
  machine: { accessTokenType: string } | undefined;
  state: string;
}

export interface ManagedKey {
  readonly keyId: string;
  readonly userId: string;
  /** SPKI in PEM. */
  readonly publicKey: string;
  readonly expirationDate: string;
}

interface Grant {
  readonly id: string;
  readonly userId: string;
  readonly projectId: string;
  roles: string[];
}

export interface ZitadelManagement extends AsyncDisposable {
  /** `127.0.0.1:port`. */
  readonly host: string;
  readonly organization: string;
  readonly token: string;
  readonly projects: ManagedProject[];
  readonly applications: ManagedApplication[];
  readonly users: ManagedUser[];
  readonly keys: ManagedKey[];
  readonly grants: Grant[];
  readonly administrators: { readonly userId: string; roles: string[] }[];
  /** Methods that were called: `ProjectService/CreateProject`. */
  readonly calls: string[];
  /** Answers a call before it is looked at; `undefined` lets it be. */
  intercept:
    | ((method: string) => { readonly status: number; readonly body: unknown } | 'stall' | undefined)
    | undefined;
}

const id = z.string().min(1).max(200);
const name = z.string().min(1).max(200);
const textMethod = z.literal('TEXT_FILTER_METHOD_EQUALS');
// A uint64 is text in JSON.
const page = z.strictObject({ offset: z.string().regex(/^\d+$/), limit: z.int().max(1000), asc: z.boolean() });
const tokenType = z.enum(['ACCESS_TOKEN_TYPE_BEARER', 'ACCESS_TOKEN_TYPE_JWT']);
const unique = z.array(id).refine((all) => new Set(all).size === all.length, 'an entry stands twice');

const oidcConfiguration = z.strictObject({
  redirectUris: z.array(z.string()),
  responseTypes: z.array(z.enum(['OIDC_RESPONSE_TYPE_CODE', 'OIDC_RESPONSE_TYPE_ID_TOKEN'])),
  grantTypes: z.array(
    z.enum(['OIDC_GRANT_TYPE_AUTHORIZATION_CODE', 'OIDC_GRANT_TYPE_REFRESH_TOKEN', 'OIDC_GRANT_TYPE_DEVICE_CODE']),
  ),
  applicationType: z.enum(['OIDC_APP_TYPE_WEB', 'OIDC_APP_TYPE_USER_AGENT', 'OIDC_APP_TYPE_NATIVE']),
  authMethodType: z.enum(['OIDC_AUTH_METHOD_TYPE_BASIC', 'OIDC_AUTH_METHOD_TYPE_POST', 'OIDC_AUTH_METHOD_TYPE_NONE']),
  idTokenRoleAssertion: z.boolean(),
  idTokenUserinfoAssertion: z.boolean(),
});

/** The requests, as the protos have them. */
export const REQUESTS = {
  'project.v2.ProjectService/ListProjects': z.strictObject({
    pagination: page,
    filters: z.array(
      z.union([
        z.strictObject({ projectNameFilter: z.strictObject({ projectName: name, method: textMethod }) }),
        z.strictObject({ organizationIdFilter: z.strictObject({ organizationId: id, type: z.literal('OWNED') }) }),
      ]),
    ),
  }),
  'project.v2.ProjectService/CreateProject': z.strictObject({
    organizationId: id,
    name,
    projectRoleAssertion: z.boolean(),
  }),
  'project.v2.ProjectService/UpdateProject': z.strictObject({ projectId: id, projectRoleAssertion: z.boolean() }),
  'project.v2.ProjectService/ListProjectRoles': z.strictObject({ projectId: id, pagination: page }),
  'project.v2.ProjectService/AddProjectRole': z.strictObject({ projectId: id, roleKey: name, displayName: name }),
  'application.v2.ApplicationService/ListApplications': z.strictObject({
    pagination: page,
    filters: z.array(
      z.union([
        z.strictObject({ projectIdFilter: z.strictObject({ projectId: id }) }),
        z.strictObject({ nameFilter: z.strictObject({ name, method: textMethod }) }),
      ]),
    ),
  }),
  'application.v2.ApplicationService/CreateApplication': z.strictObject({ projectId: id, name, oidcConfiguration }),
  'application.v2.ApplicationService/UpdateApplication': z.strictObject({
    applicationId: id,
    projectId: id,
    oidcConfiguration,
  }),
  'user.v2.UserService/ListUsers': z.strictObject({
    query: page,
    queries: z.array(
      z.union([
        z.strictObject({
          userNameQuery: z.strictObject({ userName: name, method: z.literal('TEXT_QUERY_METHOD_EQUALS') }),
        }),
        z.strictObject({ organizationIdQuery: z.strictObject({ organizationId: id }) }),
      ]),
    ),
  }),
  'user.v2.UserService/CreateUser': z.strictObject({
    organizationId: id,
    username: name,
    machine: z.strictObject({ name, description: z.string().max(500), accessTokenType: tokenType }),
  }),
  'user.v2.UserService/UpdateUser': z.strictObject({
    userId: id,
    machine: z.strictObject({ accessTokenType: tokenType }),
  }),
  'user.v2.UserService/AddKey': z.strictObject({
    userId: id,
    expirationDate: z.iso.datetime(),
    // Bytes are base64 in JSON.
    publicKey: z.string(),
  }),
  'user.v2.UserService/RemoveKey': z.strictObject({ userId: id, keyId: id }),
  'authorization.v2.AuthorizationService/ListAuthorizations': z.strictObject({
    pagination: page,
    filters: z.array(z.strictObject({ projectId: z.strictObject({ id }) })),
  }),
  'authorization.v2.AuthorizationService/CreateAuthorization': z.strictObject({
    userId: id,
    projectId: id,
    organizationId: id,
    roleKeys: unique,
  }),
  'authorization.v2.AuthorizationService/UpdateAuthorization': z.strictObject({ id, roleKeys: unique }),
  'internal_permission.v2.InternalPermissionService/ListAdministrators': z.strictObject({
    pagination: page,
    filters: z.array(z.strictObject({ inUserIdsFilter: z.strictObject({ ids: z.array(id) }) })),
  }),
  'internal_permission.v2.InternalPermissionService/CreateAdministrator': z.strictObject({
    userId: id,
    resource: z.strictObject({ organizationId: id }),
    roles: unique,
  }),
  'internal_permission.v2.InternalPermissionService/UpdateAdministrator': z.strictObject({
    userId: id,
    resource: z.strictObject({ organizationId: id }),
    roles: unique,
  }),
} as const;

type Method = keyof typeof REQUESTS;
type Handlers = { readonly [M in Method]: (request: z.infer<(typeof REQUESTS)[M]>) => object };

class Refusal extends Error {
  readonly status: number;
  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

export async function startZitadelManagement(tls?: ServerOptions): Promise<ZitadelManagement> {
  const organization = newId();
  const token = `token-of-an-owner-${newId()}`;
  const state: Omit<ZitadelManagement, 'host' | typeof Symbol.asyncDispose> = {
    ...{ organization, token, projects: [], applications: [], users: [], keys: [], grants: [], administrators: [] },
    calls: [],
    intercept: undefined,
  };
  const handlers = handlersOf(state);
  const server = await serveOnLoopback((request, response) => {
    answer(request, response, state, handlers).catch((cause: unknown) => {
      const status = cause instanceof Refusal ? cause.status : cause instanceof z.ZodError ? 400 : 500;
      respond(response, status, { code: 'refused', message: String((cause as Error).message) });
    });
  }, tls);
  return Object.assign(state, { host: server.host, [Symbol.asyncDispose]: () => server.close() });
}

async function answer(
  request: IncomingMessage,
  response: ServerResponse,
  state: Omit<ZitadelManagement, 'host' | typeof Symbol.asyncDispose>,
  handlers: Handlers,
): Promise<void> {
  const method = (request.url ?? '').replace(/^\/zitadel\./, '');
  const body = await json(request);
  state.calls.push(method.replace(/^.*v2\./, ''));
  const instead = state.intercept?.(method);
  if (instead === 'stall') return;
  if (instead !== undefined) return respond(response, instead.status, instead.body);
  if (request.method !== 'POST' || !Object.hasOwn(REQUESTS, method)) throw new Refusal(404, 'Not Found');
  if (request.headers.authorization !== `Bearer ${state.token}`)
    throw new Refusal(401, 'Errors.Token.Invalid (AUTH-7fs1e)');
  const known = method as Method;
  const handle = handlers[known] as (request: unknown) => object;
  respond(response, 200, handle(REQUESTS[known].parse(body)));
}

function respond(response: ServerResponse, status: number, body: unknown): void {
  response.writeHead(status, { 'Content-Type': 'application/json' });
  response.end(typeof body === 'string' ? body : JSON.stringify(body));
}

/** Members of the first value of their type are left out. */
function lean(object: object): object {
  const isSaid = (value: unknown) =>
    value !== undefined && value !== false && !/(_BEARER|_WEB|_BASIC)$/.test(String(value)) && String(value) !== '';
  return Object.fromEntries(Object.entries(object).filter(([, value]) => isSaid(value)));
}

function paged(all: readonly object[], member: string, { offset, limit }: { offset: string; limit: number }): object {
  const found = all.slice(Number(offset), Number(offset) + Math.min(limit, 2));
  const pagination = { totalResult: String(all.length), appliedLimit: '2' };
  return found.length === 0 ? { pagination } : { pagination, [member]: found.map(lean) };
}

function handlersOf(state: Omit<ZitadelManagement, 'host' | typeof Symbol.asyncDispose>): Handlers {
  const { organization, projects, applications, users, keys, grants, administrators } = state;
  const found = <T>(one: T | undefined): T => {
    if (one === undefined) throw new Refusal(404, 'Errors.NotFound');
    return one;
  };
  const fresh = (isThere: boolean) => {
    if (isThere) throw new Refusal(409, 'Errors.AlreadyExists');
  };
  const ours = (organizationId: string) => {
    if (organizationId !== organization) throw new Refusal(403, 'membership not found (AUTHZ-cdgFk)');
  };
  const projectOf = (projectId: string) => found(projects.find((one) => one.projectId === projectId));
  const userOf = (userId: string) => found(users.find((one) => one.userId === userId));
  return {
    'project.v2.ProjectService/ListProjects': ({ filters, pagination }) => {
      const isSought = (project: ManagedProject) =>
        filters.every((filter) =>
          'projectNameFilter' in filter
            ? filter.projectNameFilter.projectName === project.name
            : filter.organizationIdFilter.organizationId === organization,
        );
      const shown = projects.filter(isSought).map(({ roles: _, ...project }) => project);
      return paged(shown, 'projects', pagination);
    },
    'project.v2.ProjectService/CreateProject': ({ organizationId, name: projectName, projectRoleAssertion }) => {
      ours(organizationId);
      fresh(projects.some((one) => one.name === projectName));
      projects.push({ projectId: newId(), name: projectName, projectRoleAssertion, roles: [] });
      return { projectId: projects.at(-1)?.projectId, creationDate: '2026-11-29T00:00:00Z' };
    },
    'project.v2.ProjectService/UpdateProject': ({ projectId, projectRoleAssertion }) => {
      projectOf(projectId).projectRoleAssertion = projectRoleAssertion;
      return { changeDate: '2026-11-29T00:00:00Z' };
    },
    'project.v2.ProjectService/ListProjectRoles': ({ projectId, pagination }) =>
      paged(
        projectOf(projectId).roles.map((key) => ({ projectId, key })),
        'projectRoles',
        pagination,
      ),
    'project.v2.ProjectService/AddProjectRole': ({ projectId, roleKey }) => {
      const { roles } = projectOf(projectId);
      fresh(roles.includes(roleKey));
      roles.push(roleKey);
      return {};
    },
    'application.v2.ApplicationService/ListApplications': ({ filters, pagination }) => {
      const isSought = (application: ManagedApplication) =>
        filters.every((filter) =>
          'nameFilter' in filter
            ? filter.nameFilter.name === application.name
            : filter.projectIdFilter.projectId === application.projectId,
        );
      const shown = applications.filter(isSought).map(({ applicationId, name: shownName, configuration }) => ({
        applicationId,
        name: shownName,
        oidcConfiguration: lean(configuration),
      }));
      return paged(shown, 'applications', pagination);
    },
    'application.v2.ApplicationService/CreateApplication': ({
      projectId,
      name: newName,
      oidcConfiguration: wanted,
    }) => {
      projectOf(projectId);
      fresh(applications.some((one) => one.projectId === projectId && one.name === newName));
      const clientId = newId();
      const applicationId = newId();
      applications.push({ applicationId, projectId, name: newName, configuration: { ...wanted, clientId } });
      return { applicationId, oidcConfiguration: { clientId } };
    },
    'application.v2.ApplicationService/UpdateApplication': ({ applicationId, oidcConfiguration: wanted }) => {
      const application = found(applications.find((one) => one.applicationId === applicationId));
      application.configuration = { ...application.configuration, ...wanted };
      return {};
    },
    'user.v2.UserService/ListUsers': ({ query, queries }) => {
      const isSought = (user: ManagedUser) =>
        queries.every((one) =>
          'userNameQuery' in one
            ? one.userNameQuery.userName === user.username
            : one.organizationIdQuery.organizationId === organization,
        );
      const shown = users.filter(isSought).map(({ machine, ...user }) => ({
        ...user,
        ...(machine === undefined ? { human: {} } : { machine: lean({ name: user.username, ...machine }) }),
      }));
      return paged(shown, 'result', query);
    },
    'user.v2.UserService/CreateUser': ({ organizationId, username, machine: { accessTokenType } }) => {
      ours(organizationId);
      fresh(users.some((one) => one.username === username));
      users.push({ userId: newId(), username, machine: { accessTokenType }, state: 'USER_STATE_ACTIVE' });
      return { id: users.at(-1)?.userId };
    },
    'user.v2.UserService/UpdateUser': ({ userId, machine }) => {
      userOf(userId).machine = { ...machine };
      return {};
    },
    'user.v2.UserService/AddKey': ({ userId, publicKey, expirationDate }) => {
      userOf(userId);
      const pem = Buffer.from(publicKey, 'base64').toString();
      if (createPublicKey(pem).asymmetricKeyType !== 'rsa') throw new Refusal(400, 'Errors.User.Machine.Key.Invalid');
      keys.push({ keyId: newId(), userId, publicKey: pem, expirationDate });
      // The content is there only for a key that ZITADEL made.
      return { keyId: keys.at(-1)?.keyId };
    },
    'user.v2.UserService/RemoveKey': ({ keyId }) => {
      const index = keys.findIndex((one) => one.keyId === keyId);
      if (index >= 0) keys.splice(index, 1);
      return {};
    },
    'authorization.v2.AuthorizationService/ListAuthorizations': ({ filters, pagination }) => {
      const isSought = (grant: Grant) => filters.every(({ projectId }) => projectId.id === grant.projectId);
      const shown = grants.filter(isSought).map(({ id: grantId, userId, projectId, roles }) => ({
        id: grantId,
        project: { id: projectId },
        organization: { id: organization },
        user: { id: userId },
        state: 'STATE_ACTIVE',
        roles: roles.map((key) => ({ key })),
      }));
      return paged(shown, 'authorizations', pagination);
    },
    'authorization.v2.AuthorizationService/CreateAuthorization': ({ userId, projectId, organizationId, roleKeys }) => {
      ours(organizationId);
      userOf(userId);
      const { roles } = projectOf(projectId);
      if (!roleKeys.every((role) => roles.includes(role))) throw new Refusal(400, 'Errors.Project.Role.NotExisting');
      fresh(grants.some((one) => one.userId === userId && one.projectId === projectId));
      grants.push({ id: newId(), userId, projectId, roles: roleKeys });
      return { id: grants.at(-1)?.id };
    },
    'authorization.v2.AuthorizationService/UpdateAuthorization': ({ id: grantId, roleKeys }) => {
      found(grants.find((one) => one.id === grantId)).roles = roleKeys;
      return {};
    },
    'internal_permission.v2.InternalPermissionService/ListAdministrators': ({ filters, pagination }) => {
      const isSought = ({ userId }: { readonly userId: string }) =>
        filters.every(({ inUserIdsFilter }) => inUserIdsFilter.ids.includes(userId));
      const shown = administrators.filter(isSought).map(({ userId, roles }) => ({
        user: { id: userId },
        organization: { id: organization },
        roles,
      }));
      return paged(shown, 'administrators', pagination);
    },
    'internal_permission.v2.InternalPermissionService/CreateAdministrator': ({ userId, resource, roles }) => {
      ours(resource.organizationId);
      userOf(userId);
      fresh(administrators.some((one) => one.userId === userId));
      administrators.push({ userId, roles });
      return {};
    },
    'internal_permission.v2.InternalPermissionService/UpdateAdministrator': ({ userId, roles }) => {
      found(administrators.find((one) => one.userId === userId)).roles = roles;
      return {};
    },
  };
}

import { z } from 'zod';
import type { RoleStanding, RolesQuery } from '../../ports/identity-provider.ts';
import { AdapterError } from '../errors.ts';
import { type Connection, documentOf } from './connection.ts';
import { type Answer, protocolFailure } from './exchange.ts';
import { fetchServiceToken } from './service-token.ts';

/** ZITADEL's own limit of a page is 1000, and may be set lower. */
const PAGE_SIZE = 100;
const MOST_PAGES = 100;

/** ListUsers of zitadel/user/v2. Lists that hold nothing are left out. */
const usersSchema = z.looseObject({
  result: z.array(z.looseObject({ userId: z.string(), state: z.string() })).default([]),
});

/** ListAuthorizations of zitadel/authorization/v2. */
const authorizationsSchema = z.looseObject({
  authorizations: z
    .array(
      z.looseObject({
        user: z.looseObject({ id: z.string() }),
        project: z.looseObject({ id: z.string() }),
        organization: z.looseObject({ id: z.string() }),
        state: z.string(),
        roles: z.array(z.looseObject({ key: z.string() })).default([]),
      }),
    )
    .default([]),
});

export async function rolesOfUsers(
  connection: Connection,
  query: RolesQuery,
  signal: AbortSignal | undefined,
): Promise<ReadonlyMap<string, RoleStanding>> {
  if (query.subjects.length === 0) return new Map();
  const { token } = await fetchServiceToken(connection, query.account, { kind: 'api' }, signal);
  const call: Call = { connection, token, signal };
  const states = await statesOf(call, query.subjects);
  // ZITADEL shows nothing to whom may not see it, and no error: that is not the same as nobody being there.
  if (states.size === 0 && !(await seesOthers(call))) throw hidden(connection.issuer);
  const holders = await holdersOf(call, query);
  const standing = (subject: string): RoleStanding => {
    if (states.get(subject) !== 'USER_STATE_ACTIVE') return 'gone';
    return holders.has(subject) ? 'holds' : 'lost';
  };
  return new Map(query.subjects.map((subject) => [subject, standing(subject)]));
}

interface Call {
  readonly connection: Connection;
  readonly token: string;
  readonly signal: AbortSignal | undefined;
}

async function statesOf(call: Call, subjects: readonly string[]): Promise<ReadonlyMap<string, string>> {
  const states = new Map<string, string>();
  for (let from = 0; from < subjects.length; from += PAGE_SIZE) {
    const userIds = subjects.slice(from, from + PAGE_SIZE);
    await readPages(call, async (offset) => {
      const answer = await post(call, '/v2/users', {
        query: { offset: String(offset), limit: PAGE_SIZE, asc: true },
        queries: [{ inUserIdsQuery: { userIds } }],
      });
      const { result } = documentOf(answer, usersSchema, call.connection.issuer, 'its list of users');
      for (const { userId, state } of result) if (userIds.includes(userId)) states.set(userId, state);
      return result.length;
    });
  }
  return states;
}

/** Whoever may see nobody sees himself. */
async function seesOthers(call: Call): Promise<boolean> {
  const answer = await post(call, '/v2/users', { query: { offset: '0', limit: 2, asc: true } });
  return documentOf(answer, usersSchema, call.connection.issuer, 'its list of users').result.length > 1;
}

/** Asked for by project and role alone: how users are named in this call differs between versions. */
async function holdersOf(call: Call, { project, role, organization }: RolesQuery): Promise<ReadonlySet<string>> {
  const holders = new Set<string>();
  await readPages(call, async (offset) => {
    const answer = await post(call, '/zitadel.authorization.v2.AuthorizationService/ListAuthorizations', {
      pagination: { offset: String(offset), limit: PAGE_SIZE, asc: true },
      filters: [{ projectId: { id: project } }, { roleKey: { key: role } }],
    });
    const { issuer } = call.connection;
    const { authorizations } = documentOf(answer, authorizationsSchema, issuer, 'its list of authorizations');
    for (const one of authorizations) {
      const counts = organization === undefined || one.organization.id === organization;
      const isRole = one.project.id === project && one.roles.some(({ key }) => key === role);
      if (counts && isRole && one.state === 'STATE_ACTIVE') holders.add(one.user.id);
    }
    return authorizations.length;
  });
  return holders;
}

/** Until a page is empty: what a provider says of a total need not be true. `read` gives how many entries it found. */
async function readPages({ connection }: Call, read: (offset: number) => Promise<number>): Promise<void> {
  let offset = 0;
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    const found = await read(offset);
    if (found === 0) return;
    offset += found;
  }
  throw protocolFailure(connection.issuer, `its list has more than ${MOST_PAGES} pages`);
}

async function post({ connection, token, signal }: Call, path: string, body: object): Promise<Answer> {
  const { issuer, exchange } = connection;
  const answer = await exchange.send(`${issuer}${path}`, {
    method: 'POST',
    headers: {
      Authorization: `Bearer ${token}`,
      'Content-Type': 'application/json',
      Accept: 'application/json',
      'Connect-Protocol-Version': '1',
    },
    body: JSON.stringify(body),
    signal,
  });
  if (answer.status === 401 || answer.status === 403) throw hidden(issuer, `HTTP ${answer.status}`);
  return answer;
}

function hidden(issuer: string, found = 'none of the users'): AdapterError {
  return new AdapterError('IDENTITY_ROLES_HIDDEN', `${issuer}: the service account may not see users and their roles`, {
    expected: 'the right to read users and authorizations',
    found,
    at: { url: issuer },
    hint: 'Make the service user a manager of the organization with the role "Org Owner Viewer" in ZITADEL.',
  });
}

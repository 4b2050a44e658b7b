/** What is made in ZITADEL, in this order. What is there already is found by its name, and changed only where it is not right. */
import { z } from 'zod';
import { type Body, SetupProblem, type ZitadelApi } from './api.ts';
import { ensureKeyFile, type KeyFileSettings } from './key-file.ts';

export const SERVICE_ROLES = ['writer', 'pruner', 'verifier'] as const;

export interface SetupRequest extends KeyFileSettings {
  readonly organization: string;
  /** Names begin with it. */
  readonly prefix: string;
  /** Names of service users, by role. */
  readonly accounts: Readonly<Record<(typeof SERVICE_ROLES)[number], readonly string[]>>;
  /** Writers may ask who still has the role of a reader, and so see all users of the organization. */
  readonly seesRoles: boolean;
}

export interface SetupOutcome {
  readonly enrolmentProject: string;
  readonly enrolmentClient: string;
  readonly loginClient: string;
  readonly storageProject: string;
  readonly accounts: readonly SetUpAccount[];
}

export interface SetUpAccount {
  readonly role: string;
  readonly name: string;
  /** The `sub` of its tokens. */
  readonly userId: string;
  readonly keyFile: string;
}

/** `say` is told of each step. */
export async function setUp(
  api: ZitadelApi,
  request: SetupRequest,
  say: (line: string) => void,
): Promise<SetupOutcome> {
  const { organization, prefix } = request;
  const steps: Steps = { api, organization, say };

  const enrolmentProject = await ensureProject(steps, `${prefix} enrolment`, ['backup-reader']);
  const enrolmentClient = await ensureClient(steps, enrolmentProject, `${prefix} enrolment`, [CODE]);
  await requireAlone(steps, enrolmentProject, `${prefix} enrolment`);

  const loginProject = await ensureProject(steps, `${prefix} login`, []);
  const loginClient = await ensureClient(steps, loginProject, `${prefix} login`, [CODE, 'OIDC_GRANT_TYPE_DEVICE_CODE']);

  const roles = SERVICE_ROLES.map((role) => `backup-${role}`);
  const storageProject = await ensureProject(steps, `${prefix} storage`, roles);
  const accounts: SetUpAccount[] = [];
  for (const role of SERVICE_ROLES) {
    for (const name of request.accounts[role]) {
      const userId = await ensureUser(steps, name, `Portolan: ${role} of backups`);
      await ensureGrant(steps, { userId, project: storageProject, role: `backup-${role}` });
      if (role === 'writer' && request.seesRoles) await ensureViewer(steps, userId);
      accounts.push({ role, name, userId, keyFile: await ensureKeyFile(api, { name, userId }, request, say) });
    }
  }
  return { enrolmentProject, enrolmentClient, loginClient, storageProject, accounts };
}

interface Steps {
  readonly api: ZitadelApi;
  readonly organization: string;
  readonly say: (line: string) => void;
}

const PROJECTS = 'project.v2.ProjectService';
const APPLICATIONS = 'application.v2.ApplicationService';
const USERS = 'user.v2.UserService';
const AUTHORIZATIONS = 'authorization.v2.AuthorizationService';
const ADMINISTRATORS = 'internal_permission.v2.InternalPermissionService';

const CODE = 'OIDC_GRANT_TYPE_AUTHORIZATION_CODE';

/** Members that are false, empty or of the first value of an enumeration are left out of JSON made of protocol buffers. */
const text = z.string().min(1).max(200);
const flag = z.boolean().default(false);

const projectSchema = z.looseObject({ projectId: text, projectRoleAssertion: flag });
const roleSchema = z.looseObject({ key: text });

async function ensureProject({ api, organization, say }: Steps, name: string, roles: readonly string[]) {
  const found = await everything(api, `${PROJECTS}/ListProjects`, 'projects', projectSchema, {
    filters: [
      { projectNameFilter: { projectName: name, method: 'TEXT_FILTER_METHOD_EQUALS' } },
      { organizationIdFilter: { organizationId: organization, type: 'OWNED' } },
    ],
  });
  const project = onlyOne(found, `project ${name}`);
  const projectId = project?.projectId ?? (await createProject());
  if (project !== undefined && !project.projectRoleAssertion) {
    await api.call(`${PROJECTS}/UpdateProject`, { projectId, projectRoleAssertion: true });
    say(`project ${name}: roles are asserted now`);
  } else say(`project ${name}: ${project === undefined ? 'made' : 'is there'} (${projectId})`);

  const present = await everything(api, `${PROJECTS}/ListProjectRoles`, 'projectRoles', roleSchema, { projectId });
  for (const roleKey of roles.filter((role) => !present.some(({ key }) => key === role))) {
    await api.call(`${PROJECTS}/AddProjectRole`, { projectId, roleKey, displayName: roleKey });
    say(`role ${roleKey}: made in ${name}`);
  }
  return projectId;

  async function createProject() {
    const request = { organizationId: organization, name, projectRoleAssertion: true };
    return answered(await api.call(`${PROJECTS}/CreateProject`, request), z.looseObject({ projectId: text })).projectId;
  }
}

const applicationSchema = z.looseObject({
  applicationId: text,
  name: text,
  oidcConfiguration: z.looseObject({ clientId: text }).optional(),
});

/** A public client (PKCE) of a program on somebody's machine, whose ID tokens have roles and nothing of the person. */
function configurationOf(grantTypes: readonly string[]) {
  return {
    // Its port is free (RFC 8252, section 7.3).
    redirectUris: ['http://127.0.0.1/callback'],
    responseTypes: ['OIDC_RESPONSE_TYPE_CODE'],
    grantTypes,
    applicationType: 'OIDC_APP_TYPE_NATIVE',
    authMethodType: 'OIDC_AUTH_METHOD_TYPE_NONE',
    idTokenRoleAssertion: true,
    idTokenUserinfoAssertion: false,
  };
}

/** What a member is where an answer leaves it out. */
const UNSAID: Body = {
  grantTypes: [CODE],
  applicationType: 'OIDC_APP_TYPE_WEB',
  authMethodType: 'OIDC_AUTH_METHOD_TYPE_BASIC',
  idTokenRoleAssertion: false,
  idTokenUserinfoAssertion: false,
};

/** Gives the client id. */
async function ensureClient({ api, say }: Steps, projectId: string, name: string, grantTypes: readonly string[]) {
  const wanted = configurationOf(grantTypes);
  const found = await everything(api, `${APPLICATIONS}/ListApplications`, 'applications', applicationSchema, {
    filters: [{ projectIdFilter: { projectId } }, { nameFilter: { name, method: 'TEXT_FILTER_METHOD_EQUALS' } }],
  });
  const application = onlyOne(found, `application ${name}`);
  if (application === undefined) return create();
  const { applicationId, oidcConfiguration } = application;
  if (oidcConfiguration === undefined) {
    throw new SetupProblem(
      `the application ${name} is not of OpenID Connect`,
      'Rename it in ZITADEL, or choose another --prefix.',
    );
  }
  const wrong = Object.entries(wanted).filter(
    ([member, value]) => !isSame(oidcConfiguration[member] ?? UNSAID[member], value),
  );
  if (wrong.length > 0) {
    // Without its name: ZITADEL takes one that is the same for a request without a change.
    await api.call(`${APPLICATIONS}/UpdateApplication`, { applicationId, projectId, oidcConfiguration: wanted });
  }
  say(
    `application ${name}: ${wrong.length > 0 ? `mended (${wrong.map(([member]) => member).join(', ')})` : 'is there'}`,
  );
  return oidcConfiguration.clientId;

  async function create() {
    const answer = await api.call(`${APPLICATIONS}/CreateApplication`, { projectId, name, oidcConfiguration: wanted });
    const schema = z.looseObject({ oidcConfiguration: z.looseObject({ clientId: text, nonCompliant: flag }) });
    const { clientId, nonCompliant } = answered(answer, schema).oidcConfiguration;
    say(
      `application ${name}: made (${clientId})${nonCompliant ? '; ZITADEL calls its settings not compliant: look at it' : ''}`,
    );
    return clientId;
  }
}

/** Every client of a project is in the audience of its tokens, and enrolment takes tokens for its own client alone. */
async function requireAlone({ api }: Steps, projectId: string, name: string): Promise<void> {
  const filters = [{ projectIdFilter: { projectId } }];
  const found = await everything(api, `${APPLICATIONS}/ListApplications`, 'applications', applicationSchema, {
    filters,
  });
  const other = found.find((application) => application.name !== name);
  if (other === undefined) return;
  throw new SetupProblem(
    `the enrolment project has another application: ${other.name}`,
    'Move it to another project: enrolments with tokens that are for others too are refused.',
  );
}

const userSchema = z.looseObject({
  userId: text,
  state: z.string().default(''),
  machine: z.looseObject({ accessTokenType: z.string().default('ACCESS_TOKEN_TYPE_BEARER') }).optional(),
});

/** A service user whose access tokens the storage can read. Gives its id. */
async function ensureUser({ api, organization, say }: Steps, name: string, description: string): Promise<string> {
  const accessTokenType = 'ACCESS_TOKEN_TYPE_JWT';
  const users = await everything(api, `${USERS}/ListUsers`, 'result', userSchema, {
    queries: [
      { userNameQuery: { userName: name, method: 'TEXT_QUERY_METHOD_EQUALS' } },
      { organizationIdQuery: { organizationId: organization } },
    ],
  });
  const user = onlyOne(users, `user ${name}`);
  if (user === undefined) {
    const machine = { name, description, accessTokenType };
    const answer = await api.call(`${USERS}/CreateUser`, { organizationId: organization, username: name, machine });
    const { id } = answered(answer, z.looseObject({ id: text }));
    say(`service user ${name}: made (${id})`);
    return id;
  }
  if (user.machine === undefined) throw new SetupProblem(`the user ${name} is a person`, 'Choose another name.');
  if (user.state !== 'USER_STATE_ACTIVE') {
    throw new SetupProblem(`the service user ${name} is not active`, 'Activate it in ZITADEL, or choose another name.');
  }
  if (user.machine.accessTokenType !== accessTokenType) {
    await api.call(`${USERS}/UpdateUser`, { userId: user.userId, machine: { accessTokenType } });
    say(`service user ${name}: its access tokens are JWT now`);
  } else say(`service user ${name}: is there (${user.userId})`);
  return user.userId;
}

const authorizationSchema = z.looseObject({
  id: text,
  user: z.looseObject({ id: text }),
  organization: z.looseObject({ id: text }),
  roles: z.array(roleSchema).default([]),
});

interface Grant {
  readonly userId: string;
  readonly project: string;
  readonly role: string;
}

/** Looked for by project alone: how a user is named in this call differs between versions. */
async function ensureGrant({ api, organization, say }: Steps, { userId, project, role }: Grant): Promise<void> {
  const all = await everything(api, `${AUTHORIZATIONS}/ListAuthorizations`, 'authorizations', authorizationSchema, {
    filters: [{ projectId: { id: project } }],
  });
  const own = all.find((one) => one.user.id === userId && one.organization.id === organization);
  const present = own?.roles.map(({ key }) => key) ?? [];
  if (present.includes(role)) return;
  if (own === undefined) {
    const grant = { userId, projectId: project, organizationId: organization, roleKeys: [role] };
    await api.call(`${AUTHORIZATIONS}/CreateAuthorization`, grant);
  } else await api.call(`${AUTHORIZATIONS}/UpdateAuthorization`, { id: own.id, roleKeys: [...present, role] });
  say(`role ${role}: granted to ${userId}`);
}

const VIEWER = 'ORG_OWNER_VIEWER';

const administratorSchema = z.looseObject({
  organization: z.looseObject({ id: text }).optional(),
  user: z.looseObject({ id: text }),
  roles: z.array(z.string()).default([]),
});

async function ensureViewer({ api, organization, say }: Steps, userId: string): Promise<void> {
  const all = await everything(api, `${ADMINISTRATORS}/ListAdministrators`, 'administrators', administratorSchema, {
    filters: [{ inUserIdsFilter: { ids: [userId] } }],
  });
  const own = all.find((one) => one.user.id === userId && one.organization?.id === organization);
  if (own?.roles.includes(VIEWER)) return;
  const request = { userId, resource: { organizationId: organization }, roles: [...(own?.roles ?? []), VIEWER] };
  await api.call(`${ADMINISTRATORS}/${own === undefined ? 'CreateAdministrator' : 'UpdateAdministrator'}`, request);
  say(`manager role ${VIEWER}: given to ${userId}`);
}

const PAGE_SIZE = 100;
const MOST_PAGES = 100;

/** All pages of a list, whose entries are the answer's `member`; they end with an empty one. */
async function everything<T>(
  api: ZitadelApi,
  method: string,
  member: string,
  entry: z.ZodType<T>,
  body: Body,
): Promise<T[]> {
  const all: T[] = [];
  for (let page = 0; page < MOST_PAGES; page += 1) {
    const pagination = { offset: String(all.length), limit: PAGE_SIZE, asc: true };
    // ListUsers is older than the others, and has another name for it.
    const where = method.endsWith('/ListUsers') ? 'query' : 'pagination';
    const answer = await api.call(method, { ...body, [where]: pagination });
    const found = answered({ [member]: answer[member] ?? [] }, z.object({ [member]: z.array(entry) }))[member] ?? [];
    all.push(...found);
    if (found.length === 0 || api.isDryRun) return all;
  }
  throw new SetupProblem(
    `ZITADEL gives more than ${MOST_PAGES} pages to ${method}`,
    'Do the steps of docs/zitadel.md by hand.',
  );
}

function answered<T>(answer: Body, schema: z.ZodType<T>): T {
  const parsed = schema.safeParse(answer);
  if (parsed.success) return parsed.data;
  const member = parsed.error.issues[0]?.path.join('.') ?? '';
  throw new SetupProblem(
    `ZITADEL's answer lacks ${member}, or has it in another form`,
    'This ZITADEL is of another version than the script knows: do the steps of docs/zitadel.md by hand.',
  );
}

function onlyOne<T>(found: readonly T[], what: string): T | undefined {
  if (found.length <= 1) return found[0];
  throw new SetupProblem(`there are ${found.length} times ${what}`, 'Rename or remove all but one in ZITADEL.');
}

function isSame(one: unknown, other: unknown): boolean {
  const sorted = (value: unknown) => JSON.stringify(Array.isArray(value) ? [...value].sort() : value);
  return sorted(one) === sorted(other);
}

import { generateKeyPairSync, randomBytes, randomInt } from 'node:crypto';

/** Who and what an organisation has in ZITADEL. Every member may be changed while the provider runs. */
export interface Directory {
  readonly organization: { readonly id: string; readonly domain: string };
  /** Project ids: of the enrolment, of the logins, of the storage, whose audience the storage trusts, and of ZITADEL's own API. */
  readonly projects: {
    readonly enrolment: string;
    readonly login: string;
    readonly storage: string;
    readonly zitadel: string;
  };
  /** Client ids of public clients. */
  readonly clients: { readonly enrolment: string; readonly login: string };
  readonly people: Map<string, PersonEntry>;
  readonly accounts: Map<string, ServiceAccountEntry>;
}

export interface UserEntry {
  readonly id: string;
  readonly name: string;
  active: boolean;
  /** Role keys by project. */
  readonly roles: Map<string, readonly string[]>;
}

export interface PersonEntry extends UserEntry {
  /** False: logs in with a password alone. */
  secondFactor: boolean;
  /** How long ago the login was when an ID token is asked for. */
  loggedInSecondsAgo: number;
}

export interface ServiceAccountEntry extends UserEntry {
  /** What ZITADEL calls the access token type of the user. */
  tokenType: 'jwt' | 'opaque';
  readonly keyId: string;
  publicKey: string | undefined;
  /** The content of the key file that ZITADEL hands out. */
  readonly keyFile: string;
  /** The login name. */
  readonly clientId: string;
  clientSecret: string;
  /** Reads every user and grant, as an organisation's user manager does. */
  mayReadUsers: boolean;
}

/** As ZITADEL's ids look. */
export function newId(): string {
  return `3${String(randomInt(1e8)).padStart(8, '0')}${String(randomInt(1e9)).padStart(9, '0')}`;
}

export function newDirectory(): Directory {
  return {
    organization: { id: newId(), domain: 'ship.id.example' },
    projects: { enrolment: newId(), login: newId(), storage: newId(), zitadel: newId() },
    clients: { enrolment: newId(), login: newId() },
    people: new Map(),
    accounts: new Map(),
  };
}

export interface NewPerson {
  readonly name: string;
  /** In the enrolment project; `backup-reader`. */
  readonly roles?: readonly string[];
}

export function addPerson(directory: Directory, { name, roles = ['backup-reader'] }: NewPerson): PersonEntry {
  const person: PersonEntry = {
    id: newId(),
    name,
    active: true,
    roles: new Map([[directory.projects.enrolment, roles]]),
    secondFactor: true,
    loggedInSecondsAgo: 0,
  };
  directory.people.set(person.id, person);
  return person;
}

export interface NewServiceAccount {
  readonly name: string;
  /** In the storage's project; `backup-writer`. */
  readonly roles?: readonly string[];
  readonly tokenType?: ServiceAccountEntry['tokenType'];
}

export function addServiceAccount(
  directory: Directory,
  { name, roles = ['backup-writer'], tokenType = 'jwt' }: NewServiceAccount,
): ServiceAccountEntry {
  const [id, keyId] = [newId(), newId()];
  const { privateKey, publicKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  const key = privateKey.export({ type: 'pkcs1', format: 'pem' }).toString();
  const account: ServiceAccountEntry = {
    id,
    name,
    active: true,
    roles: new Map([[directory.projects.storage, roles]]),
    tokenType,
    keyId,
    publicKey: publicKey.export({ type: 'spki', format: 'pem' }).toString(),
    keyFile: JSON.stringify({ type: 'serviceaccount', keyId, key, expirationDate: '2046-01-01T00:00:00Z', userId: id }),
    clientId: name,
    clientSecret: randomBytes(32).toString('base64url'),
    mayReadUsers: true,
  };
  directory.accounts.set(id, account);
  return account;
}

const AUDIENCE = /^urn:zitadel:iam:org:project:id:([^:]+):aud$/;

/** The projects that scopes of a request add to the audience; `zitadel` is the word for that of its API. */
export function audienceOf(directory: Directory, scopes: Iterable<string>): string[] {
  const named = [...scopes].flatMap((scope) => AUDIENCE.exec(scope)?.[1] ?? []);
  return named.map((project) => (project === 'zitadel' ? directory.projects.zitadel : project));
}

/** Asks for the roles in every project of the audience. */
export const ROLES_SCOPE = 'urn:zitadel:iam:org:projects:roles';

/** The claims of somebody's roles in projects: `{ role: { organization: domain } }` in each. */
export function roleClaims(
  directory: Directory,
  user: UserEntry,
  { projects, own }: { readonly projects: readonly string[]; readonly own?: string },
): Record<string, unknown> {
  const { id, domain } = directory.organization;
  const claims: Record<string, unknown> = {};
  for (const project of projects) {
    const roles = user.roles.get(project) ?? [];
    if (roles.length === 0) continue;
    const map = Object.fromEntries(roles.map((role) => [role, { [id]: domain }]));
    claims[`urn:zitadel:iam:org:project:${project}:roles`] = map;
    if (project === own) claims['urn:zitadel:iam:org:project:roles'] = map;
  }
  return claims;
}

/** scripts/zitadel-setup against a stand-in of ZITADEL's API that holds requests against its protos. */

import { spawn } from 'node:child_process';
import { createPrivateKey, createPublicKey } from 'node:crypto';
import { once } from 'node:events';
import { mkdirSync } from 'node:fs';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { afterEach, expect, test } from 'vitest';
import { readServiceKey } from '../../src/adapters/identity-provider/service-key-file.ts';
import { CHECKOUT } from '../support/importer.ts';
import { watchForSecrets } from '../support/planted-secrets.ts';
import { makePrivateCertificate } from '../support/private-certificate.ts';
import { run } from '../support/program.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { REQUESTS, startZitadelManagement, type ZitadelManagement } from '../support/zitadel-management.ts';

const SETUP = join(CHECKOUT, 'scripts', 'zitadel-setup');

const opened: ZitadelManagement[] = [];
afterEach(async () => {
  for (const zitadel of opened.splice(0)) await zitadel[Symbol.asyncDispose]();
});

async function createSeat(scheme: 'http' | 'https' = 'http') {
  const folder = await temporaryFolder();
  const certificate = scheme === 'https' ? await makePrivateCertificate(join(folder, 'tls')) : undefined;
  const zitadel = await startZitadelManagement(
    certificate && { cert: await readFile(certificate.certificate), key: await readFile(certificate.key) },
  );
  opened.push(zitadel);
  const issuer = `${scheme}://${zitadel.host}`;
  await writeFile(join(folder, 'token'), `${zitadel.token}\n`);
  const fixed = ['--issuer', issuer, '--organization', zitadel.organization, '--keys-out', join(folder, 'keys')];
  const args = (...more: string[]) => [...fixed, '--token-file', join(folder, 'token'), ...more];
  return {
    ...{ folder, zitadel, issuer, certificate, args },
    at: (...names: string[]) => join(folder, ...names),
    run: (...more: string[]) => run(SETUP, args(...more)),
  };
}

/** What a run says with --json. */
async function outcomeOf(ended: ReturnType<typeof run>) {
  const { status, stdout, stderr } = await ended;
  expect(status, stderr).toBe(0);
  return JSON.parse(stdout) as {
    readonly enrolmentProject: string;
    readonly enrolmentClient: string;
    readonly loginClient: string;
    readonly storageProject: string;
    readonly accounts: readonly { role: string; name: string; userId: string; keyFile: string }[];
  };
}

const WRITES = /\/(Create|Update|Add|Remove)/;

test('everything is made once, and the ids are what `keys init` wants', async () => {
  const { zitadel, issuer, at, run: setUp } = await createSeat();
  const watch = watchForSecrets({ token: zitadel.token });
  const first = await setUp('--json', '--writer', 'db-1', '--writer', 'db-2');
  const outcome = await outcomeOf(Promise.resolve(first));

  const [enrolment, login, storage] = zitadel.projects;
  expect(zitadel.projects.map(({ name, projectRoleAssertion }) => [name, projectRoleAssertion])).toEqual([
    ['Portolan enrolment', true],
    ['Portolan login', true],
    ['Portolan storage', true],
  ]);
  expect(enrolment?.roles).toEqual(['backup-reader']);
  expect(storage?.roles).toEqual(['backup-writer', 'backup-pruner', 'backup-verifier']);
  // Of each project its own client: they stand in the audience of each other's tokens otherwise.
  const [enrol, logIn, ...others] = zitadel.applications;
  expect(others).toEqual([]);
  const client = { applicationType: 'OIDC_APP_TYPE_NATIVE', authMethodType: 'OIDC_AUTH_METHOD_TYPE_NONE' };
  const tokens = { idTokenRoleAssertion: true, idTokenUserinfoAssertion: false };
  expect(enrol).toMatchObject({
    projectId: enrolment?.projectId,
    configuration: { ...client, ...tokens, grantTypes: ['OIDC_GRANT_TYPE_AUTHORIZATION_CODE'] },
  });
  expect(logIn).toMatchObject({
    projectId: login?.projectId,
    configuration: {
      ...{ ...client, ...tokens },
      grantTypes: ['OIDC_GRANT_TYPE_AUTHORIZATION_CODE', 'OIDC_GRANT_TYPE_DEVICE_CODE'],
    },
  });
  expect(outcome).toMatchObject({
    issuer,
    enrolmentProject: enrolment?.projectId,
    enrolmentClient: enrol?.configuration.clientId,
    loginClient: logIn?.configuration.clientId,
    storageProject: storage?.projectId,
    accounts: [
      { role: 'writer', name: 'db-1' },
      { role: 'writer', name: 'db-2' },
      { role: 'pruner', name: 'portolan-pruner' },
      { role: 'verifier', name: 'portolan-verifier' },
    ],
  });

  for (const { role, name, userId, keyFile } of outcome.accounts) {
    const user = zitadel.users.find((one) => one.userId === userId);
    expect(user).toMatchObject({ username: name, machine: { accessTokenType: 'ACCESS_TOKEN_TYPE_JWT' } });
    expect(zitadel.grants.filter((grant) => grant.userId === userId)).toMatchObject([
      { projectId: outcome.storageProject, roles: [`backup-${role}`] },
    ]);
    expect(zitadel.administrators.some((one) => one.userId === userId)).toBe(role === 'writer');
    expect((await stat(keyFile)).mode & 0o777).toBe(0o600);
    const account = await readServiceKey(keyFile);
    const key = zitadel.keys.find((one) => one.userId === userId);
    if (account.kind !== 'key' || key === undefined) throw new Error('no key');
    expect(account).toMatchObject({ userId, keyId: key.keyId });
    expect(createPublicKey(createPrivateKey(account.privateKey)).equals(createPublicKey(key.publicKey))).toBe(true);
  }
  watch.add('what it printed', first.stdout + first.stderr);
  for (const name of await readdir(at('keys'))) watch.add(name, await readFile(at('keys', name), 'utf8'));
  expect(await watch.end()).toEqual([]);

  // Again: nothing is changed, and nothing made twice.
  zitadel.calls.splice(0);
  expect(await outcomeOf(setUp('--json', '--writer', 'db-1', '--writer', 'db-2'))).toEqual(outcome);
  expect(zitadel.calls.filter((call) => WRITES.test(call))).toEqual([]);
  expect(zitadel.calls.length).toBeGreaterThan(10);
});

test('what somebody changed is put right, and what is more than that stays', async () => {
  const { zitadel, run: setUp } = await createSeat();
  const outcome = await outcomeOf(setUp('--json'));
  const [enrolment, , storage] = zitadel.projects;
  const [enrol] = zitadel.applications;
  const [writer, pruner] = zitadel.users;
  if (!enrolment || !storage || !enrol || !writer || !pruner) throw new Error('not all is there');
  enrolment.projectRoleAssertion = false;
  enrolment.roles.splice(0, 1, 'another-role');
  enrol.configuration.idTokenUserinfoAssertion = true;
  enrol.configuration.idTokenRoleAssertion = false;
  writer.machine = { accessTokenType: 'ACCESS_TOKEN_TYPE_BEARER' };
  const grant = zitadel.grants.find(({ userId }) => userId === pruner.userId);
  if (grant) grant.roles = ['another-role'];
  zitadel.administrators.splice(0, 1, { userId: writer.userId, roles: ['ORG_USER_MANAGER'] });
  zitadel.calls.splice(0);

  const again = await setUp('--json');
  expect(await outcomeOf(Promise.resolve(again))).toEqual(outcome);
  expect(zitadel.calls.filter((call) => WRITES.test(call)).sort()).toEqual([
    'ApplicationService/UpdateApplication',
    'AuthorizationService/UpdateAuthorization',
    'InternalPermissionService/UpdateAdministrator',
    'ProjectService/AddProjectRole',
    'ProjectService/UpdateProject',
    'UserService/UpdateUser',
  ]);
  expect(again.stderr).toContain('mended (idTokenRoleAssertion, idTokenUserinfoAssertion)');
  expect(enrolment).toMatchObject({ projectRoleAssertion: true, roles: ['another-role', 'backup-reader'] });
  expect(enrol.configuration).toMatchObject({ idTokenUserinfoAssertion: false, idTokenRoleAssertion: true });
  expect(writer.machine).toEqual({ accessTokenType: 'ACCESS_TOKEN_TYPE_JWT' });
  expect(grant?.roles).toEqual(['another-role', 'backup-pruner']);
  expect(zitadel.administrators).toEqual([{ userId: writer.userId, roles: ['ORG_USER_MANAGER', 'ORG_OWNER_VIEWER'] }]);
});

test('--dry-run prints every request of a first run, in the form of the protos, and sends none', async () => {
  const { zitadel, issuer, at, args, run: setUp } = await createSeat();
  const ended = await run(
    SETUP,
    [...args('--dry-run').filter((arg) => arg !== '--token-file' && arg !== at('token'))],
    {
      env: { ZITADEL_TOKEN: undefined },
    },
  );
  expect(ended).toMatchObject({ status: 0 });
  expect(zitadel.calls).toEqual([]);
  await expect(stat(at('keys'))).rejects.toThrow('ENOENT');
  const requests = ended.stdout
    .split(/^POST /m)
    .slice(1)
    .map((text) => ({ url: text.slice(0, text.indexOf('\n')), body: JSON.parse(text.slice(text.indexOf('\n'))) }));
  const methods = requests.map(({ url, body }) => {
    expect(url.startsWith(`${issuer}/zitadel.`)).toBe(true);
    const method = url.slice(`${issuer}/zitadel.`.length);
    REQUESTS[method as keyof typeof REQUESTS].parse(body);
    return method.replace(/^.*v2\./, '');
  });
  await outcomeOf(setUp('--json'));
  // A live run looks at further pages of its lists.
  const writesOf = (calls: readonly string[]) => calls.filter((call) => WRITES.test(call));
  expect(writesOf(methods)).toEqual(writesOf(zitadel.calls));
  expect(new Set(methods)).toEqual(new Set(zitadel.calls));
});

test('without the check of roles no service user sees other users', async () => {
  const { zitadel, run: setUp } = await createSeat();
  await outcomeOf(setUp('--json', '--without-role-check'));
  expect(zitadel.administrators).toEqual([]);
});

test.each([
  ['HTTP 401', 401, { code: 'unauthenticated', message: 'Errors.Token.Invalid\u001b[2J' }, 'The token is not right'],
  ['HTTP 403', 403, { code: 'permission_denied', message: 'No matching permissions found' }, 'Org Owner'],
  ['HTTP 404', 404, { code: 5, message: 'Not Found' }, 'older than version 4'],
  ['HTTP 200', 200, '<!doctype html>', 'Check that --issuer is the address of ZITADEL'],
  ["ZITADEL's answer lacks projects.0.projectId", 200, { projects: [{ name: 'x' }] }, 'of another version'],
])('%s: says what it may be', async (message, status, body, hint) => {
  const { zitadel, run: setUp } = await createSeat();
  zitadel.intercept = () => ({ status, body });
  const ended = await setUp();
  expect(ended).toMatchObject({ status: 1, stdout: '' });
  expect(ended.stderr).toContain(message);
  expect(ended.stderr).toContain(hint);
  expect(ended.stderr).not.toContain(zitadel.token);
  expect(ended.stderr).not.toContain('\u001b');
});

test('a list is asked for again after a failure of the server; what changes something is sent once', async () => {
  const { zitadel, run: setUp } = await createSeat();
  const broken = { status: 503, body: { code: 'unavailable' } };
  let lists = 0;
  zitadel.intercept = (method) => {
    if (method.endsWith('/ListProjects')) {
      lists += 1;
      return lists === 1 ? broken : undefined;
    }
    return method.endsWith('/CreateApplication') ? broken : undefined;
  };
  expect(await setUp()).toMatchObject({ status: 1, stderr: expect.stringContaining('HTTP 503') });
  expect(zitadel.calls.filter((call) => call.endsWith('/CreateApplication'))).toHaveLength(1);
  expect(lists).toBeGreaterThan(1);
  // The next run goes on.
  zitadel.intercept = undefined;
  await outcomeOf(setUp('--json'));
  expect(zitadel.projects).toHaveLength(3);
});

test('what is in the way is named, before it does harm', async () => {
  const { zitadel, run: setUp, at } = await createSeat();
  const outcome = await outcomeOf(setUp('--json'));
  const refused = async (hint: string, ...more: string[]) => {
    const { status, stderr } = await setUp(...more);
    expect(status, stderr).toBe(1);
    expect(stderr).toContain(hint);
  };
  // Another client in the project of enrolments would be in the audience of its tokens.
  const other = {
    applicationId: '1',
    projectId: outcome.enrolmentProject,
    name: 'other',
    configuration: { clientId: '2' },
  };
  zitadel.applications.push(other);
  await refused('the enrolment project has another application: other');
  zitadel.applications.pop();
  // The key file of somebody else, and of nobody.
  const file = at('keys', 'portolan-writer.json');
  const key = JSON.parse(await readFile(file, 'utf8'));
  await writeFile(file, JSON.stringify({ ...key, userId: '1' }));
  await refused('is the key file of another user, 1');
  await writeFile(file, 'something');
  await refused('is no key file');
  await writeFile(file, JSON.stringify(key));
  const [writer] = zitadel.users;
  if (writer) writer.state = 'USER_STATE_INACTIVE';
  await refused('portolan-writer is not active');
  zitadel.users.push({ userId: '7', username: 'anna', machine: undefined, state: 'USER_STATE_ACTIVE' });
  if (writer) writer.state = 'USER_STATE_ACTIVE';
  await refused('the user anna is a person', '--verifier', 'anna');
});

test('a key that could not be written does not stay in ZITADEL', async () => {
  const { zitadel, run: setUp, at } = await createSeat();
  // Something comes between the look and the writing.
  zitadel.intercept = (method) => {
    if (method.endsWith('/AddKey')) mkdirSync(at('keys', 'portolan-writer.json', 'x'), { recursive: true });
    return undefined;
  };
  const ended = await setUp();
  expect(ended.status, ended.stderr).toBe(1);
  expect(zitadel.calls.slice(-2)).toEqual(['UserService/AddKey', 'UserService/RemoveKey']);
  expect(zitadel.keys).toEqual([]);
});

test('a private certificate authority is trusted when it is named', async () => {
  const { certificate, run: setUp } = await createSeat('https');
  expect(await setUp()).toMatchObject({ status: 1, stderr: expect.stringContaining('--ca-file') });
  await outcomeOf(setUp('--json', '--ca-file', certificate?.caFile ?? ''));
});

test('broken off while ZITADEL says nothing, it ends at once, and goes on the next time', async () => {
  const { zitadel, args, run: setUp } = await createSeat();
  zitadel.intercept = (method) => (method.endsWith('/CreateUser') ? 'stall' : undefined);
  const child = spawn(SETUP, args('--json'), { stdio: 'ignore' });
  while (!zitadel.calls.includes('UserService/CreateUser')) await sleep(20);
  child.kill('SIGINT');
  expect(await once(child, 'close')).toEqual([130, null]);
  zitadel.intercept = undefined;
  const { accounts } = await outcomeOf(setUp('--json'));
  expect(accounts).toHaveLength(3);
  expect(zitadel.projects).toHaveLength(3);
});

test.each([
  [['--issuer', 'https://id.ship/'], 'without a slash'],
  [['--organization', ''], '--organization is missing'],
  [['--writer', '../x'], 'is no name'],
  [['--writer', 'portolan-pruner'], 'stands twice'],
  [['--key-days', '0'], '--key-days'],
  [['--token', 'secret'], '--token'],
])('wrong use: %j', async (more, message) => {
  const { zitadel, run: setUp } = await createSeat();
  const ended = await setUp(...more);
  expect(ended, ended.stderr).toMatchObject({ status: 2, stdout: '' });
  expect(ended.stderr).toContain(message);
  expect(zitadel.calls).toEqual([]);
});

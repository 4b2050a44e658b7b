import { generateKeyPairSync } from 'node:crypto';
import { mkdir, readFile, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { type PortolanEnded, portolan, portolanText, succeed } from '../support/program.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { createTestIssuer, PROJECT } from '../support/test-issuer.ts';

const PASSWORD = 'throw-away password';

/** The result of a command that must succeed. */
function done(ended: PortolanEnded): Readonly<Record<string, unknown>> {
  expect(ended.status, ended.stderr + ended.stdout).toBe(0);
  return ended.result ?? {};
}

/** Three people, each with a configuration and a state of their own, around one folder; and whoever made it. */
async function createPeople(root: string) {
  const at = (...names: string[]) => join(root, ...names);
  const person = (name: string) => {
    const env = {
      HOME: at(name),
      XDG_CONFIG_HOME: at(name, 'config'),
      COSIGN_PASSWORD: PASSWORD,
      PORTOLAN_JSON: undefined,
    };
    const own = (...names: string[]) => at(name, ...names);
    const repository = ['--repo', at('store'), '--state', own('state')];
    const args = (...given: string[]) => [...given, ...repository, '--trust', at('trust.json')];
    return {
      ...{ own, env },
      /** Without the trust file of the ship. */
      plain: (...given: string[]) => portolan([...given, ...repository], { env, cwd: root }),
      run: (...given: string[]) => portolan(args(...given), { env, cwd: root }),
      text: (...given: string[]) => portolanText(args(...given), { env, cwd: root }),
      /** As an approver: with his own key. */
      approve: (...given: string[]) =>
        portolan(args('keys', 'approve', '--sign-key', own('cosign.key'), ...given), { env, cwd: root }),
    };
  };
  const [anna, ben, carol] = [person('anna'), person('ben'), person('carol')];
  for (const { own, env } of [anna, ben, carol]) {
    await mkdir(own());
    await succeed('cosign', ['generate-key-pair'], { cwd: own(), env });
    await succeed('age-keygen', ['-pq', '-o', own('key.txt')]);
  }
  const recipientOf = async (file: string) => (await succeed('age-keygen', ['-y', file])).trim();
  return { at, anna, ben, carol, recipientOf };
}

test('two approvers let a reader in who enrolled, and she restores with her own identity', async () => {
  const root = await temporaryFolder();
  const { at, anna, ben, carol, recipientOf } = await createPeople(root);
  const issuer = createTestIssuer();
  await succeed('age-keygen', ['-pq', '-o', at('safe.txt')]);
  await makeShip();

  // Carol enrols: her login was two hours ago, so that her token has expired.
  const recipient = await recipientOf(carol.own('key.txt'));
  const repository = JSON.parse(await readFile(at('trust.json'), 'utf8')).repository;
  const issuedAt = Math.floor(Date.now() / 1000) - 7200;
  const enrolment = await issuer.enrol({ repository, recipient, subject: 'carol-7', issuedAt });
  await writeFile(at('carol.enrolment'), enrolment);
  const token = JSON.parse(Buffer.from(enrolment).toString()).idToken as string;

  const answer = async (challenge: string, out: string) => {
    const own = ['-i', carol.own('key.txt'), '--enrolment', at('carol.enrolment')];
    const files = [...own, '--challenge', at(challenge), '--answer-out', at(out)];
    expect(done(await portolan(['keys', 'enroll', ...files], { env: carol.env }))).toMatchObject({ repository });
  };

  // Anna looks, challenges, and proposes.
  const enrolled = ['--enrolment', 'carol.enrolment', '--name', 'carol'];
  expect(await anna.approve(...enrolled)).toMatchObject({ status: 1, error: { code: 'CHALLENGE_MISSING' } });
  const challenged = done(await anna.approve(...enrolled, '--challenge-out', 'for-anna.age'));
  expect(challenged).toMatchObject({
    done: 'challenged',
    enrolment: { subject: 'carol-7', issuer: issuer.pinned.url, roles: ['backup-reader'] },
  });
  await answer('for-anna.age', 'to-anna.json');
  const answered = [...enrolled, '--answer', 'to-anna.json'];
  expect(await anna.approve(...answered)).toMatchObject({ status: 1, error: { code: 'ROSTER_NEEDS_APPROVERS' } });
  const proposed = await anna.approve(...answered, '--proposal-out', 'proposal.json');
  expect(done(proposed)).toMatchObject({ done: 'proposed', epoch: 2, signers: ['anna'], missing: 1 });
  const { fingerprint } = challenged.enrolment as { fingerprint: string };
  expect(proposed.events).toContainEqual({ event: 'note', message: expect.stringContaining(fingerprint) });
  expect(done(await ben.run('keys', 'list'))).toMatchObject({ roster: { epoch: 1 } });

  // Ben believes none of it: he looks for himself, with a challenge of his own.
  const proposal = ['--proposal', 'proposal.json'];
  expect(done(await ben.approve(...proposal, '--plan'))).toMatchObject({
    done: 'planned',
    signers: ['anna'],
    missing: 1,
    changes: [{ change: 'added', role: 'reader', name: 'carol', key: fingerprint }],
    enrolment: { subject: 'carol-7', fingerprint },
  });
  expect(await ben.approve(...proposal)).toMatchObject({ status: 1, error: { code: 'CHALLENGE_MISSING' } });
  done(await ben.approve(...proposal, '--challenge-out', 'for-ben.age'));
  expect(await ben.approve(...proposal, '--answer', 'to-anna.json')).toMatchObject({
    status: 3,
    error: { code: 'CHALLENGE_ANSWER_WRONG' },
  });
  await answer('for-ben.age', 'to-ben.json');
  expect(done(await ben.approve(...proposal, '--answer', 'to-ben.json'))).toMatchObject({
    done: 'published',
    roster: { epoch: 2, recipients: [{ name: 'safe' }, { name: 'carol', evidence: { subject: 'carol-7' } }] },
  });
  expect(await anna.approve(...proposal, '--answer', 'to-anna.json')).toMatchObject({
    status: 1,
    error: { code: 'PROPOSAL_OUTDATED' },
  });

  // The evidence comes later, by the same command.
  expect(done(await carol.run('keys', 'verify'))).toMatchObject({
    recipients: [{ evidence: 'kept offline' }, { name: 'carol', evidence: 'not published', fingerprint }],
    findings: [],
  });
  expect(done(await anna.approve('--enrolment', 'carol.enrolment'))).toMatchObject({ done: 'evidence', created: true });
  expect(done(await anna.approve('--enrolment', 'carol.enrolment'))).toMatchObject({ created: false });
  expect(done(await carol.run('keys', 'verify'))).toMatchObject({
    epoch: 2,
    signers: ['anna', 'ben'],
    recipients: [{}, { name: 'carol', evidence: 'verified', subject: 'carol-7' }],
  });
  const table = await carol.text('keys', 'verify');
  expect(table.stdout).toContain(fingerprint);
  expect(table.stdout).toMatch(/signed by anna, ben \(2 must\)/);

  // A root that knows another key of the provider says so.
  await writeFile(at('other.json'), await trustWithAnotherKey());
  expect(
    await portolan(['keys', 'verify', '--repo', at('store'), '--trust', at('other.json')], { env: carol.env }),
  ).toMatchObject({
    status: 3,
    error: { code: 'KEYS_NOT_RIGHT', others: [{ code: 'ID_TOKEN_FORGED' }] },
    result: { recipients: [{}, { evidence: 'refused' }] },
  });

  // What is backed up from now on, Carol restores by the approvers' keys alone.
  await mkdir(at('data'));
  await writeFile(at('data/file'), 'what was on the ship');
  done(await anna.plain('backup', 'run', '--files', at('data'), '--sign-key', anna.own('cosign.key')));
  await writeFile(at('approvers.pub'), `${await publicKey(anna)}${await publicKey(ben)}`);
  const restore = [
    'restore',
    '-i',
    carol.own('key.txt'),
    '--to',
    `folder:${at('out')}`,
    '--trust',
    at('approvers.pub'),
  ];
  done(await carol.plain(...restore));
  expect(await readFile(at('out/files/file'), 'utf8')).toBe('what was on the ship');

  // She leaves: the same way, and the key is in the safe.
  const leaves = ['keys', 'revoke', '--recipient', 'carol', '--sign-key', ben.own('cosign.key')];
  expect(await ben.run(...leaves)).toMatchObject({ error: { code: 'ROSTER_NEEDS_APPROVERS' } });
  expect(done(await ben.run(...leaves, '--proposal-out', 'leaves.json'))).toMatchObject({ done: 'proposed', epoch: 3 });
  const gone = await anna.approve('--proposal', 'leaves.json');
  expect(gone.events).toContainEqual({
    event: 'note',
    message: expect.stringContaining(`to be signed: removed reader carol, ${fingerprint}, subject carol-7`),
  });
  expect(done(gone)).toMatchObject({ roster: { epoch: 3, recipients: [{ name: 'safe' }] } });
  expect(await anna.approve(...answered, '--proposal-out', 'again.json')).toMatchObject({
    status: 3,
    error: { code: 'ENROLMENT_REVOKED' },
  });

  // A storage that shows the roster of before: who saw the newer one says so.
  await rm(at('store/keys/00000003.json'));
  expect(await anna.run('keys', 'verify')).toMatchObject({ status: 3, error: { code: 'ROSTER_ROLLED_BACK' } });

  // Nothing that a command said holds the token.
  const said = [challenged, proposed, table, gone];
  expect(JSON.stringify(said)).not.toContain(token.split('.')[1]);

  /** A root with two approvers of two, and a repository by it. */
  async function makeShip(): Promise<void> {
    const { kid, algorithm, publicKey: spki } = issuer.pinned.keys[0] as (typeof issuer.pinned.keys)[0];
    const root = {
      keys: [
        { name: 'anna', publicKey: await publicKey(anna) },
        { name: 'ben', publicKey: await publicKey(ben) },
      ],
      threshold: 2,
      breakGlass: [await recipientOf(at('safe.txt'))],
      issuer: { ...issuer.pinned, keys: [{ kid, algorithm, publicKey: spki, from: '2020-01-01T00:00:00.000Z' }] },
    };
    await writeFile(at('root.json'), JSON.stringify(root));
    const keys = ['--sign-key', anna.own('cosign.key'), '--co-sign-key', ben.own('cosign.key')];
    const safe = ['--break-glass', `safe=${root.breakGlass[0]}`];
    const made = done(await anna.plain('backup', 'init', '--root', at('root.json'), ...safe, '--writer', 'w', ...keys));
    await writeFile(at('trust.json'), await readFile(String(made.trust)));
    expect(root.issuer.roleClaim).toContain(PROJECT);
    expect((await stat(String(made.writerKey))).mode & 0o777).toBe(0o600);
  }

  async function trustWithAnotherKey(): Promise<string> {
    const trust = JSON.parse(await readFile(at('trust.json'), 'utf8'));
    const { publicKey: stranger } = generateKeyPairSync('rsa', { modulusLength: 2048 });
    trust.issuer.keys[0].publicKey = stranger.export({ type: 'spki', format: 'der' }).toString('base64');
    return JSON.stringify(trust);
  }

  function publicKey({ own }: { own: (...names: string[]) => string }): Promise<string> {
    return readFile(own('cosign.pub'), 'utf8');
  }
});

test.each([
  ['--proposal p.json --threshold 2', 'no other change goes with --proposal'],
  ['--proposal p.json --enrolment e.json', 'no other change goes with --proposal'],
  ['--answer a.json -r age1x', '--challenge-out and --answer are for a reader who enrolled'],
  ['--name carol -r age1x', '--name is for --enrolment'],
])('keys approve %s is wrong use', async (given, message) => {
  const ended = await portolan(['keys', 'approve', '--repo', '/nowhere', ...given.split(' ')]);
  expect(ended).toMatchObject({ status: 2, error: { code: 'USAGE', message: expect.stringContaining(message) } });
});

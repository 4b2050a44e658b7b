/** keys.example/ship, and one that is made just now by the same program: the same checks for both. */
import { createPublicKey } from 'node:crypto';
import { cp, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestOf, hexOf } from '../../src/core/digest.ts';
import { answerChallenge } from '../../src/formats/identity/challenge.ts';
import { decodeProposal } from '../../src/formats/identity/roster-proposal.ts';
import { decodeRepositoryTrust } from '../../src/formats/repository/repository-trust.ts';
import { decodeWriterKey } from '../../src/formats/repository/writer-key.ts';
import { openCosignKey } from '../../src/formats/sigstore/cosign-key.ts';
import { blocksOf } from '../support/document-blocks.ts';
import { makeExampleShip } from '../support/example-ship.ts';
import { CHECKOUT } from '../support/importer.ts';
import { portolan, run } from '../support/program.ts';
import { temporaryFolder } from '../support/temporary.ts';

const COMMITTED = join(CHECKOUT, 'keys.example', 'ship');

let fresh: string;
beforeAll(async () => {
  fresh = await mkdtemp(join(tmpdir(), 'portolan-test-'));
  await makeExampleShip(fresh);
});

afterAll(() => rm(fresh, { recursive: true, force: true }));

/** Names of files, with evidence by any digest. */
async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const names = entries
    .filter((entry) => entry.isFile())
    .map((entry) => join(entry.parentPath, entry.name).slice(folder.length + 1));
  return names
    .filter((name) => name !== 'README.md')
    .map((name) => name.replace(/[0-9a-f]{64}/, 'DIGEST'))
    .sort();
}

async function verify(folder: string, trust = 'trust.json') {
  const state = await temporaryFolder();
  const place = ['--repo', join(folder, 'repository'), '--trust', join(folder, trust), '--state', state];
  return portolan(['keys', 'verify', ...place]);
}

test('both have the same files', async () => {
  expect(await filesOf(COMMITTED)).toEqual(await filesOf(fresh));
});

describe.each([
  ['that of the project', () => COMMITTED],
  ['one that was just made', () => fresh],
])('the example, %s', (_, folderOf) => {
  const at = (...names: string[]) => join(folderOf(), ...names);
  const text = (name: string) => readFile(at(name), 'utf8');
  const json = async (name: string) => JSON.parse(await text(name));
  const secretOf = async (name: string) => /AGE-SECRET-KEY-\S+/.exec(await text(name))?.[0] ?? '';

  test('`keys verify` finds all of it right', async () => {
    const { status, result } = await verify(folderOf());
    expect(result).toMatchObject({
      ...{ epoch: 2, signers: ['ada', 'ben'], threshold: 2, issuer: 'https://id.ship.example', findings: [] },
      recipients: [
        { role: 'break-glass', name: 'safe', evidence: 'kept offline' },
        { role: 'reader', name: 'carol', evidence: 'verified', subject: '284561203846860835' },
      ],
    });
    expect(status).toBe(0);
  });

  test('a challenge opens with Carol’s identity alone, and gives the answer that is there', async () => {
    const [carol, safe] = [await secretOf('carol.txt'), await secretOf('safe.txt')];
    const enrolment = await readFile(at('carol.enrolment'));
    for (const approver of ['ada', 'ben']) {
      const challenge = await readFile(at(`${approver}-to-carol.age`));
      const { answer } = await answerChallenge(challenge, [carol], enrolment);
      expect(Buffer.from(answer).toString()).toBe(await text(`carol-to-${approver}.json`));
      await expect(answerChallenge(challenge, [safe], enrolment)).rejects.toThrow();
    }
  });

  test('the proposal and the evidence hold the enrolment, byte for byte', async () => {
    const bytes = await readFile(at('carol.enrolment'));
    const { repository } = decodeRepositoryTrust(await readFile(at('trust.json')), 'trust.json');
    if (repository === undefined) throw new Error('the trust file is of no repository');
    const proposal = decodeProposal(await readFile(at('carol.proposal')), repository);
    expect(Buffer.from(proposal.enrolment ?? []).equals(bytes)).toBe(true);
    const [evidence = '', ...others] = await readdir(at('repository', 'evidence'));
    expect(others).toEqual([]);
    expect(evidence).toBe(`${hexOf(digestOf(bytes))}.json`);
    expect((await readFile(at('repository', 'evidence', evidence))).equals(bytes)).toBe(true);
  });

  test('trust.json and the writer’s key file pin what the root says', async () => {
    const { repository: _, minimumEpoch: __, keys, ...trust } = await json('trust.json');
    const { keys: approvers, ...root } = await json('root.json');
    expect(trust).toEqual(root);
    expect(keys.map(({ name }: { name: string }) => name)).toEqual(approvers.map(({ name }: { name: string }) => name));
    const { root: pinned } = decodeWriterKey(await readFile(at('db-1.writer.json')));
    const { breakGlass, issuer } = root;
    expect(pinned).toEqual({ breakGlass, issuer });
  });

  test('every secret key fits its public half, and says or is said to be public', async () => {
    const said = await readFile(join(COMMITTED, 'README.md'), 'utf8');
    const password = /password is `([^`]+)`/.exec(said)?.[1] ?? '';
    for (const name of ['ada', 'ben', 'db-1', 'pruner']) {
      const file = `${name}.key`;
      const key = await openCosignKey(await readFile(at(file)), password, { file });
      expect(key.publicKey.equals(createPublicKey(await text(`${name}.pub`)))).toBe(true);
      expect(said).toContain(name);
    }
    for (const name of ['carol.txt', 'safe.txt', 'issuer.key']) {
      expect(await text(name)).toMatch(/^# PORTOLAN EXAMPLE KEY.*NEVER USE/);
    }
    const [jwk] = (await json('issuer.jwks.json')).keys;
    const issuer = createPublicKey(await text('issuer.key'));
    expect(issuer.equals(createPublicKey({ key: jwk, format: 'jwk' }))).toBe(true);
    const [pinned] = (await json('root.json')).issuer.keys;
    expect(issuer.export({ type: 'spki', format: 'der' }).toString('base64')).toBe(pinned.publicKey);
  });
});

test('README.md names every file, and what it says to try works', async () => {
  const page = await readFile(join(COMMITTED, 'README.md'), 'utf8');
  for (const name of await filesOf(COMMITTED)) {
    const stem = name.startsWith('repository/') ? name.replace(/[^/]+$/, '').replace(/^repository\/$/, name) : name;
    expect(page).toContain(stem.replace(/^(.*)\.pub$/, '$1.key'));
  }
  const state = await temporaryFolder();
  const blocks = blocksOf(page).filter(({ section }) => section === 'Try it');
  expect(blocks).toHaveLength(2);
  const script = blocks.map(({ text }) => text.replaceAll(/^portolan /gm, 'scripts/portolan ')).join('\n');
  const ended = await run('bash', ['-euo', 'pipefail', '-c', script], {
    cwd: CHECKOUT,
    env: { PORTOLAN_STATE: state, PORTOLAN_JSON: undefined },
  });
  expect(ended, ended.stderr).toMatchObject({ status: 0 });
  expect(ended.stdout).toContain('"backup-reader"');
});

test('a byte of the evidence, or another key of the provider, and `keys verify` says so', async () => {
  const folder = await temporaryFolder();
  await cp(COMMITTED, folder, { recursive: true });
  const trust = JSON.parse(await readFile(join(folder, 'trust.json'), 'utf8'));
  const other = JSON.parse(await readFile(join(fresh, 'trust.json'), 'utf8'));
  trust.issuer.keys[0].publicKey = other.issuer.keys[0].publicKey;
  await writeFile(join(folder, 'other.json'), JSON.stringify(trust));
  expect(await verify(folder, 'other.json')).toMatchObject({ status: 3, error: { code: 'KEYS_NOT_RIGHT' } });

  const [name = ''] = await readdir(join(folder, 'repository', 'evidence'));
  const evidence = join(folder, 'repository', 'evidence', name);
  const bytes = await readFile(evidence);
  bytes[1000] = (bytes[1000] ?? 0) ^ 1;
  await writeFile(evidence, bytes);
  expect(await verify(folder)).toMatchObject({ status: 3, error: { code: 'KEYS_NOT_RIGHT' } });
});

/**
 * Makes keys.example/ship afresh, by the commands that a person types: `node test/support/example-ship.ts FOLDER`. Keys and seals are
 * random, so no two are the same. ZITADEL is a key in a file: whoever has this project can log in as anybody there.
 */
import { createPublicKey } from 'node:crypto';
import { copyFile, mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { succeed } from './program.ts';
import { createTestIssuer, PROJECT } from './test-issuer.ts';

const PORTOLAN = fileURLToPath(new URL('../../scripts/portolan', import.meta.url));
const EXAMPLE_PASSWORD = 'never-use-this';
const WARNING = '# PORTOLAN EXAMPLE KEY. PUBLISHED WITH THE SOURCES: NEVER USE IT FOR ANYTHING THAT MATTERS.\n';

/** Fills an empty folder. */
export async function makeExampleShip(folder: string): Promise<void> {
  const homes = await mkdtemp(join(tmpdir(), 'portolan-example-'));
  const at = (name: string) => join(folder, name);
  const issuer = createTestIssuer();

  const runAs = (who: string, ...args: string[]) => {
    const env = {
      HOME: join(homes, who),
      PORTOLAN_STATE: join(homes, who, 'state'),
      COSIGN_PASSWORD: EXAMPLE_PASSWORD,
    };
    const clean = { XDG_CONFIG_HOME: undefined, PORTOLAN_JSON: undefined };
    return succeed(PORTOLAN, args, { cwd: folder, env: { ...env, ...clean } });
  };
  const approve = (who: 'ada' | 'ben', ...args: string[]) =>
    runAs(who, 'keys', 'approve', '--repo', 'repository', '--trust', 'trust.json', '--sign-key', `${who}.key`, ...args);
  const own = ['--enrolment', 'carol.enrolment', '-i', 'carol.txt'];
  const answer = (challenge: string, out: string) =>
    runAs('carol', 'keys', 'enroll', '--challenge', challenge, ...own, '--answer-out', out);

  try {
    await makeIssuer();
    for (const name of ['ada', 'ben', 'db-1', 'pruner']) await makeSigningKey(name);
    const safe = await makeIdentity('safe');
    await makeRoot(safe);
    await makeRepository(safe);

    await enrolCarol(await makeIdentity('carol'));
    const enrolment = ['--enrolment', 'carol.enrolment', '--name', 'carol'];
    await approve('ada', ...enrolment, '--challenge-out', 'ada-to-carol.age');
    await answer('ada-to-carol.age', 'carol-to-ada.json');
    await approve('ada', ...enrolment, '--answer', 'carol-to-ada.json', '--proposal-out', 'carol.proposal');
    await approve('ben', '--proposal', 'carol.proposal', '--challenge-out', 'ben-to-carol.age');
    await answer('ben-to-carol.age', 'carol-to-ben.json');
    await approve('ben', '--proposal', 'carol.proposal', '--answer', 'carol-to-ben.json');
    await approve('ada', '--enrolment', 'carol.enrolment');
  } finally {
    await rm(homes, { recursive: true, force: true });
  }

  async function makeIssuer(): Promise<void> {
    const pem = issuer.privateKey.export({ type: 'pkcs8', format: 'pem' }).toString();
    await writeFile(at('issuer.key'), WARNING + pem);
    const jwk = createPublicKey(issuer.privateKey).export({ format: 'jwk' });
    const keys = [{ ...jwk, kid: 'key-1', alg: 'RS256', use: 'sig' }];
    await writeFile(at('issuer.jwks.json'), `${JSON.stringify({ keys }, undefined, 2)}\n`);
  }

  async function makeSigningKey(name: string): Promise<void> {
    const env = { COSIGN_PASSWORD: EXAMPLE_PASSWORD };
    await succeed('cosign', ['generate-key-pair', '--output-key-prefix', name], { cwd: folder, env });
  }

  async function makeIdentity(name: string): Promise<string> {
    await runAs(name, 'keys', 'generate', `${name}.txt`);
    const file = at(`${name}.txt`);
    const text = await readFile(file, 'utf8');
    await writeFile(file, WARNING + text);
    return (await succeed('age-keygen', ['-y', file])).trim();
  }

  async function makeRoot(safe: string): Promise<void> {
    const approvers = ['--approver', 'ada=ada.pub', '--approver', 'ben=ben.pub', '--threshold', '2'];
    const { url, enrolmentClient } = issuer.pinned;
    const provider = ['--issuer', url, '--enrolment-project', PROJECT, '--enrolment-client', enrolmentClient];
    const keys = ['--jwks', 'issuer.jwks.json', '--break-glass', safe];
    await runAs('ada', 'keys', 'init', '--out', 'root.json', ...approvers, ...provider, ...keys);
  }

  async function makeRepository(safe: string): Promise<void> {
    const roles = ['--writer', 'db-1', '--writer-pub', 'db-1.pub', '--pruner', 'pruner=pruner.pub'];
    const keys = ['--sign-key', 'ada.key', '--co-sign-key', 'ben.key', '--break-glass', `safe=${safe}`];
    const init = ['backup', 'init', '--repo', 'repository', '--root', 'root.json', ...roles, ...keys, '--json'];
    const result = JSON.parse((await runAs('db-1', ...init)).trim().split('\n').at(-1) ?? '');
    await copyFile(result.trust, at('trust.json'));
    await copyFile(result.writerKey, at('db-1.writer.json'));
  }

  /** Her login was twenty minutes ago, and its token lived for one: what has expired can be shown to everybody. */
  async function enrolCarol(recipient: string): Promise<void> {
    const { repository } = JSON.parse(await readFile(at('trust.json'), 'utf8')) as { repository: string };
    const issuedAt = Math.floor(Date.now() / 1000) - 1200;
    const claims = { exp: issuedAt + 60 };
    const bytes = await issuer.enrol({ repository, recipient, subject: '284561203846860835', issuedAt, claims });
    await writeFile(at('carol.enrolment'), bytes);
  }
}

/** In the place of what is there; its README.md stays. */
async function replace(folder: string): Promise<void> {
  const fresh = `${folder}.new`;
  await rm(fresh, { recursive: true, force: true });
  await mkdir(fresh);
  await makeExampleShip(fresh);
  await copyFile(join(folder, 'README.md'), join(fresh, 'README.md')).catch(() => {});
  await rm(folder, { recursive: true, force: true });
  await rename(fresh, folder);
}

const [, program, folder] = process.argv;
if (program === fileURLToPath(import.meta.url) && folder !== undefined) await replace(resolve(folder));

/** docs/keys.md: every command is run, in its order, by people with homes of their own, against a provider in ZITADEL's shape. */
import { chmod, mkdir, readFile, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { writeBrowserProgram } from '../support/browser-program.ts';
import { blocksOf } from '../support/document-blocks.ts';
import { CHECKOUT } from '../support/importer.ts';
import { type OpenIdProvider, startOpenIdProvider } from '../support/openid-provider.ts';
import { temporaryFolder } from '../support/temporary.ts';
import { onTerminal } from '../support/terminal.ts';

const PASSPHRASE = 'a passphrase of somebody';

let provider: OpenIdProvider;
beforeAll(async () => {
  provider = await startOpenIdProvider();
});
afterAll(() => provider?.[Symbol.asyncDispose]());

/** Who does what a section says; without a name the machine of the writer. */
function doerOf(section: string): string {
  return /^(Ada|Ben|Carol) /.exec(section)?.[1]?.toLowerCase() ?? 'writer';
}

test('every command of docs/keys.md works as the page says', async () => {
  const page = await readFile(join(CHECKOUT, 'docs', 'keys.md'), 'utf8');
  const [names, ...blocks] = blocksOf(page);
  const variables = (names?.text ?? '').split('\n').map((line) => line.split('=')[0]);
  expect(variables).toEqual([
    ...['REPO', 'FILES', 'SAFE', 'ISSUER'],
    ...['ENROLMENT_PROJECT', 'ENROLMENT_CLIENT', 'LOGIN_CLIENT', 'STORAGE_PROJECT'],
  ]);
  expect(blocks.length).toBeGreaterThan(15);

  const root = await temporaryFolder();
  const at = (...parts: string[]) => join(root, ...parts);
  for (const folder of ['bin', 'desk', 'files', 'safe']) await mkdir(at(folder));
  await writeFile(
    at('bin', 'portolan'),
    `#!/bin/sh\nexec \${CLOCK:+faketime -f "$CLOCK"} '${join(CHECKOUT, 'scripts', 'portolan')}' "$@"\n`,
  );
  await chmod(at('bin', 'portolan'), 0o755);
  await writeFile(at('files', 'one.txt'), 'what was on the ship');
  const carol = provider.addPerson({ name: 'carol' });
  const browser = await writeBrowserProgram(at('bin', 'browser'), carol);

  /** What files go to and fro lies on one desk; each has a home, and so keys, a state and a journal. */
  async function follow(doer: string, script: string, clock?: string): Promise<string> {
    const env = {
      CLOCK: clock,
      ...{ REPO: at('store'), FILES: at('files'), SAFE: at('safe'), ISSUER: provider.issuer },
      ENROLMENT_PROJECT: provider.projects.enrolment,
      ENROLMENT_CLIENT: provider.clients.enrolment,
      LOGIN_CLIENT: provider.clients.login,
      STORAGE_PROJECT: provider.projects.storage,
      HOME: at(doer),
      XDG_CACHE_HOME: process.env.XDG_CACHE_HOME ?? join(process.env.HOME ?? '', '.cache'),
      XDG_CONFIG_HOME: undefined,
      COSIGN_PASSWORD: 'throw-away password',
      PORTOLAN_STATE: at(doer, 'state'),
      PORTOLAN_JSON: undefined,
      BROWSER: browser,
      PATH: `${at('bin')}:${process.env.PATH}`,
    };
    await mkdir(at(doer), { recursive: true });
    const { status, screen } = await onTerminal(script, { cwd: at('desk'), env, passphrase: PASSPHRASE });
    expect(status, `${script}\n${screen}`).toBe(0);
    return screen;
  }

  const said = new Map<string, string>();
  for (const { section, text } of blocks) {
    if (section === 'When ZITADEL is lost') await provider.down();
    if (section === 'ZITADEL changes its keys') {
      await provider.up();
      provider.keys.rotate();
    }
    // "The next day".
    const clock = section === 'The evidence' ? '+1d' : undefined;
    said.set(section, `${said.get(section) ?? ''}${await follow(doerOf(section), text, clock)}`);
  }

  expect(said.get('The root')).toContain('nothing changed in');
  expect(said.get('Ben looks')).toMatch(/added +reader +carol/);
  expect(said.get('The evidence')).toContain('evidence published');
  expect(said.get('Who reads, and why')).toMatch(new RegExp(`carol +[0-9a-f ]+ ${carol.id} +verified`));
  expect(said.get('Carol restores')).toContain(carol.id);
  expect(said.get('When ZITADEL is lost')).toMatch(/break.glass/i);
  expect(said.get('ZITADEL changes its keys')).toMatch(/brought up to date.*nothing changed in/s);
  expect(said.get('When Carol leaves')).toMatch(/carol.*1 of 2/);
  for (const folder of ['restored', 'rescued']) {
    expect(await readFile(at('desk', folder, 'files', 'one.txt'), 'utf8')).toBe('what was on the ship');
  }
  expect((await stat(at('safe', 'restore.md'))).size).toBeGreaterThan(1000);
  expect([...said.values()].join('')).not.toContain(PASSPHRASE);
});

import { chmod, readFile, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test, vi } from 'vitest';
import { openBrowser } from '../../../../src/adapters/identity-provider/open-browser.ts';
import { temporaryFolder } from '../../../support/temporary.ts';

test('a browser gets the address and what it needs, and none of the secrets that this program was given', async () => {
  const folder = await temporaryFolder();
  const [program, said] = [join(folder, 'browser'), join(folder, 'said')];
  await writeFile(program, `#!/bin/sh\n{ echo "$1"; env; } > '${said}.part' && mv '${said}.part' '${said}'\n`);
  await chmod(program, 0o755);
  const secrets = {
    ...{ COSIGN_PASSWORD: 'one-secret', AWS_SECRET_ACCESS_KEY: 'two-secret', AWS_SESSION_TOKEN: 'three-secret' },
    ...{ PGPASSWORD: 'four-secret', ZITADEL_TOKEN: 'five-secret', PORTOLAN_PASSPHRASE: 'six-secret' },
  };
  openBrowser('https://id.ship/login?state=1', {
    ...{ ...secrets, BROWSER: program, PATH: process.env.PATH ?? '', HOME: folder, DISPLAY: ':7' },
  });
  const text = await vi.waitFor(() => readFile(said, 'utf8'), { timeout: 10_000 });
  expect(text).toMatch(/^https:\/\/id\.ship\/login\?state=1\n/);
  for (const needed of [`HOME=${folder}`, 'DISPLAY=:7']) expect(text).toContain(needed);
  expect(text).not.toMatch(/(one|two|three|four|five|six)-secret/);
});

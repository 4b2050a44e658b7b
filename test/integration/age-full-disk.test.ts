/** A real full disk: a tmpfs of 2 MiB in a mount namespace of its own. */
import { execFileSync } from 'node:child_process';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { generateX25519Identity, identityToRecipient } from 'age-encryption';
import { afterAll, expect, test } from 'vitest';

const folder = mkdtempSync(join(tmpdir(), 'portolan-full-'));
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const ENGINE = new URL('../../src/adapters/sealing/engine.ts', import.meta.url).href;

test('a piece that does not fit is told as no space, and nothing of it stays', async () => {
  const recipient = await identityToRecipient(await generateX25519Identity());
  const source = join(folder, 'source');
  const disk = join(folder, 'disk');
  writeFileSync(source, Buffer.alloc(8 * 1024 * 1024, 1));
  const program = `
    import { readdirSync } from 'node:fs';
    import { createSealingEngine } from ${JSON.stringify(ENGINE)};
    const engine = createSealingEngine({ workers: 1 });
    const job = (sizeBytes) => ({
      segments: [{ path: ${JSON.stringify(source)}, offsetBytes: 0, lengthBytes: sizeBytes }],
      plaintextBytes: sizeBytes,
      outPath: ${JSON.stringify(join(disk, 'piece'))} + sizeBytes,
    });
    const error = await engine.seal(job(8 * 1024 * 1024), [${JSON.stringify(recipient)}]).catch((caught) => caught);
    const left = readdirSync(${JSON.stringify(disk)});
    await engine.seal(job(1024 * 1024), [${JSON.stringify(recipient)}]);
    console.log(JSON.stringify({ name: error.name, code: error.code, file: error.at?.file, left }));
    await engine.close();`;
  const programPath = join(folder, 'program.mjs');
  writeFileSync(programPath, program);
  const shell = 'mkdir "$1" && mount -t tmpfs -o size=2m tmpfs "$1" && exec "$2" "$3"';
  // Root needs no user namespace, and some machines allow none to root's containers.
  const namespaces = process.getuid?.() === 0 ? ['--mount'] : ['--user', '--map-root-user', '--mount'];
  const output = execFileSync(
    '/usr/bin/unshare',
    [...namespaces, 'sh', '-c', shell, 'sh', disk, process.execPath, programPath],
    {
      encoding: 'utf8',
    },
  );
  expect(JSON.parse(output)).toEqual({
    name: 'AdapterError',
    code: 'NO_SPACE',
    file: join(disk, `piece${8 * 1024 * 1024}`),
    left: [],
  });
});

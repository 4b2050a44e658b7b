/** A layer made of this machine's own dpkg database, compared with what dpkg-query says of it. */
import { execFile } from 'node:child_process';
import { copyFile, mkdir, mkdtemp, readFile, rm, stat } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { scanLayer } from '../../src/adapters/packages/scan-layer.ts';
import { digestOf } from '../../src/core/digest.ts';

const run = promisify(execFile);
let folder: string;
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'portolan-debian-'));
  await mkdir(join(folder, 'root/var/lib/dpkg'), { recursive: true });
  await mkdir(join(folder, 'root/etc'), { recursive: true });
  await copyFile('/var/lib/dpkg/status', join(folder, 'root/var/lib/dpkg/status'));
  await copyFile('/etc/os-release', join(folder, 'root/etc/os-release'));
});
afterAll(() => rm(folder, { recursive: true, force: true }));

test.each([
  ['tar', []],
  ['tar+gzip', ['--gzip']],
])('a %s layer of GNU tar holds the packages that dpkg lists', async (suffix, flags) => {
  const path = join(folder, `layer.${suffix}`);
  await run('tar', ['--create', ...flags, '--file', path, '--directory', join(folder, 'root'), '.']);
  const blob = { digest: digestOf(await readFile(path)), sizeBytes: (await stat(path)).size, path };
  const layer = await scanLayer(blob, `application/vnd.oci.image.layer.v1.${suffix}`);
  expect(layer).toMatchObject({ status: 'read', reasons: [] });

  const found = layer.files.flatMap((file) => ('packages' in file ? file.packages : []));
  const format =
    '$' + '{db:Status-Status} $' + '{Package} $' + '{Version} $' + '{Architecture} $' + '{source:Package}\\n';
  const adminFolder = join(folder, 'root/var/lib/dpkg');
  const { stdout } = await run('dpkg-query', ['--admindir', adminFolder, '-W', '-f', format]);
  const listed = stdout
    .split('\n')
    .filter((line) => line !== '' && !/^(config-files|not-installed) /.test(line))
    .map((line) => line.slice(line.indexOf(' ') + 1));
  expect(listed.length).toBeGreaterThan(50);
  expect(
    found
      .map(({ name, version, architecture, source }) => `${name} ${version} ${architecture} ${source ?? name}`)
      .sort(),
  ).toEqual(listed.sort());
  expect(layer.files.some((file) => 'distribution' in file)).toBe(true);
});

import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseApkInstalled } from '../../../../src/formats/packages/apk.ts';
import { parseDpkgStatus } from '../../../../src/formats/packages/dpkg.ts';
import { PACKAGE_JSON_MAX_BYTES, parsePackageJson } from '../../../../src/formats/packages/npm.ts';
import { parseOsRelease } from '../../../../src/formats/packages/os-release.ts';
import { DATABASE_MAX_PACKAGES } from '../../../../src/formats/packages/package.ts';
import { type ByteSource, readLines } from '../../../../src/formats/packages/text-lines.ts';

const bytes = (text: string) => new TextEncoder().encode(text);

const DPKG = `Package: libc6
Status: install ok installed
Architecture: amd64
Source: glibc (2.36-9)
Version: 2.36-9+deb12u10
Description: GNU C Library
 Package: not-a-field
 .
 Version: 0

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1

Package: broken
Status: install ok half-configured
Architecture: all
Version: 1:2.0~rc1
`;

const APK = `C:Q1abc
P:musl
V:1.2.5-r9
A:x86_64
S:1
o:musl
L:MIT
F:lib
R:ld-musl-x86_64.so.1
a:0:0:755
Z:Q1def

P:busybox-binsh
V:1.37.0-r12
A:x86_64
L:GPL-2.0-only
o:busybox
`;

test('dpkg: what is installed, with its source, and not what is gone', async () => {
  const { packages, malformed } = await parseDpkgStatus(bytes(DPKG));
  expect(packages).toEqual([
    { type: 'dpkg', name: 'libc6', version: '2.36-9+deb12u10', architecture: 'amd64', source: 'glibc' },
    { type: 'dpkg', name: 'broken', version: '1:2.0~rc1', architecture: 'all' },
  ]);
  expect(malformed).toBe(0);
});

test('dpkg: the single paragraph of a distroless image, which has no status', async () => {
  const { packages } = await parseDpkgStatus(bytes('Package: tzdata\nVersion: 2025b-0+deb12u1\nArchitecture: all\n\n'));
  expect(packages).toEqual([{ type: 'dpkg', name: 'tzdata', version: '2025b-0+deb12u1', architecture: 'all' }]);
});

test('apk: name, version, licence and origin', async () => {
  const { packages } = await parseApkInstalled(bytes(APK));
  expect(packages).toEqual([
    { type: 'apk', name: 'musl', version: '1.2.5-r9', architecture: 'x86_64', license: 'MIT' },
    {
      type: 'apk',
      name: 'busybox-binsh',
      version: '1.37.0-r12',
      architecture: 'x86_64',
      license: 'GPL-2.0-only',
      source: 'busybox',
    },
  ]);
});

test.each([
  ['{"name":"left-pad","version":"1.3.0","license":"WTFPL"}', { name: 'left-pad', version: '1.3.0', license: 'WTFPL' }],
  ['{"name":"@a/b","version":"1.0.0","license":{"type":"MIT"}}', { name: '@a/b', version: '1.0.0', license: 'MIT' }],
  [
    '{"name":"c","version":"1.0.0","licenses":[{"type":"MIT"},"ISC"]}',
    { name: 'c', version: '1.0.0', license: '(MIT OR ISC)' },
  ],
  ['{"name":"d","version":"1.0.0"}', { name: 'd', version: '1.0.0' }],
])('npm: %s', (text, expected) => {
  expect(parsePackageJson(bytes(text))).toEqual({ type: 'npm', ...expected });
});

test.each(['{"type":"module"}', '[]', 'null', '{"name":1,"version":2}', '{', '', '{"name":"a b","version":"1"}'])(
  'npm: %j is no package',
  (text) => expect(parsePackageJson(bytes(text))).toBeUndefined(),
);

test('npm: an endless file is not parsed', () => {
  const text = `{"name":"x","version":"1.0.0","pad":"${'a'.repeat(PACKAGE_JSON_MAX_BYTES)}"}`;
  expect(parsePackageJson(bytes(text))).toBeUndefined();
});

test('os-release, with and without quotes', async () => {
  expect(await parseOsRelease(bytes('NAME="Debian"\nVERSION_ID="12"\nID=debian\n'))).toEqual({
    id: 'debian',
    versionId: '12',
  });
  expect(await parseOsRelease(bytes("ID='alpine'\n"))).toEqual({ id: 'alpine' });
  expect(await parseOsRelease(bytes('ID_LIKE=debian\n'))).toBeUndefined();
  expect(await parseOsRelease(bytes('ID=../../x\n'))).toBeUndefined();
});

test('entries that no package has are counted, and nothing of them is kept', async () => {
  const hostile = [
    'Package: a\u001b[2J\nVersion: 1\n',
    'Package: b\n',
    `Package: ${'c'.repeat(300)}\nVersion: 1\n`,
    'x: y\n',
  ];
  const { packages, malformed } = await parseDpkgStatus(bytes(hostile.join('\n')));
  expect(packages).toEqual([]);
  expect(malformed).toBe(4);
  expect((await parseApkInstalled(bytes('P:\u202eevil\nV:1\n\nR:x\n'))).malformed).toBe(2);
});

test('a database without end stops at a limit', async () => {
  async function* endless() {
    for (let number = 0; ; number += 1) yield bytes(`Package: p${number}\nVersion: 1\n\n`);
  }
  const { packages, truncated } = await parseDpkgStatus(endless());
  expect(packages).toHaveLength(DATABASE_MAX_PACKAGES);
  expect(truncated).toBe(true);
});

test('a line without end is cut, and the lines after it are read', async () => {
  function* source() {
    yield bytes('Description: ');
    for (let part = 0; part < 100; part += 1) yield new Uint8Array(64 * 1024).fill(0x61);
    yield bytes('\nPackage: after\nVersion: 1\n');
  }
  expect((await parseDpkgStatus(source())).packages.map(({ name }) => name)).toEqual(['after']);
});

test('byte by byte it reads the same as whole', async () => {
  for (const [parse, text] of [
    [parseDpkgStatus, DPKG],
    [parseApkInstalled, APK],
  ] as const) {
    const whole = await parse(bytes(text));
    const bytewise = await parse([...bytes(text)].map((byte) => Uint8Array.of(byte)));
    expect(bytewise).toEqual(whole);
  }
});

test('lines are those of splitting the whole text, however it comes', async () => {
  const collect = async (source: ByteSource) => {
    const lines: string[] = [];
    for await (const line of readLines(source)) lines.push(line);
    return lines;
  };
  const text = fc.array(fc.constantFrom('a', 'ß', '€', '\n', ' '), { maxLength: 40 }).map((parts) => parts.join(''));
  await fc.assert(
    fc.asyncProperty(text, fc.array(fc.nat(40)), async (content, cuts) => {
      const whole = bytes(content);
      const at = [...new Set([0, ...cuts.filter((cut) => cut < whole.length), whole.length])].sort((a, b) => a - b);
      const parts = at.slice(1).map((end, index) => whole.subarray(at[index], end));
      const expected = content.split('\n');
      if (expected.at(-1) === '') expected.pop();
      expect(await collect(parts)).toEqual(expected);
    }),
  );
});

test('arbitrary bytes and damaged databases never raise', async () => {
  const damaged = fc
    .tuple(fc.constantFrom(DPKG, APK, '{"name":"x","version":"1.0.0"}'), fc.nat(), fc.nat(7))
    .map(([text, position, bit]) => {
      const copy = bytes(text);
      const index = position % copy.length;
      copy[index] = (copy[index] ?? 0) ^ (1 << bit);
      return copy;
    });
  await fc.assert(
    fc.asyncProperty(fc.oneof(fc.uint8Array({ maxLength: 500 }), damaged), async (input) => {
      for (const parse of [parseDpkgStatus, parseApkInstalled]) {
        for (const { name, version } of (await parse(input)).packages) {
          expect(`${name}${version}`).toMatch(/^[^\p{Cc}\s]+$/u);
        }
      }
      parsePackageJson(input);
      await parseOsRelease(input);
    }),
    { numRuns: 300 },
  );
});

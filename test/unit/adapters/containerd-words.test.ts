import { chmod, mkdir, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findCtr } from '../../../src/adapters/containerd/ctr-command.ts';
import { ctrFailure, ctrMissing } from '../../../src/adapters/containerd/ctr-failure.ts';
import {
  parseDigests,
  parseImages,
  parsePluginRoots,
  parseVersions,
} from '../../../src/adapters/containerd/ctr-listing.ts';
import { temporaryFolder } from '../../support/temporary.ts';

const HEX = 'ab'.repeat(32);
const DIGEST = `sha256:${HEX}`;
const EXIT = { status: 1, signal: null };

describe('what ctr says', () => {
  it.each([
    [
      `ctr: failed to ingest "blobs/sha256/${HEX}": failed to copy: write /var/lib/containerd/io.containerd.content.v1.content/ingest/77/data: no space left on device`,
      'NO_SPACE',
    ],
    [`ctr: failed to extract layer ${DIGEST}: disk quota exceeded`, 'NO_SPACE'],
    [`ctr: content digest ${DIGEST}: not found`, 'TARGET_INCOMPLETE'],
    [
      'ctr: failed to dial "/run/containerd/containerd.sock": context deadline exceeded: connection error: desc = "transport: error while dialing: dial unix:///run/containerd/containerd.sock: timeout"',
      'CONTAINERD_UNREACHABLE',
    ],
    ['ctr: rpc error: code = Unavailable desc = error reading from server: EOF', 'CONTAINERD_UNREACHABLE'],
    [
      'ctr: failed to dial "/run/k3s/containerd/containerd.sock": dial unix /run/k3s/containerd/containerd.sock: connect: permission denied',
      'CONTAINERD_DENIED',
    ],
    [
      'ctr: rpc error: code = Unimplemented desc = unknown service containerd.services.transfer.v1.Transfer',
      'CONTAINERD_FAILED',
    ],
    ['Incorrect Usage: flag provided but not defined: -label', 'CONTAINERD_FAILED'],
    ['ctr: wrong diff id calculated on extraction', 'CONTAINERD_FAILED'],
    ['', 'CONTAINERD_FAILED'],
  ])('%s', (text, code) => {
    expect(ctrFailure(['k3s', 'ctr'], `importing\r\u001b[2Kbusy\n${text}\n`, EXIT).code).toBe(code);
  });

  it('names the file on the full disk, and the blob that is lacking', () => {
    const full = ctrFailure(['ctr'], 'ctr: write /mnt/images/ingest/1/data: no space left on device', EXIT);
    expect(full.at).toEqual({ file: '/mnt/images/ingest/1/data' });
    expect(ctrFailure(['ctr'], `ctr: content digest ${DIGEST}: not found`, EXIT).at).toEqual({ digest: DIGEST });
  });

  it('cannot steer a terminal, and is bounded', () => {
    const { found } = ctrFailure(['ctr'], `ctr: \u001b]0;title\u0007${'x'.repeat(100_000)}\u001b[31m`, EXIT);
    // biome-ignore lint/suspicious/noControlCharactersInRegex: that is what must not be in it
    expect(String(found)).not.toMatch(/[\u0000-\u001f]/);
    expect(String(found).length).toBeLessThan(2100);
  });

  it('says how it ended when it said nothing', () => {
    expect(ctrFailure(['ctr'], '', { status: null, signal: 'SIGKILL' }).found).toMatch(/SIGKILL/);
    expect(ctrFailure(['ctr'], '', { status: 7, signal: null }).found).toMatch(/7/);
  });

  it('tells a program that is absent from one that may not be run', () => {
    const failed = (code: string) => Object.assign(new Error(code), { code, syscall: 'spawn' });
    expect(ctrMissing(['ctr'], failed('ENOENT')).code).toBe('CONTAINERD_MISSING');
    expect(ctrMissing(['ctr'], failed('EACCES')).code).toBe('CONTAINERD_DENIED');
  });
});

describe('the tables of ctr', () => {
  it('of images', () => {
    const table = [
      'REF                          TYPE                                      DIGEST        SIZE     PLATFORMS                LABELS ',
      `registry.example/cms/web:1.4 application/vnd.oci.image.index.v1+json   ${DIGEST}     12.0 MiB linux/amd64,linux/arm64  a=b c `,
      '',
    ].join('\n');
    expect(parseImages(table)).toEqual([{ name: 'registry.example/cms/web:1.4', digest: DIGEST }]);
    expect(parseImages('')).toEqual([]);
  });

  it('of content', () => {
    expect([...parseDigests(`${DIGEST}\nnonsense\nsha512:${HEX}\n\n`)]).toEqual([DIGEST]);
  });

  it('of plugins', () => {
    const text = [
      'Type:         io.containerd.content.v1',
      'ID:           content',
      'Exports:      ',
      '              root      /mnt/a b/content',
      '                           ',
      'Type:         io.containerd.grpc.v1',
      'ID:           content',
      'Requires:    ',
      '              io.containerd.service.v1',
    ].join('\n');
    expect(parsePluginRoots(text)).toEqual([
      { type: 'io.containerd.content.v1', id: 'content', root: '/mnt/a b/content' },
    ]);
  });

  it('of versions', () => {
    expect(parseVersions('Client:\n  Version:  v2.1.5-k3s1\n  Go: 1\n\nServer:\n  Version:  v2.0.0\n')).toEqual({
      client: 'v2.1.5-k3s1',
      server: 'v2.0.0',
    });
    expect(parseVersions('Client:\n  Version:  1.0\n')).toEqual({ client: '1.0' });
  });
});

describe('the search for ctr', () => {
  const program = async (folder: string, name: string, mode = 0o755) => {
    await mkdir(folder, { recursive: true });
    await writeFile(join(folder, name), '#!/bin/sh\n');
    await chmod(join(folder, name), mode);
  };

  it('takes k3s before ctr, wherever they lie', async () => {
    const folder = await temporaryFolder();
    const [one, two] = [join(folder, 'one'), join(folder, 'two')];
    await program(one, 'ctr');
    expect((await findCtr(`${one}:${two}`))?.ctr).toEqual([join(one, 'ctr')]);
    await program(two, 'k3s');
    expect(await findCtr(`${one}:${two}`)).toEqual({ ctr: [join(two, 'k3s'), 'ctr'] });
  });

  it('passes over what cannot be run, and over folders that are not absolute', async () => {
    const folder = await temporaryFolder();
    await program(join(folder, 'one'), 'ctr', 0o644);
    await mkdir(join(folder, 'two', 'ctr'), { recursive: true });
    await mkdir(join(folder, 'three'));
    await symlink('nowhere', join(folder, 'three', 'ctr'));
    const path = ['one', 'two', 'three'].map((name) => join(folder, name)).join(':');
    expect((await findCtr(`${path}:.`))?.ctr[0]?.startsWith(folder) ?? false).toBe(false);
  });
});

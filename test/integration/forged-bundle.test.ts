/** Bundles with a genuine, trusted signature whose insides lie: each is refused by its code, and nothing is unpacked. */
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import { digestOf } from '../../src/core/digest.ts';
import type { Placement } from '../../src/formats/bundle/placement.ts';
import { changeContents, type Parts, writeForgedBundle } from '../support/forged-bundle.ts';
import { portolan } from '../support/program.ts';
import { temporaryFolder } from '../support/temporary.ts';

async function verifyAndUnpack(forge: (parts: Parts) => void) {
  const root = await temporaryFolder();
  const { folder, identity, trust } = await writeForgedBundle(root, forge);
  const keys = ['--trust', trust, '-i', identity];
  const courier = await portolan(['bundle', 'verify', folder, '--trust', trust]);
  const verified = await portolan(['bundle', 'verify', folder, ...keys]);
  const unpacked = await portolan(['bundle', 'unpack', folder, join(root, 'opened'), ...keys]);
  return { root, courier, verified, unpacked };
}

test('the same parts, honest, are verified and unpacked', async () => {
  const { verified, unpacked } = await verifyAndUnpack(() => {});
  expect(verified, verified.stdout).toMatchObject({ status: 0, result: { ok: true, problems: [] } });
  expect(unpacked).toMatchObject({ status: 0, result: { files: 4 } });
});

const blobOf = (parts: Parts, path: string): Placement['blobs'][number] => {
  const digest = parts.contents.files.find((file) => file.path === path)?.digest;
  return parts.placement.blobs.find((blob) => blob.digest === digest) as Placement['blobs'][number];
};

const lies: Readonly<Record<string, { code: string; unpackCode?: string; forge: (parts: Parts) => void }>> = {
  'something hidden after the last blob': {
    code: 'PIECE_PADDING_NOT_ZERO',
    forge: ({ pieces }) => void pieces[1]?.writeUInt8(1, pieces[1].length - 1),
  },
  'a blob that is not what its digest says, in one piece': {
    code: 'PIECE_BLOB_NOT_TRUE',
    unpackCode: 'BLOB_NOT_TRUE',
    forge: ({ pieces }) => void pieces[0]?.write('FIRST', 0),
  },
  'a blob that is not what its digest says, over two pieces': {
    code: 'BLOB_NOT_TRUE',
    forge: ({ pieces }) => void pieces[1]?.write('C', 0),
  },
  'two blobs on the same bytes': {
    code: 'PLACEMENT_INVALID',
    forge: (parts) => {
      blobOf(parts, 'b.txt').extents = [[0, 0, 6]];
    },
  },
  'a blob that is placed in part': {
    code: 'PLACEMENT_INVALID',
    forge: (parts) => {
      blobOf(parts, 'a.txt').extents = [[0, 0, 4]];
    },
  },
  'a blob beyond its piece': {
    code: 'PLACEMENT_INVALID',
    forge: (parts) => {
      blobOf(parts, 'a.txt').extents = [[0, 1024 * 1024 - 1, 5]];
    },
  },
  'a blob in a piece that is not there': {
    code: 'PLACEMENT_INVALID',
    forge: (parts) => {
      blobOf(parts, 'a.txt').extents = [[7, 0, 5]];
    },
  },
  'a blob without a place': {
    code: 'PLACEMENT_INVALID',
    forge: ({ placement }) => void placement.blobs.shift(),
  },
  'a place for a blob that is not in the contents': {
    code: 'PLACEMENT_INVALID',
    forge: ({ placement }) => void placement.blobs.push({ digest: digestOf('hidden'), extents: [[1, 500_000, 6]] }),
  },
  'another number of pieces': {
    code: 'PLACEMENT_INVALID',
    forge: ({ placement }) => {
      placement.pieces = 3;
    },
  },
  'the placement of other contents': {
    code: 'LISTS_INVALID',
    forge: ({ contents }) => {
      contents.sequence = 2;
    },
  },
  'a path that leads out': {
    code: 'CONTENTS_INVALID',
    forge: (parts) =>
      changeContents(parts, ({ files }) => {
        if (files[0]) files[0].path = '../../out.txt';
      }),
  },
  'two names that are one on a stick': {
    code: 'CONTENTS_INVALID',
    forge: (parts) =>
      changeContents(parts, ({ files }) => {
        if (files[0]) files[0].path = 'B.TXT';
      }),
  },
  'two charts of one name': {
    code: 'CONTENTS_INVALID',
    forge: (parts) =>
      changeContents(parts, ({ charts, files }) => {
        const digest = files[0]?.digest ?? digestOf('');
        const chart = { release: 'r', namespace: 'n', stage: 'app', version: '1', digest, values: digest } as const;
        charts.push({ ...chart, name: 'web' }, { ...chart, name: 'Web' });
      }),
  },
  'two images of one reference': {
    code: 'CONTENTS_INVALID',
    forge: (parts) =>
      changeContents(parts, ({ images, files }) => {
        const digest = files[0]?.digest ?? digestOf('');
        const image = { reference: 'registry.example/web:1', digest, mediaType: 'x', platforms: [], attachments: [] };
        images.push({ ...image, blobs: [digest] }, { ...image, blobs: [digest] });
      }),
  },
  'a mode with more than permissions': {
    code: 'CONTENTS_INVALID',
    forge: (parts) =>
      changeContents(parts, ({ files }) => {
        if (files[0]) files[0].mode = 0o4755;
      }),
  },
  'the lists of another bundle': {
    code: 'LISTS_MISMATCH',
    forge: (parts) => {
      parts.manifestName = 'other';
    },
  },
  'a signer whom the packer did not name': {
    code: 'SIGNER_NOT_NAMED',
    forge: (parts) =>
      changeContents(parts, (contents) => {
        contents.signers = ['7rpoIM4LAGthM5lWXFIDXcE1wJ3z3mIhFUGxz6FtQjA='];
      }),
  },
  'lists that are no age file': {
    code: 'AGE_MALFORMED',
    forge: (parts) => {
      parts.sealedLists = Buffer.from('no age file\n'.repeat(100));
    },
  },
  'lists with an endless header': {
    code: 'AGE_HEADER_TOO_LARGE',
    forge: (parts) => {
      parts.sealedLists = Buffer.from(`age-encryption.org/v1\n${'-> X25519 a\nb\n'.repeat(500_000)}`);
    },
  },
};

test.each(Object.entries(lies))('%s', async (_, { code, unpackCode, forge }) => {
  const { root, courier, verified, unpacked } = await verifyAndUnpack(forge);
  // Without a key the signature and every file are right: it is the signer who lies.
  expect(courier).toMatchObject({ status: 0, result: { ok: true } });
  expect(verified, verified.stdout).toMatchObject({
    status: 3,
    result: { ok: false },
    error: { code: 'BUNDLE_NOT_RIGHT' },
  });
  expect(verified.result).toMatchObject({ problems: [{ code }] });
  expect(unpacked, unpacked.stdout).toMatchObject({ status: 3, error: { code: unpackCode ?? code } });
  expect((await readdir(root)).sort()).toEqual(['cosign.pub', 'key.txt', 'stick']);
});

import { describe, expect, it } from 'vitest';
import { AdapterError } from '../../../../src/adapters/errors.ts';
import { createSourceChain } from '../../../../src/adapters/images/source-chain.ts';
import { digestOf } from '../../../../src/core/digest.ts';
import type { AcquiredImage, ImageSource } from '../../../../src/ports/images.ts';
import { expectCode } from '../../../support/image-source-suite.ts';
import { raised } from '../../../support/raised.ts';

const IMAGE: AcquiredImage = {
  reference: 'docker.io/library/web:1',
  root: { mediaType: 'x', digest: digestOf('x'), size: 1 },
  manifests: [],
  attachments: [],
  blobs: [],
};
const REQUEST = { reference: 'web:1', platforms: ['linux/amd64'] };
const has: ImageSource = { acquire: async () => IMAGE };
const lacks: ImageSource = { acquire: async () => undefined };
const failing = (code: 'IMAGE_NOT_FOUND' | 'REGISTRY_FAILED'): ImageSource => ({
  acquire: async () => {
    throw new AdapterError(code, 'registry.example answered HTTP 404', { at: { url: 'registry.example/v2/' } });
  },
});

describe('a chain of image sources', () => {
  it('takes the first that has the image, and asks nobody after it', async () => {
    const chain = createSourceChain([
      { name: 'a', source: lacks },
      { name: 'b', source: failing('IMAGE_NOT_FOUND') },
      { name: 'c', source: has },
      { name: 'd', source: failing('REGISTRY_FAILED') },
    ]);
    expect(await chain.acquire(REQUEST)).toBe(IMAGE);
  });

  it('stops at a failure that is more than an absence', async () => {
    const chain = createSourceChain([
      { name: 'a', source: failing('REGISTRY_FAILED') },
      { name: 'b', source: has },
    ]);
    await expectCode(chain.acquire(REQUEST), AdapterError, 'REGISTRY_FAILED');
  });

  it('lists who was asked when none has it, with what the last one said', async () => {
    const chain = createSourceChain([
      { name: 'the layout ./images', source: lacks },
      { name: 'registries', source: failing('IMAGE_NOT_FOUND') },
    ]);
    const error = await raised(() => chain.acquire(REQUEST));
    expect(error.code).toBe('IMAGE_NOT_FOUND');
    expect(error.found).toBe('asked: the layout ./images, registries');
    expect(error.message).toContain('docker.io/library/web:1');
    expect(error.at).toEqual({ url: 'registry.example/v2/' });
    await expectCode(createSourceChain([]).acquire(REQUEST), AdapterError, 'IMAGE_NOT_FOUND');
  });
});

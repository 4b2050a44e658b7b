import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import { FormatError } from '../../../../src/formats/errors.ts';
import { parseReference } from '../../../../src/formats/oci/reference.ts';
import {
  findCollisions,
  formatRegistryAddress,
  mirroredReference,
  parseRegistryAddress,
} from '../../../../src/formats/oci/registry-address.ts';

const DIGEST = digestOf('an image');

describe('registry address', () => {
  it.each([
    ['registry.example', { host: 'registry.example', prefix: '', plainHttp: false }],
    ['registry.example:5000/mirror', { host: 'registry.example:5000', prefix: 'mirror', plainHttp: false }],
    ['https://registry.example/a/b/', { host: 'registry.example', prefix: 'a/b', plainHttp: false }],
    ['http://registry:5000', { host: 'registry:5000', prefix: '', plainHttp: true }],
    ['HTTP://localhost/x', { host: 'localhost', prefix: 'x', plainHttp: true }],
    ['[::1]:5000/x', { host: '[::1]:5000', prefix: 'x', plainHttp: false }],
  ])('reads %s', (text, expected) => {
    const address = parseRegistryAddress(text);
    expect(address).toEqual(expected);
    expect(parseRegistryAddress(formatRegistryAddress(address))).toEqual({ ...address, plainHttp: false });
  });

  it.each([
    '',
    'registry',
    'http://registry/mirror',
    'ftp://registry.example',
    'registry.example/Mirror',
    'registry.example//x',
    'registry.example/x?y=z',
    'registry.example:99999',
    'registry.example/a b',
    'registry.example/x:1',
    'registry.example\n',
  ])('refuses %j', (text) => {
    expect(() => parseRegistryAddress(text)).toThrow(
      expect.objectContaining({ name: 'FormatError', code: 'REGISTRY_ADDRESS_INVALID' }),
    );
  });

  it('does not repeat a password', () => {
    try {
      parseRegistryAddress('https://ann:secret@registry.example/x');
      expect.unreachable();
    } catch (error) {
      expect(error).toBeInstanceOf(FormatError);
      expect(JSON.stringify([error, (error as Error).message])).not.toMatch(/secret|ann/);
    }
  });
});

describe('mirrored reference', () => {
  const target = parseRegistryAddress('http://mirror.example:5000/closed');

  it.each([
    ['registry.example/cms/web:1.4.0', 'mirror.example:5000/closed/cms/web:1.4.0'],
    ['nginx', 'mirror.example:5000/closed/library/nginx:latest'],
    [`quay.io/a/b@${DIGEST}`, `mirror.example:5000/closed/a/b@${DIGEST}`],
    [`quay.io/a/b:1@${DIGEST}`, `mirror.example:5000/closed/a/b:1@${DIGEST}`],
  ])('%s → %s', (reference, expected) => {
    expect(mirroredReference(reference, target)).toBe(expected);
  });

  it('is a reference to the same path, tag and digest, whatever it was', () => {
    const component = fc.stringMatching(/^[a-z0-9]{1,10}$/);
    const path = fc.array(component, { minLength: 1, maxLength: 4 }).map((parts) => parts.join('/'));
    fc.assert(
      fc.property(path, fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/), fc.boolean(), (of, tag, pinned) => {
        const reference = `registry.example/${of}:${tag}${pinned ? `@${DIGEST}` : ''}`;
        const { host, repository, ...rest } = parseReference(mirroredReference(reference, target));
        expect({ host, repository }).toEqual({ host: 'mirror.example:5000', repository: `closed/${of}` });
        expect(rest).toEqual({ tag, ...(pinned ? { digest: DIGEST } : {}) });
      }),
    );
  });

  it('refuses what gets too long', () => {
    expect(() => mirroredReference(`r.example/${'a/'.repeat(124)}a:1`, target)).toThrow(
      expect.objectContaining({ code: 'REFERENCE_INVALID' }),
    );
  });

  it('finds names that two images would have, and not those of one image or of digests alone', () => {
    const other = digestOf('another');
    const images = [
      { reference: 'a.example/web:1', digest: DIGEST },
      { reference: 'b.example/web:1', digest: other },
      { reference: 'a.example/shop:1', digest: DIGEST },
      { reference: 'b.example/shop:1', digest: DIGEST },
      { reference: `a.example/x@${DIGEST}`, digest: DIGEST },
      { reference: `b.example/x@${other}`, digest: other },
    ];
    expect(findCollisions(images, target)).toEqual([
      { name: 'mirror.example:5000/closed/web:1', references: ['a.example/web:1', 'b.example/web:1'] },
    ]);
  });
});

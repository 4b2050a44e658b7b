import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { parseValuePath } from '../../../src/formats/bundle/value-path.ts';
import { imagesNotRewritten, rewriteImageValues } from '../../../src/usecases/import/image-values.ts';

const toTarget = (reference: string) => reference.replace(/^[^/]+/, 'registry.inside:5000/from');
const DIGEST = `sha256:${'a'.repeat(64)}`;
const IMAGE = `registry.example/cms/web:1.4.0@${DIGEST}`;
const plain = (value: unknown) => JSON.parse(JSON.stringify(value));

describe('the path of a value', () => {
  it('takes a dot or a backslash into a key behind a backslash', () => {
    expect(parseValuePath('a.b\\.c.d\\\\e')).toEqual(['a', 'b.c', 'd\\e']);
  });

  it.each(['', '.', 'a.', '.a', 'a..b', 'a\\', 'a\\b'])('refuses %j', (path) => {
    expect(parseValuePath(path)).toBeUndefined();
  });

  it('comes back from any keys', () => {
    fc.assert(
      fc.property(fc.array(fc.string({ minLength: 1 }), { minLength: 1 }), (keys) => {
        expect(parseValuePath(keys.map((key) => key.replace(/[\\.]/g, '\\$&')).join('.'))).toEqual(keys);
      }),
    );
  });
});

describe('image values', () => {
  it('set every part of a reference, make the maps that are missing, and keep the rest', () => {
    const values = { a: { image: 'old', keep: 1 }, list: [{ image: 'x' }, { image: 'y', keep: [null] }] };
    const set = (path: string, part: 'reference' | 'registry' | 'repository' | 'tag' | 'digest') => ({
      path,
      image: IMAGE,
      part,
    });
    const rewritten = rewriteImageValues(
      values,
      [
        set('a.image', 'reference'),
        set('b.c.registry', 'registry'),
        set('b.c.repository', 'repository'),
        set('b.tag', 'tag'),
        set('b.d\\.e', 'digest'),
        set('list.1.image', 'reference'),
      ],
      toTarget,
    );
    const reference = `registry.inside:5000/from/cms/web:1.4.0@${DIGEST}`;
    expect(plain(rewritten)).toEqual({
      a: { image: reference, keep: 1 },
      b: {
        c: { registry: 'registry.inside:5000', repository: 'from/cms/web' },
        tag: '1.4.0',
        'd.e': DIGEST,
      },
      list: [{ image: 'x' }, { image: reference, keep: [null] }],
    });
    expect(values.a.image).toBe('old');
  });

  it('take a key with any name as a key', () => {
    const rewritten = rewriteImageValues({}, [{ path: '__proto__.constructor', image: IMAGE, part: 'tag' }], toTarget);
    expect(JSON.stringify(rewritten)).toBe('{"__proto__":{"constructor":"1.4.0"}}');
    expect(({} as { constructor: unknown }).constructor).toBe(Object);
  });

  it('are found wanting where an image still comes from elsewhere, with template and path', () => {
    const rendered = [
      '---\n# Source: web/templates/pod.yaml',
      'kind: Pod\nspec: { containers: [{ image: registry.inside:5000/cms/web:1 }, { image: nginx }, { image: "A B" }] }',
    ].join('\n');
    const left = imagesNotRewritten(rendered, 'web', (reference) => reference.startsWith('registry.inside:5000/'));
    expect(left.map(({ code, at, found }) => [code, at, found])).toEqual([
      ['IMAGE_NOT_REWRITTEN', { file: 'web/templates/pod.yaml', key: 'spec.containers[1].image' }, 'nginx'],
      ['IMAGE_NOT_REWRITTEN', { file: 'web/templates/pod.yaml', key: 'spec.containers[2].image' }, 'A B'],
    ]);
  });
});

import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestOf } from '../../../../src/core/digest.ts';
import { FormatError } from '../../../../src/formats/errors.ts';
import {
  formatReference,
  isFloating,
  normaliseReference,
  parseReference,
} from '../../../../src/formats/oci/reference.ts';
import { raised } from '../../../support/raised.ts';

const DIGEST = digestOf('x');

describe('image references', () => {
  it.each([
    ['nginx', 'docker.io/library/nginx:latest'],
    ['nginx:1.27', 'docker.io/library/nginx:1.27'],
    ['bitnami/redis', 'docker.io/bitnami/redis:latest'],
    ['docker.io/nginx', 'docker.io/library/nginx:latest'],
    ['index.docker.io/nginx:1', 'docker.io/library/nginx:1'],
    ['docker.io/a/b/c:1', 'docker.io/a/b/c:1'],
    ['localhost/web', 'localhost/web:latest'],
    ['localhost:5000/web', 'localhost:5000/web:latest'],
    ['registry.example/cms/web:1.4.0', 'registry.example/cms/web:1.4.0'],
    ['registry.example:5000/web:V1_x-y.z', 'registry.example:5000/web:V1_x-y.z'],
    ['HOST/web', 'HOST/web:latest'],
    ['[fd00::1]:5000/web:1', '[fd00::1]:5000/web:1'],
    ['[::1]/web:1', '[::1]/web:1'],
    [`web@${DIGEST}`, `docker.io/library/web@${DIGEST}`],
    [`registry.example/web:1@${DIGEST}`, `registry.example/web:1@${DIGEST}`],
    ['a__b/c--d/e.f_g', 'docker.io/a__b/c--d/e.f_g:latest'],
  ])('normalises %s', (text, normal) => {
    expect(normaliseReference(text)).toBe(normal);
    expect(normaliseReference(normal)).toBe(normal);
  });

  it.each([
    '',
    ':1',
    'nginx:',
    'nginx:-1',
    `nginx:${'x'.repeat(129)}`,
    'Nginx',
    'registry.example/Web',
    'registry.example/',
    '/web',
    'registry.example//web',
    'registry.example/web/',
    'registry.example/-web',
    'registry.example/a___b',
    'registry.example/a..b',
    'registry.example:port/web',
    'registry.example:0/web',
    'registry.example:70000/web',
    'registry..example/web',
    '-registry.example/web',
    'web@sha256:abc',
    'web@',
    `web@sha512:${'a'.repeat(128)}`,
    `web@${DIGEST}@${DIGEST}`,
    'a'.repeat(64),
    `registry.example/${'a'.repeat(256)}`,
    'x'.repeat(2000),
    'https://registry.example/web:1',
    'web 1',
    'web\n',
    'web:1\u001b[31m',
    '../web',
    'registry.example/../web',
    '{{ .Values.image }}',
  ])('refuses %j', async (text) => {
    const error = await raised(() => parseReference(text));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.code).toBe('REFERENCE_INVALID');
    expect(`${error.message}${error.found}`).not.toMatch(/\p{Cc}/u);
  });

  it('calls a reference floating without a tag and with latest, and never with a digest', () => {
    for (const text of ['nginx', 'nginx:latest', 'registry.example:5000/web']) expect(isFloating(text)).toBe(true);
    for (const text of ['nginx:1', `nginx@${DIGEST}`, `nginx:latest@${DIGEST}`]) expect(isFloating(text)).toBe(false);
  });

  it('writes what it read (property)', () => {
    const component = fc.stringMatching(/^[a-z0-9]{1,8}([._-][a-z0-9]{1,8}){0,2}$/);
    const reference = fc.record(
      {
        host: fc.constantFrom('registry.example', 'localhost', '127.0.0.1:5000', 'docker.io', '[::1]:80'),
        repository: fc.array(component, { minLength: 2, maxLength: 4 }).map((parts) => parts.join('/')),
        tag: fc.stringMatching(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,20}$/),
        digest: fc.constant(DIGEST),
      },
      { requiredKeys: ['host', 'repository', 'tag'] },
    );
    fc.assert(fc.property(reference, (value) => void expect(parseReference(formatReference(value))).toEqual(value)));
  });

  it('never raises anything but its own error, and never takes what it would not write (property)', () => {
    const text = fc.oneof(
      fc.string({ unit: 'binary' }),
      fc.stringMatching(/^[a-zA-Z0-9:@/._-]{0,60}$/),
      fc.constantFrom('nginx', 'a.b/c:1').chain((base) => fc.string().map((tail) => base + tail)),
    );
    fc.assert(
      fc.property(text, (value) => {
        try {
          const normal = normaliseReference(value);
          expect(normaliseReference(normal)).toBe(normal);
          expect(normal).toMatch(/^[\x21-\x7e]+$/);
        } catch (error) {
          expect(error).toBeInstanceOf(FormatError);
        }
      }),
    );
  });
});

import { generateHybridIdentity, generateX25519Identity, identityToRecipient } from 'age-encryption';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { parse } from 'yaml';
import {
  CONFIGURATION_MEDIA_TYPE,
  type ConfigurationDocument,
  decodeConfiguration,
  encodeConfiguration,
  type SealedConfiguration,
} from '../../../../src/formats/configuration/document.ts';
import { openConfiguration, sealConfiguration } from '../../../../src/formats/configuration/sealed.ts';
import { stringifyValues } from '../../../../src/formats/configuration/values-file.ts';
import { decodeValues } from '../../../../src/formats/helm/yaml.ts';
import { raised } from '../../../support/raised.ts';

const FILE = '/data/config.json';
const TABLE = {
  schema: 'core',
  name: 'setting',
  columns: [
    { name: 'id', type: 'bigint' },
    { name: 'value', type: 'text' },
  ],
  primaryKey: ['id'],
  rows: [{ id: '1', value: null }],
};
const DOCUMENT: ConfigurationDocument = {
  mediaType: CONFIGURATION_MEDIA_TYPE,
  configMaps: [{ namespace: 'cms', name: 'site', labels: { app: 'cms' }, data: { a: '1' }, binaryData: { b: 'AP8=' } }],
  tables: [TABLE],
};
const SEALED: SealedConfiguration = {
  secrets: [{ namespace: 'cms', name: 'smtp', type: 'Opaque', data: { password: 'aHVudGVyMg==' } }],
  releases: [{ namespace: 'cms', release: 'site', chart: 'site-1.0.0', values: { a: [1, null, { b: 'c' }] } }],
};

const text = (document: object) => new TextEncoder().encode(JSON.stringify(document));
const codeOf = async (document: unknown) =>
  (await raised(() => decodeConfiguration(text(document as object), FILE))) as { code: string; at?: { key?: string } };

describe('a configuration document', () => {
  test('is read back, and always the same bytes', () => {
    const bytes = encodeConfiguration(DOCUMENT);
    expect(decodeConfiguration(bytes, FILE)).toEqual(DOCUMENT);
    const shuffled = { tables: DOCUMENT.tables, configMaps: DOCUMENT.configMaps, mediaType: DOCUMENT.mediaType };
    expect(encodeConfiguration(shuffled)).toEqual(bytes);
  });

  test.each([
    ['another version', 'mediaType', { ...DOCUMENT, mediaType: 'application/vnd.portolan.configuration.v2+json' }],
    ['no media type', 'mediaType', { configMaps: [], tables: [] }],
    ['something that is no document', 'mediaType', []],
    ['a member that is not known', '', { ...DOCUMENT, more: 1 }],
    [
      'a value that is no text',
      'configMaps[0].data.a',
      { ...DOCUMENT, configMaps: [{ namespace: 'a', name: 'b', data: { a: 1 } }] },
    ],
    [
      'binary data that is not base64',
      'configMaps[0].binaryData.a',
      { ...DOCUMENT, configMaps: [{ namespace: 'a', name: 'b', binaryData: { a: '*' } }] },
    ],
    ['a ConfigMap twice', 'configMaps', { ...DOCUMENT, configMaps: [...DOCUMENT.configMaps, ...DOCUMENT.configMaps] }],
    ['a table twice', 'tables', { ...DOCUMENT, tables: [TABLE, TABLE] }],
    [
      'a column twice',
      'tables[0].columns',
      { ...DOCUMENT, tables: [{ ...TABLE, columns: [TABLE.columns[0], ...TABLE.columns] }] },
    ],
    ['a key that is no column', 'tables[0].primaryKey', { ...DOCUMENT, tables: [{ ...TABLE, primaryKey: ['x'] }] }],
    ['a row without a column', 'tables[0].rows[0]', { ...DOCUMENT, tables: [{ ...TABLE, rows: [{ id: '1' }] }] }],
    [
      'a row with one more',
      'tables[0].rows[0]',
      { ...DOCUMENT, tables: [{ ...TABLE, rows: [{ id: '1', value: null, x: '' }] }] },
    ],
    [
      'a row without its key',
      'tables[0].rows[0]',
      { ...DOCUMENT, tables: [{ ...TABLE, rows: [{ id: null, value: '' }] }] },
    ],
  ])('with %s is refused at its place', async (_, key, document) => {
    expect(await codeOf(document)).toMatchObject({
      name: 'FormatError',
      code: 'CONFIGURATION_INVALID',
      at: { file: FILE, key },
    });
  });

  test('cut anywhere is refused', async () => {
    const bytes = encodeConfiguration(DOCUMENT);
    // The last byte is a line end.
    for (let length = 0; length < bytes.length - 1; length += 1) {
      const error = await raised(() => decodeConfiguration(bytes.subarray(0, length), FILE));
      expect(error.code).toBe('CONFIGURATION_INVALID');
    }
  });

  test('whatever the bytes are, they are read or refused with a code', () => {
    const mutated = fc.tuple(fc.nat(encodeConfiguration(DOCUMENT).length - 1), fc.integer({ min: 0, max: 255 }));
    fc.assert(
      fc.property(mutated, ([place, byte]) => {
        const bytes = encodeConfiguration(DOCUMENT);
        bytes[place] = byte;
        try {
          decodeConfiguration(bytes, FILE);
        } catch (error) {
          expect(error).toMatchObject({ code: 'CONFIGURATION_INVALID' });
        }
      }),
    );
  });
});

describe('the sealed part', () => {
  test.each([
    ['classic', generateX25519Identity],
    ['post-quantum', generateHybridIdentity],
  ])('opens for its recipient, and shows names alone: %s', async (_, generate) => {
    const identity = await generate();
    const sealed = await sealConfiguration(SEALED, [await identityToRecipient(identity)]);
    expect(sealed).toMatchObject({
      secrets: [{ namespace: 'cms', name: 'smtp' }],
      releases: [{ namespace: 'cms', release: 'site' }],
    });
    const document = decodeConfiguration(encodeConfiguration({ ...DOCUMENT, sealed }), FILE);
    expect(await openConfiguration(document, [identity], FILE)).toEqual(SEALED);
    const error = await raised(async () => openConfiguration(document, [await generate()], FILE));
    expect(error).toMatchObject({ code: 'NO_MATCHING_IDENTITY' });
  });

  test('that lists other names than it holds is refused', async () => {
    const identity = await generateX25519Identity();
    const sealed = await sealConfiguration(SEALED, [await identityToRecipient(identity)]);
    const document = { ...DOCUMENT, sealed: { ...sealed, secrets: [{ namespace: 'kube-system', name: 'smtp' }] } };
    const error = await raised(() => openConfiguration(document, [identity], FILE));
    expect(error).toMatchObject({ code: 'CONFIGURATION_INVALID', at: { key: 'sealed' } });
  });

  test('that is damaged is refused', async () => {
    const identity = await generateX25519Identity();
    const sealed = await sealConfiguration(SEALED, [await identityToRecipient(identity)]);
    const lines = sealed.content.split('\n');
    const last = lines.at(-3) ?? '';
    lines[lines.length - 3] = (last.startsWith('A') ? 'B' : 'A') + last.slice(1);
    const document = { ...DOCUMENT, sealed: { ...sealed, content: lines.join('\n') } };
    const error = await raised(() => openConfiguration(document, [identity], FILE));
    expect(['AGE_PAYLOAD_DAMAGED', 'AGE_MALFORMED', 'AGE_HEADER_FORGED']).toContain(error.code);
  });
});

describe('a file of values', () => {
  test('is read back to the same, as helm reads it and as YAML 1.2', () => {
    const leaf = fc.oneof(
      fc.string({ unit: 'grapheme-ascii' }),
      fc.constantFrom(
        'yes',
        'on',
        '0755',
        '1e3',
        '1_000',
        '0b1',
        '.5',
        '~',
        'null',
        '2026-01-02',
        '<<',
        '',
        ' a ',
        'a\nb\n',
        '# a',
        '12:30:45',
        'n',
        '0o17',
      ),
      fc.maxSafeInteger(),
      fc.boolean(),
      fc.constant(null),
    );
    const { values } = fc.letrec((tie) => ({
      tree: fc.oneof({ maxDepth: 3 }, leaf, fc.array(tie('tree'), { maxLength: 3 }), tie('values')),
      values: fc.dictionary(
        fc.oneof(fc.string({ unit: 'grapheme-ascii', maxLength: 8 }), fc.constantFrom('yes', '1', 'a.b')),
        tie('tree'),
        { maxKeys: 4 },
      ),
    }));
    fc.assert(
      fc.property(values, (given) => {
        const plain = JSON.parse(JSON.stringify(given)) as Record<string, unknown>;
        fc.pre(!JSON.stringify(plain).includes('"__proto__"'));
        const written = stringifyValues(plain);
        expect(JSON.parse(JSON.stringify(decodeValues(written, FILE)))).toEqual(plain);
        expect(parse(written) ?? {}).toEqual(plain);
      }),
    );
  });
});

import { expect, test } from 'vitest';
import { decodeModules, encodeModules } from '../../../../src/formats/migration/modules-json.ts';
import { raisedCodes } from '../../../support/raised.ts';

const decode = (text: string) => decodeModules(new TextEncoder().encode(text), 'modules.json');

test('what is written is read again', () => {
  const modules = [
    { name: 'blog', requires: ['core'] },
    { name: 'core', requires: [] },
  ];
  expect(decodeModules(encodeModules(modules), 'modules.json')).toEqual(modules);
});

test.each([
  '',
  '[]',
  '{"a": []}',
  '{"a": {}}',
  '{"a": {"requires": [], "more": 1}}',
  '{"../a": {"requires": []}}',
  '{"a/b": {"requires": []}}',
  '{"a": {"requires": [""]}}',
  '{".git": {"requires": []}}',
])('%j is refused', async (text) => {
  expect(await raisedCodes(() => decode(text))).toEqual(['FormatError MODULES_INVALID']);
});

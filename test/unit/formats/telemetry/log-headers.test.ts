import { expect, test } from 'vitest';
import { FormatError } from '../../../../src/formats/errors.ts';
import { parseLogHeaders } from '../../../../src/formats/telemetry/log-headers.ts';

test('headers stand one a line', () => {
  expect(parseLogHeaders('# of the collector\r\n\nSigNoz-Access-Token:  abc def \nx-scope: a:b\n', 'f')).toEqual({
    'signoz-access-token': 'abc def',
    'x-scope': 'a:b',
  });
  expect(parseLogHeaders('', 'f')).toEqual({});
});

test.each([
  'a secret',
  'name:',
  ': secret',
  'two words: secret',
  'Content-Type: secret',
  'host: secret',
  'Transfer-Encoding: secret',
  'name: sec\u0000ret',
  'name: sécret',
])('%j is refused, and nothing of it is told', (line) => {
  let caught: unknown;
  try {
    parseLogHeaders(`ok: 1\n${line}`, 'f');
  } catch (error) {
    caught = error;
  }
  expect(caught).toBeInstanceOf(FormatError);
  const error = caught as FormatError;
  expect(error).toMatchObject({ code: 'LOG_HEADERS_INVALID', at: { file: 'f', line: 2 } });
  expect(error.message + error.hint + error.found).not.toMatch(/s[eé]cret|sec.ret/);
});

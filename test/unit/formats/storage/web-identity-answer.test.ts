import fc from 'fast-check';
import { expect, test } from 'vitest';
import { elementAt, parseSmallXml } from '../../../../src/formats/storage/small-xml.ts';
import { decodeSessionKeys, decodeStsError } from '../../../../src/formats/storage/web-identity-answer.ts';
import { raised } from '../../../support/raised.ts';

const bytes = (text: string) => new TextEncoder().encode(text);
const CREDENTIALS =
  '<Credentials><AccessKeyId>AKIA1</AccessKeyId><SecretAccessKey>a/b+c=</SecretAccessKey>' +
  '<SessionToken>ey.&#65;&lt;&amp;.x</SessionToken><Expiration>2026-11-29T02:40:00Z</Expiration></Credentials>';
const answerOf = (inside: string) =>
  `<?xml version="1.0" encoding="UTF-8"?>\n<AssumeRoleWithWebIdentityResponse xmlns="https://sts.amazonaws.com/doc/2011-06-15/">` +
  `<AssumeRoleWithWebIdentityResult><AssumedRoleUser><Arn></Arn><AssumeRoleId/></AssumedRoleUser>${inside}` +
  '<SubjectFromWebIdentityToken>312</SubjectFromWebIdentityToken></AssumeRoleWithWebIdentityResult>' +
  '<ResponseMetadata><RequestId>18EC</RequestId></ResponseMetadata></AssumeRoleWithWebIdentityResponse>\n';
const invalid = { name: 'FormatError', code: 'STS_ANSWER_INVALID' };

test('keys as MinIO and Amazon give them', () => {
  const keys = {
    ...{ accessKeyId: 'AKIA1', secretAccessKey: 'a/b+c=', sessionToken: 'ey.A<&.x' },
    expiration: new Date('2026-11-29T02:40:00Z'),
  };
  expect(decodeSessionKeys(bytes(answerOf(CREDENTIALS)))).toEqual(keys);
});

test('an answer that is cut anywhere is refused, and nothing of it is in the error', async () => {
  const whole = answerOf(CREDENTIALS).trimEnd();
  for (let length = 0; length < whole.length; length += 1) {
    const error = await raised(() => decodeSessionKeys(bytes(whole.slice(0, length))));
    expect(error).toMatchObject(invalid);
    expect(JSON.stringify({ ...error, message: error.message, hint: error.hint })).not.toMatch(/AKIA1|a\/b|ey\./);
  }
});

test.each([
  ['two sets of keys', answerOf(CREDENTIALS + CREDENTIALS)],
  ['no keys', answerOf('')],
  ['a key twice', answerOf(CREDENTIALS.replace('<Expiration>', '<AccessKeyId>AKIA2</AccessKeyId><Expiration>'))],
  ['an empty key', answerOf(CREDENTIALS.replace('AKIA1', ''))],
  ['a key with white space', answerOf(CREDENTIALS.replace('AKIA1', 'AK IA'))],
  ['no time', answerOf(CREDENTIALS.replace('2026-11-29T02:40:00Z', 'soon'))],
  ['a month too many', answerOf(CREDENTIALS.replace('2026-11', '2026-13'))],
  ['another answer', answerOf(CREDENTIALS).replaceAll('WithWebIdentityResponse', 'Response')],
  ['a document type', `<!DOCTYPE a [<!ENTITY b "c">]>${answerOf(CREDENTIALS)}`],
  ['an entity of its own', answerOf(CREDENTIALS.replace('AKIA1', '&b;'))],
  ['a comment', answerOf(`<!-- -->${CREDENTIALS}`)],
  ['CDATA', answerOf(CREDENTIALS.replace('AKIA1', '<![CDATA[AKIA1]]>'))],
  ['something behind', `${answerOf(CREDENTIALS)}<a/>`],
  ['text around', `x${answerOf(CREDENTIALS)}`],
  ['wrong nesting', answerOf(CREDENTIALS).replace('</AccessKeyId>', '</SecretAccessKey>')],
  ['more than such an answer has', answerOf(CREDENTIALS + ' '.repeat(70_000))],
  ['too many elements', answerOf(CREDENTIALS + '<a/>'.repeat(300))],
  ['a page of HTML', '<html><body><br></body></html>'],
  ['nothing', ''],
])('%s is refused', async (_, text) => {
  expect(await raised(() => decodeSessionKeys(bytes(text)))).toMatchObject(invalid);
});

test.each([
  ['nesting', '<a>'.repeat(20_000)],
  ['spaces in a tag', `<a${' '.repeat(60_000)}`],
  ['a name without an end', `<${'a'.repeat(60_000)}`],
  ['attributes without an end', `<a${' b="c"'.repeat(9000)}`],
  ['an attribute without a value', `<a ${'b'.repeat(30_000)}${' '.repeat(30_000)}`],
  ['a value without an end', `<a b="${'c'.repeat(60_000)}`],
  ['a declaration without an end', `<?xml ${'a '.repeat(30_000)}`],
  ['ampersands', `<a>${'&'.repeat(60_000)}</a>`],
  ['entities within entities', `<!DOCTYPE a [<!ENTITY b "${'&c;'.repeat(1000)}">]><a>&b;</a>`],
])('%s by the thousand is refused at once', async (_, text) => {
  const before = performance.now();
  expect(await raised(() => parseSmallXml(bytes(text)))).toMatchObject(invalid);
  expect(performance.now() - before).toBeLessThan(250);
});

test('what is not UTF-8 is refused', async () => {
  expect(await raised(() => decodeSessionKeys(Uint8Array.of(0xff, 0xfe)))).toMatchObject(invalid);
});

test('errors, and what is none', () => {
  const error = (inside: string) => bytes(`<ErrorResponse xmlns="x"><Error><Type/>${inside}</Error></ErrorResponse>`);
  expect(decodeStsError(error('<Code>AccessDenied</Code><Message>no &quot;way&quot;</Message>'))).toEqual({
    ...{ code: 'AccessDenied', message: 'no "way"' },
  });
  expect(decodeStsError(error('<Code>AccessDenied</Code>'))).toEqual({ code: 'AccessDenied', message: '' });
  for (const none of [error('<Code>a b</Code>'), error(''), bytes('<html/>'), bytes('{"error":1}'), bytes('')]) {
    expect(decodeStsError(none)).toBeUndefined();
  }
});

test('text comes back from elements whatever it holds', () => {
  const escaped = (text: string) => text.replace(/[<>&"']/g, (one) => `&#x${one.charCodeAt(0).toString(16)};`);
  fc.assert(
    fc.property(fc.string({ unit: 'grapheme', maxLength: 200 }), (text) => {
      const root = parseSmallXml(bytes(`<a><b>${escaped(text)}</b></a>`));
      expect(elementAt(root, 'b').text).toBe(text.trim());
    }),
  );
});

test('whatever comes, it is read or refused', () => {
  fc.assert(
    fc.property(
      fc.array(fc.constantFrom('<', '>', '/', 'a', 'b', ' ', '"', '=', '&', ';', '#', '!', '?'), { maxLength: 40 }),
      (parts) => {
        try {
          expect(parseSmallXml(bytes(parts.join(''))).name).toMatch(/^[ab]/);
        } catch (error) {
          expect(error).toMatchObject(invalid);
        }
      },
    ),
    { numRuns: 2000 },
  );
});

import { generateHybridIdentity, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { expect, test } from 'vitest';
import { joinRecipients, parseRecipient, parseRecipientsFile } from '../../../../src/formats/age/recipients.ts';
import { failureOf, visibleTextOf } from './bytes.ts';

const identity = await generateX25519Identity();
const classic = await identityToRecipient(identity);
const other = await identityToRecipient(await generateX25519Identity());
const hybrid = await identityToRecipient(await generateHybridIdentity());

test('kinds are told apart', () => {
  expect(parseRecipient(` ${classic}\n`)).toEqual({ kind: 'classic', text: classic });
  expect(parseRecipient(hybrid, { line: 3 })).toEqual({ kind: 'post-quantum', text: hybrid, at: { line: 3 } });
});

test('a mistyped or cut recipient is refused', () => {
  for (const text of [
    classic.slice(0, -1),
    `${classic.slice(0, -1)}b`,
    classic.toUpperCase(),
    hybrid.slice(0, 500),
    '',
  ]) {
    expect(failureOf(() => parseRecipient(text))).toMatchObject({ name: 'FormatError', code: 'RECIPIENT_INVALID' });
  }
  expect(failureOf(() => parseRecipient(`age1${'q'.repeat(10_000)}`))).toMatchObject({ code: 'RECIPIENT_INVALID' });
});

test('SSH keys, plugins and tags are refused by name', () => {
  const texts = ['ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAA', 'github:someone', 'age1yubikey1qwxyz', 'age1tag1qabc'];
  for (const text of texts) {
    expect(failureOf(() => parseRecipient(text))).toMatchObject({ code: 'RECIPIENT_UNSUPPORTED' });
  }
});

test('a secret key in the place of a recipient is refused and never shown', () => {
  for (const text of [identity, identity.toLowerCase(), `x ${identity}`]) {
    const error = failureOf(() => parseRecipient(text, { file: 'r.txt', line: 1 }));
    expect(error).toMatchObject({ name: 'FormatError', code: 'RECIPIENT_IS_IDENTITY', at: { file: 'r.txt', line: 1 } });
    expect(visibleTextOf(error).toUpperCase()).not.toContain(identity.slice(17, 40));
  }
});

test('what is no recipient at all is not shown: it could be a password', () => {
  const error = failureOf(() => parseRecipient('correct horse battery staple'));
  expect(error).toMatchObject({ code: 'RECIPIENT_INVALID' });
  expect(visibleTextOf(error)).not.toContain('horse');
});

test('a recipients file skips comments and empty lines, and names the line of an error', () => {
  const content = `# team\r\n\r\n${classic}\r\n  # another\n${other}\n`;
  const recipients = parseRecipientsFile(content, 'team.txt');
  expect(recipients).toEqual([
    { kind: 'classic', text: classic, at: { file: 'team.txt', line: 3 } },
    { kind: 'classic', text: other, at: { file: 'team.txt', line: 5 } },
  ]);
  expect(failureOf(() => parseRecipientsFile(`# a\n\nage1nonsense\n`, 'team.txt'))).toMatchObject({
    code: 'RECIPIENT_INVALID',
    at: { file: 'team.txt', line: 3 },
  });
});

test('an empty or oversized recipients file is refused', () => {
  expect(failureOf(() => parseRecipientsFile('# nobody\n'))).toMatchObject({ code: 'RECIPIENTS_EMPTY' });
  expect(failureOf(() => parseRecipientsFile('#'.repeat(2 ** 20 + 1)))).toMatchObject({ code: 'RECIPIENT_INVALID' });
});

test('duplicates are dropped and the order stays', () => {
  const recipients = [other, classic, other].map((text) => parseRecipient(text));
  expect(joinRecipients(recipients)).toEqual({ kind: 'classic', recipients: [other, classic] });
});

test('none, or a mix of kinds, is refused', () => {
  expect(failureOf(() => joinRecipients([]))).toMatchObject({ name: 'FormatError', code: 'RECIPIENTS_EMPTY' });
  const mixed = [parseRecipient(classic), parseRecipient(hybrid, { file: 'pq.txt', line: 2 })];
  const expected = { name: 'FormatError', code: 'RECIPIENTS_MIXED' };
  expect(failureOf(() => joinRecipients(mixed))).toMatchObject({ ...expected, at: { file: 'pq.txt', line: 2 } });
  expect(failureOf(() => joinRecipients(mixed.toReversed()))).toMatchObject(expected);
});

import { armor, Encrypter, generateHybridIdentity, generateX25519Identity, identityToRecipient } from 'age-encryption';
import { expect, test } from 'vitest';
import { MAX_IDENTITY_FILE_BYTES, parseIdentityFile, recipientOf } from '../../../../src/formats/age/identity-file.ts';
import { visibleTextOf } from './bytes.ts';

const classic = await generateX25519Identity();
const hybrid = await generateHybridIdentity();
const plain = `# created: 2026-11-24T00:00:00Z\n# public key: age1…\n\n${classic}\r\n${hybrid}\n`;
const PASSPHRASE = 'a passphrase of a test';

async function protect(text: string, logN = 10): Promise<Uint8Array> {
  const encrypter = new Encrypter();
  encrypter.setPassphrase(PASSPHRASE);
  encrypter.setScryptWorkFactor(logN);
  return encrypter.encrypt(text);
}

function failure(content: Uint8Array | string, askPassphrase?: () => Promise<string>): Promise<unknown> {
  const options = { file: 'key.txt', ...(askPassphrase === undefined ? {} : { askPassphrase }) };
  return parseIdentityFile(Buffer.from(content), options).then(
    () => expect.unreachable(),
    (error) => error,
  );
}

test('a plain file gives its keys, each once', async () => {
  expect(await parseIdentityFile(Buffer.from(plain))).toEqual([classic, hybrid]);
  expect(await parseIdentityFile(Buffer.from(plain + plain))).toEqual([classic, hybrid]);
  expect(await recipientOf(classic)).toBe(await identityToRecipient(classic));
});

test('a protected file, binary or armored, opens with its passphrase, asked once', async () => {
  const file = await protect(plain);
  for (const content of [file, Buffer.from(armor.encode(file)), Buffer.from(`\r\n${armor.encode(file)}`)]) {
    let asked = 0;
    const askPassphrase = async () => {
      asked += 1;
      return PASSPHRASE;
    };
    expect(await parseIdentityFile(content, { askPassphrase })).toEqual([classic, hybrid]);
    expect(asked).toBe(1);
  }
});

test('the passphrase is not asked for when it is not needed', async () => {
  const askPassphrase = () => Promise.reject(new Error('asked'));
  expect(await parseIdentityFile(Buffer.from(plain), { askPassphrase })).toEqual([classic, hybrid]);
});

test('a wrong passphrase, or none to be had', async () => {
  const file = await protect(plain);
  expect(await failure(file, async () => 'wrong')).toMatchObject({
    name: 'FormatError',
    code: 'PASSPHRASE_WRONG',
    at: { file: 'key.txt' },
  });
  expect(await failure(file)).toMatchObject({ name: 'FormatError', code: 'PASSPHRASE_NEEDED' });
});

test('a prompt that fails is passed on, and the file is not called forged', async () => {
  const noTerminal = new Error('there is no terminal');
  expect(await failure(await protect(plain), () => Promise.reject(noTerminal))).toBe(noTerminal);
});

test('a work factor that takes gigabytes is refused before it is spent', async () => {
  const text = Buffer.from(await protect(plain)).toString('latin1');
  const costly = text.replace(/^(-> scrypt \S+) 10\n/m, '$1 21\n');
  expect(costly).not.toBe(text);
  expect(await failure(Buffer.from(costly, 'latin1'), async () => PASSPHRASE)).toMatchObject({ code: 'AGE_MALFORMED' });
});

test('damage in a protected file is told as damage', async () => {
  const file = await protect(plain);
  const cut = file.subarray(0, file.length - 1);
  expect(await failure(cut, async () => PASSPHRASE)).toMatchObject({ code: 'AGE_PAYLOAD_DAMAGED' });
  const armored = armor.encode(file).replace('-----END', '----END');
  expect(await failure(armored, async () => PASSPHRASE)).toMatchObject({ code: 'AGE_MALFORMED' });
});

test('a file sealed to a recipient is no identity file', async () => {
  const encrypter = new Encrypter();
  encrypter.addRecipient(await identityToRecipient(classic));
  const file = await encrypter.encrypt(plain);
  expect(await failure(file, async () => PASSPHRASE)).toMatchObject({ code: 'IDENTITY_INVALID' });
});

test('SSH keys and plugins are refused by name', async () => {
  for (const line of ['-----BEGIN OPENSSH PRIVATE KEY-----', '-----BEGIN PRIVATE KEY-----', 'AGE-PLUGIN-YUBIKEY-1QQ']) {
    expect(await failure(`# mine\n${line}\n`)).toMatchObject({
      name: 'FormatError',
      code: 'IDENTITY_UNSUPPORTED',
      at: { file: 'key.txt', line: 2 },
    });
  }
});

test('an empty, oversized or foreign file is refused', async () => {
  const recipient = await identityToRecipient(classic);
  for (const content of ['', '# nothing\n', `${recipient}\n`, Buffer.alloc(MAX_IDENTITY_FILE_BYTES + 1, 0x23)]) {
    expect(await failure(content)).toMatchObject({ name: 'FormatError', code: 'IDENTITY_INVALID' });
  }
});

test('no error shows a secret', async () => {
  const secret = classic.slice('AGE-SECRET-KEY-1'.length + 2, 50);
  const mistyped = `${classic.slice(0, -1)}${classic.endsWith('Q') ? 'P' : 'Q'}`;
  for (const content of [mistyped, classic.toLowerCase(), ` x${classic}`, `${classic} ${classic}`]) {
    const error = await failure(`\n${content}\n`);
    expect(error).toMatchObject({ name: 'FormatError', code: 'IDENTITY_INVALID', at: { file: 'key.txt', line: 2 } });
    expect(visibleTextOf(error).toUpperCase()).not.toContain(secret);
  }
  const wrapped = await failure(await protect(mistyped), async () => PASSPHRASE);
  expect(wrapped).toMatchObject({ code: 'IDENTITY_INVALID' });
  expect(visibleTextOf(wrapped)).not.toContain(secret);
  expect(visibleTextOf(await failure(await protect(plain), async () => 'wrong-secret'))).not.toContain('wrong-secret');
});

/** Long fuzzing of everything that reads age files: no input may do anything but open rightly or raise a FormatError. */
import { randomBytes } from 'node:crypto';
import { armor, Encrypter, generateHybridIdentity, generateX25519Identity, identityToRecipient } from 'age-encryption';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { parseIdentityFile } from '../../src/formats/age/identity-file.ts';
import { decryptPayload } from '../../src/formats/age/payload.ts';
import { parseRecipientsFile } from '../../src/formats/age/recipients.ts';
import { openBytes, sealBytes } from '../../src/formats/age/sealed-bytes.ts';
import { FormatError } from '../../src/formats/errors.ts';

const SOAK_MS = Number(process.env.PORTOLAN_SOAK_SECONDS ?? 60) * 1000;
const RUNS = { numRuns: Number.MAX_SAFE_INTEGER, interruptAfterTimeLimit: SOAK_MS, markInterruptAsFailure: false };
const LIMIT = { maxBytes: 1024 * 1024 };

/** One change of a file, drawn in terms that fit any length. */
type Change = readonly ['flip' | 'cut' | 'drop' | 'insert' | 'repeat', number, Uint8Array];
const changes = fc.array(
  fc.tuple(
    fc.constantFrom('flip' as const, 'cut' as const, 'drop' as const, 'insert' as const, 'repeat' as const),
    fc.double({ min: 0, max: 1, noNaN: true, maxExcluded: true }),
    fc.uint8Array({ minLength: 1, maxLength: 20 }),
  ),
  { minLength: 1, maxLength: 4 },
);

function apply(file: Uint8Array, [kind, at, bytes]: Change): Uint8Array {
  const offset = Math.floor(at * file.length);
  const [before, after] = [file.subarray(0, offset), file.subarray(offset)];
  switch (kind) {
    case 'flip': {
      const flipped = Uint8Array.from(file);
      if (offset < file.length) flipped[offset] = (file[offset] ?? 0) ^ (1 << ((bytes[0] ?? 0) & 7));
      return flipped;
    }
    case 'cut':
      return before;
    case 'drop':
      return Buffer.concat([before, after.subarray(bytes.length)]);
    case 'insert':
      return Buffer.concat([before, bytes, after]);
    case 'repeat':
      return Buffer.concat([before, before.subarray(-bytes.length), after]);
  }
}

async function rejectsOrEquals(opened: Promise<Uint8Array>, expected: Uint8Array): Promise<void> {
  const result = await opened.catch((error) => error);
  if (result instanceof Uint8Array) expect(Buffer.compare(result, expected)).toBe(0);
  else expect(result).toBeInstanceOf(FormatError);
}

test('mutated age files', async () => {
  const identities = [await generateX25519Identity(), await generateHybridIdentity()] as const;
  const plaintexts = [0, 50, 65_536, 65_600].map((size) => randomBytes(size));
  const files: { readonly file: Uint8Array; readonly plaintext: Uint8Array }[] = [];
  for (const identity of identities) {
    const recipient = await identityToRecipient(identity);
    for (const plaintext of plaintexts) files.push({ file: await sealBytes(plaintext, [recipient]), plaintext });
  }
  const property = fc.asyncProperty(fc.constantFrom(...files), changes, async ({ file, plaintext }, list) => {
    await rejectsOrEquals(openBytes(list.reduce(apply, file), identities, LIMIT), plaintext);
  });
  await fc.assert(property, RUNS);
});

test('payload streams of any bytes, cut anywhere', async () => {
  const property = fc.asyncProperty(
    fc.array(fc.uint8Array({ maxLength: 70_000 }), { maxLength: 6 }),
    async (pieces) => {
      const source = ReadableStream.from(pieces);
      const reading = (async () => {
        for await (const plaintext of source.pipeThrough(decryptPayload(randomBytes(16))))
          expect(plaintext.length).toBe(0);
      })();
      await expect(reading).rejects.toBeInstanceOf(FormatError);
    },
  );
  await fc.assert(property, RUNS);
});

test('mutated identity and recipients files', async () => {
  const identity = await generateX25519Identity();
  const encrypter = new Encrypter();
  encrypter.setPassphrase('passphrase');
  encrypter.setScryptWorkFactor(4);
  const file = await encrypter.encrypt(`# key\n${identity}\n`);
  const forms = [file, Buffer.from(armor.encode(file)), Buffer.from(`# key\n${identity}\n`)];
  const property = fc.asyncProperty(fc.constantFrom(...forms), changes, async (form, list) => {
    const changed = list.reduce(apply, form);
    const parsed = await parseIdentityFile(changed, { askPassphrase: async () => 'passphrase' }).catch(
      (error) => error,
    );
    if (Array.isArray(parsed)) expect(parsed).toEqual([identity]);
    else expect(parsed).toBeInstanceOf(FormatError);
    try {
      parseRecipientsFile(Buffer.from(changed).toString());
    } catch (error) {
      expect(error).toBeInstanceOf(FormatError);
    }
  });
  await fc.assert(property, RUNS);
});

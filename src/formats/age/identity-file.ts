/**
 * An age identity file: one secret key a line, empty lines and `#` comments skipped. Either as plain text, or as an age
 * file that a passphrase opens (`age -p`), binary or armored. Nothing of the content may show in an error.
 */
import { armor, Decrypter, identityToRecipient } from 'age-encryption';
import type { Place } from '../../core/errors.ts';
import { FormatError } from '../errors.ts';
import { dearmor, isArmored } from './armor.ts';
import { openHeader, splitFile, viewHeader } from './header.ts';
import { openPayload } from './payload.ts';
import { scryptIdentity } from './scrypt-identity.ts';

/** What is larger is refused before it is parsed. */
export const MAX_IDENTITY_FILE_BYTES = 1024 * 1024;

export interface IdentityFileOptions {
  /** Named in errors. */
  readonly file?: string;
  /** Asked once, and only if the file is protected. Without it such a file is PASSPHRASE_NEEDED. */
  readonly askPassphrase?: () => Promise<string>;
}

/**
 * Returns the secret keys of an identity file: at least one. IDENTITY_INVALID, IDENTITY_UNSUPPORTED (SSH keys, plugins),
 * PASSPHRASE_NEEDED, PASSPHRASE_WRONG, and what damaged age files raise.
 */
export async function parseIdentityFile(
  content: Uint8Array,
  options: IdentityFileOptions = {},
): Promise<readonly string[]> {
  const at: Place = options.file === undefined ? {} : { file: options.file };
  if (content.length > MAX_IDENTITY_FILE_BYTES) {
    throw new FormatError('IDENTITY_INVALID', 'an identity file is larger than any sane one', {
      at,
      expected: `at most ${MAX_IDENTITY_FILE_BYTES} bytes`,
      found: content.length,
      hint: 'Check that this is an age identity file.',
    });
  }
  const text = Buffer.from(content).toString('utf8');
  if (isArmored(text)) {
    return parseLines(await openProtected(dearmor(text, at), options, at), at);
  }
  if (text.startsWith('age-encryption.org/')) return parseLines(await openProtected(content, options, at), at);
  return parseLines(text, at);
}

/** An identity file as text: what a passphrase protects stays protected. */
export function armorIdentityFile(content: Uint8Array): string {
  const text = Buffer.from(content).toString('utf8');
  return text.startsWith('age-encryption.org/') ? armor.encode(content) : text;
}

/** The recipient that belongs to a secret key of `parseIdentityFile`. */
export function recipientOf(identity: string): Promise<string> {
  return identityToRecipient(identity);
}

async function openProtected(file: Uint8Array, options: IdentityFileOptions, at: Place): Promise<string> {
  const { header, payload } = splitFile(file);
  const { stanzaTypes } = await viewHeader(header);
  if (!stanzaTypes.includes('scrypt')) {
    throw new FormatError('IDENTITY_INVALID', 'the identity file is encrypted to a recipient, not to a passphrase', {
      at,
      expected: 'plain text, or a file made by `age -p`',
      found: `stanzas ${stanzaTypes.join(', ')}`,
      hint: 'Decrypt it with `age -d` first.',
    });
  }
  const ask = options.askPassphrase;
  if (ask === undefined) {
    throw new FormatError('PASSPHRASE_NEEDED', 'the identity file is protected by a passphrase', {
      at,
      hint: 'Run the command in a terminal, or give an identity file without a passphrase.',
    });
  }
  let fileKey: Uint8Array;
  let unasked: { readonly cause: unknown } | undefined;
  const askOnce = async () => {
    try {
      return await ask();
    } catch (cause) {
      unasked = { cause };
      throw cause;
    }
  };
  try {
    fileKey = await openHeader(header, [scryptIdentity(askOnce)]);
  } catch (error) {
    // No terminal, or interrupted at the prompt: the file is not to blame.
    if (unasked !== undefined) throw unasked.cause;
    if (!(error instanceof FormatError) || error.code !== 'NO_MATCHING_IDENTITY') throw error;
    throw new FormatError('PASSPHRASE_WRONG', 'the passphrase does not open the identity file', {
      at,
      hint: 'Run the command again and type the passphrase of this file.',
    });
  }
  return Buffer.from(openPayload(fileKey, payload)).toString('utf8');
}

function parseLines(text: string, at: Place): readonly string[] {
  const identities: string[] = [];
  for (const [index, raw] of text.split('\n').entries()) {
    const line = raw.trim();
    if (line === '' || line.startsWith('#')) continue;
    identities.push(checked(line, { ...at, line: index + 1 }));
  }
  if (identities.length === 0) {
    throw new FormatError('IDENTITY_INVALID', 'the identity file holds no identity', {
      at,
      expected: 'a line AGE-SECRET-KEY-1… or AGE-SECRET-KEY-PQ-1…',
      hint: 'Make one with `age-keygen -o FILE` or `age-keygen -pq -o FILE`.',
    });
  }
  return [...new Set(identities)];
}

function checked(line: string, at: Place): string {
  if (/^-----BEGIN .*PRIVATE KEY-----|^AGE-PLUGIN-/.test(line)) {
    throw new FormatError('IDENTITY_UNSUPPORTED', 'SSH keys and age plugins are not supported as identities', {
      at,
      expected: 'AGE-SECRET-KEY-1… or AGE-SECRET-KEY-PQ-1…',
      hint: 'Make an identity with `age-keygen` and seal to its public key.',
    });
  }
  try {
    new Decrypter().addIdentity(line);
  } catch {
    // Without the cause: the library's message would quote the secret.
    throw new FormatError(
      'IDENTITY_INVALID',
      line.startsWith('age1') ? 'a public key stands where an identity belongs' : 'this line is not an age identity',
      {
        at,
        expected: 'AGE-SECRET-KEY-1… or AGE-SECRET-KEY-PQ-1…',
        hint: 'Check that the secret key was copied whole.',
      },
    );
  }
  return line;
}

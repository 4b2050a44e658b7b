/**
 * age recipients: who can open a file. Text in Bech32 (C2SP age specification, "The X25519 recipient type" and "The
 * hybrid recipient type"):
 *
 *     age1…        classic        X25519
 *     age1pq1…     post-quantum   ML-KEM-768 with X25519
 *
 * A recipients file has one a line; empty lines and lines that start with `#` are skipped.
 */
import { Encrypter } from 'age-encryption';
import type { Place } from '../../core/errors.ts';
import { FormatError } from '../errors.ts';

type RecipientKind = 'classic' | 'post-quantum';

export interface Recipient {
  readonly kind: RecipientKind;
  readonly text: string;
  /** Where it was written. */
  readonly at?: Place;
}

/** Recipients that one file can be sealed to: at least one, each once, all of one kind. */
export interface RecipientSet {
  readonly kind: RecipientKind;
  readonly recipients: readonly string[];
}

/** Longer than any recipient (a post-quantum one has 1959 characters). */
const MAX_RECIPIENT_CHARACTERS = 4096;
const MAX_FILE_CHARACTERS = 1024 * 1024;

/**
 * Parses one recipient. RECIPIENT_IS_IDENTITY for a secret key, which is never printed; RECIPIENT_UNSUPPORTED for SSH keys
 * and plugins; RECIPIENT_INVALID for the rest.
 */
export function parseRecipient(input: string, at?: Place): Recipient {
  const text = input.trim();
  const place = at === undefined ? {} : { at };
  if (/AGE-SECRET-KEY-|AGE-PLUGIN-|PRIVATE KEY/i.test(text)) {
    throw new FormatError('RECIPIENT_IS_IDENTITY', 'a secret key stands where a recipient belongs', {
      ...place,
      expected: 'age1… or age1pq1…',
      hint: 'Print the recipient of the identity file with `age-keygen -y FILE`, and keep the secret key to yourself.',
    });
  }
  const kind = kindOf(text);
  if (kind === undefined) throw unsupported(text, place);
  try {
    if (text.length > MAX_RECIPIENT_CHARACTERS) throw new Error('too long');
    new Encrypter().addRecipient(text);
  } catch {
    throw new FormatError('RECIPIENT_INVALID', 'an age recipient is mistyped or cut', {
      ...place,
      found: abbreviate(text),
      hint: 'Copy the whole recipient again: its checksum does not hold.',
    });
  }
  return { kind, text, ...place };
}

/** Parses a recipients file. Errors name `file` and the line. */
export function parseRecipientsFile(content: string, file?: string): readonly Recipient[] {
  const fileAt = file === undefined ? {} : { file };
  if (content.length > MAX_FILE_CHARACTERS) {
    throw new FormatError('RECIPIENT_INVALID', 'a recipients file is larger than any sane one', {
      at: fileAt,
      expected: `at most ${MAX_FILE_CHARACTERS} characters`,
      found: content.length,
      hint: 'Check that the file is a list of age recipients.',
    });
  }
  const recipients: Recipient[] = [];
  for (const [index, line] of content.split('\n').entries()) {
    const text = line.trim();
    if (text === '' || text.startsWith('#')) continue;
    recipients.push(parseRecipient(text, { ...fileAt, line: index + 1 }));
  }
  if (recipients.length === 0) throw empty(fileAt);
  return recipients;
}

/**
 * Joins recipients of all sources, drops what comes twice, and keeps the order. RECIPIENTS_MIXED when kinds differ: a file
 * sealed to both is only as strong as the classic one, and stock age refuses to write it.
 */
export function joinRecipients(recipients: readonly Recipient[]): RecipientSet {
  const first = recipients[0];
  if (first === undefined) throw empty({});
  const other = recipients.find((recipient) => recipient.kind !== first.kind);
  if (other !== undefined) {
    throw new FormatError('RECIPIENTS_MIXED', 'classic and post-quantum recipients are mixed', {
      expected: `only ${first.kind} recipients, as the first one`,
      found: `${other.kind}: ${abbreviate(other.text)}`,
      hint: 'Give recipients of one kind only: all age1… or all age1pq1….',
      ...(other.at === undefined ? {} : { at: other.at }),
    });
  }
  return { kind: first.kind, recipients: [...new Set(recipients.map((recipient) => recipient.text))] };
}

function kindOf(text: string): RecipientKind | undefined {
  if (text.startsWith('age1pq1')) return 'post-quantum';
  // Bech32 data never holds the separator `1`, so a second one means another type: a tag or a plugin.
  if (text.startsWith('age1') && !text.slice('age1'.length).includes('1')) return 'classic';
  return undefined;
}

function unsupported(text: string, place: { readonly at?: Place }): FormatError {
  const known = /^(ssh-|ecdsa-|sk-|github:)/.test(text) || text.startsWith('age1');
  if (!known) {
    // The text is not printed: it could be anything, a password among them.
    return new FormatError('RECIPIENT_INVALID', 'this is not an age recipient', {
      ...place,
      expected: 'age1… or age1pq1…',
      hint: 'Make an identity with `age-keygen` or `age-keygen -pq` and give its public key.',
    });
  }
  return new FormatError('RECIPIENT_UNSUPPORTED', 'this type of recipient is not supported', {
    ...place,
    expected: 'age1… or age1pq1…',
    found: abbreviate(text),
    hint: 'Make an identity with `age-keygen` or `age-keygen -pq` and give its public key.',
  });
}

function empty(at: Place): FormatError {
  return new FormatError('RECIPIENTS_EMPTY', 'there is no recipient', {
    at,
    hint: 'Name at least one recipient with -r age1… or -R FILE.',
  });
}

function abbreviate(text: string): string {
  return text.length <= 20 ? text : `${text.slice(0, 20)}… (${text.length} characters)`;
}

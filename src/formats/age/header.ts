/**
 * The header of an age file (C2SP age specification, "Header"):
 *
 *     age-encryption.org/v1 LF
 *     -> TYPE ARGUMENT … LF          one stanza per recipient: the file key, wrapped
 *     base64 in lines of 64, the last one shorter, LF
 *     --- MAC LF                     HMAC-SHA-256 over everything up to and with `---`, keyed from the file key
 *
 * The header is public. Only a holder of an identity can check its MAC.
 */
import { Decrypter, Encrypter, type Identity, type Stanza } from 'age-encryption';
import { FormatError } from '../errors.ts';
import { isArmored } from './armor.ts';
import { payloadSizeBytes } from './payload.ts';
import { joinRecipients, parseRecipient } from './recipients.ts';

/** Room for about 40 post-quantum or 600 classic recipients. What is larger is refused before it is parsed. */
export const MAX_HEADER_BYTES = 65_536;

const INTRO = 'age-encryption.org/v1\n';
const MAC_LINE = '\n--- ';

export interface NewHeader {
  readonly header: Uint8Array;
  /** 16 random bytes, of this file only. */
  readonly fileKey: Uint8Array;
}

/** What a courier sees: the types of the stanzas, in order. Names such as `X25519`, `mlkem768x25519` or `scrypt`. */
export interface HeaderView {
  readonly stanzaTypes: readonly string[];
}

/** Makes a file key and the header that wraps it for every recipient. Refuses what `joinRecipients` refuses. */
export async function createHeader(recipients: readonly string[]): Promise<NewHeader> {
  const set = joinRecipients(recipients.map((text) => parseRecipient(text)));
  const encrypter = new Encrypter();
  let captured: Uint8Array | undefined;
  try {
    for (const recipient of set.recipients) encrypter.addRecipient(recipient);
    // The library keeps the file key to itself; a recipient that adds no stanza is told it.
    encrypter.addRecipient({
      wrapFileKey(fileKey) {
        captured = fileKey.slice();
        return [];
      },
    });
    const file = await encrypter.encrypt(new Uint8Array(0));
    const header = file.slice(0, file.length - payloadSizeBytes(0));
    if (header.length > MAX_HEADER_BYTES) throw tooLarge('too many recipients for one file', header.length);
    if (captured === undefined) throw new Error('the file key was not handed out');
    return { header, fileKey: captured };
  } catch (error) {
    if (error instanceof FormatError) throw error;
    // A point of low order passes the checksum and fails here.
    throw new FormatError('RECIPIENT_INVALID', 'a recipient cannot be used to encrypt', {
      hint: 'Ask the recipient for a fresh public key.',
    });
  }
}

/**
 * Finds the header at the start of a file. Returns its length in bytes, or `undefined` when `prefix` ends before the
 * header does: call again with more. Throws AGE_MALFORMED for what is no age file, AGE_HEADER_TOO_LARGE beyond the limit.
 */
export function headerLengthBytes(prefix: Uint8Array): number | undefined {
  const text = Buffer.from(prefix.buffer, prefix.byteOffset, Math.min(prefix.length, MAX_HEADER_BYTES)).toString(
    'latin1',
  );
  if (!text.startsWith(INTRO.slice(0, text.length))) {
    throw malformed(isArmored(text) ? 'it is armored, where a binary age file belongs' : 'it is not an age file');
  }
  // Neither a stanza nor a line of base64 can start with `--- `: the first such line is the MAC, or the header is bad.
  const mac = text.indexOf(MAC_LINE);
  const end = mac < 0 ? -1 : text.indexOf('\n', mac + MAC_LINE.length);
  if (end >= 0) return end + 1;
  if (prefix.length >= MAX_HEADER_BYTES) throw tooLarge('the age header is larger than any sane one', prefix.length);
  return undefined;
}

/** Cuts a whole age file that is in memory into header and payload. */
export function splitFile(file: Uint8Array): { readonly header: Uint8Array; readonly payload: Uint8Array } {
  const length = headerLengthBytes(file);
  if (length === undefined) throw malformed('it is cut within its header');
  return { header: file.subarray(0, length), payload: file.subarray(length) };
}

/** Reads what is public in a header. AGE_MALFORMED when it does not follow the grammar. */
export async function viewHeader(header: Uint8Array): Promise<HeaderView> {
  const spy = stanzaSpy();
  const decrypter = new Decrypter();
  decrypter.addIdentity(spy.identity);
  await decrypter.decryptHeader(header).catch(() => {});
  const stanzas = spy.stanzas();
  if (stanzas === undefined) throw malformed('its header does not follow the grammar');
  return { stanzaTypes: stanzas.map((stanza) => stanza.args[0] ?? '') };
}

/**
 * Opens a header with the first identity that fits. Identities are `AGE-SECRET-KEY-1…`, `AGE-SECRET-KEY-PQ-1…`, or objects
 * of the library's `Identity` interface. Returns the file key. NO_MATCHING_IDENTITY, AGE_MALFORMED, AGE_HEADER_FORGED.
 */
export async function openHeader(header: Uint8Array, identities: readonly (string | Identity)[]): Promise<Uint8Array> {
  const before = stanzaSpy();
  const after = stanzaSpy();
  const decrypter = new Decrypter();
  decrypter.addIdentity(before.identity);
  for (const identity of identities) addIdentity(decrypter, identity);
  decrypter.addIdentity(after.identity);
  try {
    return await decrypter.decryptHeader(header);
  } catch (error) {
    // The library tells its failures apart by their texts only; how far it came says the same in a way that lasts.
    if (error instanceof FormatError) throw error;
    const stanzas = before.stanzas();
    if (stanzas === undefined) throw malformed('its header does not follow the grammar');
    if (after.stanzas() !== undefined) throw noMatch(stanzas, identities.length);
    throw new FormatError(
      'AGE_HEADER_FORGED',
      'the header of the age file was altered, or a stanza in it is malformed',
      {
        hint: 'Take the file from its source again.',
      },
    );
  }
}

function addIdentity(decrypter: Decrypter, identity: string | Identity): void {
  try {
    decrypter.addIdentity(identity);
  } catch {
    // Without the cause: the library's message would quote the secret.
    throw new FormatError('IDENTITY_INVALID', 'an age identity is mistyped or cut', {
      hint: 'Check the identity file: the checksum of its secret key does not hold.',
    });
  }
}

/** An identity that opens nothing and remembers the stanzas that it was shown. */
function stanzaSpy(): { readonly identity: Identity; readonly stanzas: () => readonly Stanza[] | undefined } {
  let seen: readonly Stanza[] | undefined;
  return {
    identity: {
      unwrapFileKey(stanzas) {
        seen = stanzas;
        return null;
      },
    },
    stanzas: () => seen,
  };
}

function noMatch(stanzas: readonly Stanza[], identities: number): FormatError {
  const types = [...new Set(stanzas.map((stanza) => stanza.args[0]))].join(', ');
  return new FormatError('NO_MATCHING_IDENTITY', 'none of the identities opens this age file', {
    expected: `the identity of a recipient; there are ${stanzas.length} (${types})`,
    found: `none among the ${identities} given`,
    hint: 'Give the identity file of a recipient that the file was sealed to.',
  });
}

function malformed(why: string): FormatError {
  return new FormatError('AGE_MALFORMED', `the age file is malformed: ${why}`, {
    hint: 'Take the file from its source again.',
  });
}

function tooLarge(what: string, foundBytes: number): FormatError {
  return new FormatError('AGE_HEADER_TOO_LARGE', what, {
    expected: `at most ${MAX_HEADER_BYTES} bytes`,
    found: foundBytes,
    hint: 'Use fewer recipients, or check that this is the right file.',
  });
}

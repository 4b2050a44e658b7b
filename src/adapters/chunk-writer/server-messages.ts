/**
 * Messages of PostgreSQL's protocol that are not data (PostgreSQL, "Message Formats"):
 *
 *     type      1 byte
 *     length    4 bytes, big endian; counts itself and the body
 *     body
 *
 * They come in parts, as everything that is received.
 */
import { AdapterError } from '../errors.ts';

const HEADER_BYTES = 5;
/** No error or notice is longer. */
const MAX_BODY_BYTES = 1024 * 1024;

const TYPES = {
  C: 'CommandComplete',
  E: 'ErrorResponse',
  H: 'CopyOutResponse',
  Z: 'ReadyForQuery',
  c: 'CopyDone',
  A: 'NotificationResponse',
  N: 'NoticeResponse',
  S: 'ParameterStatus',
} as const;

export interface ServerMessage {
  readonly type: (typeof TYPES)[keyof typeof TYPES] | 'other';
  readonly body: Uint8Array;
}

export interface MessageReader {
  /** True while a message has begun and not ended. */
  isPending(): boolean;
  /** Takes at most one message. */
  read(bytes: Uint8Array): { readonly taken: number; readonly message?: ServerMessage };
}

export function createMessageReader(place: string): MessageReader {
  let header = Buffer.alloc(HEADER_BYTES);
  let headed = 0;
  let body: Buffer | undefined;
  let filled = 0;
  return {
    isPending: () => headed > 0,
    read(bytes) {
      let taken = Math.min(HEADER_BYTES - headed, bytes.length);
      header.set(bytes.subarray(0, taken), headed);
      headed += taken;
      if (headed < HEADER_BYTES) return { taken };
      if (body === undefined) {
        const lengthBytes = header.readInt32BE(1) - 4;
        if (lengthBytes < 0 || lengthBytes > MAX_BODY_BYTES) throw malformed(place, lengthBytes);
        body = Buffer.alloc(lengthBytes);
        filled = 0;
      }
      const part = Math.min(body.length - filled, bytes.length - taken);
      body.set(bytes.subarray(taken, taken + part), filled);
      filled += part;
      taken += part;
      if (filled < body.length) return { taken };
      const letter = String.fromCharCode(header[0] as number) as keyof typeof TYPES;
      const message: ServerMessage = { type: TYPES[letter] ?? 'other', body };
      header = Buffer.alloc(HEADER_BYTES);
      headed = 0;
      body = undefined;
      return { taken, message };
    },
  };
}

/** The fields of an ErrorResponse, under the names that `pg` gives them. */
export function errorFields(body: Uint8Array): {
  readonly severity: string;
  readonly code: string;
  readonly message: string;
  readonly hint?: string;
} {
  const fields = new Map(
    Buffer.from(body)
      .toString('utf8')
      .split('\0')
      .filter((field) => field !== '')
      .map((field) => [field[0], field.slice(1)]),
  );
  const hint = fields.get('H');
  return {
    severity: fields.get('V') ?? fields.get('S') ?? 'ERROR',
    code: fields.get('C') ?? 'XX000',
    message: fields.get('M') ?? '',
    ...(hint === undefined ? {} : { hint }),
  };
}

function malformed(place: string, found: number): AdapterError {
  return new AdapterError('COPY_INCOMPLETE', 'The database sent a message of an impossible length', {
    found,
    at: { url: place },
    hint: 'Check that this is PostgreSQL itself, without a proxy between, and run the command again.',
  });
}

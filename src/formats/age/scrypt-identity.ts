/**
 * The scrypt stanza of an age file that a passphrase opens (C2SP age specification, "The scrypt recipient type"):
 *
 *     -> scrypt SALT LOG2N LF        16 bytes of salt in base64; the work factor in decimal
 *     body                           the file key under ChaCha20-Poly1305, key = scrypt(passphrase, label ‖ salt), nonce 0
 *
 * Node's scrypt takes the place of the library's: it is native, and runs beside the main thread.
 */
import { createDecipheriv, scrypt } from 'node:crypto';
import type { Identity, Stanza } from 'age-encryption';
import { FormatError } from '../errors.ts';

const LABEL = 'age-encryption.org/v1/scrypt';
/** 2^20 takes 1 GiB of memory. `age -p` writes 2^18; a larger one is an attack or a mistake. */
const MAX_LOG_N = 20;
const BLOCK_SIZE = 8;

/** An identity for openHeader. `passphrase` is called only when the header has a scrypt stanza. */
export function scryptIdentity(passphrase: () => Promise<string>): Identity {
  return {
    async unwrapFileKey(stanzas) {
      const stanza = stanzas.find(({ args }) => args[0] === 'scrypt');
      if (stanza === undefined) return null;
      const { salt, logN } = parseStanza(stanza, stanzas.length);
      const key = await derive(await passphrase(), salt, logN);
      const body = Buffer.from(stanza.body);
      const decipher = createDecipheriv('chacha20-poly1305', key, Buffer.alloc(12), { authTagLength: 16 });
      decipher.setAuthTag(body.subarray(16));
      const fileKey = decipher.update(body.subarray(0, 16));
      try {
        decipher.final();
      } catch {
        return null;
      }
      return new Uint8Array(fileKey);
    },
  };
}

function parseStanza(stanza: Stanza, stanzas: number): { readonly salt: Buffer; readonly logN: number } {
  const [, saltText = '', logNText = '', ...rest] = stanza.args;
  // Another recipient beside the passphrase could be the attacker's own: the specification forbids it.
  if (stanzas !== 1) throw malformed('a passphrase stanza is not the only one');
  if (rest.length > 0 || !/^[A-Za-z0-9+/]{22}$/.test(saltText)) throw malformed('its passphrase stanza has a bad salt');
  const salt = Buffer.from(saltText, 'base64');
  if (salt.toString('base64').replace(/=+$/, '') !== saltText) throw malformed('its passphrase stanza has a bad salt');
  if (!/^[1-9][0-9]?$/.test(logNText)) throw malformed('its passphrase stanza has a bad work factor');
  const logN = Number(logNText);
  if (logN > MAX_LOG_N) throw malformed(`its work factor 2^${logN} is above 2^${MAX_LOG_N}`);
  if (stanza.body.length !== 32) throw malformed('its passphrase stanza has a body of the wrong length');
  return { salt, logN };
}

function derive(passphrase: string, salt: Buffer, logN: number): Promise<Buffer> {
  const cost = 2 ** logN;
  const options = { N: cost, r: BLOCK_SIZE, p: 1, maxmem: 2 * 128 * cost * BLOCK_SIZE + 1024 * 1024 };
  return new Promise((resolve, reject) => {
    scrypt(passphrase, Buffer.concat([Buffer.from(LABEL), salt]), 32, options, (error, key) => {
      if (error) reject(error);
      else resolve(key);
    });
  });
}

function malformed(why: string): FormatError {
  return new FormatError('AGE_MALFORMED', `the age file is malformed: ${why}`, {
    hint: 'Make the file again with `age -p`.',
  });
}

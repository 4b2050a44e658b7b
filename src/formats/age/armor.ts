/**
 * The armor of age files (C2SP age specification, "ASCII armor"), a strict PEM: a BEGIN line, base64 in lines of 64
 * characters, an END line; white space only before and after. Read in identity files; what Portolan writes is binary.
 */
import { armor } from 'age-encryption';
import type { Place } from '../../core/errors.ts';
import { FormatError } from '../errors.ts';

const BEGIN = '-----BEGIN AGE ENCRYPTED FILE-----';

/** True when a text starts like an armored age file. */
export function isArmored(text: string): boolean {
  return text.trimStart().startsWith(BEGIN);
}

/** Returns the binary age file. AGE_MALFORMED when the armor is not exactly what the specification says. */
export function dearmor(text: string, at: Place = {}): Uint8Array {
  try {
    return armor.decode(text);
  } catch {
    throw new FormatError('AGE_MALFORMED', 'the armor of an age file is malformed', {
      at,
      hint: 'Copy the whole file again, with its BEGIN and END lines.',
    });
  }
}

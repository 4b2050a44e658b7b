import { createHash } from 'node:crypto';

/** The first 16 bytes of the SHA-256 of a recipient, for two people to compare by voice: eight groups of four hexadecimal digits. */
export function recipientFingerprint(recipient: string): string {
  const hex = createHash('sha256').update(recipient).digest('hex').slice(0, 32);
  return hex.replace(/.{4}(?=.)/g, '$& ');
}

/** For approvers. A login can be somebody's who was led to it, and does not know of any recipient. */
export const COMPARE_FINGERPRINT =
  'compare the whole fingerprint with this person yourself, by voice or face to face, and by no way that the file came';

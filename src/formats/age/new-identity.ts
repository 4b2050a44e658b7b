/**
 * New age identities, and the file that keeps one as `age-keygen` writes it:
 *
 *     # created: 2026-01-31T12:00:00Z
 *     # public key: age1pq1…
 *     AGE-SECRET-KEY-PQ-1…
 *
 * With a passphrase: the same text as an armored age file of one scrypt stanza, as `age -p -a` makes.
 */
import { armor, Encrypter, generateHybridIdentity, generateX25519Identity, identityToRecipient } from 'age-encryption';

export interface NewIdentity {
  /** `AGE-SECRET-KEY-PQ-1…` or `AGE-SECRET-KEY-1…`. */
  readonly identity: string;
  /** `age1pq1…` or `age1…`. */
  readonly recipient: string;
}

export async function createIdentity(kind: 'post-quantum' | 'classic'): Promise<NewIdentity> {
  const identity = await (kind === 'classic' ? generateX25519Identity() : generateHybridIdentity());
  return { identity, recipient: await identityToRecipient(identity) };
}

/** The text of an identity file, readable by age and rage. */
export function encodeIdentityFile({ identity, recipient }: NewIdentity, createdMs: number): string {
  const created = new Date(createdMs).toISOString().replace(/\.\d+Z$/, 'Z');
  return `# created: ${created}\n# public key: ${recipient}\n${identity}\n`;
}

/** Protects an identity file. Takes about a second: scrypt with 2^18 rounds, as age does. */
export async function protectIdentityFile(text: string, passphrase: string): Promise<string> {
  const encrypter = new Encrypter();
  encrypter.setPassphrase(passphrase);
  return armor.encode(await encrypter.encrypt(text));
}

import { UsageError } from '../errors.ts';

/** What is typed blindly is typed twice. */
export async function askNewPassphrase(askSecret: (prompt: string) => Promise<string>): Promise<string> {
  const first = await askSecret('Passphrase: ');
  if (first === '')
    throw new UsageError('USAGE', 'the passphrase is empty', { hint: 'Type one that you can remember.' });
  if ((await askSecret('The same again: ')) === first) return first;
  throw new UsageError('USAGE', 'the passphrases differ', { hint: 'Run the command again.' });
}

import type { Kubernetes } from '../../../ports/kubernetes.ts';
import { UseCaseError } from '../../errors.ts';
import type { BundleDatabase } from '../../import/types.ts';

/** What the Secret of the bundle's database holds. @throws UseCaseError RESTORE_WAY_CLOSED, which does not show it */
export async function readPassword(
  { namespace, password: { secret, key } }: Pick<BundleDatabase, 'namespace' | 'password'>,
  kubernetes: Kubernetes,
  options: { readonly signal: AbortSignal },
): Promise<string> {
  const found = await kubernetes.get({ apiVersion: 'v1', kind: 'Secret', namespace, name: secret }, options);
  const value = (found?.data as Readonly<Record<string, unknown>> | undefined)?.[key];
  if (typeof value === 'string') return Buffer.from(value, 'base64').toString('utf8');
  throw new UseCaseError('RESTORE_WAY_CLOSED', 'The password of the database is not where the bundle says', {
    expected: `the key ${key} of the Secret ${namespace}/${secret}`,
    found: found === undefined ? 'no such Secret' : 'no such key',
    hint: 'See whether the data chart makes it, or make it by hand, and run the command again.',
  });
}

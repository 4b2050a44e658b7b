import type { Installed } from '../../formats/target/installed.ts';
import { UseCaseError } from '../errors.ts';
import { listInstalled, readInstalled } from './installed-state.ts';
import type { InstalledDependencies, LockedRequest } from './types.ts';

/** Runs `work` with the target's lock held; its signal also aborts when the lock is lost. */
export async function withTargetLock<T>(
  { holder, lockWaitMs }: LockedRequest,
  { state, progress }: Pick<InstalledDependencies, 'state' | 'progress'>,
  options: { readonly signal?: AbortSignal },
  work: (signal: AbortSignal) => Promise<T>,
): Promise<T> {
  await using lock = await state.lock(holder, {
    waitMs: lockWaitMs,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
    onWait: (other) => progress.warn(`waiting for ${other}, who works on ${state.place}`),
  });
  const signal = options.signal === undefined ? lock.signal : AbortSignal.any([options.signal, lock.signal]);
  return await work(signal);
}

/** @throws UseCaseError BUNDLE_NOT_INSTALLED, naming what is */
export async function requireInstalled(
  { state }: Pick<InstalledDependencies, 'state'>,
  name: string,
  options: { readonly signal?: AbortSignal },
): Promise<Installed> {
  const installed = await readInstalled(state, name, options);
  if (installed.applied !== undefined || installed.running !== undefined) return installed;
  const names = (await listInstalled(state, options)).filter(({ applied }) => applied !== undefined);
  throw new UseCaseError('BUNDLE_NOT_INSTALLED', `${state.place} has no bundle called ${name}`, {
    expected: names.map((one) => one.name).join(', ') || 'no bundle is installed there',
    found: name,
    hint: 'portolan bundle status lists what is installed, and --context or --state says where it looks.',
  });
}

import type { BundleLock } from './lock-types.ts';

/** One difference between two locks, for a person to read. */
export interface LockChange {
  readonly what: 'bundle' | 'feature' | 'chart' | 'values' | 'image' | 'migration' | 'configuration' | 'file';
  readonly name: string;
  /** Absent when it is new. */
  readonly from?: string;
  /** Absent when it is gone. */
  readonly to?: string;
}

/** What moved from `before` to `after`, in the order of the lock, sorted by name within a kind. */
export function lockChanges(before: BundleLock, after: BundleLock): readonly LockChange[] {
  return [
    ...differences('bundle', facts(before), facts(after)),
    ...differences('feature', features(before), features(after)),
    ...differences('chart', charts(before), charts(after)),
    ...differences('values', values(before), values(after)),
    ...differences('image', images(before), images(after)),
    ...differences('migration', modules(before), modules(after)),
    ...differences('configuration', byPath(before.configuration), byPath(after.configuration)),
    ...differences('file', byPath(before.files), byPath(after.files)),
  ];
}

type Named = ReadonlyMap<string, string>;

function differences(what: LockChange['what'], before: Named, after: Named): LockChange[] {
  const names = [...new Set([...before.keys(), ...after.keys()])].sort();
  return names.flatMap((name) => {
    const [from, to] = [before.get(name), after.get(name)];
    if (from === to) return [];
    return [{ what, name, ...(from === undefined ? {} : { from }), ...(to === undefined ? {} : { to }) }];
  });
}

function facts(lock: BundleLock): Named {
  const { name, version, sequence, audience, platforms, provider, valuesFiles, signers, pieceSizeBytes, receipt } =
    lock;
  const entries = {
    name,
    version,
    sequence: String(sequence),
    audience: audience.join(', '),
    platforms: platforms.join(', '),
    provider: provider ?? '',
    'values files': (valuesFiles ?? []).join(', '),
    signers: signers.join(', '),
    'piece size': `${pieceSizeBytes} bytes`,
    database: databaseText(lock),
    'recipients of receipts': (receipt?.recipients ?? []).join(', '),
  };
  return new Map(Object.entries(entries).filter(([, value]) => value !== ''));
}

function features(lock: BundleLock): Named {
  return new Map(Object.entries(lock.features).map(([name, on]) => [name, on ? 'on' : 'off']));
}

function charts(lock: BundleLock): Named {
  return new Map(
    lock.charts.map(({ name, release, namespace, stage, version, digest }) => [
      name,
      `${version} ${digest} as ${namespace}/${release} (${stage})`,
    ]),
  );
}

function values(lock: BundleLock): Named {
  return new Map<string, string>(
    lock.charts.flatMap(({ name, values: { digest }, imageValues = [] }) => [
      [name, digest] as const,
      ...imageValues.map(({ path, image, part }) => [`${name}: image value ${path}`, `${part} of ${image}`] as const),
    ]),
  );
}

function databaseText({ database }: BundleLock): string {
  if (database === undefined) return '';
  const { namespace, host, port, name, user, password, sslMode, image } = database;
  const by = image === undefined ? '' : ` by ${image}`;
  return `${user} at ${host}:${port}/${name} (${sslMode}) from ${namespace}, Secret ${password.secret}/${password.key}${by}`;
}

function images(lock: BundleLock): Named {
  return new Map(
    lock.images.map(({ reference, digest, attachments }) => [
      reference,
      attachments.length === 0 ? digest : `${digest} with ${[...attachments].sort().join(', ')}`,
    ]),
  );
}

function modules(lock: BundleLock): Named {
  return new Map(
    lock.modules.flatMap(({ name, requires, files }) => [
      [name, requires.length === 0 ? 'requires nothing' : `requires ${requires.join(', ')}`] as const,
      ...files.map((file) => [`${name}/${file.name}`, file.digest] as const),
    ]),
  );
}

function byPath(items: readonly { path: string; digest: string; mode?: number }[]): Named {
  return new Map(
    items.map(({ path, digest, mode }) => [path, mode === undefined ? digest : `${digest} mode ${mode.toString(8)}`]),
  );
}

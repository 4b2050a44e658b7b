import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip } from 'node:zlib';
import { extract } from 'tar-stream';
import { FormatError } from '../errors.ts';
import { CHART_YAML_LIMIT_BYTES, type ChartMetadata, decodeChartYaml } from './chart-yaml.ts';

/**
 * A packaged chart: gzip around a tar whose entries all lie in one folder, `NAME/Chart.yaml` among them. It is carried byte
 * for byte, so it is checked as it streams by: files and folders only, no path that leads out, limits on entries and on the
 * unpacked size (helm's own limit is 100 MiB), packed subcharts (`charts/*.tgz`) included.
 */

export interface ChartArchiveLimits {
  readonly entries: number;
  readonly unpackedBytes: number;
}

const CHART_ARCHIVE_LIMITS: ChartArchiveLimits = { entries: 20_000, unpackedBytes: 100 * 1024 * 1024 };
const NESTING_LIMIT = 8;

/** @throws FormatError CHART_INVALID, CHART_UNSAFE. Reads the source to its end. */
export async function inspectChartArchive(
  source: AsyncIterable<Uint8Array>,
  file: string,
  options: { readonly limits?: ChartArchiveLimits; readonly signal?: AbortSignal } = {},
): Promise<ChartMetadata> {
  const limits = options.limits ?? CHART_ARCHIVE_LIMITS;
  const budget = { entries: limits.entries, bytes: limits.unpackedBytes };
  return inspect(source, {
    file,
    budget,
    depth: 0,
    ...(options.signal === undefined ? {} : { signal: options.signal }),
  });
}

type Entry = ReturnType<typeof extract> extends AsyncIterable<infer Item> ? Item : never;

interface Inspection {
  readonly file: string;
  /** Shared with the archives inside: a bomb may be packed in layers. */
  readonly budget: { entries: number; bytes: number };
  readonly depth: number;
  readonly signal?: AbortSignal;
}

async function inspect(source: AsyncIterable<Uint8Array>, inspection: Inspection): Promise<ChartMetadata> {
  const { file, signal } = inspection;
  const archive = extract();
  const gunzip = createGunzip();
  const feeding = pipeline(
    Readable.from(source, { objectMode: false }),
    gunzip,
    archive,
    signal === undefined ? {} : { signal },
  );
  // Its failure is seen below; until then it must not count as unhandled.
  feeding.catch(() => {});
  let chartYaml: string | undefined;
  try {
    for await (const entry of archive) {
      const inner = checkEntry(entry, inspection);
      if (inner === 'Chart.yaml') chartYaml = (await readEntry(entry, inspection, CHART_YAML_LIMIT_BYTES)).toString();
      else if (/^charts\/[^/]+\.tgz$/.test(inner)) await inspectNested(entry, inner, inspection);
      else await readEntry(entry, inspection, 0);
    }
    await feeding;
  } catch (cause) {
    gunzip.destroy();
    archive.destroy();
    signal?.throwIfAborted();
    throw asFormatError(cause, file);
  }
  if (chartYaml === undefined) {
    throw new FormatError('CHART_INVALID', 'The archive holds no Chart.yaml in its folder.', {
      at: { file },
      hint: 'Pack the chart with `helm package`.',
    });
  }
  return decodeChartYaml(chartYaml, `${file}: Chart.yaml`);
}

/** The entry's path inside the chart's folder; empty for the folder itself. */
function checkEntry(entry: Entry, { file, budget }: Inspection): string {
  const { name, type } = entry.header;
  const shown = name.slice(0, 200);
  budget.entries--;
  if (budget.entries < 0) throw unsafe('It has too many entries.', file, shown);
  if (type !== 'file' && type !== 'directory' && type !== 'contiguous-file') {
    throw unsafe('It holds something that is neither a file nor a folder.', file, `${shown} (${type})`);
  }
  const parts = name.replace(/^\.\//, '').replace(/\/+$/, '').split('/');
  const escapes = name.startsWith('/') || /[\\\0]/.test(name) || /^[A-Za-z]:/.test(name) || parts.includes('..');
  if (escapes || parts.slice(1).some((part) => part === '' || part === '.')) {
    throw unsafe('It holds a path that leads out of the chart.', file, shown);
  }
  if (type !== 'directory' && parts.length < 2)
    throw unsafe('A file lies outside the folder of the chart.', file, shown);
  return parts.slice(1).join('/');
}

/** Counts the content against the budget and keeps it when it may have up to `keepBytes`. */
async function readEntry(entry: Entry, inspection: Inspection, keepBytes: number): Promise<Buffer> {
  const kept: Uint8Array[] = [];
  let sizeBytes = 0;
  for await (const chunk of counted(entry, inspection)) {
    sizeBytes += chunk.length;
    if (keepBytes === 0) continue;
    if (sizeBytes > keepBytes)
      throw unsafe('A file in it is too large.', inspection.file, entry.header.name.slice(0, 200));
    kept.push(chunk);
  }
  return Buffer.concat(kept);
}

async function inspectNested(entry: Entry, inner: string, inspection: Inspection): Promise<void> {
  const file = `${inspection.file}: ${inner}`;
  if (inspection.depth >= NESTING_LIMIT) throw unsafe('Charts are packed into one another too deeply.', file, inner);
  await inspect(counted(entry, inspection), { ...inspection, file, depth: inspection.depth + 1 });
}

async function* counted(entry: Entry, { file, budget }: Inspection): AsyncGenerator<Uint8Array> {
  for await (const chunk of entry as unknown as AsyncIterable<Uint8Array>) {
    budget.bytes -= chunk.length;
    if (budget.bytes < 0)
      throw unsafe('It unpacks to more than a chart may have.', file, entry.header.name.slice(0, 200));
    yield chunk;
  }
}

function unsafe(message: string, file: string, found: string): FormatError {
  return new FormatError('CHART_UNSAFE', `The chart's archive cannot be trusted. ${message}`, {
    found,
    at: { file },
    hint: 'Find out where the archive comes from, and pack the chart again with `helm package`.',
  });
}

function asFormatError(cause: unknown, file: string): unknown {
  if (cause instanceof FormatError) return cause;
  const code = (cause as NodeJS.ErrnoException).code ?? '';
  // zlib's and the tar reader's own failures; what the source threw (a file that cannot be read) passes through.
  const isOurs =
    code.startsWith('Z_') || (cause instanceof Error && !('syscall' in cause) && cause.constructor === Error);
  if (!isOurs) return cause;
  return new FormatError('CHART_INVALID', 'The file is not a packaged chart: it is not a whole .tgz archive.', {
    cause,
    at: { file },
    hint: 'Pack the chart again with `helm package`.',
  });
}

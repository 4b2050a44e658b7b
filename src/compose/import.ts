import { arch, tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { writeFileDurable } from '../adapters/files/durable.ts';
import { openMedium } from '../adapters/medium/medium.ts';
import { createProjectFiles } from '../adapters/project-files/project-files.ts';
import { findKeptProgram, keepProgram } from '../adapters/work-folder/kept-program.ts';
import { createWorkFolder } from '../adapters/work-folder/work-folder.ts';
import type { PortolanError } from '../core/errors.ts';
import { CONFIGURATION_LIMIT_BYTES } from '../formats/configuration/document.ts';
import { mirroredReference } from '../formats/oci/registry-address.ts';
import type { Trust } from '../formats/sigstore/trust.ts';
import type { Database } from '../ports/database.ts';
import { UseCaseError } from '../usecases/errors.ts';
import { type ImportReport, importBundle, planImport } from '../usecases/import/import.ts';
import { CARRIED_HELM } from '../usecases/import/plan-charts.ts';
import type { Rehearsal } from '../usecases/import/rehearsal.ts';
import type {
  ClusterTools,
  DatabaseStep,
  ImportDependencies,
  ImportPart,
  ImportPlan,
  ImportRequest,
} from '../usecases/import/types.ts';
import { type BundleAddress, disposableEngine } from './bundle-medium.ts';
import { k3sRunsHere, openImageTarget, parseTargetAddress, type TargetAddress } from './image-targets.ts';
import { holderName, keptHelmPath, openTarget, type Running, type TargetOptions } from './installed.ts';
import { composeMigrationRunners } from './migration-runners.ts';

export interface ImportOptions extends TargetOptions {
  readonly trust: Trust;
  readonly identities: readonly string[];
  /** --images; absent: k3s' containerd where k3s runs here. */
  readonly images: string | undefined;
  readonly parts: ReadonlySet<ImportPart>;
  readonly rewriteImages: boolean;
  readonly database: Database | undefined;
  readonly allowDowngrade: boolean;
  readonly allowOrphans: boolean;
  readonly chartTimeoutMs: number;
  readonly lockWaitMs: number;
  readonly helm: string | undefined;
  readonly caFile: string | undefined;
  /** Absolute. */
  readonly receipt: string | undefined;
  /** Of a restore: what fills the databases in that cluster. */
  readonly databases?: (cluster: ClusterTools) => DatabaseStep;
  readonly rehearsal?: Rehearsal;
  /** Files of `config export`, as typed. */
  readonly configuration?: readonly string[];
}

export interface PlannedImport {
  readonly plan: ImportPlan;
  readonly problems: readonly PortolanError[];
}

export function composeImportPlan(
  address: BundleAddress,
  options: ImportOptions,
  running: Running,
): Promise<PlannedImport> {
  return withImport(address, options, running, { keepHelm: false }, (request, dependencies) =>
    planImport(request, dependencies, running),
  );
}

export function composeImport(
  address: BundleAddress,
  options: ImportOptions,
  running: Running & { readonly onPlan: (plan: ImportPlan) => void },
): Promise<ImportReport> {
  return withImport(address, options, running, { keepHelm: true }, async (request, dependencies) => {
    const report = await importBundle(request, dependencies, running);
    if (options.receipt !== undefined) await writeFileDurable(options.receipt, report.receipt);
    return report;
  });
}

async function withImport<T>(
  address: BundleAddress,
  options: ImportOptions,
  running: Running,
  { keepHelm }: { readonly keepHelm: boolean },
  act: (request: ImportRequest, dependencies: ImportDependencies) => Promise<T>,
): Promise<T> {
  const { parts } = options;
  const target = parts.has('images') ? await targetOf(options, running) : undefined;
  const medium = await openMedium(address.folder);
  await using work = await createWorkFolder(tmpdir());
  await using engine = disposableEngine();
  const wantsCluster =
    parts.has('charts') || parts.has('configuration') || (parts.has('migrations') && options.database === undefined);
  await using opened = await openTarget({ ...options, withCluster: wantsCluster, temporaryFolder: work.path }, running);
  const { state, cluster } = opened;
  const images = target === undefined ? undefined : await openImageTarget(target, { ...running, ...caFileOf(options) });
  const tag = address.tag === undefined ? {} : { tag: address.tag };
  const request: ImportRequest = {
    ...tag,
    trust: options.trust,
    identities: options.identities,
    parts,
    allowDowngrade: options.allowDowngrade,
    allowOrphans: options.allowOrphans,
    ...rewriteOf(options, target),
    ...(options.rehearsal === undefined ? {} : { rehearsal: options.rehearsal }),
    documents: await readDocuments(options.configuration ?? [], running.cwd),
    chartTimeoutMs: options.chartTimeoutMs,
    lockWaitMs: options.lockWaitMs,
    holder: holderName(),
    ...(options.helm === undefined ? {} : { helmPath: options.helm }),
    host: `linux-${arch() === 'x64' ? 'amd64' : arch()}`,
  };
  const reach = {
    ...(options.database === undefined ? {} : { database: options.database }),
    ...(cluster === undefined ? {} : { kubernetes: cluster.kubernetes }),
  };
  const outcome = await act(request, {
    medium,
    engine,
    progress: running.progress,
    state,
    work,
    ...(images === undefined ? {} : { images }),
    ...(cluster === undefined ? {} : { cluster }),
    migrations: composeMigrationRunners(reach, options.lockWaitMs),
    ...(options.database === undefined ? {} : { database: options.database }),
    ...(options.databases === undefined || cluster === undefined ? {} : { databases: options.databases(cluster) }),
    now: () => new Date(running.now()),
  });
  // Checked and used: rollback and removal need it on a machine that has none of its own.
  const helm = keepHelm ? await findKeptProgram(join(work.path, CARRIED_HELM)) : undefined;
  if (helm !== undefined) await keepProgram(helm, keptHelmPath(running.env));
  return outcome;
}

async function readDocuments(files: readonly string[], cwd: string): Promise<NonNullable<ImportRequest['documents']>> {
  const read = files.map(async (file) => {
    const bytes = await createProjectFiles().read(resolve(cwd, file), CONFIGURATION_LIMIT_BYTES);
    return { path: file, text: new TextDecoder().decode(bytes) };
  });
  return await Promise.all(read);
}

async function targetOf({ images }: ImportOptions, { cwd }: Running): Promise<TargetAddress | undefined> {
  if (images !== undefined) return parseTargetAddress(images, cwd);
  return (await k3sRunsHere()) ? { kind: 'containerd' } : undefined;
}

/** References as nodes find them that take no mirrors: in the registry that the images go to. */
function rewriteOf(
  { rewriteImages, images }: ImportOptions,
  target: TargetAddress | undefined,
): { rewrite?: (reference: string) => string } {
  if (!rewriteImages) return {};
  if (target?.kind !== 'registry') {
    throw new UseCaseError('TARGET_NOT_SAID', 'References can be rewritten to a registry only', {
      expected: '--images registry=HOST[:PORT][/PREFIX]',
      found: images ?? 'no --images',
      hint: 'Name the registry that the nodes pull from, or leave --rewrite-images out.',
    });
  }
  return { rewrite: (reference) => mirroredReference(reference, target.address) };
}

function caFileOf({ caFile }: ImportOptions): { caFile?: string } {
  return caFile === undefined ? {} : { caFile };
}

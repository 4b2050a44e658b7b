import { resolve } from 'node:path';
import { createChunkReader } from '../adapters/chunk-reader/chunk-reader.ts';
import { createFileTreeWriter } from '../adapters/file-tree/writer.ts';
import {
  type FolderReport,
  type FolderRequest,
  restoreToFolder,
} from '../usecases/restore/folder/restore-to-folder.ts';
import { openForRestore, type SnapshotRequest } from '../usecases/restore/restore.ts';
import { openPlace, openTrusted, type RepositoryOptions, type Running } from './repository.ts';
import { type Restorer, recordedWork } from './restorer.ts';

/** `folder` as typed. */
export interface FolderRestoreSettings extends RepositoryOptions, SnapshotRequest, FolderRequest {
  /** `undefined` for a plan, which is not recorded. */
  readonly restorer: Restorer | undefined;
}

/** Restores a snapshot into a folder: files, and databases as files for PostgreSQL's own programs. */
export async function composeFolderRestore(settings: FolderRestoreSettings, running: Running): Promise<FolderReport> {
  const { progress, signal, cwd } = running;
  await using place = await openPlace(settings, running);
  const repository = await openTrusted(place, settings, running);
  const { sources: source, paths: path } = settings;
  const folder = resolve(cwd, settings.folder);
  const facts = {
    what: 'restore',
    repository: repository.id,
    target: `folder:${folder}`,
    selection: { source, path },
  } as const;
  return await recordedWork(settings.restorer, facts, settings, running, async (opening) => {
    const opened = await openForRestore(repository, settings, { progress }, { signal, ...opening });
    return await restoreToFolder(
      opened,
      { ...settings, folder },
      { files: createFileTreeWriter({ effectiveUid: process.geteuid?.() ?? -1 }), createChunkReader, progress },
      { signal },
    );
  });
}

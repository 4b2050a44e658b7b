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

/** `folder` as typed. */
export interface FolderRestoreSettings extends RepositoryOptions, SnapshotRequest, FolderRequest {}

/** Restores a snapshot into a folder: files, and databases as files for PostgreSQL's own programs. */
export async function composeFolderRestore(settings: FolderRestoreSettings, running: Running): Promise<FolderReport> {
  const { progress, signal, cwd } = running;
  await using place = await openPlace(settings, running);
  const repository = await openTrusted(place, settings, running);
  const opened = await openForRestore(repository, settings, { progress }, { signal });
  return await restoreToFolder(
    opened,
    { ...settings, folder: resolve(cwd, settings.folder) },
    { files: createFileTreeWriter({ effectiveUid: process.geteuid?.() ?? -1 }), createChunkReader, progress },
    { signal },
  );
}

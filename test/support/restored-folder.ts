import { createChunkReader } from '../../src/adapters/chunk-reader/chunk-reader.ts';
import { createFileTreeReader } from '../../src/adapters/file-tree/reader.ts';
import { createFileTreeWriter } from '../../src/adapters/file-tree/writer.ts';
import type { BackupSource } from '../../src/ports/backup-source.ts';
import type { ChunkReaderSettings } from '../../src/ports/chunks.ts';
import { silentProgress } from '../../src/ports/progress.ts';
import { createFilesSource, type FilesSourceSettings } from '../../src/usecases/backup/files/source.ts';
import { openSnapshot } from '../../src/usecases/repository/open-snapshot.ts';
import {
  type FolderDependencies,
  type FolderReport,
  type FolderRequest,
  restoreToFolder,
} from '../../src/usecases/restore/folder/restore-to-folder.ts';
import { type BackupRepository, signal } from './backup-repository.ts';

export function filesSource(folder: string, settings: Partial<FilesSourceSettings> = {}): BackupSource {
  const files = createFileTreeReader();
  return createFilesSource({
    name: 'files',
    folder,
    files,
    exclude: [],
    oneFileSystem: false,
    now: Date.now,
    ...settings,
  });
}

export interface RestoreOptions extends Partial<FolderRequest> {
  readonly snapshot?: string;
  readonly files?: FolderDependencies['files'];
  readonly createReader?: FolderDependencies['createChunkReader'];
  readonly effectiveUid?: number;
}

export async function restoreFolder(
  repository: BackupRepository,
  folder: string,
  { snapshot = 'latest', files, createReader, effectiveUid = process.getuid?.() ?? 0, ...request }: RestoreOptions = {},
): Promise<FolderReport> {
  const opened = await openSnapshot(await repository.open(), snapshot, [repository.identity], { signal });
  return await restoreToFolder(
    opened,
    { folder, sources: [], paths: [], overwrite: false, plan: false, ...request },
    {
      files: files ?? createFileTreeWriter({ effectiveUid }),
      createChunkReader: createReader ?? ((settings: ChunkReaderSettings) => createChunkReader(settings)),
      progress: silentProgress,
    },
    { signal },
  );
}

import { FormatError } from '../../formats/errors.ts';
import { sortModuleFiles } from '../../formats/migration/module-files.ts';
import { orderByRequirements } from '../../formats/migration/module-order.ts';
import type { LedgerKey } from './ledger.ts';
import type { MigrationFile, MigrationModule } from './types.ts';

/** A file with what the ledger knows it by. */
export interface OrderedFile extends LedgerKey {
  readonly source: MigrationFile;
}

export interface OrderedModule {
  readonly name: string;
  /** By number. */
  readonly files: readonly OrderedFile[];
}

/**
 * Modules after what they require, files by number.
 *
 * @throws FormatError MODULE_INVALID, DUPLICATE, DEPENDENCY_MISSING, DEPENDENCY_CYCLE
 */
export function orderModules(modules: readonly MigrationModule[]): readonly OrderedModule[] {
  const order = orderByRequirements(modules);
  if (order.kind === 'missing') {
    throw new FormatError(
      'DEPENDENCY_MISSING',
      `Module ${order.item.name} requires ${order.name}, which is not there`,
      {
        hint: 'Add the module, or correct what is required.',
      },
    );
  }
  if (order.kind === 'cycle') {
    throw new FormatError('DEPENDENCY_CYCLE', 'Modules require one another in a circle', {
      found: order.loop.join(' → '),
      hint: 'Take one of the requirements away.',
    });
  }
  return order.items.map(({ name, files }) => {
    const byName = new Map(files.map((file) => [file.name, file]));
    const sorted = sortModuleFiles(
      files.map((file) => file.name),
      name,
    );
    return {
      name,
      files: sorted.map((file) => {
        const source = byName.get(file.name) as MigrationFile;
        const { digest } = source;
        const kind = file.isContract ? 'contract' : 'expand';
        return { module: name, number: file.number, name: file.name, digest, kind, source };
      }),
    };
  });
}

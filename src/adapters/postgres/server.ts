import type { DatabaseServer } from '../../ports/database.ts';
import { AdapterError } from '../errors.ts';
import { createDatabase, type DatabaseSettings } from './database.ts';
import { urlOfDatabase } from './database-url.ts';
import { findPassword, type PasswordSources } from './password.ts';

/** The server behind an address: every database of it, by the same user and the same rules. */
export function createDatabaseServer(settings: DatabaseSettings): DatabaseServer {
  // A file may be a pipe (`<(command)`), which can be read once.
  let fromFile: Promise<string> | undefined;
  const passwordFor = async (address: DatabaseSettings['address']): Promise<string | undefined> => {
    if (settings.password.file === undefined) return passwordIfAny(address, settings.password);
    fromFile ??= findPassword(address, settings.password);
    return await fromFile;
  };
  return {
    name: settings.address.name,
    user: settings.address.user,
    async database(name) {
      const address = { ...settings.address, name };
      const password = await passwordFor(address);
      return {
        name,
        database: createDatabase({ ...settings, address, password: password === undefined ? {} : { value: password } }),
        connection: {
          url: urlOfDatabase(address),
          ...(password === undefined ? {} : { password }),
          ...(settings.caFile === undefined ? {} : { caFile: settings.caFile }),
        },
      };
    },
  };
}

/** Whether the server asks for one is only known when it does. */
async function passwordIfAny(
  address: DatabaseSettings['address'],
  sources: PasswordSources,
): Promise<string | undefined> {
  try {
    return await findPassword(address, sources);
  } catch (cause) {
    if (cause instanceof AdapterError && cause.code === 'DATABASE_PASSWORD_MISSING') return undefined;
    throw cause;
  }
}

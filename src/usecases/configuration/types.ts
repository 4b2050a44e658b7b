import type { Database } from '../../ports/database.ts';
import type { Kubernetes } from '../../ports/kubernetes.ts';
import type { Releases } from '../../ports/releases.ts';

/** What a configuration is read from or written to; what is not needed need not be there. */
export interface ConfigurationPlaces {
  readonly kubernetes?: Kubernetes;
  readonly releases?: Pick<Releases, 'status' | 'values'>;
  readonly database?: Database;
}

/** `NAMESPACE/NAME` of the command line. */
export interface ObjectName {
  readonly namespace: string;
  readonly name: string;
}

export interface TableName {
  readonly schema: string;
  readonly name: string;
}

export type ConfigurationPart = 'config-maps' | 'secrets' | 'values' | 'tables';

/** One difference between a document and a target. Never a value. */
export interface ConfigurationChange {
  readonly kind: 'ConfigMap' | 'Secret' | 'Release' | 'Table';
  /** `NAMESPACE/NAME` or `SCHEMA.NAME`. */
  readonly name: string;
  readonly action: 'added' | 'changed' | 'same';
  /** Keys (of a ConfigMap or Secret) or top-level values that differ. */
  readonly keys?: readonly string[];
  readonly rows?: { readonly added: number; readonly changed: number; readonly same: number };
  /** The object belongs to a Helm release, whose next upgrade writes it again. */
  readonly isOfHelm?: true;
}

/** The places that a request needs were passed in: anything else is a fault of the program. */
export function needed<Place>(place: Place | undefined, what: string): Place {
  if (place === undefined) throw new TypeError(`no ${what} was passed in`);
  return place;
}

import type { Digest } from '../../core/digest.ts';
import type { PortolanError } from '../../core/errors.ts';
import type { Contents } from '../../formats/bundle/contents.ts';
import {
  type ConfigurationDocument,
  decodeConfiguration,
  isConfigurationDocument,
  type SealedConfiguration,
} from '../../formats/configuration/document.ts';
import { openConfiguration } from '../../formats/configuration/sealed.ts';
import type { Database } from '../../ports/database.ts';
import type { AccessQuestion, Kubernetes } from '../../ports/kubernetes.ts';
import type { Progress } from '../../ports/progress.ts';
import { importConfiguration } from '../configuration/import.ts';
import type { ReleaseName } from '../configuration/objects.ts';
import type { ConfigurationChange, ConfigurationPart } from '../configuration/types.ts';
import { UseCaseError } from '../errors.ts';
import { collect } from '../refuse.ts';

/** What `config export` wrote and a bundle carries: its objects and tables are brought to the target, not the document itself. */
export interface CarriedDocument {
  /** Inside the bundle. */
  readonly path: string;
  readonly document: ConfigurationDocument;
  /** Absent where no Secret is sealed in it. Values of releases stay closed: a bundle has values of its own. */
  readonly sealed?: SealedConfiguration;
}

/** The JSON documents of a bundle, apart by what an import makes of them. */
export interface CarriedConfiguration {
  /** Text by path: keys of the bundle's ConfigMap. */
  readonly texts: Readonly<Record<string, string>>;
  readonly documents: CarriedDocument[];
}

/** @param textOf - The text of a document, checked to be what its digest says. Documents that cannot be used become problems. */
export async function readCarriedConfiguration(
  { configuration }: Pick<Contents, 'configuration'>,
  textOf: (digest: Digest) => Promise<string>,
  identities: readonly string[],
  problems: PortolanError[],
): Promise<CarriedConfiguration> {
  const texts: Record<string, string> = {};
  const documents: CarriedDocument[] = [];
  for (const { path, kind, digest } of configuration) {
    if (kind !== 'json') continue;
    const text = await textOf(digest);
    if (!isConfigurationDocument(text)) {
      texts[path] = text;
      continue;
    }
    const read = await collect(problems, () => readDocument(path, text, identities));
    if (read !== undefined) documents.push(read);
  }
  return { texts, documents };
}

export async function readDocument(
  path: string,
  text: string,
  identities: readonly string[],
): Promise<CarriedDocument> {
  const document = decodeConfiguration(new TextEncoder().encode(text), path);
  if ((document.sealed?.secrets.length ?? 0) === 0) return { path, document };
  try {
    return { path, document, sealed: await openConfiguration(document, identities, path) };
  } catch (cause) {
    throw new UseCaseError(
      'CONFIGURATION_SEALED',
      `${path} holds Secrets that the identities of this import do not open`,
      {
        cause,
        at: { file: path, key: 'sealed' },
        hint: 'Give the identity that it was exported for as well (-i a second time), or leave the part out with --only.',
      },
    );
  }
}

/** What stands against the documents, and what they would change in the cluster. Tables are looked at when migrations ran. */
export async function planDocuments(
  documents: readonly CarriedDocument[],
  { kubernetes, database }: { readonly kubernetes: Kubernetes; readonly database?: Database },
  problems: PortolanError[],
  options: { readonly signal?: AbortSignal },
): Promise<
  { readonly path: string; readonly changes: readonly ConfigurationChange[]; readonly tables: readonly string[] }[]
> {
  const plans = [];
  for (const carried of documents) {
    const { path, document } = carried;
    const tables = document.tables.map(({ schema, name }) => `${schema}.${name}`);
    if (tables.length > 0 && database === undefined) problems.push(noDatabase(path, tables));
    const changes = await collect(problems, () =>
      importConfiguration({ ...requestOf(carried, OBJECTS), planOnly: true }, { kubernetes }, options),
    );
    plans.push({ path, changes: changes ?? [], tables });
  }
  return plans;
}

const OBJECTS: readonly ConfigurationPart[] = ['config-maps', 'secrets'];

/** As the signed bundle says: what is there and differs is changed, nothing is removed. */
function requestOf({ document, sealed }: CarriedDocument, parts: readonly ConfigurationPart[]) {
  return { document, parts, overwrite: true, planOnly: false, ...(sealed === undefined ? {} : { sealed }) };
}

export async function applyDocumentObjects(
  documents: readonly CarriedDocument[],
  kubernetes: Kubernetes,
  progress: Progress,
  { owners, ...options }: { readonly signal?: AbortSignal; readonly owners: ReadonlyMap<string, ReleaseName> },
): Promise<void> {
  for (const carried of documents) {
    const request = { ...requestOf(carried, OBJECTS), owners };
    const changes = await importConfiguration(request, { kubernetes }, options);
    for (const { kind, name, isOfHelm } of changes) {
      if (isOfHelm) progress.warn(`${kind} ${name} is of a Helm release, whose next upgrade writes it again`);
    }
  }
}

/** After the migrations, which make the tables. True when there were any. */
export async function applyDocumentTables(
  documents: readonly CarriedDocument[],
  database: Database | undefined,
  options: { readonly signal?: AbortSignal },
): Promise<boolean> {
  const withTables = documents.filter(({ document }) => document.tables.length > 0);
  if (database === undefined || withTables.length === 0) return false;
  for (const carried of withTables) await importConfiguration(requestOf(carried, ['tables']), { database }, options);
  return true;
}

export function documentRights(documents: readonly CarriedDocument[]): AccessQuestion[] {
  const questions = ({ namespace }: { readonly namespace: string }, resource: string) =>
    ['get', 'create', 'patch'].map((verb) => ({ verb, group: '', resource, namespace }));
  return documents.flatMap(({ document, sealed }) => [
    ...document.configMaps.flatMap((entry) => questions(entry, 'configmaps')),
    ...(sealed?.secrets ?? []).flatMap((entry) => questions(entry, 'secrets')),
  ]);
}

function noDatabase(path: string, tables: readonly string[]): UseCaseError {
  return new UseCaseError('TARGET_NOT_SAID', `${path} has rows of tables, and it is not said where the database is`, {
    at: { file: path, key: 'tables' },
    found: tables.join(', '),
    hint: 'Say --database URL: rows are written from here, also where migrations run in a Pod. `kubectl port-forward` makes a way.',
  });
}

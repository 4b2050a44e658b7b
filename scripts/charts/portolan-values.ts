/**
 * The schema of helm/portolan's values. helm/portolan/values.schema.json and the table in docs/chart.md are written from it by
 * `npm run docs`. What a value of the chart shares with an option of the program is held to the program's own pattern.
 */
import { z } from 'zod';
import { SSL_MODES } from '../../src/adapters/postgres/database-url.ts';
import { DURATION_PATTERN, PERCENT_PATTERN } from '../../src/cli/commands/duration-option.ts';
import { labelSchema } from '../../src/formats/repository/documents.ts';
import { NAME_PATTERN } from '../../src/formats/repository/keys.ts';
import { BUCKET_ADDRESS_PATTERN } from '../../src/formats/storage/repository-address.ts';
import { TRANSFER_RATE_PATTERN } from '../../src/formats/storage/transfer-rate.ts';

/** Of objects of Kubernetes (RFC 1123 subdomain). */
const OBJECT = '[a-z0-9](?:[a-z0-9.-]{0,251}[a-z0-9])?';
const objectName = (what: string) =>
  z
    .string()
    .regex(new RegExp(`^${OBJECT}$`))
    .describe(what);
const optionalName = (what: string) =>
  z
    .string()
    .regex(new RegExp(`^(?:${OBJECT})?$`))
    .describe(what);
const key = (what: string) =>
  z
    .string()
    .regex(/^[A-Za-z0-9_-][A-Za-z0-9._-]{0,252}$/)
    .describe(what);
const text = (what: string) => z.string().describe(what);
const switchOf = (what: string) => z.boolean().describe(what);
const count = (what: string, minimum = 0, maximum = 2 ** 31 - 1) => z.int().min(minimum).max(maximum).describe(what);
const duration = (what: string) => z.string().regex(DURATION_PATTERN).describe(what);
const quantity = (what: string) =>
  z
    .string()
    .regex(/^[1-9][0-9]*(?:Mi|Gi|Ti)$/)
    .describe(what);
const strings = (what: string) => z.record(z.string(), z.string()).describe(what);
const url = (what: string) =>
  z
    .string()
    .regex(/^(?:https?:\/\/[^\s/?#@]+(?:\/[^\s?#]*)?)?$/)
    .describe(what);
const image = z
  .string()
  .regex(/^[^\s]+[:@][^\s]+$/)
  .describe('Image of the program, with its tag or digest.');

const fromObject = (what: string) =>
  z
    .strictObject({
      kind: z.enum(['ConfigMap', 'Secret']).describe('What holds it.'),
      name: objectName('Its name.'),
      key: key('The key.'),
    })
    .describe(what);

const fields = (minutes: string, hours: string) => `^(?:H|${minutes}) (?:H|${hours})(?: [0-9A-Za-z*,/-]+){3}$`;
const schedule = z
  .string()
  .regex(new RegExp(fields('[0-9*,/-]+', '[0-9*,/-]+')))
  .describe(
    'Five fields of cron. `H` for the minute or the hour: one that follows from the names of release and namespace.',
  );

const amounts = (what: string) => {
  const amount = z.union([z.string(), z.number()]).optional();
  return z.strictObject({ cpu: amount, memory: amount, 'ephemeral-storage': amount }).optional().describe(what);
};
const resources = z
  .strictObject({ requests: amounts('What is set aside.'), limits: amounts('What is the most.') })
  .describe('Of its container.');

const serviceAccount = z
  .strictObject({ annotations: strings('Of the service account.') })
  .describe('It has no right in the cluster, and no token of it.');

const state = z
  .strictObject({
    persistent: switchOf('On a volume. Without one every run begins as if it saw the repository for the first time.'),
    size: quantity('Of the volume.'),
    storageClassName: optionalName("Empty: the cluster's default class."),
    existingClaim: optionalName('A claim that is there already.'),
  })
  .describe('What was seen of the repository, kept outside of the storage.');

const job = (files: string, maximumSeconds = 30 * 86_400) => ({
  enabled: switchOf('Whether it is there.'),
  secret: objectName(`Secret with ${files}.`),
  schedule,
  timeZone: z
    .string()
    .regex(/^[A-Za-z][A-Za-z0-9_+/-]*$/)
    .describe('Of the schedule, as the tz database names it.'),
  suspend: switchOf('Do not start it by the schedule.'),
  concurrencyPolicy: z.enum(['Allow', 'Forbid', 'Replace']).describe('When the run before has not ended.'),
  startingDeadlineSeconds: count('How late a run may begin that was missed.', 10),
  activeDeadlineSeconds: count('How long it may take.', 60, maximumSeconds),
  backoffLimit: count('How often it is tried again. Exit statuses 2 and 3 are not.', 0, 10),
  successfulJobsHistoryLimit: count('Jobs that are kept.', 0, 100),
  failedJobsHistoryLimit: count('Jobs that are kept.', 0, 100),
  state,
  resources,
  serviceAccount,
});

/** A run must end within the time by which prune takes garbage for garbage. */
const LONGEST_RUN_SECONDS = 86_400;

const backup = z
  .strictObject({
    ...job('`writer.json`, `cosign.key`, `password`', LONGEST_RUN_SECONDS),
    writer: z.string().regex(NAME_PATTERN).describe('As the roster names it.'),
    fullEvery: duration('Write everything afresh so often.'),
    tags: z.array(labelSchema).max(100).optional().describe('Words for its snapshots.'),
    waitLockSeconds: count('How long another run of the same writer is waited for.', 0, 86_400),
    askRoles: switchOf('Ask ZITADEL who lost the role of a reader, by `service-key.json`.'),
    rolesMaxAge: duration("Warn when ZITADEL's last word about roles is older."),
  })
  .describe('`backup run`.');

const kept = (what: string) => count(what, 1, 100_000).optional();
const prune = z
  .strictObject({
    ...job('`cosign.key`, `password`'),
    retention: z
      .strictObject({
        keepLast: kept('The newest.'),
        keepHourly: kept('The newest of so many hours.'),
        keepDaily: kept('Of so many days.'),
        keepWeekly: kept('Of so many weeks.'),
        keepMonthly: kept('Of so many months.'),
        keepYearly: kept('Of so many years.'),
        keepWithin: duration('All that are not older.').optional(),
        keepTags: z.array(labelSchema).optional().describe('All with one of these tags.'),
        floor: duration('Nothing younger is forgotten.').optional(),
        perDay: kept('How many snapshots a writer makes in a day: with more, its chain is held.'),
      })
      .describe('What `backup forget` keeps, before `backup prune`. Empty: nothing is forgotten.'),
  })
  .describe('`backup forget`, where there is a rule, and `backup prune`.');

const check = z
  .strictObject({
    ...job('nothing but the credentials of the storage; with `sign` also `identity.txt`, `cosign.key`, `password`'),
    readData: z.string().regex(PERCENT_PATTERN).describe('How much of the packs is read, chosen by chance.'),
    sign: switchOf('Open what is read, and sign as a verifier. Then this cluster can read its backups.'),
  })
  .describe('`backup check`.');

const drill = z
  .strictObject({
    ...job('`identity.txt`, `cosign.key`, `password`'),
    image: z
      .string()
      .regex(/^(?:[^\s]+[:@][^\s]+)?$/)
      .describe("An image with PostgreSQL's server of the same major version."),
    snapshot: z.string().regex(NAME_PATTERN).optional().describe('A writer, where there are several.'),
    checks: z
      .strictObject({ configMap: objectName('A ConfigMap.'), key: key('The key.').optional() })
      .optional()
      .describe('Your own questions, as docs/backups.md has them.'),
    workSize: quantity('Of the volume that the server is made on, and thrown away with.'),
  })
  .describe('`backup drill`. With it this cluster can read its backups.');

const rules = z.strictObject({
  enabled: switchOf('A PrometheusRule.'),
  labels: strings('By which Prometheus chooses it.'),
  lateAfterHours: count('Age of the newest snapshot.', 1),
  smallBelowPercent: count('Of the mean of two weeks.', 1, 100),
  unverifiedAfterHours: count('Age of the newest snapshot that a verifier found good.', 1),
  drillAfterDays: count('Age of the last drill, where drills are on.', 1),
  rolesStaleAfterDays: count("Age of ZITADEL's last answer.", 1),
});

const metrics = z
  .strictObject({
    enabled: switchOf('A Deployment and a Service.'),
    secret: objectName('Secret with the credentials of a reader of the storage, and nothing else.'),
    port: count('Where /metrics is.', 1024, 65_535),
    interval: duration('How often the repository is read.'),
    resources,
    serviceAccount,
    serviceMonitor: z.strictObject({
      enabled: switchOf('A ServiceMonitor.'),
      interval: z
        .string()
        .regex(/^[1-9][0-9]*(?:s|m|h)$/)
        .describe('As Prometheus writes it.'),
      labels: strings('By which Prometheus chooses it.'),
    }),
    rules,
  })
  .describe('`backup metrics --listen`.');

/** Names that need no escape in an address. */
const databaseName = (what: string) =>
  z
    .string()
    .regex(/^[A-Za-z0-9_][A-Za-z0-9_.-]{0,62}$/)
    .describe(what);
const patterns = (what: string) => z.array(z.string().min(1)).optional().describe(`${what} Patterns.`);

const postgres = z
  .strictObject({
    host: z
      .string()
      .regex(/^[A-Za-z0-9][A-Za-z0-9.-]*$/)
      .describe('The server itself, not its pooler.'),
    port: count('5432 unless said.', 1, 65_535).optional(),
    user: databaseName('The role that reads: docs/backup-postgres.md.'),
    databases: z
      .array(databaseName('A database.'))
      .min(1)
      .describe('What is backed up; with `all`, where to connect to.'),
    all: switchOf('All databases of the server.').optional(),
    sslMode: z.enum(SSL_MODES).optional().describe('`verify-full` unless said.'),
    password: z
      .strictObject({ secret: objectName('A Secret.'), key: key('`password` unless said.').optional() })
      .describe('Where the password lies.'),
    certificates: fromObject('Authorities that the server is trusted by.').optional(),
    excludeSchemas: patterns('Schemas that are left out.'),
    excludeTables: patterns('Tables that are left out.'),
    excludeRows: patterns('Tables of which the rows are left out.'),
    profile: z.enum(['supabase']).optional().describe('What the server is besides PostgreSQL.'),
  })
  .describe('A server.');

const files = z.array(
  z.strictObject({
    name: z
      .string()
      .regex(/^[a-z0-9](?:[a-z0-9-]{0,48}[a-z0-9])?$/)
      .describe('The folder in the snapshot is /files/NAME.'),
    claim: objectName('A claim in this namespace.'),
    subPath: z
      .string()
      .regex(/^[^/].*$/)
      .optional()
      .describe('A folder of it.'),
  }),
);
const excludeFiles = patterns('Files and folders that are left out.');

const source = z
  .union([
    z.strictObject({ postgres, files: files.optional(), excludeFiles }),
    z.strictObject({ files: files.min(1), excludeFiles }),
    z.strictObject({}),
  ])
  .describe('What is backed up: `postgres`, `files` or both.');

const arn = (what: string) =>
  z
    .string()
    .regex(/^arn:[a-z0-9-]+:iam:[^\s]*$/)
    .describe(what);
const storage = z
  .union([
    z.strictObject({ credentials: z.literal('secret') }),
    z.strictObject({
      credentials: z.literal('web-identity'),
      audience: z.string().min(1).describe('For whom the token of the service account is.'),
      expirationSeconds: count('How long the token lives; the kubelet renews it.', 600, 86_400),
      roles: z
        .strictObject({
          backup: arn('A role.').optional(),
          prune: arn('A role.').optional(),
          check: arn('A role.').optional(),
          drill: arn('A role.').optional(),
          metrics: arn('A role.').optional(),
        })
        .describe("The role of each job's service account, as the storage names it."),
      sts: url("The token service; Amazon's of the region unless said.").optional(),
    }),
    z.strictObject({
      credentials: z.literal('zitadel'),
      roleArn: arn('The role, as the storage names it.'),
      sts: url('The token service; the storage itself unless said.').optional(),
    }),
  ])
  .describe('How a job comes to the storage.');

const peers = z.array(
  z.strictObject({
    podSelector: z.looseObject({}).optional(),
    namespaceSelector: z.looseObject({}).optional(),
    ipBlock: z.strictObject({ cidr: z.string(), except: z.array(z.string()).optional() }).optional(),
  }),
);
const to = peers.describe('Peers of a NetworkPolicy. Empty: any address.');
const ports = (what: string) => z.array(count('A port.', 1, 65_535)).describe(what);

const networkPolicy = z
  .strictObject({
    enabled: switchOf('Nothing may be reached but what is named here.'),
    dns: z.strictObject({ to, ports: ports('Of the name servers.') }),
    storage: z.strictObject({
      to,
      ports: ports("Of the storage; empty: that of the repository's endpoint, else 443."),
    }),
    database: z.strictObject({ to }),
    otlp: z.strictObject({ to }),
    identityProvider: z.strictObject({ to, ports: ports('Of ZITADEL, where it is asked.') }),
    metrics: z.strictObject({ from: peers.describe('Who may ask for metrics. Empty: everybody.') }),
  })
  .describe('Of all Pods of the release.');

const id = (what: string) => count(what, 1);
const pod = z
  .strictObject({
    runAsUser: id('Never root.'),
    runAsGroup: id('Its group.'),
    fsGroup: id('Group of the volumes.'),
    supplementalGroups: z.array(id('A group.')).describe('Further groups, to read files of others.'),
    nodeSelector: strings('Labels of the nodes.'),
    tolerations: z.array(z.looseObject({})).describe('As Kubernetes has them.'),
    affinity: z.looseObject({}).describe('As Kubernetes has it.'),
    priorityClassName: optionalName('A priority class.'),
    labels: strings('Further labels.'),
    annotations: strings('Annotations.'),
  })
  .describe('Of every Pod.');

export const portolanValues = z.strictObject({
  cloudProvider: z
    .enum(['generic', 'k3s', 'eks', 'gke', 'aks', 'digitalocean'])
    .describe('Which checklist the notes name: docs/providers.'),
  image,
  imagePullPolicy: z.enum(['IfNotPresent', 'Always', 'Never']).describe('As Kubernetes has it.'),
  imagePullSecrets: z.array(z.strictObject({ name: objectName('A Secret.') })).describe('Of a registry.'),
  repository: z.strictObject({
    url: z
      .string()
      .regex(BUCKET_ADDRESS_PATTERN)
      .describe('`s3://BUCKET/PREFIX?endpoint=https://HOST:PORT`, or with `region=NAME`.'),
    limitUpload: z.string().regex(TRANSFER_RATE_PATTERN).optional().describe('As much in a second.'),
    limitDownload: z.string().regex(TRANSFER_RATE_PATTERN).optional().describe('As much in a second.'),
  }),
  trust: fromObject("`trust.json`, or the approvers' public keys."),
  certificates: z
    .strictObject({
      kind: z.enum(['ConfigMap', 'Secret']).describe('What holds them.'),
      name: optionalName("Empty: the system's alone."),
      key: key('The key.'),
    })
    .describe('Authorities (PEM) of the storage, of ZITADEL and of the receiver of logs.'),
  storage,
  source,
  backup,
  prune,
  check,
  drill,
  metrics,
  logs: z.strictObject({
    json: switchOf('One event a line.'),
    otlp: z.strictObject({
      endpoint: url('Of an OpenTelemetry collector, or of SigNoz. Nothing is sent without it.'),
      headersSecret: optionalName('A Secret whose key `headers` holds lines of NAME: VALUE.'),
    }),
  }),
  proxy: z.strictObject({
    https: url('HTTPS_PROXY.'),
    http: url('HTTP_PROXY.'),
    none: text('NO_PROXY.'),
  }),
  networkPolicy,
  pod,
});

/** helm/portolan/values.schema.json. Draft 7 is what every helm reads. */
export function portolanValuesSchemaText(): string {
  const { $schema, ...rest } = z.toJSONSchema(portolanValues, { io: 'input', target: 'draft-7', reused: 'ref' });
  return `${JSON.stringify({ $schema, title: 'Values of the chart portolan', ...rest }, null, 2)}\n`;
}

interface SchemaNode {
  readonly description?: string;
  readonly properties?: Readonly<Record<string, SchemaNode>>;
  readonly items?: SchemaNode;
  readonly anyOf?: readonly SchemaNode[];
  readonly enum?: readonly unknown[];
  readonly const?: unknown;
}

/** One row for each value, `defaults` being the chart's values.yaml. */
export function portolanValuesTable(defaults: unknown): string {
  const rows = [...rowsOf('', z.toJSONSchema(portolanValues, { io: 'input' }) as SchemaNode, defaults)];
  return ['| Value | What | Default |', '|---|---|---|', ...rows].join('\n');
}

function* rowsOf(path: string, node: SchemaNode, value: unknown): Generator<string> {
  const list = node.items?.properties === undefined ? undefined : node.items;
  const children = childrenOf(list ?? node);
  if (path !== '' && (children.length === 0 || node.description !== undefined)) {
    const what = [node.description ?? '', choicesOf(node)].filter((part) => part !== '').join(' ');
    yield `| \`${path}\` | ${what.replaceAll('|', '\\|')} | ${children.length > 0 && list === undefined ? '' : defaultText(value)} |`;
  }
  for (const [name, child] of children) {
    const below = `${path}${list === undefined ? '' : '[]'}`;
    const own = list === undefined ? (value as Readonly<Record<string, unknown>> | undefined)?.[name] : undefined;
    yield* rowsOf(below === '' ? name : `${below}.${name}`, child, own);
  }
}

/** Of a union the members of all sides; the choices between them are joined. */
function childrenOf({ properties, anyOf = [] }: SchemaNode): [string, SchemaNode][] {
  if (properties !== undefined) return Object.entries(properties);
  const merged = new Map<string, SchemaNode>();
  for (const [name, child] of anyOf.flatMap((side) => Object.entries(side.properties ?? {}))) {
    const before = merged.get(name);
    const values = [before, child].flatMap((one) => one?.enum ?? (one?.const === undefined ? [] : [one.const]));
    merged.set(name, { ...(before ?? child), ...(values.length > 1 ? { enum: values } : {}) });
  }
  return [...merged];
}

function choicesOf({ enum: choices = [] }: SchemaNode): string {
  return choices.length === 0 ? '' : choices.map((choice) => `\`${choice}\``).join(', ');
}

function defaultText(value: unknown): string {
  return value === undefined || value === '' ? '' : `\`${JSON.stringify(value)}\``;
}

import { mkdir, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { builtImages } from './built-images.ts';
import { CMS_KEYS, publish } from './cms-stick.ts';
import { createContent, pseudoRandom, writeLayout } from './image-content.ts';
import { ELSEWHERE, realImage, realLayer } from './target-images.ts';

/** Recognisable wherever it turns up. */
export const DATABASE_PASSWORD = 'planted-password-7d1f0c';
export const AGENT_IMAGE = 'portolan.local/portolan:0.1.0';
const PAUSE_IMAGE = 'portolan.local/pause:1.0.0';
export const BALLAST_IMAGE = 'portolan.local/bad-days/ballast:1.0.0';
const FOREIGN_IMAGE = 'portolan.local/bad-days/foreign:1.0.0';
export const RELEASES_NAMESPACE = 'portolan-bad-days';
export const DATABASE_NAMESPACE = 'portolan-bad-days-db';
export const STATE_NAMESPACE = 'portolan-bad-days-state';

const BALLAST_BYTES = 24 * 1024 * 1024;

export interface SmallRelease {
  readonly version: string;
  readonly sequence: number;
  /** Files of the project that are other than in the release before, or new. */
  readonly files?: Readonly<Record<string, string>>;
  /** A chart of stage app beside the others, with one ConfigMap. */
  readonly extra?: boolean;
  /** An image of 24 MiB that nothing runs. */
  readonly ballast?: boolean;
  /** For another platform than this node's: the chart `extra` alone, with an image that nothing here runs. */
  readonly foreign?: boolean;
}

const deployment = (stage: string) => `apiVersion: apps/v1
kind: Deployment
metadata: { name: {{ .Release.Name }} }
spec:
  replicas: 1
  selector: { matchLabels: { app: {{ .Release.Name }} } }
  template:
    metadata: { labels: { app: {{ .Release.Name }}, version: {{ .Values.version | quote }} } }
    spec:
      automountServiceAccountToken: false
      terminationGracePeriodSeconds: 1
      containers:
        - { name: ${stage}, image: {{ .Values.image | quote }}, imagePullPolicy: IfNotPresent }
`;

const MARK = (name: string) => `insert into marks (name) values ('${name}');\n`;

function projectFiles({ version, sequence, extra, ballast, foreign }: SmallRelease) {
  const chart = (name: string) =>
    `  - { name: ${name}, path: charts/${name}, release: bad-${name}, namespace: ${RELEASES_NAMESPACE}, stage: ${name === 'data' ? 'data' : 'app'} }\n`;
  const charts = [...(foreign ? [] : ['data', 'app']), ...(extra || foreign ? ['extra'] : [])];
  const rest = foreign
    ? ''
    : `modules:
  - { name: core, path: migrations/core }
database:
  namespace: ${DATABASE_NAMESPACE}
  host: db
  name: bad
  user: postgres
  password: { secret: auth, key: password }
  sslMode: disable
configuration:
  json: [configuration/site.json]
files:
  - { path: notes/read-me.md, source: notes/read-me.md }
`;
  const images = foreign ? [FOREIGN_IMAGE] : [AGENT_IMAGE, ...(ballast ? [BALLAST_IMAGE] : [])];
  return {
    'bundle.yaml': `name: bad
version: ${version}
sequence: ${sequence}
platforms: [${foreign ? 'linux/s390x' : 'linux/amd64'}]
pieceSize: 4MiB
images:
  layouts: [.images, .more-images]
  list: [${images.join(', ')}]
charts:
${charts.map(chart).join('')}${rest}`,
    ...Object.fromEntries(
      ['data', 'app'].flatMap((name) => [
        [`charts/${name}/Chart.yaml`, `apiVersion: v2\nname: ${name}\nversion: ${version}\n`],
        [`charts/${name}/values.yaml`, `image: ${PAUSE_IMAGE}\nversion: ${version}\n`],
        [`charts/${name}/templates/deployment.yaml`, deployment(name)],
      ]),
    ),
    'charts/extra/Chart.yaml': `apiVersion: v2\nname: extra\nversion: ${version}\n`,
    'charts/extra/templates/map.yaml': 'apiVersion: v1\nkind: ConfigMap\nmetadata: { name: {{ .Release.Name }} }\n',
    'migrations/core/0001_marks.sql': `create table marks (name text not null);\n${MARK('0001')}`,
    'migrations/core/0002_notes.sql': `create table notes (id bigint primary key, old text);\n${MARK('0002')}`,
    'migrations/core/0003_old.contract.sql': `alter table notes drop column old;\n${MARK('0003')}`,
    'configuration/site.json': `${JSON.stringify({ version })}\n`,
    'notes/read-me.md': `The release ${version}.\n`,
  };
}

/** What comes with the second release. */
export const SECOND_FILES = {
  'migrations/core/0004_more.sql': `alter table notes add column more text;\n${MARK('0004')}`,
  'migrations/core/0005_less.contract.sql': `alter table notes drop column more;\n${MARK('0005')}`,
};

/**
 * A publisher of something that is up in a second: two charts with a program that waits, one module, one document; with every
 * kind of thing that a bundle carries.
 */
export async function createBadDaysPublisher(root: string) {
  const folder = join(root, 'project');
  await mkdir(folder, { recursive: true });
  await builtImages(['portolan', 'pause'], join(folder, '.images'));
  await writeMoreImages(join(folder, '.more-images'));
  return {
    /** Builds a release onto a medium, signed by the keys of this repository's example. */
    async release(wanted: SmallRelease, medium: string): Promise<void> {
      for (const name of ['charts', 'migrations', 'bundle.lock.json'])
        await rm(join(folder, name), { recursive: true, force: true });
      for (const [path, content] of Object.entries({ ...projectFiles(wanted), ...wanted.files })) {
        await mkdir(dirname(join(folder, path)), { recursive: true });
        await writeFile(join(folder, path), content);
      }
      await publish(folder, medium);
    },
  };
}

async function writeMoreImages(folder: string): Promise<void> {
  const content = createContent();
  const layers = [await realLayer(content, { ballast: pseudoRandom('ballast', BALLAST_BYTES) })];
  content.tag(BALLAST_IMAGE, realImage(content, layers));
  const foreign = [await realLayer(content, { run: 'of another machine' })];
  content.tag(FOREIGN_IMAGE, realImage(content, foreign, { platform: ELSEWHERE }));
  await writeLayout(folder, content, (tag) => tag);
}

/** What opens and proves these bundles. */
export const BAD_DAYS_KEYS = ['-i', CMS_KEYS.identity, '--trust', CMS_KEYS.trust];

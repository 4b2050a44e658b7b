/**
 * The example that `bundle init` writes: small, commented, and it builds as it is, without any network. It names no image,
 * because an image would have to be fetched.
 */
export interface ExampleFile {
  /** Relative to the new folder. */
  readonly path: string;
  readonly text: string;
}

/** bundle.yaml comes last: while it is not there, the example is not finished. */
export function exampleFiles(name: string): readonly ExampleFile[] {
  return [
    { path: 'charts/example/Chart.yaml', text: CHART_YAML },
    { path: 'charts/example/values.yaml', text: CHART_VALUES },
    { path: 'charts/example/templates/greeting.yaml', text: GREETING },
    { path: 'charts/example/templates/shop.yaml', text: SHOP },
    { path: 'values/k3s.yaml', text: K3S_VALUES },
    { path: 'modules/core/0001_notes.sql', text: CORE_MODULE },
    { path: 'modules/shop/0001_orders.sql', text: SHOP_MODULE },
    { path: 'configuration/settings.json', text: SETTINGS },
    { path: 'bundle.yaml', text: bundleYaml(name) },
  ];
}

const bundleYaml = (name: string) => `# What a bundle carries. Every key is explained in docs/bundle-yaml.md.
#
#   portolan bundle lock  .     pins everything by digest in bundle.lock.json
#   portolan bundle build .     packs, seals and signs it
#
# Paths are relative to this folder.

name: ${name}
version: 0.1.0
# Grows with each release: an import refuses a lower number than the one that was applied before.
sequence: 1

# Which targets the bundle is meant for. Without it: any.
# audience: [plant-7]

platforms: [linux/amd64]

# Who may sign: paths of cosign.pub files. Without it: whoever signs at build.
# signers: [cosign.pub]

# Values for one kind of cluster. The chosen one is merged over the values of every chart.
provider: k3s
providers:
  k3s: { values: [values/k3s.yaml] }

# Switches. The chosen side is merged into the values of every chart; what is off is not in the bundle.
#   portolan bundle lock . --feature shop=on
features:
  shop:
    default: false
    on: { shop: { title: Our shop } }

charts:
  - name: example
    path: charts/example # a folder, or a .tgz
    namespace: ${name}
    # stage: data          # data charts are ready before migrations run; app charts come after them
    # values: [more.yaml]
    parts:
      # A file of the chart that is packed only while the feature is on.
      - { path: templates/shop.yaml, when: features.shop }

# Images are found by rendering the charts. Name here what no chart names, and where images come from.
# images:
#   list:
#     - registry.example/team/tool:1.4.0
#     - { reference: registry.example/team/shop-jobs:1.4.0, when: features.shop }
#   layouts: [../images]   # OCI image layouts, asked before any registry
#   paths:                 # where custom resources name images
#     - { kind: Cluster, path: spec.imageName }
# registries:
#   "registry.example:5000": { plainHttp: true }

# Database migrations: <digits>_name.sql, and <digits>_name.contract.sql for what waits until the next import.
modules:
  - { name: core, path: modules/core }
  - { name: shop, path: modules/shop, requires: [core], when: features.shop }

configuration:
  json: [configuration/settings.json]

# Files of any size, such as the k3s binary and its air-gap images.
# files:
#   - { path: bin/k3s, source: ../downloads/k3s, mode: '0755' }
`;

const CHART_YAML = `apiVersion: v2
name: example
description: A greeting in a ConfigMap
type: application
version: 0.1.0
`;

const CHART_VALUES = `greeting: Hello
`;

const GREETING = `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-greeting
data:
  greeting: {{ .Values.greeting | quote }}
`;

const SHOP = `apiVersion: v1
kind: ConfigMap
metadata:
  name: {{ .Release.Name }}-shop
data:
  title: {{ .Values.shop.title | quote }}
`;

const K3S_VALUES = `greeting: Hello from k3s
`;

const CORE_MODULE = `CREATE TABLE notes (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  text text NOT NULL
);
`;

const SHOP_MODULE = `CREATE TABLE orders (
  id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
  note_id bigint NOT NULL REFERENCES notes (id)
);
`;

const SETTINGS = `{
  "title": "An example"
}
`;

/**
 * The page for the safe: what somebody needs who has the storage and an identity, and nothing else. Markdown, for printing. Its
 * commands are those of docs/read-back.md, with the names of this repository; a test runs them.
 */
import { recipientFingerprint } from '../identity/fingerprint.ts';
import type { PinnedIssuer } from '../identity/pinned-issuer.ts';
import type { TrustedKey } from '../sigstore/signature-bundle.ts';
import { keyThumbprint } from './issuer-keys.ts';
import { rosterKey, snapshotKey, type WriterName } from './keys.ts';
import type { Roster } from './roster.ts';
import type { RosterTrust } from './roster-chain.ts';

export interface RecoveryFacts {
  /** When the page is made: ISO 8601. */
  readonly made: string;
  readonly program: string;
  /** Where the repository is, without a secret. */
  readonly place: string;
  readonly roster: Roster;
  readonly rosterDigest: string;
  readonly trust: RosterTrust;
  /** Of each writer, the newest first of all. */
  readonly newest: readonly NewestSnapshot[];
  /** The content of an identity file, as text; only for a page that is locked away. */
  readonly identity?: string | undefined;
}

export interface NewestSnapshot {
  readonly writer: WriterName;
  readonly sequence: number;
  readonly digest: string;
  /** By the storage's clock: ISO 8601. */
  readonly storageTime: string;
}

export function renderRecoveryPage(facts: RecoveryFacts): string {
  const sections = [
    head(facts),
    identityOf(facts),
    believed(facts),
    readers(facts),
    snapshots(facts),
    byPortolan(facts),
  ];
  return `${[...sections, byStockTools(facts)].flat().join('\n')}\n`;
}

function head({ made, program, place, roster, identity }: RecoveryFacts): string[] {
  return [
    `# Restoring the backups of repository ${roster.repository}`,
    '',
    ...(identity === undefined
      ? []
      : ['**THIS PAGE OPENS EVERY BACKUP. Whoever has it and the storage reads everything. Lock it away.**', '']),
    `Made ${made} by Portolan ${program}, epoch ${roster.epoch}. Print it again when readers, approvers or the place change.`,
    '',
    `- Repository: ${roster.repository}`,
    `- Place: ${place}`,
    '- Needed: the repository or a copy of it, and an identity of somebody below. Neither the identity provider nor the machine that was backed up is needed.',
    '',
  ];
}

function identityOf({ identity }: RecoveryFacts): string[] {
  if (identity === undefined) return [];
  return ['## The identity', '', 'Write this into a file `identity.txt`:', '', ...block(withoutComments(identity)), ''];
}

function believed({ trust, roster, rosterDigest }: RecoveryFacts): string[] {
  const { keys, threshold = roster.approvers.threshold, minimumRecipients, issuer } = trust;
  return [
    '## Who is believed',
    '',
    `The roster says who reads and writes. ${threshold} of these keys must have signed it. Write them into a file \`approvers.pub\`:`,
    '',
    ...keys.flatMap((key) => [...block(pemOf(key)), '']),
    ...keys.map(({ name, keyHint }) => `- ${name}: ${keyHint}`),
    ...(minimumRecipients === undefined ? [] : [`- no backup goes to fewer than ${minimumRecipients} recipients`]),
    ...(issuer === undefined ? [] : issuerLines(issuer)),
    '',
    `The roster when this was printed: epoch ${roster.epoch}, ${rosterDigest}. An older one, or another one of this epoch, is a forgery.`,
    '',
  ];
}

function issuerLines({ url, keys }: PinnedIssuer): string[] {
  return [
    `- readers are enrolled by ${url}; the thumbprints (RFC 7638) of its keys:`,
    ...keys.map(
      ({ kid, publicKey, from, until }) => `  - ${kid} ${keyThumbprint(publicKey)}, ${from} to ${until ?? 'now'}`,
    ),
  ];
}

function pemOf({ publicKey }: TrustedKey): string {
  return publicKey.export({ type: 'spki', format: 'pem' }).toString();
}

function readers({ roster }: RecoveryFacts): string[] {
  return [
    '## Who can open it',
    '',
    '| Role | Name | Fingerprint of the recipient |',
    '|---|---|---|',
    ...roster.recipients.map(
      ({ role, name, recipient, notAfter }) =>
        `| ${role} | ${cell(name)} | ${recipientFingerprint(recipient)}${notAfter === undefined ? '' : `, until ${notAfter}`} |`,
    ),
    '',
    'An identity belongs to a fingerprint if this prints it (the first 32 digits):',
    '',
    "    age-keygen -y identity.txt | tr -d '\\n' | sha256sum",
    '',
  ];
}

function snapshots({ newest }: RecoveryFacts): string[] {
  if (newest.length === 0) return [];
  return [
    '## What was there',
    '',
    'The newest snapshot of each writer. A storage that shows an older one now has lost or hidden some.',
    '',
    '| Snapshot | Time | Digest |',
    '|---|---|---|',
    ...newest.map(
      ({ writer, sequence, storageTime, digest }) => `| ${writer}/${sequence} | ${storageTime} | ${digest} |`,
    ),
    '',
  ];
}

function byPortolan({ place, trust }: RecoveryFacts): string[] {
  const repository = quoted(place);
  const breakGlass = trust.issuer === undefined ? '' : ' --break-glass';
  return [
    '## With Portolan',
    '',
    'For a bucket, set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY first. `latest` is the newest snapshot; `backup list` shows all.',
    '',
    `    portolan backup list --repo ${repository} --trust approvers.pub`,
    `    portolan restore latest --repo ${repository} --trust approvers.pub -i identity.txt --to folder:restored${breakGlass}`,
    '',
    '`portolan restore --help` tells how to restore into a server.',
    '',
  ];
}

/** docs/read-back.md, as short as it can be typed. */
function byStockTools({ roster, newest, trust }: RecoveryFacts): string[] {
  const [snapshot] = newest;
  const { writer, sequence } = snapshot ?? { writer: 'WRITER' as WriterName, sequence: 1 };
  const signers =
    trust.keys.length === 1 ? '' : ' Put each key of `approvers.pub` into a file of its own, and run it for each.';
  return [
    '## With stock tools',
    '',
    'bash, GNU coreutils, age 1.3 or newer, jq, zstd, openssl, psql and pg_restore. Out of a bucket, copy the repository first with any client. The folder of the copy is REPOSITORY here; work beside it, in a new folder,',
    'with `identity.txt` and `approvers.pub`.',
    '',
    '### 0. Names',
    '',
    ...block(`repository=REPOSITORY
roster=${rosterKey(roster.epoch)}
snapshot=${snapshotKey(writer, sequence)}
writer=${writer}`),
    '',
    `\`ls $repository/keys\` and \`ls $repository/snapshots/${writer}\` show whether there are newer ones: take the highest numbers.`,
    '',
    '### 1. Is it what somebody signed?',
    '',
    `Each line must say that it is signed.${signers}`,
    '',
    ...block(SIGNATURES),
    '',
    '### 2. Keys and contents',
    '',
    'If no identity matches, it came later than the run: look for a newer file in `runs/RUN/` and open that.',
    '',
    ...block(CONTENTS),
    '',
    '### 3. All streams',
    '',
    'Takes as much room as what is restored, twice.',
    '',
    ...block(STREAMS),
    '',
    '### 4. Files',
    '',
    'Their bytes. Modes, owners, times, links and holes stand in contents.ndjson.',
    '',
    ...block(FILES),
    '',
    '### 5. Databases',
    '',
    'The server: the same major version or newer, empty. PGHOST and PGUSER name it, as a superuser. That a role exists already may be passed over. The list says SOURCE, NUMBER, NAME, ENCODING and MONEY of each database:',
    '',
    ...block(DATABASES),
    '',
    'For each of them, with its own names:',
    '',
    ...block(LOAD),
    '',
    '`rows` of each table in contents.ndjson is what `select count(*)` must say in the end.',
  ];
}

const SIGNATURES = `signed() {
  jq -j .payload "$1" | base64 -d > payload
  local type=$(jq -j .payloadType "$1")
  { printf 'DSSEv1 %d %s %d ' \${#type} "$type" "$(wc -c < payload)"; cat payload; } > message
  jq -r '.signatures[].sig' "$1" | while read -r text; do
    base64 -d <<< "$text" > signature
    openssl dgst -sha256 -verify "$2" -signature signature message 2> errors || true
  done | grep OK > found && echo "$1: signed by $2"
}
signed "$repository/$roster" approvers.pub
jq -r --arg writer $writer '.writers[] | select(.name == $writer) | .publicKey' payload | fold -w 64 > key
{ echo '-----BEGIN PUBLIC KEY-----'; cat key; echo '-----END PUBLIC KEY-----'; } > writer.pub
signed "$repository/$snapshot" writer.pub`;

const CONTENTS = `jq -j .payload "$repository/$snapshot" | base64 -d > snapshot
jq -r '.runs[] | "\\(.run) \\(.sealed)"' snapshot | while read -r run sealed; do
  base64 -d <<< "$sealed" | age -d -i identity.txt | jq -r .identity > "key.$run"
done
jq -r '.contents[] | "\\(.digest[7:])  \\(.key)"' snapshot > parts
(cd "$repository" && sha256sum --check --quiet) < parts
while read -r _ key; do
  age -d -i "key.$(jq -r .run snapshot)" "$repository/$key" | zstd -dcq
done < parts > contents.ndjson`;

const STREAMS = `jq -r '.runs as $runs | .packs[] | "\\(.[0]) \\(.[1]) \\($runs[.[3]].run)"' snapshot |
  while read -r number digest run; do
    pack=$repository/packs/\${digest:0:2}/$digest
    sha256sum --check --quiet <<< "$digest  $pack"
    age -d -i "key.$run" "$pack" > "pack.$number"
  done
jq -r 'select(.entry == "stream") | "- 0 0 \\(.name)",
    (.name as $name | .chunks[] | "\\(.[0]) \\(.[1]) \\(.[2]) \\($name)")' contents.ndjson |
  while read -r number offset length stream; do
    file=streams/$stream
    if [ "$number" = - ]; then
      [ -e "$file" ] || { mkdir -p "$(dirname "$file")" && : > "$file"; }
    else
      dd if="pack.$number" iflag=skip_bytes,count_bytes skip="$offset" count="$length" bs=1M status=none |
        zstd -dcq >> "$file"
    fi
  done
rm -f pack.*`;

const FILES = `put() { mkdir -p "files/$(dirname "$2")" && cp "streams/$1" "files/$2"; }
jq -r 'select(.entry == "file" and .stream) |
  "put \\(.stream | @sh) \\(.source + "/" + .path | @sh)"' contents.ndjson > files.sh
. ./files.sh`;

const DATABASES = `jq -r 'select(.entry == "end") | .source as $source | .record.databases[]? |
  "\\($source) \\(.number) \\(.name) \\(.clientEncoding) \\(.moneyLocale)"' contents.ndjson`;

const LOAD = `source=SOURCE number=NUMBER database=NAME encoding=ENCODING money=MONEY
psql -X -q -d postgres -f "streams/$source/globals.sql"
archive=streams/$source/$number/archive.dump
[ "$database" = postgres ] && make='-d postgres' || make='--create -d postgres'
pg_restore $make --section=pre-data --exit-on-error "$archive"
jq -r --arg database "$database" '
  def name: "\\"" + gsub("\\""; "\\"\\"") + "\\"";
  select(.entry == "table" and .database == $database) |
  "copy \\(.schema | name).\\(.table | name) \\(if .columns == [] then ""
    else "(\\(.columns | map(name) | join(", "))) " end)from stdin" as $copy |
  .streams[] | "load \\($copy | @sh) \\(@sh)"' contents.ndjson > rows.sh
export PGCLIENTENCODING=$encoding
export PGOPTIONS="-c search_path= -c row_security=off -c datestyle=ISO -c intervalstyle=postgres -c lc_monetary=$money"
load() { psql -X -q -v ON_ERROR_STOP=1 -d "$database" -c "$1" < "streams/$2"; }
. ./rows.sh
unset PGCLIENTENCODING PGOPTIONS
pg_restore --section=data --exit-on-error -d "$database" "$archive"
pg_restore --section=post-data --exit-on-error -d "$database" "$archive"`;

/** The recipient that age-keygen writes beside an identity has two thousand characters, and says nothing that is needed. */
function withoutComments(identity: string): string {
  return identity.replaceAll(/^#.*\n/gm, '');
}

/** Markdown's block of code. */
function block(text: string): string[] {
  return text
    .trimEnd()
    .split('\n')
    .map((line) => (line === '' ? '' : `    ${line}`));
}

function cell(text: string): string {
  return text.replaceAll('|', '\\|').replaceAll('\n', ' ');
}

function quoted(text: string): string {
  return /^[A-Za-z0-9_./:@%+=-]+$/.test(text) ? text : `'${text.replaceAll("'", `'\\''`)}'`;
}

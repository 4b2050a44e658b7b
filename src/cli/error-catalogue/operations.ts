import type { Explanations } from './explanation.ts';

/** Of migrations, configuration and installed bundles. */
export const OPERATIONS = {
  CONFIGURATION_NEEDS_RECIPIENTS: {
    status: 2,
    meaning: 'Secrets and the values of Helm releases are written sealed, and nobody was named who may open them.',
    remedy: 'Name recipients with -r age1… or -R FILE.',
  },
  CONFIGURATION_NOT_FOUND: {
    status: 1,
    meaning: 'Something that an export names is not in the cluster.',
    remedy: 'Check the spelling of namespace and name, and that --context leads to the right cluster.',
  },
  CONFIGURATION_NOT_PORTABLE: {
    status: 2,
    meaning: 'A Secret of this type means something in its own cluster alone.',
    remedy: 'Leave it out of the export: the other cluster makes its own.',
  },
  CONFIGURATION_TOO_LARGE: {
    status: 1,
    meaning:
      'A document of `config export` would be larger than 64 MiB, or the plain JSON documents of a bundle are together larger than the 1 MiB of a ConfigMap.',
    remedy:
      'Name fewer tables or namespaces; carry less in the bundle. What is that large is data, and belongs in a backup.',
  },
  CONFIGURATION_TABLE_UNUSABLE: {
    status: 1,
    meaning:
      'A table cannot be carried: it is not there, has no primary key, too many rows, or other columns than in the document.',
    remedy: 'Name a table with a primary key as SCHEMA.NAME, and bring both databases to the same migrations first.',
  },
  CONFIGURATION_WOULD_OVERWRITE: {
    status: 3,
    meaning: 'What a document would change is there already and differs. Nothing was written.',
    remedy: 'Look at the differences with --plan. --overwrite makes the target as the document says.',
  },
  CONFIGURATION_SEALED: {
    status: 2,
    meaning: 'A part of a configuration document is sealed, and no identity was given that opens it.',
    remedy: 'Give the identity file with -i, or leave the sealed parts out with --only config-maps --only tables.',
  },
  MIGRATION_CHANGED: {
    status: 3,
    meaning: 'A migration that was applied is not the file that is carried now.',
    remedy:
      'Take the change back, and put it into a new file with a higher number. `portolan migrate status` shows both.',
  },
  MIGRATION_MISSING: {
    status: 3,
    meaning: 'The ledger knows a migration of a module that is carried, but the file is gone.',
    remedy: 'Put the file back: what was applied once stays in its module for good.',
  },
  MIGRATION_OUT_OF_ORDER: {
    status: 3,
    meaning:
      'A new migration has a number below one that was applied already, so that fresh databases would run it in another order than this one.',
    remedy: 'Give it a higher number, or allow it with --allow-out-of-order when the order does not matter.',
  },
  MIGRATION_DIRTY: {
    status: 3,
    meaning:
      'A migration that runs outside of a transaction failed or was cut off, so that nobody knows what of it is there.',
    remedy:
      'Look at the database. Then `portolan migrate up --retry MODULE/FILE` when you removed what it left, or --repaired MODULE/FILE when its effect is there whole.',
  },
  MIGRATION_FAILED: {
    status: 1,
    meaning:
      'The server refused a statement of a migration. A file that runs in a transaction left nothing behind; files before it stay applied.',
    remedy:
      'Go to the file and line that the message names, or mend the data that it stumbled over, and run the command again: it goes on with this file.',
  },
  MIGRATION_INTERRUPTED: {
    status: 1,
    meaning: 'The connection to the database broke while a migration ran.',
    remedy: 'Run the command again: the ledger tells what was applied. The message says what is true about the file.',
  },
  MIGRATION_LOCKED: {
    status: 1,
    meaning: 'Another run holds the lock on the migrations of this database.',
    remedy:
      'Wait for it, or raise --wait-lock. The message says who holds it; when that program is gone, the server frees the lock within seconds.',
  },
  MIGRATION_LEDGER_UNKNOWN: {
    status: 1,
    meaning: 'The table portolan.migrations was made by a newer Portolan, or by something else.',
    remedy: 'Use the Portolan that made it, or a newer one.',
  },
  MIGRATION_CONTRACT_RAN: {
    status: 3,
    meaning:
      'A contract migration of a later release ran already. The earlier release does not know the schema that it left.',
    remedy: 'Go forward with a later release, or restore a backup from before.',
  },
  MIGRATION_UNKNOWN: {
    status: 2,
    meaning: 'A migration was named that is not there, or that is not in a state to do this with.',
    remedy: '`portolan migrate status` lists modules, files and their states.',
  },
  MIGRATION_BASELINE_CONFLICT: {
    status: 1,
    meaning: 'A database can be adopted only before migrations of the module are in the ledger.',
    remedy: 'Look at `portolan migrate status`: `portolan migrate up` is what goes on from there.',
  },
  MIGRATIONS_TOO_LARGE: {
    status: 1,
    meaning: 'The modules are too large to be handed to a Pod.',
    remedy: 'Run the migrations with --database from a machine that reaches the database.',
  },
  MIGRATION_POD_NOT_STARTED: {
    status: 1,
    meaning: 'The Pod that would run the migrations did not start.',
    remedy:
      'The message has the words of Kubernetes: an image that is not there, a Secret that is missing, or no node with room.',
  },
  MIGRATION_POD_FAILED: {
    status: 1,
    meaning:
      'The Pod that ran the migrations ended without telling a result: it was evicted, killed, or ran out of memory.',
    remedy: 'See what the message says about the Pod, then run the command again: the ledger tells what was applied.',
  },
  MIGRATION_POD_TIMEOUT: {
    status: 1,
    meaning: 'The Pod that runs the migrations was not done in time, and was removed.',
    remedy:
      'Raise the time limit, or see in the database what the migration waits for. What was not committed was rolled back.',
  },
  IMPORT_REFUSED: {
    status: 3,
    meaning: 'Several checks failed before an import; nothing was changed.',
    remedy: 'Each problem is listed with its own code: mend all of them, then run the same command again.',
  },
  DOWNGRADE_REFUSED: {
    status: 3,
    meaning: 'The target already had a bundle of this name with a higher sequence.',
    remedy:
      'Get the current bundle. To undo an upgrade use bundle rollback; --allow-downgrade imports the old bundle all the same.',
  },
  SEQUENCE_REUSED: {
    status: 3,
    meaning: 'The target had another bundle of this name with the same sequence.',
    remedy: 'Ask the publisher: each release needs a sequence of its own. --allow-downgrade imports it all the same.',
  },
  DATA_ORPHANED: {
    status: 3,
    meaning: 'A module or a data chart that has data on the target is not in the bundle.',
    remedy:
      'Switch the feature on in the bundle, or say --allow-orphans: its data stays where it is, and nothing migrates it any more.',
  },
  IMAGES_NOT_THERE: {
    status: 1,
    meaning: 'The images were sent, but the target does not hold all of them.',
    remedy:
      'Look for a full disk or a clean-up at the target, then run the import again: it sends only what is missing.',
  },
  BUNDLE_NOT_INSTALLED: {
    status: 1,
    meaning: 'The target knows no installed bundle of that name.',
    remedy: 'portolan bundle status lists what is installed.',
  },
  NOTHING_TO_ROLL_BACK: {
    status: 1,
    meaning: 'The target remembers no former release of the bundle.',
    remedy:
      'A rollback goes one release back, and only once. Import the bundle of the release that you want, with --allow-downgrade.',
  },
  ROLLBACK_REFUSED: {
    status: 3,
    meaning:
      'A contract migration that the former release does not know has run: its program would not find what it needs.',
    remedy:
      'Import a newer bundle that mends what is wrong. Contract migrations remove what only the former release used.',
  },
  TARGET_NOT_SAID: {
    status: 2,
    meaning: 'It is not clear where the images or the cluster of an import are.',
    remedy: 'Say --images and, where there are several clusters, --context.',
  },
  TARGET_NOT_RIGHT: {
    status: 3,
    meaning: 'What runs at a target is not what was imported: an import did not end, or helm has another revision.',
    remedy: 'Import the same bundle again: it does what is missing. bundle status shows the releases.',
  },
} as const satisfies Explanations;

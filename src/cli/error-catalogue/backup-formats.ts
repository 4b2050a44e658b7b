import type { Explanations } from './explanation.ts';

/** Of repositories of backups: addresses, documents, keys, packs. */
export const BACKUP_FORMATS = {
  STORAGE_ADDRESS_INVALID: {
    status: 2,
    meaning: 'The address of a repository or of a bucket is not one, or holds a secret.',
    remedy:
      'Write a path, or s3://BUCKET/PREFIX?endpoint=https://HOST:PORT. Access keys come from AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or from AWS_SHARED_CREDENTIALS_FILE, never from the address.',
  },
  TRANSFER_RATE_INVALID: {
    status: 2,
    meaning: 'The limit of a transfer is not one, or is lower than 64 KiB in a second.',
    remedy: 'Write a number with KiB, MiB or GiB, such as --limit-upload 10MiB.',
  },
  DATABASE_PATTERN_INVALID: {
    status: 2,
    meaning: 'A pattern that leaves out schemas or tables is not well formed.',
    remedy:
      'Write SCHEMA or SCHEMA.TABLE, with * and ? as in file names; a name with other signs goes into double quotes.',
  },
  FILES_RECORD_INVALID: {
    status: 3,
    meaning: 'The record of a folder in a snapshot cannot be read: it is damaged, or of a newer version of Portolan.',
    remedy: 'Use the version of Portolan that wrote the snapshot, or a newer one; check the repository.',
  },
  DATABASE_ARCHIVE_INVALID: {
    status: 3,
    meaning: 'An archive of pg_dump is cut off, damaged, or of a format that is not known.',
    remedy: 'Run the backup again; use client programs of PostgreSQL 14 to 18.',
  },
  DATABASE_RECORD_INVALID: {
    status: 3,
    meaning: 'The record of a database in a snapshot cannot be read: it is damaged, or of a newer version of Portolan.',
    remedy: 'Use the version of Portolan that wrote the snapshot, or a newer one; check the repository.',
  },
  REPOSITORY_NAME_INVALID: {
    status: 2,
    meaning: 'The name of a writer, verifier or pruner is not well formed.',
    remedy: 'Use up to 63 lower-case letters, digits and hyphens, and start with a letter or digit.',
  },
  REPOSITORY_INVALID: {
    status: 3,
    meaning: 'repo.json, which says that a place is a repository of backups, is not right.',
    remedy:
      'Check that the address names a repository. If it does, restore repo.json from a copy or an older version of the object.',
  },
  REPOSITORY_VERSION_UNSUPPORTED: {
    status: 1,
    meaning:
      'A repository, or a document in it, was written in a version of the format that this program does not know.',
    remedy: 'Use a newer release of Portolan.',
  },
  REPOSITORY_MISMATCH: {
    status: 3,
    meaning: 'A document belongs to another repository than the one in which it lies or for which it was given.',
    remedy:
      'Check the address of the repository, and which trust file, writer key and checkpoint were given. If they are right, somebody put objects of another repository here: run `portolan backup check`.',
  },
  SIGNED_DOCUMENT_INVALID: {
    status: 3,
    meaning:
      'A signed document of a repository is damaged, of another kind, or not written in the one form that is accepted.',
    remedy:
      'Restore the object that the message names from a copy or an older version of it, then run `portolan backup check`.',
  },
  SIGNED_DOCUMENT_FORGED: {
    status: 3,
    meaning:
      'A signature names a trusted key and does not fit it: the document was altered after it was signed, or forged.',
    remedy:
      'Restore the object that the message names from a copy or an older version of it, and find out who can write to the storage.',
  },
  SIGNED_DOCUMENT_UNSIGNED: {
    status: 3,
    meaning: 'A document of a repository is not signed by those who must have signed it.',
    remedy:
      'Compare the signers with the roster (`portolan backup show`). A document that nobody of the roster signed is not believed: somebody else put it there.',
  },
  ROSTER_INVALID: {
    status: 3,
    meaning: 'A roster, which says who may read, write, prune and verify, breaks its own rules.',
    remedy:
      'Correct what the message names and have the approvers sign again; a roster in the storage is restored from a copy.',
  },
  ROSTER_MISSING: {
    status: 3,
    meaning: 'An epoch of the roster is missing: epochs follow each other without a gap.',
    remedy:
      'Restore the object that the message names from a copy or an older version of it. Somebody removed it from the storage.',
  },
  ROSTER_UNSIGNED: {
    status: 3,
    meaning: 'A roster is not signed by enough approvers, or by none of the keys that you trust.',
    remedy:
      'Check that the trust file holds the approvers’ public keys. If it does, do not use this roster: somebody put it there who may not.',
  },
  ROSTER_FORKED: {
    status: 3,
    meaning:
      'There are two different rosters of one epoch: the one that is here is not the one that was seen, or that the next epoch follows.',
    remedy:
      'Ask the approvers which one they signed, and restore it from a copy or an older version of the object. If they signed both, give all readers the same.',
  },
  ROSTER_ROLLED_BACK: {
    status: 3,
    meaning:
      'The newest roster in the storage is older than one that was seen before, or than the lowest epoch that is trusted.',
    remedy:
      'Restore the newer epochs from a copy or older versions of the objects. Somebody removed them from the storage.',
  },
  ROSTER_TOO_FEW_RECIPIENTS: {
    status: 1,
    meaning: 'Fewer recipients than the roster’s minimum may still be sealed to: the time of the others ran out.',
    remedy: 'Have the approvers sign a next epoch with more recipients, or with a later end for those that are there.',
  },
  ROSTER_BREAK_GLASS_MISSING: {
    status: 3,
    meaning:
      'The newest roster lacks a break-glass recipient that the root pins, has it in another role, or gives it an end: backups would go on without the key in the safe.',
    remedy:
      'Have the approvers sign a next epoch with it: `portolan keys approve --break-glass`, with the approvers’ public keys alone as --trust. If nobody took it off on purpose, find out who signed that epoch. A restore goes on with those keys as --trust, too.',
  },
  ROSTER_MINIMUM_TOO_LOW: {
    status: 3,
    meaning: 'The newest roster allows backups that are sealed to fewer recipients than the root asks for.',
    remedy:
      'Have the approvers sign a next epoch with the minimum of the root: `portolan keys approve --minimum-recipients`, with the approvers’ public keys alone as --trust. If nobody lowered it on purpose, find out who signed that epoch.',
  },
  KEY_SET_INVALID: {
    status: 3,
    meaning: 'The key set of the identity provider is not one, or has no key that ID tokens can be signed with.',
    remedy:
      'Give the file that the provider’s `jwks_uri` answers with, or look whether something between this machine and the provider answers in its place.',
  },
  ISSUER_KEY_CHANGED: {
    status: 3,
    meaning:
      'The identity provider shows another key than the pinned one under the same name (kid), or one whose time had ended under another name.',
    remedy:
      'Nothing was changed. Providers give a new key a new name: ask its administrator, by another way than this network, which key is right, and do not enrol anybody until you know.',
  },
  RUN_KEY_INVALID: {
    status: 3,
    meaning: 'The key of a run was opened and is not one, or is that of another run.',
    remedy:
      'Run `portolan backup check`. The snapshot carries a second copy of the key, which is used when the first is damaged.',
  },
  WRITER_KEY_INVALID: {
    status: 2,
    meaning: 'The writer key, a file that `portolan backup init` makes for each agent, is damaged or not one.',
    remedy: 'Give the right file, or restore it from where it was kept. Nothing of its content is printed.',
  },
  SNAPSHOT_INVALID: {
    status: 3,
    meaning: 'A snapshot breaks the rules of its format, though its signature may be right.',
    remedy: 'Use another snapshot. If its signature is right, its writer is faulty or hostile: look at that machine.',
  },
  SNAPSHOT_SWAPPED: {
    status: 3,
    meaning: 'A genuine snapshot lies under the name of another one: the storage was tampered with.',
    remedy: 'Restore the object that the message names from a copy or an older version of it.',
  },
  SNAPSHOT_DROPPED: {
    status: 3,
    meaning: 'A snapshot is gone though it was not forgotten: a pruner leaves a signed stub.',
    remedy:
      'Restore the object that the message names from a copy or an older version of it. Other snapshots are not concerned.',
  },
  SNAPSHOTS_FORKED: {
    status: 3,
    meaning:
      'A writer signed two different snapshots with one number, or the one that is here is not the one that was seen. Two agents may use one writer key, one may have been put back to an older state, or the storage was tampered with.',
    remedy:
      'Give each agent a key of its own. Look for the other snapshot among older versions of the object that the message names.',
  },
  SNAPSHOTS_ROLLED_BACK: {
    status: 3,
    meaning: 'The newest snapshots of a writer are gone: the checkpoint or another writer’s snapshot names later ones.',
    remedy:
      'Restore them from a copy or older versions of the objects. Somebody removed them from the storage, or it was put back to an older state.',
  },
  CONTENTS_ENTRY_INVALID: {
    status: 3,
    meaning: 'An entry in the list of what a snapshot holds is not right, or out of order.',
    remedy:
      'Use another snapshot. Its digest is signed, so its writer made it so: use a newer release there, and look at that machine.',
  },
  CONTENTS_INCOMPLETE: {
    status: 3,
    meaning: 'The list of what a snapshot holds ends before one of its sources does: the backup is not complete.',
    remedy: 'Use another snapshot, and back up again.',
  },
  CONTENTS_DAMAGED: {
    status: 3,
    meaning: 'The list of what a snapshot holds is damaged.',
    remedy: 'Restore the object from a copy or an older version of it, or use another snapshot.',
  },
  CHUNK_TABLE_INVALID: {
    status: 3,
    meaning: 'A table that says where chunks lie is cut or has impossible values.',
    remedy: 'Use another snapshot, and run `portolan backup check`.',
  },
  PACK_INVALID: {
    status: 3,
    meaning: 'A pack was opened and does not have the form of one.',
    remedy: 'Restore the pack from a copy or an older version of it, and run `portolan backup check --read-data 100%`.',
  },
  INDEX_INVALID: {
    status: 3,
    meaning: 'The index of a run is damaged. A restore does not need it; its packs are not used again by later runs.',
    remedy:
      'Restore it from a copy or an older version of the object, or do nothing: the next run writes its chunks afresh.',
  },
  CHECKPOINT_INVALID: {
    status: 2,
    meaning: 'A checkpoint, the record of what was seen of a repository, is damaged or would go back.',
    remedy:
      'Give the right file, or another copy of it. Without one, nobody can tell whether the newest snapshots were removed.',
  },
  MARK_INVALID: {
    status: 3,
    meaning: 'A mark, which says what a pruner is going to delete, is not right.',
    remedy: 'Look at the pruner that signed it. Nothing is deleted because of this mark.',
  },
  FORGOTTEN_INVALID: {
    status: 3,
    meaning: 'The stub that remains of forgotten snapshots is not right.',
    remedy: 'Restore the object from a copy or an older version of it, or look at the pruner that signed it.',
  },
  VERIFICATION_INVALID: {
    status: 3,
    meaning: 'The result of a check or drill is not the one that its name says.',
    remedy: 'Remove it and check again. The snapshot counts as not verified until then.',
  },
  REWRAP_INVALID: {
    status: 3,
    meaning: 'A list of keys that were sealed again is not the one that its name says.',
    remedy: 'Run `portolan keys rewrap` again. Until then those runs are not used again by later ones.',
  },
  DRILL_CHECKS_INVALID: {
    status: 2,
    meaning: 'The file of queries that a drill asks of the restored databases cannot be used.',
    remedy:
      'Write one query for each check, whose only row has one boolean, each below a comment line that names it. docs/backups.md has an example.',
  },
  RETENTION_INVALID: {
    status: 2,
    meaning: 'The rules for what is kept would keep nothing, or have a number that is none.',
    remedy: 'Say what is kept, such as --keep-daily 7 --keep-weekly 4 --keep-monthly 12.',
  },
} as const satisfies Explanations;

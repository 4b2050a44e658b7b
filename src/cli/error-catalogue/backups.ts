import type { Explanations } from './explanation.ts';

/** Of backups, their repositories, their restore. */
export const BACKUPS = {
  BACKUP_DATABASE_UNUSABLE: {
    status: 1,
    meaning: 'A database that is to be backed up does not exist, takes no connections, or cannot be read consistently.',
    remedy: 'Correct the name, or mend what the message says about the database.',
  },
  BACKUP_RIGHTS_MISSING: {
    status: 1,
    meaning: 'The role may not read everything that is to be backed up. Nothing was read.',
    remedy:
      'Run the SQL that the message gives, or leave the objects out. docs/backup-postgres.md has a small role for it.',
  },
  BACKUP_ROWS_FILTERED: {
    status: 1,
    meaning: 'Row-level security would hide rows of some tables from this role. Nothing was read.',
    remedy: 'Give the role BYPASSRLS by the SQL of the message, or use a role that has it.',
  },
  BACKUP_TABLES_CHANGING: {
    status: 1,
    meaning:
      'The tables could not be held still: somebody holds a lock on one, or tables are made, rewritten and dropped all the time.',
    remedy: 'See in pg_locks who holds the table that is named; run the backup again when its work is done.',
  },
  BACKUP_CANCELLED_BY_SERVER: {
    status: 1,
    meaning:
      'The server ended a statement of the backup: somebody cancelled it, or it is a standby whose changes had waited for too long.',
    remedy:
      'Run the backup again; on a standby raise max_standby_streaming_delay, turn hot_standby_feedback on, or back up the primary.',
  },
  BACKUP_INCOMPLETE: {
    status: 3,
    meaning: 'What was read of a database is not all of it. The run was ended, and is no snapshot.',
    remedy: 'Run the backup again. If it says so again, report it with the message.',
  },
  BACKUP_FILES_UNREADABLE: {
    status: 1,
    meaning:
      'Files or folders that are to be backed up cannot be read, or lie too deep. The run was ended, and is no snapshot.',
    remedy:
      'Run the backup as a user who may read them (root), or leave them out with --exclude-files PATTERN. If a disk is bad, leave out what cannot be read any more.',
  },
  RESTORE_TARGET_NOT_EMPTY: {
    status: 1,
    meaning:
      'The database that is to be restored into has something in it, or objects of the same names. Nothing was changed.',
    remedy:
      'Restore into another database: --to postgres://…/NEWNAME. With --into-existing what is missing is put beside what is there; nothing is ever dropped.',
  },
  RESTORE_NOT_ALLOWED: {
    status: 1,
    meaning:
      'The snapshot holds what may do harm by itself, or needs the rights of a superuser, and was not allowed. Nothing was changed.',
    remedy: 'Look at the objects that the message names, and allow their kinds by --allow when you trust them.',
  },
  RESTORE_RIGHTS_MISSING: {
    status: 1,
    meaning:
      'The role that restores may not make roles, databases or other things that are needed. Nothing was changed.',
    remedy: 'Use a role with these rights, or have somebody make what the message names, and run the command again.',
  },
  RESTORE_SERVER_TOO_OLD: {
    status: 1,
    meaning:
      'The server is older than the one that was backed up, or than the client programs work with. Nothing was changed.',
    remedy: 'Restore into a server of the same or a newer major version, with client programs of its version.',
  },
  RESTORE_EXTENSIONS_MISSING: {
    status: 1,
    meaning: 'The server lacks the files of extensions that the databases use. Nothing was changed.',
    remedy: 'Install the packages of these extensions on the machine of the server, and run the command again.',
  },
  RESTORE_TABLESPACE_MISSING: {
    status: 1,
    meaning: 'A tablespace of the snapshot is to be made again, and its folder is not on the machine of the server.',
    remedy:
      'Make the folder, empty and owned by the account that the server runs as. Or put everything into the default tablespace by `--no-tablespaces`.',
  },
  RESTORE_LOCALE_MISSING: {
    status: 1,
    meaning:
      'The server has not the locale that a database was made with, or that its values of the type money were written in.',
    remedy:
      'Install the locale on the machine of the server. Or make an empty database with another one, and name it in --to.',
  },
  RESTORE_UNDER_WAY: {
    status: 1,
    meaning: 'Another restore into the same database is at work, or was begun and is not done.',
    remedy: 'Go on with that one, by the same snapshot and the same options; or drop the database that it began.',
  },
  RESTORE_NOT_EQUAL: {
    status: 3,
    meaning: 'Everything was restored, but what is there is not in all points what the snapshot says.',
    remedy:
      'Look at the differences that are named. Rows that differ are a fault: restore into another database, and report it.',
  },
  RESTORE_TARGET_WRONG: {
    status: 1,
    meaning:
      'The cluster, the bundle and the snapshot do not go together: the target holds something already, or the snapshot belongs to another bundle. Nothing was changed.',
    remedy: 'Compare what the message expects with what it found, and name another context, bundle or snapshot.',
  },
  RESTORE_WAY_CLOSED: {
    status: 1,
    meaning:
      'A restore into a cluster found no way to the database: the Pod that leads there does not run, or the Secret with the password is missing.',
    remedy: 'Read the reason in the message, remove it, and run the command again: it goes on where it was.',
  },
  REHEARSAL_IMPOSSIBLE: {
    status: 1,
    meaning:
      'A restore cannot be rehearsed in this cluster: the data charts have objects outside of the namespace of their release, or the namespaces of a rehearsal are somebody else’s. Nothing was changed.',
    remedy:
      'Rehearse on a cluster of its own, without --rehearse; or restore the databases alone by `portolan backup drill`.',
  },
  REHEARSAL_LEFT: {
    status: 1,
    meaning: 'A rehearsal is over, and Kubernetes does not remove its namespaces.',
    remedy: 'Find what holds them (`kubectl describe namespace`); the next rehearsal removes what is left as well.',
  },
  RESTORE_FOLDER_NOT_EMPTY: {
    status: 1,
    meaning:
      'The folder that a snapshot is to be restored into holds something that no restore of this snapshot left there.',
    remedy:
      'Restore into a new folder, or say --overwrite: then what the snapshot has is replaced, and the rest stays.',
  },
  RESTORE_NAME_UNKNOWN: {
    status: 2,
    meaning: 'Something that is to be restored is not in the snapshot: a source, a path, a database or a table.',
    remedy: 'See what the snapshot holds with `portolan backup ls`, and name it as it stands there.',
  },
  OBJECT_CONFLICT: {
    status: 1,
    meaning: 'Another object lies in the repository where this run wanted to write its own.',
    remedy:
      'Run the command again. If it happens again, two processes share a key, or somebody else writes into the storage: run `portolan backup check`.',
  },
  ROLE_MISSING: {
    status: 1,
    meaning:
      'The signing key, the writer key file or the identity has no such role in the list of who may read, write, prune, verify and approve.',
    remedy:
      'Give the key that has the role. `portolan keys list` shows who has which; an approver changes it with `portolan keys approve`.',
  },
  ROSTER_REFUSED: {
    status: 2,
    meaning:
      'The roster that was asked for is none that holds: somebody stands twice, is of another kind, or too few are left.',
    remedy: 'Change what you name. `portolan keys list` shows who is there, with names and keys.',
  },
  ROSTER_UNCHANGED: {
    status: 2,
    meaning:
      'A change of the roster was asked for, and nobody was named who comes or goes, or who is not there already.',
    remedy: 'Name somebody: `portolan keys approve --help` and `portolan keys revoke --help` show how.',
  },
  ROSTER_NAME_UNKNOWN: {
    status: 2,
    meaning: 'Somebody is to be taken off the roster who is not on it in that role.',
    remedy: '`portolan keys list` shows the names and roles.',
  },
  RUN_TOO_LONG: {
    status: 1,
    meaning: 'A backup took longer than a run may, so what it wrote first may be pruned by now; nothing was committed.',
    remedy:
      'Split the work: fewer databases or folders in one run, each with a writer of its own. The next run reuses what former snapshots name.',
  },
  PACKS_MARKED: {
    status: 1,
    meaning:
      'While a backup ran, a pruner marked objects for deletion that the backup builds on; nothing was committed.',
    remedy: 'Run the backup again: it writes afresh what was marked.',
  },
  WRITER_FORKED: {
    status: 1,
    meaning:
      'Two runs of one writer were under way at once, and the other one committed first; this run committed nothing.',
    remedy:
      'Run the backup again. If two machines back up into one repository, approve a writer for each with `portolan keys approve`.',
  },
  WRITER_KEY_MISSING: {
    status: 2,
    meaning: 'Nobody who has no writer key file can write into a repository, and there is none on this machine.',
    remedy:
      'Give --writer-key FILE. `portolan backup init` makes the file for the first writer, `portolan keys approve --writer` for every other one.',
  },
  SIGN_KEY_MISSING: {
    status: 2,
    meaning: 'What this command writes must be signed, and no signing key was given or is known from `backup init`.',
    remedy:
      'Give --sign-key FILE, an encrypted cosign key whose public half the roster has in the role that is needed.',
  },
  NOTHING_TO_BACK_UP: {
    status: 2,
    meaning: 'A backup was asked for, and nothing was named that is to be backed up.',
    remedy: 'Give --database URL or --files DIR, or both; each is repeatable.',
  },
  SNAPSHOT_NOT_FOUND: {
    status: 1,
    meaning: 'The repository has no snapshot of that name.',
    remedy: 'Write latest, WRITER, WRITER/SEQUENCE or the id of a run. `portolan backup list` shows what is there.',
  },
  SNAPSHOT_AMBIGUOUS: {
    status: 2,
    meaning: 'Several writers have snapshots, so `latest` could mean any of them.',
    remedy: 'Name the writer: WRITER means its newest snapshot, WRITER/SEQUENCE a certain one.',
  },
  SNAPSHOT_NOT_RIGHT: {
    status: 3,
    meaning:
      'A snapshot is signed by its writer, and still cannot be read whole: it contradicts itself, or something that it names is missing or damaged.',
    remedy:
      'Restore another snapshot, and run `portolan backup check --read-data 100%`. If the objects are whole, the writer is broken or hostile: look after its machine and key.',
  },
  SNAPSHOT_READERS_WRONG: {
    status: 3,
    meaning:
      'A snapshot is signed by its writer, and its key is sealed to somebody whom the roster does not have, or not to everybody whom it has; or it goes by an older roster than the snapshot before it.',
    remedy:
      'Its writer is broken, or somebody else has its key, or the storage showed it an old roster, and it keeps no state (give it --minimum-epoch). Look after that machine, give it another key (`portolan keys revoke`, `portolan keys approve`), and run `portolan backup run --full`.',
  },
  SNAPSHOT_KEPT: {
    status: 1,
    meaning: 'A snapshot was named that is not forgotten: the newest of its writer, or one on hold.',
    remedy: 'Wait until a newer one is there. A hold is passed over with --even-held.',
  },
  SOURCE_SNAPSHOT_DAMAGED: {
    status: 3,
    meaning:
      'A snapshot was not copied, because something that it names is missing or damaged in the repository that is copied from.',
    remedy: 'Run `portolan backup check --read-data 100%` there. The other snapshots were copied.',
  },
  PRUNE_REFUSED: {
    status: 1,
    meaning: 'Just before something was deleted, a snapshot came that names it.',
    remedy:
      'Run the command again. If it happens again, a writer reuses what is marked, which a sound one never does: run `portolan backup check`.',
  },
  NOTHING_TO_DRILL: {
    status: 1,
    meaning: 'A drill restores databases, and the snapshot has none.',
    remedy: 'Name another snapshot. `portolan backup check --read-data 100% -i FILE` opens what is in files.',
  },
  DRILL_DATABASE_UNKNOWN: {
    status: 2,
    meaning: 'A check of a drill names a database that the snapshot does not have, or none where there are several.',
    remedy: 'Write `\\connect DATABASE` above the check; `portolan backup ls` shows the databases.',
  },
  DRILL_NOT_DONE: {
    status: 1,
    meaning:
      'A snapshot could not be restored on the machine of a drill. That says nothing of the snapshot, and nothing was signed.',
    remedy: 'Every problem is listed with its own code: mend them, and run the command again.',
  },
  DRILL_CHECK_FAILED: {
    status: 3,
    meaning: 'A query that a drill asked of a restored database did not answer true.',
    remedy:
      'Ask the same of the database that was backed up. If it is true there, restore another snapshot and look at the writer.',
  },
  DRILL_FAILED: {
    status: 3,
    meaning: 'A drill found that a snapshot is not what it should be, and signed that.',
    remedy:
      'Every problem is listed with its own code. Restore an older snapshot that is verified, look at the writer, and make a new full backup with `portolan backup run --full`.',
  },
  REPOSITORY_UNTRUSTED: {
    status: 1,
    meaning: 'Nothing says whose signatures are to be believed about this repository.',
    remedy:
      "Give --trust FILE: the approvers' public keys, or the trust.json that `portolan backup init` left. Get it by another way than the storage.",
  },
  REPOSITORY_NOT_RIGHT: {
    status: 3,
    meaning: 'A check of the repository found something missing, damaged, forged or other than it was seen before.',
    remedy:
      'Every problem is listed with what it touches. Copy damaged objects from another copy of the repository, or make a new full backup with `portolan backup run --full`.',
  },
  RUN_KEY_NOT_FOR_US: {
    status: 1,
    meaning: 'No identity that was given opens the key of the run, so nothing of it can be read.',
    remedy:
      'Give the identity of a recipient. For somebody who became a reader later, a present reader runs `portolan keys rewrap`.',
  },
  BACKUP_OBJECT_MISSING: {
    status: 3,
    meaning: 'An object that a snapshot names is not in the storage.',
    remedy:
      'Put it back from another copy of the repository. `portolan backup run --full` makes a snapshot that needs nothing of what is there.',
  },
  BACKUP_OBJECT_DAMAGED: {
    status: 3,
    meaning: 'An object that a snapshot names has another size or other bytes than the snapshot says.',
    remedy:
      'Put it back from another copy of the repository. `portolan backup run --full` makes a snapshot that needs nothing of what is there.',
  },
  REPOSITORY_MISSING: {
    status: 1,
    meaning: 'There is no repository at that address.',
    remedy: 'Check the address, and that the disk is mounted. `portolan backup init` makes a repository.',
  },
  ROOT_INCOMPLETE: {
    status: 2,
    meaning: 'A new root was asked for without an approver or without a break-glass recipient.',
    remedy:
      'Give both. A break-glass recipient is what opens backups when everything else is lost, the identity provider too: `portolan keys generate`, and its file goes into a safe.',
  },
  ROOT_DIFFERS: {
    status: 1,
    meaning: 'There is a root already that says something else than the options, or that belongs to a repository.',
    remedy:
      'Leave those options out to bring only the keys of the identity provider up to date, or choose another file. What everybody pinned is changed by hand, and given to everybody again.',
  },
  REPOSITORY_EXISTS: {
    status: 1,
    meaning: 'There is a repository already, and it is not the one that this command would make.',
    remedy:
      'Use it as it is and change its keys with `portolan keys approve` and `portolan keys revoke`, or choose another place.',
  },
  REPOSITORY_GONE: {
    status: 3,
    meaning: 'This machine has used a repository at that address, and now there is nothing.',
    remedy:
      'Mount the disk, or look after the storage. If the repository was deleted on purpose, remove the folder that the message names and run the command again.',
  },
  STORE_NOT_CREATE_ONLY: {
    status: 3,
    meaning: 'The storage overwrites an object that it was asked to create only where there is none (If-None-Match).',
    remedy:
      'Use a storage with conditional writes: Amazon S3, MinIO, versitygw, or a newer version of this one. Two writers would overwrite each other without noticing.',
  },
  STORE_NOT_FAITHFUL: {
    status: 3,
    meaning: 'The storage does not give back what was just stored, or does not list it.',
    remedy: 'Check that nothing in between caches or alters its answers; else use another storage.',
  },
  REPOSITORY_PLACE_NOT_EMPTY: {
    status: 1,
    meaning: 'A repository needs a place of its own, and something else is there.',
    remedy: 'Choose an empty folder, or another prefix of the bucket.',
  },
} as const satisfies Explanations;

import type { Explanations } from './explanation.ts';

/** Of storage, and of the programs and files that a backup reads. */
export const BACKUP_ADAPTERS = {
  STORE_UNREACHABLE: {
    status: 1,
    meaning:
      'The storage of a repository could not be reached, or the connection broke more often than it was tried again.',
    remedy:
      'Check the endpoint, the network, the proxy settings and that the storage runs, or that the disk is mounted. What was stored is kept: run the command again.',
  },
  STORE_UNTRUSTED: {
    status: 1,
    meaning: "The storage's certificate is not trusted, or its port does not speak TLS.",
    remedy:
      'Give the certificate authority with --ca-file, use the name for which the certificate was issued, or write endpoint=http:// where it is meant to be without TLS.',
  },
  STORE_TIMEOUT: {
    status: 1,
    meaning:
      'The storage did not answer in time, or stopped in the middle of a transfer, more often than it was tried again.',
    remedy: 'Check the network and the load of the storage. What was stored is kept: run the command again.',
  },
  STORE_DENIED: {
    status: 1,
    meaning: 'The storage refused the request: the credentials are wrong or have expired, or may not do this.',
    remedy:
      "Read the storage's own word in the message. Check the access key and its secret, the policy of the bucket, the region, and the clock of this machine; for a folder, its owner and mode.",
  },
  STORE_CREDENTIALS_MISSING: {
    status: 2,
    meaning: 'There are no usable credentials for the storage.',
    remedy:
      'Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_SHARED_CREDENTIALS_FILE and AWS_PROFILE. They are never taken from arguments or from the address.',
  },
  STORE_MISSING: {
    status: 1,
    meaning: 'The bucket or the folder of a repository does not exist.',
    remedy: 'Check its name, the endpoint and the region; create the bucket with your storage, or mount the disk.',
  },
  STORE_FULL: {
    status: 1,
    meaning: 'The storage of a repository has no space left.',
    remedy:
      'Make space there, or raise the quota, and run the command again. Nothing half was left under a name. `portolan backup prune` removes what no snapshot needs.',
  },
  STORE_BUSY: {
    status: 1,
    meaning:
      'The storage asked to slow down, or another writer was at work on the same object, more often than it was tried again.',
    remedy: 'Run the command again later, or with fewer transfers at once.',
  },
  STORE_FAILED: {
    status: 1,
    meaning: 'The storage failed, or does something that no such storage does.',
    remedy:
      "Read the storage's own word in the message, and look at its log. What was stored is kept: run the command again.",
  },
  OBJECT_KEY_INVALID: {
    status: 3,
    meaning:
      'Something names an object of a repository by a name that no object has, such as one that leads out of the folder.',
    remedy: 'Check the repository with `portolan backup check`: what names such an object is damaged or forged.',
  },
  OBJECT_MISSING: {
    status: 3,
    meaning: 'An object of a repository is not there.',
    remedy:
      'Check the address of the repository. If it is right, something was removed: `portolan backup check` says what depends on it.',
  },
  OBJECT_TOO_LARGE: {
    status: 3,
    meaning: 'An object of a repository is larger than its kind ever is.',
    remedy: 'It was damaged or replaced: check the repository with `portolan backup check`.',
  },
  CHUNK_DAMAGED: {
    status: 3,
    meaning:
      'A pack is the very object that the signed snapshot names, but what is in it is not what the snapshot needs.',
    remedy:
      'No other copy of the repository helps: whoever wrote this snapshot wrote it wrong. Restore an older snapshot, and look into the machine that wrote this one.',
  },
  OBJECT_DAMAGED: {
    status: 3,
    meaning: 'An object of a repository is shorter than it was, or not what was stored.',
    remedy:
      'Check the repository with `portolan backup check`, and the health of the storage. Other snapshots are not touched by it.',
  },
  POSTGRES_PROGRAMS_MISSING: {
    status: 1,
    meaning:
      'The client programs of PostgreSQL that fit the server are not on this machine: its own major version, or a newer one.',
    remedy: 'Install them (Debian: postgresql-client-N), or name the folder that holds them by --pg-bin.',
  },
  POSTGRES_PROGRAM_FAILED: {
    status: 1,
    meaning: 'pg_dump, pg_dumpall, pg_restore or psql failed. The message has its own words.',
    remedy: 'Mend what it names, look into the log of the server, and run the command again.',
  },
  POSTGRES_PROGRAM_TIMEOUT: {
    status: 1,
    meaning: 'A client program of PostgreSQL printed nothing for so long that it was stopped.',
    remedy: 'See in pg_stat_activity of the server what it waits for, and run the command again.',
  },
  POSTGRES_NOT_STARTED: {
    status: 1,
    meaning:
      'A throw-away PostgreSQL server could not be made or started on this machine. The message has its own words.',
    remedy:
      'Mend what the message names. The programs of the server must be of the right major version and readable for everybody, and the temporary folder needs room and a short name.',
  },
  COPY_INCOMPLETE: {
    status: 1,
    meaning: 'The database did not send a table as PostgreSQL does, or fewer or more rows than it counted.',
    remedy:
      'See that nothing stands between the program and the server, and that the server is well; then run the command again.',
  },
} as const satisfies Explanations;

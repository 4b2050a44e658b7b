import type { Explanations } from './explanation.ts';

/** Of keys for a storage that belong to an identity, and of what they may do. */
export const STORAGE = {
  STS_REFUSED: {
    status: 1,
    meaning:
      'The token service of the storage gave no keys for this identity: the token is not right for it, has expired, or its policy refuses.',
    remedy:
      "Read the service's own word in the message, and its hint. Compare the audience, the subject and the role with how the storage was set up (docs/storage-policies.md), and the clocks of this machine, of the identity provider and of the storage. What was stored is kept: run the command again.",
  },
  STS_ANSWER_INVALID: {
    status: 1,
    meaning:
      'The token service of the storage answered what cannot be read. The answer is not shown: it may hold keys.',
    remedy:
      'Check that --sts, or the endpoint of the bucket, is the address of a token service (STS), and that no proxy alters its answers.',
  },
  STORAGE_IDENTITY_EXPOSED: {
    status: 2,
    meaning:
      'The token service of the storage is reached without TLS, over a network. Whoever reads the token on its way has the keys of this identity until the token ends. Nothing was sent.',
    remedy:
      'Give the storage a certificate and use https in the address of the repository or in --sts; --ca-file trusts an authority of your own. On loopback http is taken.',
  },
  STORAGE_IDENTITY_INCOMPLETE: {
    status: 2,
    meaning: 'Something is missing, or too much, of what says for which identity keys of the storage are asked.',
    remedy:
      'Give --service-key FILE, or --client-id ID with --client-secret-file FILE, and a trust file that names the issuer and the project of the storage (`portolan keys init --issuer`). Without an identity leave out --sts and --role-arn.',
  },
  STORAGE_PROMISES_NOTHING: {
    status: 3,
    meaning: 'The repository is a folder. A folder has no policies: whoever may write to it may also empty it.',
    remedy:
      'Keep a copy where others administer it (`portolan backup copy`), or use a bucket with versions and Object Lock.',
  },
  STORAGE_RIGHTS_WRONG: {
    status: 3,
    meaning:
      'The credentials may do something that their role must not be allowed, or may not do what it needs, or the bucket destroys what is overwritten.',
    remedy:
      'Look at the rows of the table that are wrong. Give the policy that `portolan storage policy` prints for the role, and nothing besides; turn on versions and Object Lock; then run the command again.',
  },
} as const satisfies Explanations;

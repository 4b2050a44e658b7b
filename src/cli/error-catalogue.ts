// Above 400 lines: one table of every code there is. Split up, a code could be explained twice or looked for in vain.
import type { AdapterErrorCode } from '../adapters/errors.ts';
import type { FormatErrorCode } from '../formats/errors.ts';
import type { UseCaseErrorCode } from '../usecases/errors.ts';
import type { UsageErrorCode } from './errors.ts';

export type ErrorCode = FormatErrorCode | AdapterErrorCode | UseCaseErrorCode | UsageErrorCode;

/** 1 failed, 2 wrong use, 3 the thing that was checked is not right. */
export type ExitStatus = 1 | 2 | 3;

export interface Explanation {
  readonly status: ExitStatus;
  /** What happened, in a sentence. */
  readonly meaning: string;
  /** What the person does, in one or more sentences. */
  readonly remedy: string;
}

/** The one place that maps a code to an exit status, and what `portolan help CODE` and docs/errors.md print. */
export const ERROR_CATALOGUE: Readonly<Record<ErrorCode, Explanation>> = {
  // --- formats ---
  DEFINITION_INVALID: {
    status: 2,
    meaning: 'bundle.yaml does not follow its schema.',
    remedy: 'Go to the file, line and column that the message names and correct the key that it names.',
  },
  REFERENCE_INVALID: {
    status: 2,
    meaning: 'An image reference is not well formed.',
    remedy: 'Write it as HOST/REPOSITORY:TAG or HOST/REPOSITORY@sha256:DIGEST, in lower case.',
  },
  PLATFORM_INVALID: {
    status: 2,
    meaning: 'A platform is not well formed.',
    remedy: 'Write it as OS/ARCHITECTURE or OS/ARCHITECTURE/VARIANT, such as linux/amd64 or linux/arm/v7.',
  },
  MANIFEST_INVALID: {
    status: 1,
    meaning: 'An image manifest or index does not follow its specification.',
    remedy: 'Build and push the image again with a current tool; if the registry is a proxy, compare with the origin.',
  },
  MANIFEST_TOO_LARGE: {
    status: 1,
    meaning: 'An image manifest or index is larger than 4 MiB, or names more parts than any real image has.',
    remedy: 'Check that the reference names an image. A registry that sends such a manifest is broken or hostile.',
  },
  MANIFEST_UNSUPPORTED: {
    status: 1,
    meaning: 'The image is in a format that is not carried: Docker schema 1, or a media type that is not an image.',
    remedy: 'Push the image again as an OCI image or a Docker schema 2 image, with any current tool.',
  },
  LAYER_FOREIGN: {
    status: 1,
    meaning:
      'A layer is not in the registry: its licence keeps it at an outside address (a foreign or non-distributable layer).',
    remedy:
      'Use an image whose layers are all distributable; a medium for a closed network cannot fetch a layer from an outside address.',
  },
  LAYOUT_INVALID: {
    status: 1,
    meaning: 'A folder is not a valid OCI image layout.',
    remedy: 'Check oci-layout and index.json in that folder, or write the layout again with the tool that made it.',
  },
  AGE_MALFORMED: {
    status: 3,
    meaning: 'A file that should be an age file does not follow the age format.',
    remedy:
      'Take the file from its source again. If it is armored text, decode it with `age` first: pieces and lists are binary.',
  },
  AGE_HEADER_TOO_LARGE: {
    status: 3,
    meaning: 'The header of an age file is larger than 64 KiB, more than any sane list of recipients needs.',
    remedy: 'Use fewer recipients when you seal. When you open, check that this is the right file.',
  },
  AGE_HEADER_FORGED: {
    status: 3,
    meaning: 'The header of an age file was altered after it was written, or was written wrongly.',
    remedy: 'Take the file from its source again, and find out who could have changed it.',
  },
  AGE_PAYLOAD_DAMAGED: {
    status: 3,
    meaning: 'The encrypted content of an age file was cut or altered.',
    remedy: 'Take the file from its source again.',
  },
  SEALED_TOO_LARGE: {
    status: 3,
    meaning: 'A sealed file holds more than its kind ever does.',
    remedy: 'Check that this is the right file.',
  },
  NO_MATCHING_IDENTITY: {
    status: 1,
    meaning: 'None of the identities given is a recipient of what is to be opened.',
    remedy:
      'Give the identity file of one of the recipients with -i. `portolan bundle inspect` without a key shows how many recipients there are and of which kind.',
  },
  IDENTITY_INVALID: {
    status: 2,
    meaning: 'An identity file holds something that is not an age identity, or a mistyped one.',
    remedy:
      'Go to the file and line that the message names. Make an identity with `age-keygen -o FILE` or `age-keygen -pq -o FILE`.',
  },
  IDENTITY_UNSUPPORTED: {
    status: 2,
    meaning: 'The identity is an SSH key or needs an age plugin.',
    remedy: 'Use a native age identity (AGE-SECRET-KEY-1… or AGE-SECRET-KEY-PQ-1…), made with `age-keygen`.',
  },
  PASSPHRASE_NEEDED: {
    status: 2,
    meaning: 'An identity file is protected by a passphrase, and there is no way to ask for it.',
    remedy: 'Run the command in a terminal, or give an identity file without a passphrase.',
  },
  PASSPHRASE_WRONG: {
    status: 1,
    meaning: 'The passphrase does not open the identity file.',
    remedy: 'Run the command again and type the passphrase of this identity file.',
  },
  RECIPIENT_INVALID: {
    status: 2,
    meaning: 'A recipient is not an age recipient, or is mistyped or cut.',
    remedy: 'Copy the whole public key again; `age-keygen -y FILE` prints it from an identity file.',
  },
  RECIPIENT_IS_IDENTITY: {
    status: 2,
    meaning: 'A secret key was given where a public recipient belongs.',
    remedy:
      'Give the public key, which `age-keygen -y FILE` prints. If the secret key stood on the command line or in a shared file, make a new one.',
  },
  RECIPIENT_UNSUPPORTED: {
    status: 2,
    meaning: 'The recipient is an SSH key or belongs to an age plugin.',
    remedy: 'Give a native age recipient (age1… or age1pq1…), made with `age-keygen`.',
  },
  RECIPIENTS_MIXED: {
    status: 2,
    meaning:
      'Classic and post-quantum recipients were given together; the result would be only as strong as the classic ones, and stock age refuses to write it.',
    remedy: 'Give recipients of one kind only: all age1… or all age1pq1….',
  },
  RECIPIENTS_EMPTY: {
    status: 2,
    meaning: 'No recipient was given.',
    remedy: 'Name at least one recipient with -r age1… or -R FILE.',
  },
  WRONG_PASSWORD: {
    status: 1,
    meaning: 'The password does not open the signing key.',
    remedy:
      'Run the command again with the password of this cosign.key. If it is surely right, the file is damaged: take it from its backup.',
  },
  KEY_TOO_LARGE: {
    status: 2,
    meaning: 'A file that should hold keys is far larger than any such file.',
    remedy: 'Check the path: give cosign.key to sign, and cosign.pub or trust.json to verify.',
  },
  SIGNING_KEY_INVALID: {
    status: 2,
    meaning: 'The signing key is not a private key file of cosign, or it is damaged.',
    remedy: 'Give the file cosign.key that `cosign generate-key-pair` wrote.',
  },
  SIGNING_KEY_UNSUPPORTED: {
    status: 2,
    meaning:
      'The signing key is of a kind that is not used: not ECDSA P-256, not protected by a password in the way of cosign, or a public key.',
    remedy:
      'Make a key pair with `cosign generate-key-pair`, or turn an existing P-256 key into one with `cosign import-key-pair`.',
  },
  PUBLIC_KEY_INVALID: {
    status: 2,
    meaning: 'A public key does not decode, or another thing was given in its place.',
    remedy: 'Give the file cosign.pub, whole. `cosign public-key --key cosign.key` prints it again.',
  },
  PUBLIC_KEY_UNSUPPORTED: {
    status: 2,
    meaning: 'A public key is not an ECDSA key on the curve P-256.',
    remedy: 'Ask the publisher for a P-256 key, which is what `cosign generate-key-pair` makes.',
  },
  TRUST_INVALID: {
    status: 2,
    meaning: 'A trust file does not follow its schema.',
    remedy:
      'Go to the key that the message names and correct it. A trust file has keys (each with publicKey and name), and may have minimumSequence and audience.',
  },
  SIGNATURE_TOO_LARGE: {
    status: 3,
    meaning: 'A signature file is far larger than any signature; it was not read.',
    remedy: 'Take the signature file from its source again.',
  },
  SIGNATURE_MALFORMED: {
    status: 3,
    meaning: 'A signature file is not a Sigstore bundle, or is damaged.',
    remedy: 'Take the signature file from its source again.',
  },
  SIGNATURE_UNSUPPORTED: {
    status: 3,
    meaning:
      'The signature is sound in form, but of a kind that is not accepted: a bare signature over a file, one with a certificate, or another version of the bundle.',
    remedy: 'Ask the publisher to sign with `portolan bundle sign`, or with `cosign sign --key` on the manifest.',
  },
  SIGNATURE_UNKNOWN_KEY: {
    status: 3,
    meaning: 'The bundle is signed, but not by a key that you trust.',
    remedy:
      "Compare the key's fingerprint with the publisher by another path. If it is theirs, add their cosign.pub to what --trust names; if not, do not use the bundle.",
  },
  SIGNATURE_INVALID: {
    status: 3,
    meaning: 'A signature names a key that you trust, but was not made by it: it was forged or damaged.',
    remedy: 'Do not use the bundle. Take it from its source again; if it repeats, tell the publisher.',
  },
  SIGNATURE_WRONG_SUBJECT: {
    status: 3,
    meaning:
      'The signature is genuine, but belongs to another manifest: the bundle was altered or swapped after it was signed, or the signature file was.',
    remedy: 'Take the bundle with its signature from its source again.',
  },
  SBOM_INDEX_TOO_LARGE: {
    status: 1,
    meaning: 'The images hold so many packages that the SBOM index would be larger than 256 MiB.',
    remedy: 'Look into the image that the message names: no real system has so many packages. Or split the bundle.',
  },
  SBOM_INDEX_INVALID: {
    status: 3,
    meaning: 'The SBOM index inside a bundle does not follow its schema, or is of a newer version.',
    remedy: 'Read the bundle with the version of Portolan that built it, or a newer one.',
  },
  LOCK_INVALID: {
    status: 1,
    meaning: 'bundle.lock.json is not a lock that this version reads.',
    remedy: 'Run `portolan bundle lock` again; the file is written by the program, not by hand.',
  },
  VALUES_INVALID: {
    status: 2,
    meaning: 'A values file is not a map in YAML, or holds a number that JSON cannot carry.',
    remedy: 'Go to the file and line that the message names. Quote very long numbers.',
  },
  CONFIGURATION_NOT_JSON: {
    status: 2,
    meaning: 'A file of `configuration.json` is not JSON.',
    remedy: 'Go to the file and line that the message names and correct it.',
  },
  CHART_INVALID: {
    status: 2,
    meaning:
      'A chart is not what helm expects: Chart.yaml is missing or wrong, or .helmignore has a pattern that helm refuses.',
    remedy: 'Correct the file that the message names; `helm lint` says more.',
  },
  CHART_UNSAFE: {
    status: 1,
    meaning: 'A chart reaches outside itself (`..`, absolute paths, links, devices), or is larger than a chart may be.',
    remedy: 'Do not use this chart before you know where it comes from. Pack it again with `helm package`.',
  },
  RENDERED_INVALID: {
    status: 1,
    meaning: 'What a chart renders to is not YAML, so images cannot be found in it.',
    remedy: 'Look at the output of `helm template` at the template that the message names.',
  },
  IMAGE_FLOATING: {
    status: 1,
    meaning: 'An image is named without a tag, or with `latest`: what it stands for changes from day to day.',
    remedy: 'Give it a tag or a digest in the values, or set `images.allowFloating: true` in bundle.yaml.',
  },
  MODULE_INVALID: {
    status: 2,
    meaning:
      'A module holds a file that is not named `<digits>_name.sql` or `<digits>_name.contract.sql`, or two with one number.',
    remedy: 'Rename or remove the file that the message names.',
  },
  DEPENDENCY_CYCLE: {
    status: 2,
    meaning: 'Charts or modules depend on one another in a circle.',
    remedy: 'Remove one of the dependencies of the loop that the message spells out.',
  },
  DEPENDENCY_MISSING: {
    status: 2,
    meaning: 'A chart or module depends on something that is not there, or is switched off.',
    remedy:
      'For a chart from a repository run `helm dependency update` in its folder; for a local one correct its `file://` path; for a module switch the feature on or drop `requires`.',
  },
  DUPLICATE: {
    status: 2,
    meaning: 'Two entries of bundle.yaml that are carried together claim the same name, release or path.',
    remedy: 'Rename one of the two. Paths that differ only in upper and lower case are the same path on a stick.',
  },
  CONTENTS_INVALID: {
    status: 3,
    meaning: 'contents.json, the sealed list of what a bundle holds, does not follow its format.',
    remedy:
      'The bundle was packed by a newer Portolan or by something else. Update Portolan, or ask the publisher for a new bundle.',
  },
  PLACEMENT_INVALID: {
    status: 3,
    meaning: 'placement.json, the sealed list of where the blobs of a bundle lie, does not fit the bundle.',
    remedy: 'Do not use the bundle; ask the publisher to build it again.',
  },
  LISTS_INVALID: {
    status: 3,
    meaning: 'The sealed lists of a bundle are not complete or not in their format.',
    remedy: 'Do not use the bundle; ask the publisher to build it again.',
  },
  BUNDLE_MANIFEST_INVALID: {
    status: 3,
    meaning:
      'What stands behind the tag is not the manifest of a bundle, or of a version that this Portolan does not know.',
    remedy: 'Check the tag with `portolan bundle list`. If the bundle is newer than your Portolan, update Portolan.',
  },
  // --- adapters ---
  FILE_UNREADABLE: {
    status: 1,
    meaning: 'A file that the command needs cannot be read.',
    remedy: 'Check that the path exists and that you may read it.',
  },
  FILE_UNWRITABLE: {
    status: 1,
    meaning: 'A file cannot be written.',
    remedy: 'Check that the folder exists and that you may write to it.',
  },
  NO_SPACE: {
    status: 1,
    meaning: 'The disk is full, or its quota is used up. What was there before is unchanged.',
    remedy: 'Free space on the disk that the message names and run the command again: it goes on where it stopped.',
  },
  READ_ONLY: {
    status: 1,
    meaning: 'The file system is mounted read-only.',
    remedy: 'Mount it writable, take off the write protection, or choose another folder.',
  },
  BLOB_DIGEST_MISMATCH: {
    status: 1,
    meaning: 'Bytes do not have the digest by which they were asked for. They were thrown away.',
    remedy:
      'Run the command again. If it repeats, the registry, the proxy or the disk alters data: fetch from another source.',
  },
  BLOB_SIZE_MISMATCH: {
    status: 1,
    meaning: 'A blob is longer or shorter than its descriptor says. It was thrown away.',
    remedy:
      'Run the command again. If it repeats, the registry, a proxy or the layout is broken: fetch from another source.',
  },
  BLOB_MISSING: {
    status: 1,
    meaning: 'A layout or registry names a blob that it does not hold.',
    remedy: 'Copy the image again into that layout or registry, with all platforms that you want.',
  },
  IMAGE_NOT_FOUND: {
    status: 1,
    meaning: 'No source holds the image.',
    remedy:
      'Check the spelling of the reference and its tag, and that the layouts and registries that the message lists are the right ones.',
  },
  PLATFORM_MISSING: {
    status: 1,
    meaning: 'The image does not exist for a platform that was asked for.',
    remedy: 'Ask for a platform that the message lists, or build and push the image for the missing one.',
  },
  ATTACHMENT_LIMIT: {
    status: 1,
    meaning:
      'More attachments (signatures, SBOMs, attestations) hang on an image than are carried, or they are too large.',
    remedy: 'Remove old attachments from the repository, or pin the ones that you want in bundle.lock.json.',
  },
  LAYOUT_UNSAFE: {
    status: 1,
    meaning: 'A file of an OCI layout is a link that leads out of the layout, or is not a plain file.',
    remedy: 'Replace the link by a copy of the file. If you did not make this layout, do not trust it.',
  },
  REGISTRY_UNREACHABLE: {
    status: 1,
    meaning: 'No connection to the registry could be made or kept.',
    remedy: 'Check the host name, the port, the network and the proxy settings.',
  },
  REGISTRY_UNTRUSTED: {
    status: 1,
    meaning: "The registry's TLS certificate is not trusted.",
    remedy:
      'Give the certificate authority with --ca-file. For a registry that speaks plain HTTP, set `registries."HOST:PORT".plainHttp: true` in bundle.yaml.',
  },
  REGISTRY_TIMEOUT: {
    status: 1,
    meaning: 'The registry stopped answering in time, again and again.',
    remedy: 'Check the network and run the command again: what was fetched is kept.',
  },
  REGISTRY_UNAUTHORIZED: {
    status: 1,
    meaning: 'The registry wants other credentials for this repository.',
    remedy:
      'Log in to the registry with your container tool (its config.json is read), or check that the account may pull this repository. Many registries give this answer for a repository that does not exist as well.',
  },
  REGISTRY_THROTTLED: {
    status: 1,
    meaning: 'The registry allows no more requests for now (429).',
    remedy: 'Wait, or log in: most registries allow more to accounts that are logged in. What was fetched is kept.',
  },
  REGISTRY_FAILED: {
    status: 1,
    meaning: 'The registry answered with an error.',
    remedy:
      "Read the registry's own message. For a status of 500 and above, try again later: what was fetched is kept.",
  },
  REGISTRY_PROTOCOL: {
    status: 1,
    meaning: 'The registry broke the distribution protocol.',
    remedy:
      'Check that the address is a registry and not a web page or a proxy in between; if it is a registry, report it to its operator.',
  },
  CREDENTIALS_UNUSABLE: {
    status: 1,
    meaning: 'Registry credentials could not be read from config.json or from a credential helper.',
    remedy: 'Correct the file that the message names, or log in again with your container tool.',
  },
  FILE_EXISTS: {
    status: 1,
    meaning: 'A file that would be written exists already; it was left as it is.',
    remedy: 'Remove the file if nobody needs it, or choose another place.',
  },
  FILE_MISSING: {
    status: 1,
    meaning: 'A file that the command needs does not exist.',
    remedy: 'Check the path that the message names.',
  },
  FILE_SIZE_MISMATCH: {
    status: 3,
    meaning: 'A file is longer or shorter than it should be.',
    remedy: 'Take the file from its source again.',
  },
  SOURCE_CHANGED: {
    status: 1,
    meaning: 'A file changed while it was read into a bundle.',
    remedy: 'Let whatever writes to the file finish, then run the command again.',
  },
  PIECE_MISSING: {
    status: 3,
    meaning: 'A piece of the bundle is not on the medium.',
    remedy: 'Copy the bundle to the medium again, or fetch the named file from a good copy.',
  },
  PIECE_DAMAGED: {
    status: 3,
    meaning: 'A piece of the bundle is not what the signed manifest says: it was cut, altered or swapped.',
    remedy: 'Fetch the named file from a good copy of the bundle.',
  },
  PIECE_PADDING_NOT_ZERO: {
    status: 3,
    meaning: 'The unused rest of a piece is not zeros: something was hidden in it.',
    remedy: 'Do not use the bundle; ask its publisher how it was made.',
  },
  PIECE_RUN_OUT_OF_RANGE: {
    status: 3,
    meaning: 'The bundle places content outside of its piece.',
    remedy: 'Do not use the bundle; ask its publisher to build it again.',
  },
  WORKER_DIED: {
    status: 1,
    meaning: 'A worker thread of the program ended unexpectedly.',
    remedy: 'Run the command again. If it happens again, check that the machine has free memory and report it.',
  },
  ENGINE_CLOSED: {
    status: 1,
    meaning: 'Work was asked of the sealing engine after it was closed.',
    remedy: 'This is a fault in the program: report it with the command that you ran.',
  },
  FILE_TOO_LARGE: {
    status: 1,
    meaning: 'A file is larger than anything of its kind can sensibly be, so it was not read.',
    remedy: 'Check that the path names the file that you mean.',
  },
  HELM_MISSING: {
    status: 1,
    meaning:
      'Charts are rendered by the real helm 4, and there is none to run, or what runs is an older one or another program.',
    remedy: 'Install helm 4 (https://helm.sh/docs/intro/install/) so that it is found on PATH.',
  },
  HELM_FAILED: {
    status: 1,
    meaning: 'helm could not render a chart with the values that it was given.',
    remedy: "Read helm's own message; run `helm template` on the chart with the same values to look closer.",
  },
  HELM_TIMEOUT: {
    status: 1,
    meaning: 'helm did not finish in time, or printed more than a chart can sensibly render to.',
    remedy: 'Look for a template that loops or reads from the network.',
  },
  MANIFEST_LIMIT: {
    status: 1,
    meaning: 'An image index has more entries or more levels than any real image has.',
    remedy: 'Check that the reference names an image. A registry that sends such an index is broken or hostile.',
  },
  LAYOUT_AMBIGUOUS: {
    status: 1,
    meaning: 'A layout holds several different images under one reference.',
    remedy: 'Name the image by its digest, or remove the ones that you do not want from index.json.',
  },
  MEDIUM_NOT_FOUND: {
    status: 1,
    meaning: 'The folder that should hold bundles does not exist, is empty, or holds no finished bundle.',
    remedy:
      'Mount the stick and name the folder that holds index.json and blobs. If a build was interrupted, run it again.',
  },
  MEDIUM_NOT_OURS: {
    status: 2,
    meaning: 'The folder holds something else than bundles. Portolan does not write into it.',
    remedy: 'Name an empty or a new folder.',
  },
  MEDIUM_BUSY: {
    status: 1,
    meaning: 'Another process is writing to the medium.',
    remedy:
      'Wait until it is done, or end it, then run the command again. What a process left that is gone is taken over: at once on the same machine, after a minute on another one.',
  },
  BLOB_DAMAGED: {
    status: 3,
    meaning: 'A file of the bundle has other content than its name says.',
    remedy:
      'Copy that file again from where the bundle came from; read the medium on another machine to see whether the medium or the reader is bad.',
  },
  TARGET_NOT_EMPTY: {
    status: 2,
    meaning: 'The folder to unpack into holds something already.',
    remedy: 'Name a new or an empty folder.',
  },
  TARGET_BUSY: {
    status: 1,
    meaning: 'Another process is unpacking into the same folder.',
    remedy: 'Wait until it is done, or name another folder.',
  },
  PIECE_BLOB_NOT_TRUE: {
    status: 3,
    meaning:
      'A blob inside a piece does not have the digest that the sealed contents give, though the piece is authentic.',
    remedy: 'The bundle was packed wrongly. Do not use it; ask the publisher for a new one.',
  },
  CA_FILE_INVALID: {
    status: 2,
    meaning: 'The file of certificate authorities holds no certificate that can be read.',
    remedy:
      "Give a file of certificates in PEM (-----BEGIN CERTIFICATE-----) with --ca-file, or as the registry's caFile in bundle.yaml.",
  },
  PROXY_INVALID: {
    status: 2,
    meaning: 'The proxy that the environment names is not an HTTP proxy.',
    remedy: 'Set HTTPS_PROXY and HTTP_PROXY to http://HOST:PORT or https://HOST:PORT. SOCKS proxies are not supported.',
  },
  // --- use cases ---
  LOCK_STALE: {
    status: 1,
    meaning: 'bundle.lock.json no longer agrees with what lies on disk.',
    remedy: 'Run `portolan bundle lock` again and look at what changed.',
  },
  LOCK_MISSING: {
    status: 1,
    meaning: 'A frozen build uses bundle.lock.json alone, and there is none beside bundle.yaml.',
    remedy: 'Run `portolan bundle lock` first, and keep the file with the definition.',
  },
  SELECTION_UNKNOWN: {
    status: 2,
    meaning: 'A feature or a provider was asked for that bundle.yaml does not define.',
    remedy: 'Use one of the names that the message lists, or define it in bundle.yaml.',
  },
  IMAGE_WITHOUT_SOURCE: {
    status: 1,
    meaning: 'No image layout holds the image, and no registry could be asked for it.',
    remedy:
      'Name the image layout that holds it under `images.layouts`, or correct the reference where the message says it stands.',
  },
  IMAGES_MISSING: {
    status: 1,
    meaning: 'Several images could not be fetched.',
    remedy: 'Each is named with its own code and reason: look these up one by one.',
  },
  ALREADY_THERE: {
    status: 1,
    meaning: '`bundle init` found a file where it would write one, and nothing is overwritten.',
    remedy: 'Choose an empty folder, or remove the file that the message names.',
  },
  BUNDLE_TOO_OLD: {
    status: 3,
    meaning:
      'The sequence of the bundle is below the minimumSequence that the trust file gives for its name: somebody may have put an old bundle in the place of a newer one.',
    remedy: 'Get the newer bundle. If the old one is really meant, lower minimumSequence in the trust file.',
  },
  AUDIENCE_MISMATCH: {
    status: 3,
    meaning:
      'The bundle names the targets that it is meant for, and none of them is a name of this target in the trust file.',
    remedy: 'Get the bundle of this target. The names of a target stand under audience in the trust file.',
  },
  SIGNER_NOT_NAMED: {
    status: 3,
    meaning:
      'A bundle names the keys of the publishers who may sign it inside its sealed contents, and the signature is by another key.',
    remedy:
      'When building: sign with a key that bundle.yaml names under signers, or add it there. When verifying: ask both publishers why one signed what the other packed.',
  },
  MEDIUM_TOO_SMALL: {
    status: 1,
    meaning: 'The medium has too little free space for the bundle.',
    remedy: 'Free space on the medium, or use a larger one.',
  },
  SOURCE_DAMAGED: {
    status: 1,
    meaning: 'A file that goes into the bundle is not what its digest says, or changed while it was read.',
    remedy:
      'If it lies in the cache, remove it there: it is fetched again. If it is your own file, let nothing write to it during a build.',
  },
  BUNDLE_NOT_FOUND: {
    status: 1,
    meaning: 'The medium holds no such bundle, or several and none was chosen.',
    remedy: 'Run `portolan bundle list MEDIUM` and write MEDIUM:TAG.',
  },
  TAG_MISMATCH: {
    status: 3,
    meaning:
      'The tag in index.json is not the name and version that the signed manifest gives: a tag was renamed or swapped.',
    remedy:
      'If it was copied under another tag, copy it again as NAME-VERSION. If nobody did that, get the bundle again and ask who had the medium.',
  },
  LISTS_MISMATCH: {
    status: 3,
    meaning: 'The sealed lists name another bundle than the manifest.',
    remedy: 'Ask the publisher for a new bundle.',
  },
  BLOB_NOT_TRUE: {
    status: 3,
    meaning:
      'A blob inside the bundle does not have the digest that the sealed contents give, though every piece is authentic.',
    remedy: 'The bundle was packed wrongly. Do not use it; ask the publisher for a new one.',
  },
  BLOB_TOO_LARGE: {
    status: 3,
    meaning: 'A blob of the bundle that should be small is not.',
    remedy: 'The bundle was packed by something else. Do not use it; ask the publisher.',
  },
  NOT_SIGNED_BY_TRUSTED: {
    status: 3,
    meaning: 'No signature of the bundle is by a key that you trust, or none is genuine.',
    remedy:
      'Check that --trust names the right key and that you got that key by another way than the medium. If there is no signature at all, the tool that copied the bundle may have left it behind: copy the *.sigstore.json files beside index.json. Otherwise do not use the bundle.',
  },
  FILE_OF_BUNDLE_MISSING: {
    status: 3,
    meaning: 'A file of the bundle is not on the medium.',
    remedy: 'Copy the file that is named again from where the bundle came from, under the same name, and verify again.',
  },
  FILE_OF_BUNDLE_DAMAGED: {
    status: 3,
    meaning: 'A file of the bundle was cut or altered.',
    remedy: 'Copy the file that is named again from where the bundle came from, under the same name, and verify again.',
  },
  TARGET_TOO_SMALL: {
    status: 1,
    meaning: 'There is too little free space for what the bundle holds.',
    remedy: 'Free space there, or choose a folder on another file system.',
  },
  BUNDLE_NOT_RIGHT: {
    status: 3,
    meaning: '`bundle verify` found something wrong with a bundle. The problems that follow name each file.',
    remedy:
      'Do not import the bundle. Copy the files that are named again from where the bundle came from; if the signature is wrong, ask the publisher.',
  },
  // --- command line ---
  USAGE: {
    status: 2,
    meaning: 'The command line was used wrongly.',
    remedy: 'Run the command with --help.',
  },
  CONFIGURATION_INVALID: {
    status: 2,
    meaning: 'The configuration file (portolan.yaml) or a PORTOLAN_… variable holds something that no option takes.',
    remedy: 'Correct what the message names. `portolan help configuration` tells how options are written there.',
  },
  NO_TERMINAL: {
    status: 2,
    meaning: 'A secret must be given, and there is no terminal to ask for it.',
    remedy: 'Give the secret in a file or in the environment variable that --help of the command names.',
  },
  HELP_TOPIC_UNKNOWN: {
    status: 2,
    meaning: 'There is no help under that name.',
    remedy: 'Run `portolan help` for the commands and `portolan help codes` for all error codes.',
  },
  INTERNAL: {
    status: 1,
    meaning: 'The program met something that its authors did not foresee. This is a fault in Portolan.',
    remedy: 'Report it with the lines that were printed and the command, without secrets. What is on disk is unharmed.',
  },
};

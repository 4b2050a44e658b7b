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
  REGISTRY_ADDRESS_INVALID: {
    status: 2,
    meaning: 'The address of a registry is not one.',
    remedy:
      'Write HOST, HOST:PORT or HOST:PORT/PREFIX, with http:// in front where it speaks plain HTTP. Who logs in stands in config.json.',
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
  REGISTRY_FULL: {
    status: 1,
    meaning: "The registry's storage is full, or the quota of the project is used up.",
    remedy:
      'Free space there or raise the quota, and run the command again: blobs that arrived whole are not sent again.',
  },
  REGISTRY_BODY_LIMIT: {
    status: 1,
    meaning:
      'Something between here and the registry refuses requests of even 256 KiB, or a manifest (413). Larger blobs were tried in smaller parts already.',
    remedy: 'Raise the limit of the proxy: client_max_body_size of nginx, proxy-body-size of its ingress controller.',
  },
  REGISTRY_READ_ONLY: {
    status: 1,
    meaning: 'The registry takes no changes of this kind: it is read-only, a cache, or does not allow deletion.',
    remedy:
      'Switch it to writing, or name another registry. For deletion, allow it in its settings (storage.delete.enabled of distribution) or delete there with its own tools.',
  },
  UPLOAD_LOST: {
    status: 1,
    meaning:
      'The registry forgot an upload in the middle of a blob, so that its beginning would have to be sent again. Other blobs arrived.',
    remedy:
      'Run the command again: only this blob is sent again. If it repeats, the registry may run as several replicas without shared storage, or something ends long requests.',
  },
  INDEX_REFUSED: {
    status: 1,
    meaning:
      'An image is named by the digest of an index with platforms that the bundle does not carry, and the registry takes only indexes that are complete.',
    remedy:
      'Set `validation: { manifests: { indexes: { platforms: none } } }` in the configuration of distribution 3; or name the image by a tag, or by the digest of its one platform; or build the bundle with all platforms of the index.',
  },
  REFERENCE_COLLISION: {
    status: 1,
    meaning:
      'Several images of different registries would get one name: a mirror keeps an image under its path, without its host.',
    remedy: 'Give one of them another path or tag where the bundle is made.',
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
  CLUSTER_TOO_OLD: {
    status: 1,
    meaning:
      'Chart.yaml of a chart names the versions of Kubernetes that it takes, and the cluster is older or is left out by name.',
    remedy: 'Upgrade the cluster, or ask the publisher for a bundle whose charts take this version.',
  },
  CLUSTER_TOO_NEW: {
    status: 1,
    meaning: 'Chart.yaml of a chart names the versions of Kubernetes that it takes, and the cluster is newer.',
    remedy: 'Ask the publisher for a bundle whose charts take this version.',
  },
  KIND_UNKNOWN: {
    status: 1,
    meaning:
      'A chart has an object of a kind that the API server does not know: its definition or operator is not installed, or the version of the API was removed from Kubernetes.',
    remedy:
      'Install what defines the kind, switch the feature off that needs it, or ask the publisher for charts that fit the version of the cluster.',
  },
  STORAGE_CLASS_MISSING: {
    status: 1,
    meaning:
      'A volume asks for a StorageClass that the cluster does not have, or names none where the cluster has no default class. Its Pod would wait for ever.',
    remedy:
      'Make the StorageClass or mark one as the default, or have the bundle built with values that name a class of this cluster.',
  },
  INGRESS_CLASS_MISSING: {
    status: 1,
    meaning:
      'An Ingress names an IngressClass that the cluster does not have, or names none where the cluster has no default class. No controller would serve it.',
    remedy:
      'Install an ingress controller or mark a class as the default, or have the bundle built with values that name a class of this cluster.',
  },
  NAMESPACE_TERMINATING: {
    status: 1,
    meaning: 'A namespace of the bundle is just being deleted: nothing can be made in it.',
    remedy: 'Wait until it is gone. If it does not go, look for objects in it whose finalizers nobody removes.',
  },
  RIGHTS_MISSING: {
    status: 1,
    meaning: 'The user of the kubeconfig may not do what the import has to do.',
    remedy: 'Give the user the rights that are named, or use a kubeconfig of a user who has them.',
  },
  PLATFORM_NOT_CARRIED: {
    status: 1,
    meaning: 'No node of the cluster has an architecture that the bundle carries images for.',
    remedy: 'Ask the publisher for a bundle with this platform (`platforms` in bundle.yaml).',
  },
  NODES_NOT_READY: {
    status: 1,
    meaning: 'No node of the cluster is ready to take Pods.',
    remedy: 'Look at the nodes (`kubectl describe nodes`), and run the import again when one is ready.',
  },
  IMAGE_NOT_REWRITTEN: {
    status: 1,
    meaning:
      'References were to be pointed to the registry of this side, and a chart still takes an image from elsewhere: no entry of `imageValues` covers it.',
    remedy:
      'Ask the publisher to add the value that the image comes from to `imageValues` of its chart in bundle.yaml.',
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
  RELEASE_REFUSED: {
    status: 1,
    meaning:
      'helm could not do what was asked of a release: the chart did not render, the cluster did not take an object, or it could not be reached. Where it says that nothing was changed, the release runs as before.',
    remedy: "Read helm's own message, remove its cause, and run the command again.",
  },
  RELEASE_FAILED: {
    status: 1,
    meaning:
      'A release was installed or upgraded and did not get ready in time. Events, states of Pods and logs were saved; then it went back to the revision that ran before, or was uninstalled when there was none. Volumes with data stay.',
    remedy:
      'Read what the Pods say below and in the folder that is named, remove the cause, and run the same import again: it goes on where it stopped.',
  },
  POD_NOT_READY: {
    status: 1,
    meaning: 'What the cluster says about one Pod or object of a release that failed.',
    remedy: "Look into the folder that the release's error names: it holds the events and the whole logs.",
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
      'Mount the stick and name the folder that holds index.json and blobs. If a build or a copy was interrupted, run it again.',
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
  DISK_GONE: {
    status: 1,
    meaning:
      'A disk does not answer, or another one is mounted in its place: a stick was pulled out, a share is gone, or the disk is bad.',
    remedy:
      'Plug it in, mount it and run the command again: what was complete is not written again. If it happens again, use another stick, or another reader.',
  },
  READ_BACK_FAILED: {
    status: 3,
    meaning:
      'A small file was written to a medium, and the medium gave back something else when it was read past the cache. It did not get its name.',
    remedy: 'Use another stick: this one loses data, or is smaller than it says.',
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
    meaning: 'Another process is writing into the same folder.',
    remedy: 'Wait until it is done, or name another folder.',
  },
  TARGET_INCOMPLETE: {
    status: 1,
    meaning:
      'A blob that an image needs is neither in the bundle nor at the target. Either the target removed it meanwhile, or the bundle was made with --since for a target that holds more.',
    remedy:
      'Run the command again: it looks at the target again and sends what is missing. If it repeats, build the bundle without --since.',
  },
  CONTAINERD_MISSING: {
    status: 1,
    meaning: 'There is neither `k3s` nor `ctr` on this machine to reach containerd with.',
    remedy:
      'Run the command on the node. Where k3s runs elsewhere, name another target with --images, such as registry=HOST/PATH.',
  },
  CONTAINERD_UNREACHABLE: {
    status: 1,
    meaning: 'containerd does not answer: it is not running, it is another version than `ctr`, or it broke off.',
    remedy: 'Start k3s (or containerd) on this machine, wait until it is ready, and run the command again.',
  },
  CONTAINERD_DENIED: {
    status: 1,
    meaning: 'This user may not use containerd.',
    remedy: 'Run the command as root: with `sudo`, for instance.',
  },
  CONTAINERD_TIMEOUT: {
    status: 1,
    meaning: 'containerd took longer than it is given, or takes no more data.',
    remedy:
      'Look at the load and the log of k3s (`journalctl -u k3s`) or containerd, and run the command again: it goes on where it stopped.',
  },
  CONTAINERD_FAILED: {
    status: 1,
    meaning: 'containerd refused what it was asked for. The message holds its own words.',
    remedy:
      'Follow the message. The log of k3s (`journalctl -u k3s`) or containerd has more. Running the command again is safe.',
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
  // --- kubernetes ---
  KUBECONFIG_INVALID: {
    status: 2,
    meaning:
      'A kubeconfig does not say what is needed, or holds something that cannot be used; the message names file and key.',
    remedy: 'Correct the key, choose another context with --context, or get the file again from where it came from.',
  },
  KUBERNETES_UNREACHABLE: {
    status: 1,
    meaning: 'There is no connection to the API server, or it gave no answer in time.',
    remedy:
      'Check that the API server runs (`kubectl get nodes` with the same kubeconfig), the server of the context, and the proxy settings: an API server that is reached directly belongs in NO_PROXY.',
  },
  KUBERNETES_UNTRUSTED: {
    status: 1,
    meaning:
      "The API server's certificate is not trusted: it is of another authority or name, or the clock of this machine lies outside its time.",
    remedy: 'Get the kubeconfig from the cluster again. If the message speaks of a clock, set the one that is wrong.',
  },
  KUBERNETES_UNAUTHORIZED: {
    status: 1,
    meaning: 'The API server does not accept the credentials of the context, or the kubeconfig gave none.',
    remedy:
      'Log in to the cluster again or get a new kubeconfig; client certificates run out. If the message names a credential plugin, run that plugin by itself. If it speaks of a clock, set the one that is wrong.',
  },
  KUBERNETES_FORBIDDEN: {
    status: 1,
    meaning:
      'The user of the context may not do what is needed; the message names verb, resource and user as the API server says them. Quotas and admission policies refuse in the same way.',
    remedy: 'Use a context whose user has the right (for k3s: /etc/rancher/k3s/k3s.yaml as root), or have it granted.',
  },
  KUBERNETES_NOT_FOUND: {
    status: 1,
    meaning: 'Something that the request needs is not in the cluster, mostly a namespace.',
    remedy: 'Create what the message names, or correct its name.',
  },
  KUBERNETES_EXISTS: {
    status: 1,
    meaning: 'An object of that name is in the cluster already.',
    remedy: 'Choose another name, or remove what is there if nobody needs it.',
  },
  KUBERNETES_CONFLICT: {
    status: 1,
    meaning: 'Somebody else changed an object at the same time.',
    remedy: 'Run the command again.',
  },
  KUBERNETES_GONE: {
    status: 1,
    meaning: 'A list changed so much while it was read that the API server cannot go on with it.',
    remedy: 'Run the command again.',
  },
  KUBERNETES_INVALID: {
    status: 1,
    meaning: 'The API server does not take an object as it is; the message has its words.',
    remedy: 'Correct the object at the places that the message names.',
  },
  KUBERNETES_KIND_UNKNOWN: {
    status: 1,
    meaning: 'The cluster does not know a kind of object.',
    remedy: 'Install what defines the kind (a CustomResourceDefinition), or use a cluster of a version that has it.',
  },
  KUBERNETES_FAILED: {
    status: 1,
    meaning: 'The API server failed, or what answers is no API server.',
    remedy: "Read the API server's own log, check the server of the context, and run the command again.",
  },
  KUBECONFIG_MISSING: {
    status: 2,
    meaning: 'No kubeconfig was found that says how the cluster is reached.',
    remedy:
      'Give one with --kubeconfig or KUBECONFIG. On a k3s server it is /etc/rancher/k3s/k3s.yaml, readable by root.',
  },
  TARGET_LOCKED: {
    status: 1,
    meaning: 'Another run of Portolan holds the lock of the target and did not end in time; the message names it.',
    remedy:
      'Wait for it to end, or raise --wait-lock. A run that died is found out within a minute: then run the command again.',
  },
  TARGET_LOCK_LOST: {
    status: 1,
    meaning:
      'The lock of the target could not be kept, because its API server or disk did not answer for too long. The run stopped so that no two run at once.',
    remedy: 'Mend what the message names and run the command again: it goes on where it stopped.',
  },
  TARGET_STATE_TOO_LARGE: {
    status: 1,
    meaning: 'A document that Portolan keeps at the target is larger than a Secret may be.',
    remedy: 'Split the bundle into several: it has more parts than the state of a target can name.',
  },
  TARGET_STATE_DAMAGED: {
    status: 3,
    meaning: 'A document that Portolan keeps at the target is not readable: it was altered from outside or cut.',
    remedy:
      'Restore the named Secret or file from a backup. Without one, remove it: Portolan then no longer knows what it had applied, and imports anew.',
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
  MEDIUM_FILE_LIMIT: {
    status: 1,
    meaning: 'The file system of the medium cannot hold a file as large as one of the bundle. FAT ends at 4 GiB.',
    remedy: 'Format the medium with exFAT or ext4, or build the bundle with a smaller pieceSize.',
  },
  COPY_NOT_RIGHT: {
    status: 3,
    meaning:
      'Files were written to a medium, and the medium gave back something else when they were read past the cache. They were removed there; index.json was not changed, so the bundle does not show on the medium.',
    remedy:
      'Use another stick: this one loses data, or is smaller than it says. Running the command again writes the files to other places of the stick; do that only to find out.',
  },
  SAME_MEDIUM: {
    status: 2,
    meaning: 'A bundle was to be copied to the folder in which it lies.',
    remedy: 'Name another medium. To check what is there, use `portolan bundle verify`.',
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
    meaning:
      '`bundle verify` or `bundle copy` found something wrong with a bundle where it lies. The problems that follow name each file.',
    remedy:
      'Do not import the bundle. Copy the files that are named again from where the bundle came from; if the signature is wrong, ask the publisher.',
  },
  // --- configuration ---
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
  // --- migrations ---
  SCRIPT_INVALID: {
    status: 2,
    meaning:
      'A migration cannot be run as it is: it is not UTF-8, begins or ends transactions itself, holds a command of psql, or is marked no-transaction and holds more than one statement.',
    remedy: 'Go to the file, line and column that the message names. docs/migrations.md says what a file may hold.',
  },
  MODULES_INVALID: {
    status: 2,
    meaning:
      'The folder or archive of modules does not say what belongs together: modules.json is wrong or missing, or it and the folders differ.',
    remedy:
      'Write modules.json with one member for each module, {"core": {"requires": []}}, or name the modules folder of an unpacked bundle.',
  },
  ARCHIVE_INVALID: {
    status: 2,
    meaning:
      'An archive of modules cannot be read: it is no tar file, it is cut, or it holds something that is not a migration.',
    remedy: 'Pack it again with `tar -czf modules.tar.gz -C MODULES .`, and give all its parts in their order.',
  },
  DATABASE_URL_INVALID: {
    status: 2,
    meaning:
      'The address of a database is not well formed, holds a password, or has a parameter that is not supported.',
    remedy:
      'Write it as postgres://USER@HOST:PORT/DATABASE?sslmode=verify-full. A password comes by --database-password-file, PGPASSWORD or PGPASSFILE.',
  },
  DATABASE_PASSWORD_MISSING: {
    status: 2,
    meaning: 'The database asks for a password, and none was given.',
    remedy: 'Give it by --database-password-file, PGPASSWORD or PGPASSFILE.',
  },
  DATABASE_UNREACHABLE: {
    status: 1,
    meaning:
      'No connection to the database came about: nothing listens there, the name is unknown, or the server takes no connections now.',
    remedy: 'Check host and port, and that the server runs; --connect-wait keeps trying for longer.',
  },
  DATABASE_TIMEOUT: {
    status: 1,
    meaning: 'The database did not answer in time.',
    remedy: 'Check that no firewall or network policy drops the connection, and that the server is not overloaded.',
  },
  DATABASE_UNTRUSTED: {
    status: 1,
    meaning:
      'The connection could not be protected as sslmode asks: the server offers no TLS, or its certificate is not trusted or is for another name.',
    remedy:
      'Give the certificate authority by --ca-file, use the name that stands in the certificate, or turn TLS on at the server.',
  },
  DATABASE_UNAUTHORIZED: {
    status: 1,
    meaning: 'The server refuses the user, the password, or the database.',
    remedy: 'Check them, and the rules in pg_hba.conf of the server.',
  },
  DATABASE_POOLED: {
    status: 1,
    meaning:
      'The address leads to a connection pooler. Locks of a session do not hold behind one, so that two runs could work at once.',
    remedy: 'Name the address of PostgreSQL itself (for Supabase: the direct connection, not the pooler).',
  },
  DATABASE_UNSUPPORTED: {
    status: 1,
    meaning: 'The server is older than PostgreSQL 14, or does not know a setting that is needed.',
    remedy: 'Upgrade the server.',
  },
  DATABASE_READ_ONLY: {
    status: 1,
    meaning: 'The server is a standby, which takes no changes.',
    remedy: 'Name the address of the primary.',
  },
  DATABASE_STATEMENT_FAILED: {
    status: 1,
    meaning:
      "The server refused a statement of Portolan's own, mostly because the user may not create or change the schema portolan.",
    remedy:
      'The message has the words of the server. Grant the user create on the database, or make it the owner of the schema portolan.',
  },
  DATABASE_LOST: {
    status: 1,
    meaning: 'The connection to the database broke.',
    remedy: 'See that the server runs, and run the command again: what was done is in the ledger.',
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
  TARGET_STATE_INVALID: {
    status: 1,
    meaning: 'What Portolan keeps at a target (Secrets in its namespace, or files of its state folder) cannot be read.',
    remedy: 'Use the version of Portolan that wrote it, or put back the Secret or file that was there before.',
  },
  RECEIPT_INVALID: {
    status: 3,
    meaning: 'A receipt is damaged, altered, or not a receipt.',
    remedy: 'Take it from the target again: import with --receipt writes one at its end.',
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
};

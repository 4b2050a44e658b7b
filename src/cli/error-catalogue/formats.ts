import type { Explanations } from './explanation.ts';

/** Of bundles: what is written down, packed, sealed and signed. */
export const FORMATS = {
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
  KUBECONFIG_INVALID: {
    status: 2,
    meaning:
      'A kubeconfig does not say what is needed, or holds something that cannot be used; the message names file and key.',
    remedy: 'Correct the key, choose another context with --context, or get the file again from where it came from.',
  },
  CONFIGURATION_INVALID: {
    status: 2,
    meaning: 'The configuration file (portolan.yaml) or a PORTOLAN_… variable holds something that no option takes.',
    remedy: 'Correct what the message names. `portolan help configuration` tells how options are written there.',
  },
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
} as const satisfies Explanations;

import type { Explanations } from './explanation.ts';

/** Of building, checking, copying and importing bundles. */
export const BUNDLES = {
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
    meaning: 'A command found a file where it would write a new one, and nothing is overwritten.',
    remedy: 'Choose an empty folder or another name, or remove the file that the message names.',
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
} as const satisfies Explanations;

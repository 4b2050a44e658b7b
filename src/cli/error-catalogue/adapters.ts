import type { Explanations } from './explanation.ts';

/** Of files, media, registries, containerd and the sealing workers. */
export const ADAPTERS = {
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
    meaning: 'Work was asked of worker threads after they were ended.',
    remedy: 'This is a fault in the program: report it with the command that you ran.',
  },
  FILE_TOO_LARGE: {
    status: 1,
    meaning: 'A file is larger than anything of its kind can sensibly be, so it was not read.',
    remedy: 'Check that the path names the file that you mean.',
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
} as const satisfies Explanations;

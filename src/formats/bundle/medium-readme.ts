/**
 * README.txt of a medium: how to check and open its bundles with stock tools alone. It is the same for every medium, so it
 * says nothing about any bundle. The test suite cuts the commands out of this text and runs them.
 */
export const MEDIUM_README_NAME = 'README.txt';

export const MEDIUM_README = `This folder holds Portolan bundles: signed, encrypted software for clusters without internet.

It is an ordinary OCI image layout. Every bundle is a tag in index.json. With Portolan:

    portolan bundle list .
    portolan bundle verify .:TAG --trust cosign.pub
    portolan bundle unpack .:TAG /path/to/new-folder -i key.txt --trust cosign.pub

Nothing on this medium can vouch for itself: not this text, not a program, not a key. Take the publisher's public
key (cosign.pub) and Portolan from another way than this medium.

WITHOUT PORTOLAN you need: sh, jq, cosign, age (1.3 or later for post-quantum keys), tar, and GNU dd and sha256sum. Copy
the folder to a disk with room for three times its size, then run this in it, after setting three variables:

    TAG=name-version  PUBLISHER=/path/to/cosign.pub  KEY=/path/to/age-identity.txt

--- check who packed it ---
set -eu
blob() { printf 'blobs/sha256/%s' "\${1#sha256:}"; }
MANIFEST=$(jq -er --arg tag "$TAG" '[.manifests[] | select(.annotations["org.opencontainers.image.ref.name"] == $tag)][0].digest' index.json)
cosign verify-blob --key "$PUBLISHER" --bundle "$TAG.sigstore.json" --insecure-ignore-tlog "$(blob "$MANIFEST")"
--- check every byte ---
printf '%s  %s\\n' "\${MANIFEST#sha256:}" "$(blob "$MANIFEST")" | sha256sum -c --quiet
jq -r '.layers[].digest | sub("sha256:"; "") | "\\(.)  blobs/sha256/\\(.)"' "$(blob "$MANIFEST")" | sha256sum -c --quiet
--- open the lists ---
mkdir -p "opened/$TAG/pieces" "opened/$TAG/blobs"
age -d -i "$KEY" "$(blob "$(jq -r '.layers[0].digest' "$(blob "$MANIFEST")")")" | tar -x -C "opened/$TAG" -f -
--- open the pieces ---
PIECE=0
jq -r '.layers[1:][].digest' "$(blob "$MANIFEST")" | while read -r DIGEST; do
  age -d -i "$KEY" -o "opened/$TAG/pieces/$PIECE" "$(blob "$DIGEST")"
  PIECE=$((PIECE + 1))
done
--- put the blobs together ---
jq -r '.blobs[].digest | sub("sha256:"; "")' "opened/$TAG/contents.json" | while read -r BLOB; do : > "opened/$TAG/blobs/$BLOB"; done
jq -r '.blobs[] | .digest as $d | .extents[] | [($d | sub("sha256:"; "")), .[]] | @tsv' "opened/$TAG/placement.json" |
  while read -r BLOB PIECE OFFSET LENGTH; do
    dd if="opened/$TAG/pieces/$PIECE" iflag=skip_bytes,count_bytes,fullblock skip="$OFFSET" count="$LENGTH" bs=1M status=none >> "opened/$TAG/blobs/$BLOB"
  done
jq -r '.blobs[].digest | sub("sha256:"; "") | "\\(.)  blobs/\\(.)"' "opened/$TAG/contents.json" | (cd "opened/$TAG" && sha256sum -c --quiet)
--- end ---

contents.json now says what each file in opened/TAG/blobs is: charts (.tgz, with their values as JSON), the blobs of
each image (by digest, as in an OCI image layout), migrations (SQL), configuration and files. The same commands on the
same bytes give the same result on any machine. Remove opened/TAG/pieces when you are done.

Where several publishers signed, TAG.*.sigstore.json are the other signatures: give one of them to --bundle. Where no such
file is left (a registry keeps none), the same signature is the layer of a manifest in index.json that names the bundle's
manifest as its subject.
`;

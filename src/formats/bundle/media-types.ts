/** Media types of a bundle (docs/format-bundle.md, "Names"). All carry a version: a reader refuses one that it does not know. */
export const BUNDLE_ARTIFACT_TYPE = 'application/vnd.portolan.bundle.v1';
export const LISTS_MEDIA_TYPE = 'application/vnd.portolan.bundle.lists.v1.tar+age';
export const PIECE_MEDIA_TYPE = 'application/vnd.portolan.bundle.piece.v1+age';
export const CONTENTS_MEDIA_TYPE = 'application/vnd.portolan.bundle.contents.v1+json';
export const PLACEMENT_MEDIA_TYPE = 'application/vnd.portolan.bundle.placement.v1+json';

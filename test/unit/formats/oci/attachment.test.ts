import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { digestOf, hexOf } from '../../../../src/core/digest.ts';
import {
  buildkitSubject,
  cosignTags,
  referrersTag,
  subjectOfTag,
  subjectsOfPayload,
} from '../../../../src/formats/oci/attachment.ts';

const DIGEST = digestOf('image');
const encode = (document: unknown): Uint8Array => new TextEncoder().encode(JSON.stringify(document));

describe('attachments', () => {
  it('makes and reads the tags of cosign and of the referrers schema', () => {
    const hex = hexOf(DIGEST);
    expect(cosignTags(DIGEST)).toEqual([`sha256-${hex}.sig`, `sha256-${hex}.att`, `sha256-${hex}.sbom`]);
    for (const tag of [...cosignTags(DIGEST), referrersTag(DIGEST)]) expect(subjectOfTag(tag)).toBe(DIGEST);
    for (const tag of ['latest', `sha256-${hex}.exe`, `sha256-${hex.slice(1)}`, `x-sha256-${hex}`]) {
      expect(subjectOfTag(tag)).toBeUndefined();
    }
  });

  it('knows BuildKit’s attestations by both annotations', () => {
    const entry = (annotations: Record<string, string>) => ({ mediaType: 'x', digest: DIGEST, size: 1, annotations });
    const type = { 'vnd.docker.reference.type': 'attestation-manifest' };
    expect(buildkitSubject(entry({ ...type, 'vnd.docker.reference.digest': DIGEST }))).toBe(DIGEST);
    expect(buildkitSubject(entry({ 'vnd.docker.reference.digest': DIGEST }))).toBeUndefined();
    expect(buildkitSubject(entry({ ...type, 'vnd.docker.reference.digest': 'sha256:no' }))).toBeUndefined();
    expect(buildkitSubject({ mediaType: 'x', digest: DIGEST, size: 1 })).toBeUndefined();
  });

  it('reads the subject of a simple signing document, of a statement, and of a statement in an envelope', () => {
    const simple = { critical: { image: { 'docker-manifest-digest': DIGEST } } };
    const statement = { subject: [{ name: 'web', digest: { sha256: hexOf(DIGEST) } }, { digest: { sha1: 'x' } }] };
    const envelope = { payload: Buffer.from(encode(statement)).toString('base64') };
    for (const document of [simple, statement, envelope]) expect(subjectsOfPayload(encode(document))).toEqual([DIGEST]);
  });

  it('finds nothing in anything else, and never raises (property)', () => {
    fc.assert(fc.property(fc.uint8Array(), (bytes) => void expect(subjectsOfPayload(bytes)).toEqual([])));
    fc.assert(fc.property(fc.jsonValue(), (value) => void expect(subjectsOfPayload(encode(value))).toEqual([])));
    for (const odd of [{ subject: [null, 1, { digest: null }] }, { payload: '%%' }, { critical: { image: 7 } }]) {
      expect(subjectsOfPayload(encode(odd))).toEqual([]);
    }
  });
});

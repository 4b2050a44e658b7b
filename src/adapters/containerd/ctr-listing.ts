import { type Digest, isDigest } from '../../core/digest.ts';

/** What `ctr` prints, read. Its tables are for people: only what has no blanks in it is taken from them. */

export interface ListedImage {
  readonly name: string;
  readonly digest: Digest;
}

/** `content ls -q`: a digest a line. */
export function parseDigests(text: string): Set<Digest> {
  return new Set(linesOf(text).filter(isDigest));
}

/** `images check -q`, `images ls -q`: a name a line. */
export function parseNames(text: string): Set<string> {
  return new Set(linesOf(text));
}

/** `images ls`: `REF TYPE DIGEST SIZE PLATFORMS LABELS`, of which the first three have no blanks in them. */
export function parseImages(text: string): ListedImage[] {
  const images: ListedImage[] = [];
  for (const line of linesOf(text)) {
    const [name = '', , digest] = line.split(/\s+/);
    if (isDigest(digest)) images.push({ name, digest });
  }
  return images;
}

/** `plugins ls --detailed`: blocks of `Key: value`; below `Exports:`, `root PATH`. */
export function parsePluginRoots(
  text: string,
): { readonly type: string; readonly id: string; readonly root: string }[] {
  return text.split(/^(?=Type:)/m).flatMap((block) => {
    const type = /^Type:\s+(\S+)/m.exec(block)?.[1];
    const id = /^ID:\s+(\S+)/m.exec(block)?.[1];
    const root = /^\s+root\s+(\/.*?)\s*$/m.exec(block)?.[1];
    return type === undefined || id === undefined || root === undefined ? [] : [{ type, id, root }];
  });
}

/** `version`: two blocks, each with a line `Version:`. */
export function parseVersions(text: string): { readonly client?: string; readonly server?: string } {
  const of = (block: string) => new RegExp(`^${block}:[\\s\\S]*?Version:\\s+(\\S+)`, 'm').exec(text)?.[1];
  const [client, server] = [of('Client'), of('Server')];
  return { ...(client === undefined ? {} : { client }), ...(server === undefined ? {} : { server }) };
}

function linesOf(text: string): string[] {
  return text
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '');
}

import { createPublicKey } from 'node:crypto';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { identityToRecipient } from 'age-encryption';
import { describe, expect, test } from 'vitest';
import { openCosignKey } from '../../../src/formats/sigstore/cosign-key.ts';
import { projectFiles, ROOT } from './project-files.ts';

const read = (name: string) => readFileSync(join(ROOT, 'keys.example', name), 'utf8');

describe('keys.example', () => {
  test.each(['identity', 'identity-pq'])('%s.txt fits its recipient and says that it is public', async (name) => {
    const identity = read(`${name}.txt`);
    expect(identity.split('\n')[0]).toMatch(/^# PORTOLAN EXAMPLE KEY.*NEVER USE/);
    const secret = identity.split('\n').find((line) => line.startsWith('AGE-SECRET-KEY-')) ?? '';
    expect(await identityToRecipient(secret)).toBe(read(`${name.replace('identity', 'recipient')}.txt`).trim());
  });

  test('cosign.key opens with the password of its README and fits cosign.pub', async () => {
    const password = /password of cosign\.key is `([^`]+)`/.exec(read('README.md'))?.[1] ?? '';
    const key = await openCosignKey(Buffer.from(read('cosign.key')), password, { file: 'cosign.key' });
    expect(key.publicKey.equals(createPublicKey(read('cosign.pub')))).toBe(true);
  });

  test('no code that a user runs knows of them', () => {
    const sources = projectFiles().filter((path) => path.startsWith('src/') || path === 'scripts/portolan');
    const secret = read('identity.txt').match(/AGE-SECRET-KEY-\S+/)?.[0] ?? 'missing';
    const knowing = sources.filter((path) => {
      const text = readFileSync(join(ROOT, path), 'utf8');
      return text.includes('keys.example') || text.includes(secret);
    });
    expect(sources.length).toBeGreaterThan(50);
    expect(knowing).toEqual([]);
  });
});

/** The root file: made once, brought up to date, and otherwise left as it is. */
import { generateKeyPairSync } from 'node:crypto';
import { expect, test } from 'vitest';
import type { IssuerKey } from '../../../src/formats/repository/issuer-keys.ts';
import type { TrustFile } from '../../../src/formats/repository/repository-trust.ts';
import { pinRoot, type RootRequest } from '../../../src/usecases/repository/pin-root.ts';
import { raised } from '../../support/raised.ts';

const spki = (key: ReturnType<typeof generateKeyPairSync>['publicKey']) =>
  key.export({ type: 'spki', format: 'der' }).toString('base64');
const issuerKey = (kid: string): IssuerKey => ({
  kid,
  algorithm: 'ES256',
  publicKey: spki(generateKeyPairSync('ec', { namedCurve: 'P-256' }).publicKey),
});
const [first, second] = [issuerKey('1'), issuerKey('2')];
const issuer = {
  ...{ url: 'https://id.ship', enrolmentClient: '328', roleClaim: 'roles', readerRole: 'backup-reader' },
};
const NOTHING: RootRequest = { approvers: [], breakGlass: [] };
const WHOLE: RootRequest = {
  approvers: [
    { name: 'ada', publicKey: 'QQ==' },
    { name: 'ben', publicKey: 'Qg==' },
  ],
  threshold: 2,
  breakGlass: ['age1a', 'age1b'],
  minimumRecipients: 2,
  issuer,
};

/** A file, the keys that the provider shows, and how often either was touched. */
function world(root?: TrustFile) {
  const state = { root, written: 0, shown: [first] as readonly IssuerKey[], asked: [] as string[], now: 0 };
  const pin = (request: RootRequest) =>
    pinRoot(request, {
      file: {
        path: 'root.json',
        read: async () => state.root,
        write: async (written) => {
          state.root = written;
          state.written += 1;
        },
      },
      keysOf: async (url) => {
        state.asked.push(url);
        return state.shown;
      },
      now: () => state.now,
    });
  return { state, pin };
}

test('the lowest epoch rises, and never falls', async () => {
  const { state, pin } = world();
  await pin({ ...WHOLE, issuer: undefined });
  expect(state.root).not.toHaveProperty('minimumEpoch');
  expect(await pin({ ...NOTHING, minimumEpoch: 3 })).toMatchObject({ changed: true, root: { minimumEpoch: 3 } });
  expect(await pin({ ...NOTHING, minimumEpoch: 3 })).toMatchObject({ changed: false });
  expect(await pin(NOTHING)).toMatchObject({ changed: false, root: { minimumEpoch: 3 } });
  expect(await raised(() => pin({ ...NOTHING, minimumEpoch: 2 }))).toMatchObject({ code: 'ROOT_DIFFERS' });
  await pin({ ...NOTHING, minimumEpoch: 7 });
  expect(state).toMatchObject({ root: { minimumEpoch: 7, threshold: 2 }, written: 3 });
});

test('a root is made of all that is given, with the keys that the provider shows', async () => {
  const { state, pin } = world();
  const report = await pin(WHOLE);
  expect(report).toMatchObject({ created: true, changed: true, added: [], issuerKeys: [{ kid: '1', change: 'new' }] });
  const { approvers, ...rest } = WHOLE;
  expect(state.root).toEqual({
    ...rest,
    keys: approvers,
    issuer: { ...issuer, keys: [{ ...first, from: '1969-12-31T23:00:00.000Z' }] },
  });
  expect(state.asked).toEqual(['https://id.ship']);
});

test('a root without an approver or without a break-glass recipient is not made, and nobody is asked for keys', async () => {
  const { state, pin } = world();
  for (const lacking of [{ approvers: [] }, { breakGlass: [] }]) {
    expect(await raised(() => pin({ ...WHOLE, ...lacking }))).toMatchObject({ code: 'ROOT_INCOMPLETE' });
  }
  expect(state).toMatchObject({ written: 0, asked: [] });
});

test('again, with all or with nothing, it changes nothing and is not written', async () => {
  const { state, pin } = world();
  await pin(WHOLE);
  for (const request of [WHOLE, NOTHING, { ...WHOLE, breakGlass: ['age1b', 'age1a'] }]) {
    expect(await pin(request)).toMatchObject({ created: false, changed: false, added: [] });
  }
  expect(state.written).toBe(1);
});

test('after a rotation the history grows, and nothing else is touched', async () => {
  const { state, pin } = world();
  await pin(WHOLE);
  const before = state.root;
  Object.assign(state, { shown: [second], now: 86_400_000 });
  expect(await pin({ ...NOTHING, updateKeys: true })).toMatchObject({
    ...{ changed: true, keysDiffer: false },
    issuerKeys: [
      { kid: '1', change: 'gone', until: '1970-01-02T00:00:00.000Z' },
      { kid: '2', change: 'new' },
    ],
  });
  expect({ ...state.root, issuer: undefined }).toEqual({ ...before, issuer: undefined });
  expect(await pin(NOTHING)).toMatchObject({ changed: false });
});

test('other keys than the file has are shown, and taken over by nobody who did not say so', async () => {
  const { state, pin } = world();
  await pin(WHOLE);
  const before = state.root;
  const { keys } = before?.issuer ?? { keys: [] };
  for (const shown of [[first, second], [second]]) {
    Object.assign(state, { shown, now: 86_400_000 });
    expect(await pin(NOTHING)).toMatchObject({ changed: false, keysDiffer: true, root: { issuer: { keys } } });
    expect(state.root).toBe(before);
  }
  // What does not hang on keys is done all the same.
  expect(await pin({ ...NOTHING, minimumEpoch: 4 })).toMatchObject({ changed: true, keysDiffer: true });
  expect(state.root).toMatchObject({ minimumEpoch: 4, issuer: { keys } });
});

test('what the file lacks is added; keys may stand in it as PEM, under other names', async () => {
  const pem = '-----BEGIN PUBLIC KEY-----\nQQ==\n-----END PUBLIC KEY-----\n';
  const there: TrustFile = { keys: [{ publicKey: pem }], repository: 'a'.repeat(32) as never };
  const { state, pin } = world(there);
  const wanted = { ...WHOLE, approvers: WHOLE.approvers.slice(0, 1), threshold: 1 };
  const { added } = await pin(wanted);
  expect(added).toEqual(expect.arrayContaining(['threshold', 'breakGlass', 'minimumRecipients', 'issuer.url']));
  expect(state.root).toMatchObject({ ...there, threshold: 1, breakGlass: ['age1a', 'age1b'], issuer });
  expect((await pin({ ...NOTHING, issuer: { ...issuer, loginClient: '329' } })).added).toEqual(['issuer.loginClient']);
});

test.each<[string, Partial<RootRequest>]>([
  ['approvers', { approvers: WHOLE.approvers.slice(1) }],
  ['threshold', { threshold: 1 }],
  ['breakGlass', { breakGlass: ['age1a'] }],
  ['minimumRecipients', { minimumRecipients: 1 }],
  ['issuer.readerRole', { issuer: { ...issuer, readerRole: 'anybody' } }],
])('what it says of %s is not changed', async (key, other) => {
  const { state, pin } = world();
  await pin(WHOLE);
  const before = state.root;
  expect(await raised(() => pin({ ...NOTHING, ...other }))).toMatchObject({ code: 'ROOT_DIFFERS', at: { key } });
  expect(state.root).toBe(before);
});

test('a root without an identity provider asks nobody', async () => {
  const { state, pin } = world();
  const { issuer: _, ...without } = WHOLE;
  expect(await pin(without)).toMatchObject({ created: true, issuerKeys: [] });
  expect(state.asked).toEqual([]);
  expect(state.root).not.toHaveProperty('issuer');
});

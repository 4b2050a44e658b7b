/** Who forges, replays, phishes or dates back to become a reader: refused by the command that would take it, and nothing is changed. */
import { createHmac, createPublicKey, generateKeyPairSync, type JsonWebKey, randomBytes } from 'node:crypto';
import { readdir, readFile, stat, writeFile } from 'node:fs/promises';
import { CompactSign, type JWTPayload } from 'jose';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestOf } from '../../src/core/digest.ts';
import { sealBytes } from '../../src/formats/age/sealed-bytes.ts';
import { recipientFingerprint } from '../../src/formats/identity/fingerprint.ts';
import { writeBrowserProgram } from '../support/browser-program.ts';
import {
  type AttackedCopy,
  alteredEnrolment,
  createEnrolmentShip,
  done,
  type EnrolmentShip,
  forgedEnrolment,
  readEnrolmentFile,
  refuses,
} from '../support/enrolment-ship.ts';
import { type OpenIdProvider, startOpenIdProvider } from '../support/openid-provider.ts';
import { portolan, portolanText } from '../support/program.ts';
import { portolanOnTerminal } from '../support/terminal.ts';

const STRANGER = generateKeyPairSync('rsa', { modulusLength: 2048 });
const COMPARE = 'compare the whole fingerprint with this person yourself';

let provider: OpenIdProvider;
let ship: EnrolmentShip;
beforeAll(async () => {
  provider = await startOpenIdProvider();
  ship = await createEnrolmentShip(provider);
});
afterAll(async () => {
  await ship?.[Symbol.asyncDispose]();
  await provider?.[Symbol.asyncDispose]();
});

const encoded = (value: unknown) => Buffer.from(JSON.stringify(value)).toString('base64url');

/** A token that HMAC signs, with any key; libraries refuse an empty one. */
function hmacToken(header: object, claims: JWTPayload, key: string | Buffer): string {
  const signed = `${encoded(header)}.${encoded(claims)}`;
  return `${signed}.${createHmac('sha256', key).update(signed).digest('base64url')}`;
}

/** Signed as `CompactSign` does with a key of the attacker's. */
function strangersToken(header: object, claims: JWTPayload): Promise<string> {
  const bytes = Buffer.from(JSON.stringify(claims));
  return new CompactSign(bytes).setProtectedHeader({ alg: 'RS256', ...header }).sign(STRANGER.privateKey);
}

function providersKey(): { readonly kid: string; readonly pem: string; readonly der: Buffer } {
  const [jwk] = provider.keys.jwks().keys;
  const key = createPublicKey({ key: jwk as JsonWebKey, format: 'jwk' });
  const der = key.export({ type: 'spki', format: 'der' });
  return { kid: String(jwk?.kid), pem: key.export({ type: 'spki', format: 'pem' }).toString(), der };
}

/** Ada looks at an enrolment, as she does first. */
const LOOK = ['--enrolment', 'attack.enrolment', '--name', 'carol', '--challenge-out', 'challenge.age'];

/** Up to the answer, for the enrolment in a file, as somebody who holds that identity. */
async function challenged(copy: AttackedCopy, approver: string, about: readonly string[], own: readonly string[]) {
  const id = randomBytes(4).toString('hex');
  const [challenge, answer] = [`${approver}-asks-${id}`, `${approver}-heard-${id}`];
  done(await copy.seat(approver).approve([...about, '--challenge-out', challenge]));
  done(await answered(copy, challenge, own, answer));
  return answer;
}

function answered(copy: AttackedCopy, challenge: string, own: readonly string[], out: string) {
  const { options } = copy.seat('carol');
  const words = ['keys', 'enroll', '--challenge', challenge, ...own, '--answer-out', out];
  return portolan(words, options);
}

const CAROLS = ['--enrolment', 'carol.enrolment', '-i', 'carol.txt'];
const ABOUT = ['--enrolment', 'carol.enrolment', '--name', 'carol'];

/** Both approvers let Carol in, by every step. */
async function letCarolIn(copy: AttackedCopy) {
  const heard = await challenged(copy, 'ada', ABOUT, CAROLS);
  done(await copy.seat('ada').approve([...ABOUT, '--answer', heard, '--proposal-out', 'proposal']));
  const proposal = ['--proposal', 'proposal'];
  const bens = await challenged(copy, 'ben', proposal, CAROLS);
  done(await copy.seat('ben').approve([...proposal, '--answer', bens]));
}

describe('an approver refuses a token', () => {
  test.each<[string, string, (claims: JWTPayload) => string | Promise<string>]>([
    [
      'whose claims were altered',
      'ID_TOKEN_FORGED',
      (claims) => {
        const [header = '', , signature = ''] = readEnrolmentFile(ship.enrolment).document.idToken.split('.');
        return `${header}.${encoded({ ...claims, sub: '1' })}.${signature}`;
      },
    ],
    [
      'that somebody else signed in the name of the key',
      'ID_TOKEN_FORGED',
      (claims) => strangersToken({ kid: providersKey().kid }, claims),
    ],
    [
      'that brings its own key',
      'ID_TOKEN_KEY_UNKNOWN',
      (claims) => strangersToken({ kid: 'mine', jwk: STRANGER.publicKey.export({ format: 'jwk' }) }, claims),
    ],
    [
      'without a signature',
      'ID_TOKEN_ALGORITHM_REFUSED',
      (claims) => `${encoded({ alg: 'none', kid: providersKey().kid })}.${encoded(claims)}.`,
    ],
    [
      'by HMAC with an empty key',
      'ID_TOKEN_ALGORITHM_REFUSED',
      (claims) => hmacToken({ alg: 'HS256', kid: providersKey().kid }, claims, ''),
    ],
    [
      'by HMAC with the public key as PEM',
      'ID_TOKEN_ALGORITHM_REFUSED',
      (claims) => hmacToken({ alg: 'HS256', kid: providersKey().kid }, claims, providersKey().pem),
    ],
    [
      'by HMAC with the public key in DER, that calls itself RS256',
      'ID_TOKEN_FORGED',
      (claims) => hmacToken({ alg: 'RS256', kid: providersKey().kid }, claims, providersKey().der),
    ],
    [
      'of another issuer that has the same key',
      'ID_TOKEN_ISSUER_WRONG',
      (claims) => provider.keys.sign({ ...claims, iss: `${provider.issuer}/` }),
    ],
    [
      'of another client',
      'ID_TOKEN_AUDIENCE_WRONG',
      (claims) => provider.keys.sign({ ...claims, aud: [provider.clients.login], azp: provider.clients.login }),
    ],
    [
      'that the storage would take, too',
      'ID_TOKEN_AUDIENCE_WRONG',
      (claims) => provider.keys.sign({ ...claims, aud: [claims.aud ?? [], provider.projects.storage].flat() }),
    ],
    [
      'without a second factor',
      'ID_TOKEN_SECOND_FACTOR_MISSING',
      (claims) => provider.keys.sign({ ...claims, amr: ['pwd'] }),
    ],
    [
      'of an old login',
      'ID_TOKEN_LOGIN_TOO_OLD',
      (claims) => provider.keys.sign({ ...claims, auth_time: Number(claims.iat) - 3600 }),
    ],
    [
      'of a login that nobody dates',
      'ID_TOKEN_LOGIN_TOO_OLD',
      (claims) => provider.keys.sign({ ...claims, auth_time: undefined }),
    ],
    [
      'of somebody without the role',
      'ID_TOKEN_ROLE_MISSING',
      (claims) => provider.keys.sign({ ...claims, [provider.roleClaim]: { another: { 1: 'ship' } } }),
    ],
    [
      'that names the person',
      'ID_TOKEN_PROFILE_CLAIMS',
      (claims) => provider.keys.sign({ ...claims, email: 'carol@ship.example' }),
    ],
    [
      'of the future',
      'ID_TOKEN_NOT_YET_VALID',
      (claims) =>
        provider.keys.sign({ ...claims, iat: Number(claims.iat) + 7200, auth_time: Number(claims.iat) + 7200 }),
    ],
    [
      'that lives for years',
      'ID_TOKEN_INVALID',
      (claims) => provider.keys.sign({ ...claims, exp: Number(claims.iat) + 5 * 365 * 86_400 }),
    ],
  ])('%s', async (_, code, forge) => {
    const copy = await ship.copy();
    const idToken = await forge(readEnrolmentFile(ship.enrolment).claims);
    await writeFile(copy.at('attack.enrolment'), alteredEnrolment(ship.enrolment, { idToken }));
    await refuses(copy, () => copy.seat('ada').approve(LOOK), { status: 3, code });
  });
});

describe('a replay', () => {
  test('of Carol’s token lets nobody else’s recipient in, and counts in no other repository', async () => {
    const copy = await ship.copy();
    const swapped = { recipient: await copy.recipientOf('mallory.txt') };
    const elsewhere = { repository: 'ffeeddccbbaa99887766554433221100' };
    for (const change of [swapped, { random: randomBytes(32).toString('base64') }]) {
      await writeFile(copy.at('attack.enrolment'), alteredEnrolment(ship.enrolment, change));
      await refuses(copy, () => copy.seat('ada').approve(LOOK), { status: 3, code: 'ID_TOKEN_NONCE_WRONG' });
    }
    await writeFile(copy.at('attack.enrolment'), alteredEnrolment(ship.enrolment, elsewhere));
    await refuses(copy, () => copy.seat('ada').approve(LOOK), { status: 3, code: 'REPOSITORY_MISMATCH' });
    // One that she made for the other repository, with its name changed to this one.
    const { document, claims } = readEnrolmentFile(ship.enrolment);
    const other = await forgedEnrolment({ ...document, ...elsewhere }, claims, (all) => provider.keys.sign(all));
    await writeFile(copy.at('attack.enrolment'), alteredEnrolment(other, { repository: copy.repository }));
    await refuses(copy, () => copy.seat('ada').approve(LOOK), { status: 3, code: 'ID_TOKEN_NONCE_WRONG' });
  });

  test('of a login’s token enrols nobody, and an enrolment’s token logs nobody in', async () => {
    const copy = await ship.copy();
    const { options } = copy.seat('carol');
    const env = { ...options.env, BROWSER: await writeBrowserProgram(copy.at('browser'), ship.carol) };
    const onSeat = (...words: string[]) => portolan([...words, '--trust', copy.at('trust.json')], { ...options, env });
    done(await onSeat('login'));
    const folder = copy.at('people', 'carol', 'config', 'portolan', 'sessions');
    const [session = ''] = await readdir(folder);
    const kept = JSON.parse(await readFile(`${folder}/${session}`, 'utf8')) as { idToken: string };
    await writeFile(copy.at('attack.enrolment'), alteredEnrolment(ship.enrolment, { idToken: kept.idToken }));
    await refuses(copy, () => copy.seat('ada').approve(LOOK), { status: 3, code: 'ID_TOKEN_AUDIENCE_WRONG' });
    const { idToken } = readEnrolmentFile(ship.enrolment).document;
    await writeFile(`${folder}/${session}`, JSON.stringify({ ...kept, idToken }));
    const restore = ['restore', '--repo', copy.at('store'), '-i', 'carol.txt', '--to', 'folder:out'];
    await refuses(copy, () => onSeat('whoami'), { status: 3, code: 'ID_TOKEN_AUDIENCE_WRONG' });
    const error = await refuses(copy, () => onSeat(...restore), { status: 1, code: 'LOGIN_NEEDED' });
    expect(error.causes).toEqual([expect.stringContaining('ID_TOKEN_AUDIENCE_WRONG')]);
  });

  test('of an enrolment lets nobody back who was taken off, and neither does another one out of the drawer', async () => {
    const copy = await ship.copy();
    const { document, claims } = readEnrolmentFile(ship.enrolment);
    const drawer = { ...document, random: randomBytes(32).toString('base64') };
    await writeFile(copy.at('drawer'), await forgedEnrolment(drawer, claims, (all) => provider.keys.sign(all)));
    await letCarolIn(copy);
    const leaves = ['keys', 'revoke', '--recipient', 'carol', '--proposal-out', 'leaves', '--sign-key', 'ada.key'];
    done(await copy.seat('ada').run(leaves));
    done(await copy.seat('ben').approve(['--proposal', 'leaves']));
    for (const file of ['carol.enrolment', 'drawer']) {
      const again = ['--enrolment', file, '--name', 'carol', '--challenge-out', 'again'];
      await refuses(copy, () => copy.seat('ada').approve(again), { status: 3, code: 'ENROLMENT_REVOKED' });
    }
    // Whoever has the role comes back by a new login.
    const now = Math.floor(Date.now() / 1000);
    const fresh = { ...claims, iat: now, auth_time: now, exp: now + 3600 };
    await writeFile(copy.at('fresh'), await forgedEnrolment(drawer, fresh, (all) => provider.keys.sign(all)));
    done(await copy.seat('ada').approve(['--enrolment', 'fresh', '--name', 'carol', '--challenge-out', 'again']));
  });
});

describe('somebody who is led to a login', () => {
  test('is enrolled for a recipient of the attacker: approvers see its fingerprint and are told to compare it', async () => {
    const copy = await ship.copy();
    // Mallory asks Carol to log in "for the backups" by the address that the program showed, and to read the page's address out to her.
    const enrol = [
      'keys',
      'enroll',
      '--no-browser',
      '-i',
      'mallory.txt',
      '--enrolment-out',
      'phished',
      '--trust',
      'trust.json',
    ];
    const { status, screen } = await portolanOnTerminal(enrol, copy.seat('mallory').options, async (text) => {
      const address = /log in: (http\S+)/.exec(text)?.[1] ?? '';
      return (await ship.carol.logIn(address, { leave: false })).address;
    });
    expect(status, screen).toBe(0);
    const fingerprint = recipientFingerprint(await copy.recipientOf('mallory.txt'));
    expect(fingerprint).not.toBe(recipientFingerprint(await copy.recipientOf('carol.txt')));

    const before = await copy.contents();
    const about = ['--enrolment', 'phished', '--name', 'carol'];
    const own = ['--enrolment', 'phished', '-i', 'mallory.txt'];
    const sign = ['keys', 'approve', '--sign-key', 'ada.key', ...about];
    const plan = await copy.seat('ada').text([...sign, '--plan']);
    const looked = await copy.seat('ada').text([...sign, '--challenge-out', 'ada-asks']);
    for (const text of [plan.stdout, looked.stdout]) {
      expect(text).toContain(fingerprint);
      expect(text).toContain(ship.carol.id);
      expect(text.toLowerCase()).toContain(COMPARE);
    }
    // She answers, since she holds it: nothing but the comparison is in her way. It is asked for once more before the signature.
    done(await answered(copy, 'ada-asks', own, 'ada-heard'));
    const signed = await copy.seat('ada').approve([...about, '--answer', 'ada-heard', '--proposal-out', 'proposal']);
    expect(done(signed)).toMatchObject({ done: 'proposed', missing: 1 });
    const notes = signed.events.map(({ message }) => String(message)).filter((message) => message.includes(COMPARE));
    expect(notes).toEqual([expect.stringContaining(fingerprint)]);
    const bens = await copy
      .seat('ben')
      .text(['keys', 'approve', '--sign-key', 'ben.key', '--proposal', 'proposal', '--plan']);
    expect(bens.stdout).toContain(fingerprint);
    expect(bens.stdout.toLowerCase()).toContain(COMPARE);
    expect(await copy.contents()).toEqual(before);
  });
});

describe('a holder of an identity', () => {
  test('answers no challenge for an enrolment that somebody else made with the same recipient', async () => {
    const copy = await ship.copy();
    const mallory = provider.addPerson({ name: 'mallory' });
    const { claims, document } = readEnrolmentFile(ship.enrolment);
    const hers = { ...document, random: randomBytes(32).toString('base64') };
    const bytes = await forgedEnrolment(hers, { ...claims, sub: mallory.id }, (all) => provider.keys.sign(all));
    await writeFile(copy.at('mallorys'), bytes);
    done(await copy.seat('ada').approve(['--enrolment', 'mallorys', '--challenge-out', 'asks']));
    const foreign = await refuses(copy, () => answered(copy, 'asks', CAROLS, 'heard'), {
      ...{ status: 3, code: 'CHALLENGE_FOREIGN' },
    });
    expect(foreign.hint).toContain('somebody may have enrolled with your recipient');
    const mallorys = ['--enrolment', 'mallorys', '-i', 'mallory.txt'];
    await refuses(copy, () => answered(copy, 'asks', mallorys, 'heard'), { status: 1, code: 'NO_MATCHING_IDENTITY' });
    // Without an enrolment of the own nothing is answered at all, nor what is no challenge.
    await refuses(copy, () => answered(copy, 'asks', ['-i', 'carol.txt'], 'heard'), { status: 2, code: 'USAGE' });
    await writeFile(
      copy.at('asks'),
      await sealBytes(Buffer.from('a digest that somebody wants signed'), [document.recipient]),
    );
    await refuses(copy, () => answered(copy, 'asks', CAROLS, 'heard'), { status: 3, code: 'CHALLENGE_INVALID' });
  });
});

describe('an answer', () => {
  test('serves one signature, of the approver who asked, about the enrolment that was asked about', async () => {
    const copy = await ship.copy();
    const { document, claims } = readEnrolmentFile(ship.enrolment);
    const other = { ...document, random: randomBytes(32).toString('base64') };
    await writeFile(copy.at('other'), await forgedEnrolment(other, claims, (all) => provider.keys.sign(all)));
    const heard = await challenged(copy, 'ada', ABOUT, CAROLS);
    const sign = [...ABOUT, '--answer', heard, '--proposal-out', 'proposal'];
    await refuses(copy, () => copy.seat('ben').approve(sign), { status: 1, code: 'CHALLENGE_MISSING' });
    const another = ['--enrolment', 'other', '--name', 'carol', '--answer', heard, '--proposal-out', 'proposal'];
    await refuses(copy, () => copy.seat('ada').approve(another), { status: 1, code: 'CHALLENGE_MISSING' });
    done(await copy.seat('ada').approve(['--enrolment', 'other', '--name', 'carol', '--challenge-out', 'other-asks']));
    await refuses(copy, () => copy.seat('ada').approve(another), { status: 3, code: 'CHALLENGE_ANSWER_WRONG' });

    done(await copy.seat('ada').approve(sign));
    const again = [...ABOUT, '--answer', heard, '--proposal-out', 'later'];
    await refuses(copy, () => copy.seat('ada').approve(again), { status: 1, code: 'CHALLENGE_MISSING' });
  });

  test('for one proposal does not serve another that came in its place', async () => {
    const copy = await ship.copy();
    const heard = await challenged(copy, 'ada', ABOUT, CAROLS);
    done(await copy.seat('ada').approve([...ABOUT, '--answer', heard, '--proposal-out', 'proposal']));
    const bens = await challenged(copy, 'ben', ['--proposal', 'proposal'], CAROLS);
    // The same reader by the same enrolment, and an approver more who was not there when Ben looked.
    const secondly = await challenged(copy, 'ada', ABOUT, CAROLS);
    const more = [...ABOUT, '--approver', 'cleo=cleo.pub', '--answer', secondly, '--proposal-out', 'swapped'];
    done(await copy.seat('ada').approve(more));
    const swapped = ['--proposal', 'swapped', '--answer', bens];
    const error = await refuses(copy, () => copy.seat('ben').approve(swapped), {
      status: 1,
      code: 'CHALLENGE_MISSING',
    });
    expect(error.message).toContain('another change');
    expect(done(await copy.seat('ben').approve(['--proposal', 'proposal', '--answer', bens]))).toMatchObject({
      ...{ done: 'published', roster: { epoch: 2, approvers: { keys: [{ name: 'ada' }, { name: 'ben' }] } } },
    });
  });
});

describe('a key that the provider took out of use', () => {
  /** The root as of now on: the key is ended, and another one is there. */
  async function endKey(copy: AttackedCopy): Promise<void> {
    const jwk = { ...STRANGER.publicKey.export({ format: 'jwk' }), kid: 'next', alg: 'RS256', use: 'sig' };
    await writeFile(copy.at('elsewhere.json'), JSON.stringify({ keys: [jwk] }));
    const update = ['keys', 'init', '--out', 'trust.json', '--jwks', 'elsewhere.json', '--update-keys'];
    done(await portolan(update, copy.seat('ada').options));
  }

  test('lets nobody in any more, however its thief dates the token', async () => {
    const copy = await ship.copy();
    await writeFile(copy.at('attack.enrolment'), ship.enrolment);
    done(await copy.seat('ada').approve(LOOK));
    await endKey(copy);
    const error = await refuses(copy, () => copy.seat('ada').approve(LOOK), { status: 3, code: 'ENROLMENT_KEY_ENDED' });
    expect(error.found).toContain(providersKey().kid);
    const { document, claims } = readEnrolmentFile(ship.enrolment);
    const now = Math.floor(Date.now() / 1000) + 2;
    const later = { ...claims, iat: now, auth_time: now, exp: now + 3600 };
    const bytes = await forgedEnrolment(document, later, (all) => provider.keys.sign(all));
    await writeFile(copy.at('attack.enrolment'), bytes);
    await refuses(copy, () => copy.seat('ada').approve(LOOK), { status: 3, code: 'ID_TOKEN_KEY_OUT_OF_TIME' });
  });

  test('keeps who came in while it was used, for ever; who was let in afterwards is found out by anybody', async () => {
    const copy = await ship.copy();
    await letCarolIn(copy);
    done(await copy.seat('ada').approve(['--enrolment', 'carol.enrolment'], { clock: '+13h' }));
    await endKey(copy);
    const ten = { clock: '+10y' };
    expect(done(await copy.seat('anybody').run(['keys', 'verify'], ten))).toMatchObject({
      ...{ findings: [], recipients: [{}, { name: 'carol', evidence: 'verified' }] },
    });
    // Two approvers and the thief of the old key: the enrolment is of a time when it signed, the epoch is not.
    const { document, claims } = readEnrolmentFile(ship.enrolment);
    const spy = { ...document, recipient: await copy.recipientOf('mallory.txt') };
    const bytes = await forgedEnrolment(spy, { ...claims, sub: '7' }, (all) => provider.keys.sign(all));
    const evidence = { kind: 'enrolment', issuer: provider.issuer, subject: '7', digest: digestOf(bytes) };
    const entry = { name: 'spy', recipient: spy.recipient, role: 'reader', evidence } as const;
    await copy.publish((roster) => ({ ...roster, recipients: [...roster.recipients, entry] }));
    await writeFile(copy.at('store', 'evidence', `${digestOf(bytes).slice('sha256:'.length)}.json`), bytes);
    const ended = await copy.seat('anybody').run(['keys', 'verify']);
    expect(ended).toMatchObject({
      ...{ status: 3, error: { code: 'KEYS_NOT_RIGHT', others: [{ code: 'ENROLMENT_KEY_ENDED' }] } },
      result: { recipients: [{}, { evidence: 'verified' }, { name: 'spy', evidence: 'refused' }] },
    });
  });

  test('or that is not pinned yet signs nothing that counts, until somebody compared it', async () => {
    const copy = await ship.copy();
    const kid = provider.keys.rotate();
    try {
      const { options } = copy.seat('carol');
      const env = { ...options.env, BROWSER: await writeBrowserProgram(copy.at('browser'), ship.carol) };
      const enrol = ['keys', 'enroll', '--trust', 'trust.json', '-i', 'carol.txt', '--enrolment-out', 'new'];
      const error = await refuses(copy, () => portolan(enrol, { ...options, env }), {
        ...{ status: 3, code: 'ID_TOKEN_KEY_UNKNOWN' },
      });
      expect(error).toMatchObject({ found: kid, hint: expect.stringContaining('--update-keys') });
      // Ada has the old root still, Carol the new one.
      await writeFile(copy.at('old.json'), await readFile(copy.at('trust.json')));
      done(await portolan(['keys', 'init', '--out', 'trust.json', '--update-keys'], copy.seat('ben').options));
      done(await portolan(enrol, { ...options, env }));
      const look = ['--enrolment', 'new', '--challenge-out', 'asks'];
      const outdated = [
        'keys',
        'approve',
        '--repo',
        copy.at('store'),
        '--trust',
        'old.json',
        '--sign-key',
        'ada.key',
        ...look,
      ];
      await refuses(copy, () => portolan(outdated, copy.seat('ada').options), {
        status: 3,
        code: 'ID_TOKEN_KEY_UNKNOWN',
      });
      done(await copy.seat('ada').approve(look));
    } finally {
      provider.keys.remove(kid);
    }
  });
});

describe('a key set of somebody in between', () => {
  test('changes no root: what it shows is printed, and taken over by nobody who does not say so', async () => {
    const copy = await ship.copy();
    const before = await readFile(copy.at('trust.json'), 'utf8');
    const hostile = { ...STRANGER.publicKey.export({ format: 'jwk' }), alg: 'RS256', use: 'sig' };
    const hold = async (keys: readonly object[], ...more: string[]) => {
      await writeFile(copy.at('hostile.json'), JSON.stringify({ keys }));
      const words = ['keys', 'init', '--out', 'trust.json', '--jwks', 'hostile.json', ...more];
      return { ended: await portolan(words, copy.seat('ada').options), words };
    };
    const own = provider.keys.jwks().keys;
    for (const keys of [[{ ...hostile, kid: 'new' }], [...own, { ...hostile, kid: 'new' }]]) {
      const { ended, words } = await hold(keys);
      expect(ended, ended.stdout).toMatchObject({
        ...{ status: 3, error: { code: 'ISSUER_KEYS_DIFFER' }, result: { changed: false, keysDiffer: true } },
      });
      const { issuerKeys } = ended.result as unknown as { issuerKeys: readonly { kid: string; thumbprint: string }[] };
      const shown = await portolanText(words, copy.seat('ada').options);
      for (const { kid, thumbprint } of issuerKeys) expect(shown.stdout).toMatch(new RegExp(`${kid} .*${thumbprint}`));
      expect(await readFile(copy.at('trust.json'), 'utf8')).toBe(before);
    }
    // Not even on request: another key under a known name, and one that had ended under another name.
    const [{ kid = '' } = {}] = own as readonly { readonly kid?: string }[];
    const renamed = await hold([{ ...hostile, kid }], '--update-keys');
    expect(renamed.ended).toMatchObject({ status: 3, error: { code: 'ISSUER_KEY_CHANGED' } });
    expect(await readFile(copy.at('trust.json'), 'utf8')).toBe(before);
    done((await hold([{ ...hostile, kid: 'next' }], '--update-keys')).ended);
    const after = await readFile(copy.at('trust.json'), 'utf8');
    const back = await hold(
      [
        { ...hostile, kid: 'next' },
        { ...own[0], kid: 'again' },
      ],
      '--update-keys',
    );
    expect(back.ended).toMatchObject({ status: 3, error: { code: 'ISSUER_KEY_CHANGED' } });
    expect(await readFile(copy.at('trust.json'), 'utf8')).toBe(after);
  });
});

describe('a clock', () => {
  test.each([
    ['five minutes behind', '-5m', 'ID_TOKEN_NOT_YET_VALID'],
    ['five years behind', '-5y', 'ID_TOKEN_NOT_YET_VALID'],
    ['five years ahead', '+5y', 'ENROLMENT_TOO_OLD'],
  ])('of an approver that is %s is named, and nobody is let in', async (_, clock, code) => {
    const copy = await ship.copy();
    // Of this very moment: the one of the ship may be some minutes old.
    const { document, claims } = readEnrolmentFile(ship.enrolment);
    const now = Math.floor(Date.now() / 1000);
    const fresh = { ...claims, iat: now, auth_time: now, exp: now + 3600 };
    await writeFile(
      copy.at('attack.enrolment'),
      await forgedEnrolment(document, fresh, (all) => provider.keys.sign(all)),
    );
    const error = await refuses(copy, () => copy.seat('ada').approve(LOOK, { clock }), { status: 3, code });
    expect(String(error.hint)).toMatch(/clock/i);
    done(await copy.seat('ada').approve(LOOK, { clock: '+5m' }));
  });

  test.each([
    ['five minutes ahead', 300, 'ID_TOKEN_NOT_YET_VALID'],
    ['five years ahead', 5 * 365 * 86_400, 'ID_TOKEN_NOT_YET_VALID'],
    ['five years behind', -5 * 365 * 86_400, 'IDENTITY_PROVIDER_PROTOCOL'],
  ])('of the provider that is %s enrols nobody', async (_, clockOffsetSeconds, code) => {
    const copy = await ship.copy();
    const { options } = copy.seat('carol');
    const env = { ...options.env, BROWSER: await writeBrowserProgram(copy.at('browser'), ship.carol) };
    const enrol = ['keys', 'enroll', '--trust', 'trust.json', '-i', 'carol.txt', '--enrolment-out', 'new'];
    const before = await copy.contents();
    provider.settings.clockOffsetSeconds = clockOffsetSeconds;
    try {
      const ended = await portolan(enrol, { ...options, env });
      expect(ended.status, ended.stdout).not.toBe(0);
      expect(ended.error).toMatchObject({ code });
      expect(JSON.stringify(ended.error)).toMatch(/the clock of this machine/i);
    } finally {
      provider.settings.clockOffsetSeconds = 0;
    }
    await expect(stat(copy.at('new'))).rejects.toThrow('ENOENT');
    expect(await copy.contents()).toEqual(before);
  });

  test('that is minutes off does not have evidence published while somebody would still take its token', async () => {
    const copy = await ship.copy();
    await letCarolIn(copy);
    const { claims } = readEnrolmentFile(ship.enrolment);
    const lives = Number(claims.exp) - Math.floor(Date.now() / 1000);
    const publish = (seconds: number) =>
      copy.seat('ada').approve(['--enrolment', 'carol.enrolment'], { clock: `+${lives + seconds}s` });
    for (const early of [-60, 60, 500]) {
      await refuses(copy, () => publish(early), { status: 1, code: 'EVIDENCE_TOO_EARLY' });
    }
    expect(done(await publish(660))).toMatchObject({ done: 'evidence', created: true });
  });
});

describe('who only wants to look', () => {
  test('publishes no evidence with --plan or --challenge-out', async () => {
    const copy = await ship.copy();
    await letCarolIn(copy);
    for (const look of [['--plan'], ['--challenge-out', 'asks']]) {
      const words = ['--enrolment', 'carol.enrolment', ...look];
      await refuses(copy, () => copy.seat('ada').approve(words, { clock: '+13h' }), {
        status: 2,
        code: 'ROSTER_UNCHANGED',
      });
    }
  });
});

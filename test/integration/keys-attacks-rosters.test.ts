/** One approver against the others, approvers who left, and all of them together: what each of them cannot do to the roster, by commands. */
import { mkdir, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { canonicalJson } from '../../src/core/canonical-json.ts';
import { type Digest, digestOf } from '../../src/core/digest.ts';
import { encodeProposal } from '../../src/formats/identity/roster-proposal.ts';
import {
  encodeRoster,
  type Roster,
  type RosterRecipient,
  readUnverifiedRoster,
} from '../../src/formats/repository/roster.ts';
import { publicKeyText } from '../support/backup-repository.ts';
import {
  type AttackedCopy,
  createEnrolmentShip,
  done,
  type EnrolmentShip,
  readEnrolmentFile,
  refuses,
} from '../support/enrolment-ship.ts';
import { type OpenIdProvider, startOpenIdProvider } from '../support/openid-provider.ts';
import { type ProgramOptions, portolan } from '../support/program.ts';

const DAY_MS = 86_400_000;

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

type Approver = 'ada' | 'ben' | 'cleo';

const epochFile = (copy: AttackedCopy, epoch: number) =>
  copy.at('store', 'keys', `${String(epoch).padStart(8, '0')}.json`);

/** What an approver of the next epoch would sign; the entry is the one that Carol's enrolment asks for. */
async function nextOf(copy: AttackedCopy): Promise<{ readonly next: Roster; readonly carol: RosterRecipient }> {
  const epochs = await readdir(copy.at('store', 'keys'));
  const { document, digest } = readUnverifiedRoster(await readFile(epochFile(copy, epochs.length)));
  const { claims, document: enrolment } = readEnrolmentFile(ship.enrolment);
  const evidence = {
    kind: 'enrolment',
    issuer: provider.issuer,
    subject: claims.sub,
    digest: digestOf(ship.enrolment),
  };
  return {
    next: { ...document, epoch: document.epoch + 1, previous: digest, created: new Date().toISOString() },
    carol: { name: 'carol', recipient: enrolment.recipient, role: 'reader', evidence },
  };
}

const withReader = (roster: Roster, ...entries: readonly RosterRecipient[]): Roster => ({
  ...roster,
  recipients: [...roster.recipients, ...entries],
});

interface Proposal {
  readonly roster: Roster;
  readonly signers?: readonly Approver[];
  readonly enrolment?: Uint8Array | undefined;
  /** The last word on what is sent. */
  readonly alter?: (envelope: Envelope) => Envelope;
}

interface Envelope {
  readonly payload: string;
  readonly payloadType: string;
  readonly signatures: readonly { readonly keyid: string; readonly sig: string }[];
}

/** A file as Ada's own program would send it. */
async function send(copy: AttackedCopy, { roster, signers = ['ada'], alter, ...proposal }: Proposal): Promise<void> {
  const signed = encodeRoster(roster, await Promise.all(signers.map(copy.keyOf)));
  const bytes =
    alter === undefined ? signed : Buffer.from(canonicalJson(alter(JSON.parse(Buffer.from(signed).toString()))));
  await writeFile(copy.at('proposal'), encodeProposal({ repository: copy.repository, roster: bytes, ...proposal }));
}

const SIGN = ['--proposal', 'proposal'];

describe('Ben does not sign what Ada proposes', () => {
  type Wrong = (
    copy: AttackedCopy,
    given: { readonly next: Roster; readonly carol: RosterRecipient },
  ) => Promise<Proposal> | Proposal;
  const mallorys = (copy: AttackedCopy) => copy.recipientOf('mallory.txt');
  test.each<[string, { readonly status: number; readonly code: string }, Wrong]>([
    [
      'for another repository, where both approve',
      { status: 3, code: 'REPOSITORY_MISMATCH' },
      (_, { next }) => ({
        roster: { ...next, repository: 'ffeeddccbbaa99887766554433221100' as Roster['repository'] },
      }),
    ],
    [
      'when her own signature stands there twice',
      { status: 3, code: 'SIGNED_DOCUMENT_INVALID' },
      (_, { next }) => ({
        roster: next,
        alter: (envelope) => ({ ...envelope, signatures: [...envelope.signatures, ...envelope.signatures] }),
      }),
    ],
    [
      'when it was altered after she signed',
      { status: 3, code: 'SIGNED_DOCUMENT_FORGED' },
      (_, { next }) => ({
        roster: next,
        alter: (envelope) => {
          const payload = Buffer.from(canonicalJson({ ...next, minimumRecipients: 1, fresh: true })).toString('base64');
          return { ...envelope, payload };
        },
      }),
    ],
    [
      'with her signature under his name',
      { status: 3, code: 'SIGNED_DOCUMENT_FORGED' },
      async (copy, { next }) => {
        const { keyHint } = await copy.keyOf('ben');
        return {
          roster: next,
          alter: (envelope) => ({
            ...envelope,
            signatures: envelope.signatures
              .flatMap((one) => [one, { ...one, keyid: keyHint as string }])
              .sort((a, b) => (a.keyid < b.keyid ? -1 : 1)),
          }),
        };
      },
    ],
    [
      'with the signature of a stranger',
      { status: 3, code: 'PROPOSAL_REFUSED' },
      (_, { next }) => ({ roster: next, signers: ['ada', 'cleo'] }),
    ],
    [
      'without the recipient in the safe',
      { status: 3, code: 'ROSTER_BREAK_GLASS_MISSING' },
      (_, { next, carol }) => ({ roster: { ...next, recipients: [carol] }, enrolment: ship.enrolment }),
    ],
    [
      'with an end of the one in the safe',
      { status: 3, code: 'ROSTER_BREAK_GLASS_MISSING' },
      (_, { next }) => ({
        roster: {
          ...next,
          recipients: next.recipients.map((one) => ({ ...one, notAfter: '2030-01-01T00:00:00.000Z' })),
        },
      }),
    ],
    [
      'with another recipient than Carol’s by her enrolment',
      { status: 3, code: 'EVIDENCE_MISMATCH' },
      async (copy, { next, carol }) => ({
        roster: withReader(next, { ...carol, recipient: await mallorys(copy) }),
        enrolment: ship.enrolment,
      }),
    ],
    [
      'with other evidence than the enrolment that comes with it',
      { status: 3, code: 'PROPOSAL_REFUSED' },
      (_, { next, carol }) => ({
        roster: withReader(next, { ...carol, evidence: { ...carol.evidence, digest: digestOf('another') } }),
        enrolment: ship.enrolment,
      }),
    ],
    [
      'without the enrolment of its reader',
      { status: 3, code: 'PROPOSAL_REFUSED' },
      (_, { next, carol }) => ({ roster: withReader(next, carol) }),
    ],
    [
      'with a second reader who enrolled behind the first',
      { status: 3, code: 'PROPOSAL_REFUSED' },
      async (copy, { next, carol }) => ({
        roster: withReader(next, carol, { ...carol, name: 'dora', recipient: await mallorys(copy) }),
        enrolment: ship.enrolment,
      }),
    ],
    [
      'after another history',
      { status: 1, code: 'PROPOSAL_OUTDATED' },
      (_, { next }) => ({ roster: { ...next, previous: digestOf('another epoch 1') } }),
    ],
    [
      'of the day before the newest epoch',
      { status: 3, code: 'PROPOSAL_REFUSED' },
      (_, { next }) => ({ roster: { ...next, created: new Date(Date.now() - DAY_MS).toISOString() } }),
    ],
  ])('%s', async (_, expected, wrong) => {
    const copy = await ship.copy();
    await send(copy, await wrong(copy, await nextOf(copy)));
    for (const words of [[...SIGN, '--plan'], SIGN])
      await refuses(copy, () => copy.seat('ben').approve(words), expected);
  });

  test('who writes another repository’s name on it, nor does she sign it twice', async () => {
    const copy = await ship.copy();
    const { next } = await nextOf(copy);
    await send(copy, { roster: { ...next, fresh: true } });
    await refuses(copy, () => copy.seat('ada').approve(SIGN), { status: 1, code: 'ROSTER_NEEDS_APPROVERS' });
    const twice = [...SIGN, '--proposal-out', 'again'];
    expect(done(await copy.seat('ada').approve(twice))).toMatchObject({
      done: 'proposed',
      signers: ['ada'],
      missing: 1,
    });
    const roster = Buffer.from(JSON.parse(await readFile(copy.at('proposal'), 'utf8')).roster, 'base64');
    const repository = 'ffeeddccbbaa99887766554433221100' as Roster['repository'];
    await writeFile(copy.at('proposal'), encodeProposal({ repository, roster }));
    await refuses(copy, () => copy.seat('ben').approve(SIGN), { status: 3, code: 'REPOSITORY_MISMATCH' });
  });

  test('by a clock that is years off', async () => {
    const copy = await ship.copy();
    const propose = async (clock: ProgramOptions['clock']) => {
      await rm(copy.at('proposal'), { force: true });
      const words = ['keys', 'revoke', '--fresh', '--sign-key', 'ada.key', '--proposal-out', 'proposal'];
      done(await copy.seat('ada').run(words, clock === undefined ? {} : { clock }));
    };
    for (const clock of ['+5y', '-5y', '+20m']) {
      await propose(clock);
      await refuses(copy, () => copy.seat('ben').approve(SIGN), { status: 3, code: 'PROPOSAL_REFUSED' });
    }
    // Once they signed one by such a clock all the same, the next one by a right clock is none the less good.
    const inFiveYears = new Date(Date.now() + 5 * 365 * DAY_MS).toISOString();
    await copy.publish((roster) => ({ ...roster, created: inFiveYears }));
    await propose(undefined);
    expect(done(await copy.seat('ben').approve(SIGN))).toMatchObject({ done: 'published', roster: { epoch: 3 } });
  });

  test('by asking for a challenge where there is nobody to challenge', async () => {
    const copy = await ship.copy();
    const { next } = await nextOf(copy);
    const spy = { name: 'spy', recipient: await copy.recipientOf('mallory.txt'), role: 'reader' } as const;
    await send(copy, { roster: withReader(next, spy) });
    const looks = await copy.seat('ben').text(['keys', 'approve', ...SIGN, '--plan', '--sign-key', 'ben.key']);
    expect(looks.stdout).toMatch(/added +reader +spy .*no enrolment/);
    for (const words of [
      ['--challenge-out', 'asks'],
      ['--answer', 'proposal'],
    ]) {
      await refuses(copy, () => copy.seat('ben').approve([...SIGN, ...words]), { status: 3, code: 'PROPOSAL_REFUSED' });
    }
  });
});

/** What everybody says of the repository: the writer, and readers on machines that saw nothing. */
async function everybodyRefuses(copy: AttackedCopy, code: string, writer = 'writer'): Promise<void> {
  const restore = ['restore', '-i', 'safe.txt', '--to', 'folder:out', '--break-glass'];
  await refuses(copy, () => copy.seat(writer).backup(), { status: 3, code });
  for (const words of [['keys', 'verify'], ['keys', 'list'], ['backup', 'check'], restore]) {
    await refuses(copy, () => copy.seat('anybody').run(words), { status: 3, code });
  }
}

describe('a roster in the storage', () => {
  test.each<[string, string, (roster: Roster) => Roster, readonly Approver[]]>([
    ['that one of two signed', 'ROSTER_UNSIGNED', (roster) => roster, ['ada']],
    ['that one signed, and a stranger', 'ROSTER_UNSIGNED', (roster) => roster, ['ada', 'cleo']],
    [
      'that one signed, who says that one is enough',
      'ROSTER_UNSIGNED',
      (roster) => ({ ...roster, approvers: { ...roster.approvers, threshold: 1 } }),
      ['ada'],
    ],
    [
      'from which both drop the safe',
      'ROSTER_BREAK_GLASS_MISSING',
      (roster) => ({ ...roster, recipients: roster.recipients.map((one) => ({ ...one, role: 'reader' as const })) }),
      ['ada', 'ben'],
    ],
    [
      'that both signed for another repository',
      'REPOSITORY_MISMATCH',
      (roster) => ({ ...roster, repository: 'ffeeddccbbaa99887766554433221100' as Roster['repository'] }),
      ['ada', 'ben'],
    ],
  ])('%s is believed by nobody', async (_, code, change, signers) => {
    const copy = await ship.copy();
    await copy.publish(change, signers);
    await everybodyRefuses(copy, code);
  });

  test('by an approver who was taken off is believed by nobody, and he signs nothing more', async () => {
    const copy = await ship.copy();
    const cleo = { name: 'cleo', publicKey: publicKeyText(await copy.keyOf('cleo')) };
    const words = ['--approver', 'cleo=cleo.pub', '--proposal-out', 'proposal'];
    done(await copy.seat('ada').approve(words));
    await writeFile(copy.at('before'), await readFile(copy.at('proposal')));
    // Cleo comes in by her own signature and theirs, and Ben goes.
    done(await copy.seat('ben').approve([...SIGN]));
    const leaves = ['keys', 'revoke', '--approver', 'ben', '--sign-key', 'ada.key', '--proposal-out', 'leaves'];
    done(await copy.seat('ada').run(leaves));
    expect(done(await copy.seat('cleo').approve(['--proposal', 'leaves']))).toMatchObject({
      roster: { epoch: 3, approvers: { threshold: 2, keys: [{ name: 'ada' }, cleo] } },
    });
    const { next, carol } = await nextOf(copy);
    for (const [signers, code] of [
      [['ada'], 'ROLE_MISSING'],
      [['ada', 'ben'], 'PROPOSAL_REFUSED'],
    ] as const) {
      await send(copy, { roster: { ...next, fresh: true }, signers });
      await refuses(copy, () => copy.seat('ben').approve(SIGN), { status: code === 'ROLE_MISSING' ? 1 : 3, code });
    }
    // What he signed before he went is outdated.
    await refuses(copy, () => copy.seat('cleo').approve(['--proposal', 'before']), {
      status: 1,
      code: 'PROPOSAL_OUTDATED',
    });
    await copy.publish((roster) => withReader(roster, carol), ['ada', 'ben']);
    await everybodyRefuses(copy, 'ROSTER_UNSIGNED');
  });

  test('that goes back, forks or has a gap is told by whoever saw more, and by whoever pins more', async () => {
    const copy = await ship.copy();
    const spy = { name: 'spy', recipient: await copy.recipientOf('mallory.txt'), role: 'reader' } as const;
    await copy.publish((roster) => ({ ...roster, fresh: true }));
    const second = await readFile(epochFile(copy, 2));
    done(await copy.seat('writer').backup());
    const backupRefuses = (code: string) => refuses(copy, () => copy.seat('writer').backup(), { status: 3, code });

    await rm(epochFile(copy, 2));
    await backupRefuses('ROSTER_ROLLED_BACK');
    // On a new machine, which believes a root that says so.
    const init = ['keys', 'init', '--out', 'trust.json', '--minimum-epoch', '2'];
    done(await portolan(init, copy.seat('ada').options));
    await everybodyRefuses(copy, 'ROSTER_ROLLED_BACK');
    await copy.publish((roster) => withReader(roster, spy));
    await backupRefuses('ROSTER_FORKED');
    const fork = await readFile(epochFile(copy, 2));
    await copy.publish((roster) => roster);
    await writeFile(epochFile(copy, 2), second);
    await everybodyRefuses(copy, 'ROSTER_FORKED');
    await rm(epochFile(copy, 2));
    await everybodyRefuses(copy, 'ROSTER_MISSING');
    expect(readUnverifiedRoster(fork).document.recipients).toHaveLength(2);
  });
});

describe('approvers together', () => {
  const verify = (copy: AttackedCopy, options?: ProgramOptions) =>
    copy.seat('anybody').run(['keys', 'verify'], options);
  const spyOf = async (copy: AttackedCopy, evidence?: Readonly<Record<string, unknown>>): Promise<RosterRecipient> => ({
    ...{ name: 'spy', recipient: await copy.recipientOf('mallory.txt'), role: 'reader' },
    ...(evidence === undefined ? {} : { evidence }),
  });
  const invented = (digest: Digest) => ({ kind: 'enrolment', issuer: provider.issuer, subject: '7', digest });
  const NOT_RIGHT = { status: 3, error: { code: 'KEYS_NOT_RIGHT' } };

  test('add nobody in silence who never enrolled, or by the enrolment of another one', async () => {
    const copy = await ship.copy();
    const spy = await spyOf(copy);
    await copy.publish((roster) => withReader(roster, spy));
    expect(await verify(copy)).toMatchObject({
      ...NOT_RIGHT,
      result: { recipients: [{}, { evidence: 'not enrolled' }] },
    });
    const carols = invented(digestOf(ship.enrolment));
    await copy.publish((roster) => ({
      ...roster,
      recipients: roster.recipients.map((one) => (one.name === 'spy' ? { ...one, evidence: carols } : one)),
    }));
    await mkdir(copy.at('store', 'evidence'), { recursive: true });
    const file = copy.at('store', 'evidence', `${digestOf(ship.enrolment).slice('sha256:'.length)}.json`);
    await writeFile(file, ship.enrolment);
    const ended = await verify(copy);
    expect(ended).toMatchObject({ ...NOT_RIGHT, result: { recipients: [{}, { evidence: 'refused' }] } });
    expect(ended.error).toMatchObject({ others: [{ code: 'EVIDENCE_MISMATCH' }] });
    // Another one's evidence in the place of hers is not hers.
    await writeFile(file, `${ship.enrolment} `);
    expect((await verify(copy)).error).toMatchObject({ others: [{ code: 'BACKUP_OBJECT_DAMAGED' }] });
  });

  test('gain no time by evidence that there never is: by a new one every few days, or by epochs that are dated ahead', async () => {
    const copy = await ship.copy();
    const inDays = (days: number) => new Date(Date.now() + days * DAY_MS).toISOString();
    const spy = await spyOf(copy, invented(digestOf('first')));
    await copy.publish((roster) => withReader(roster, spy));
    expect(done(await verify(copy))).toMatchObject({ recipients: [{}, { evidence: 'not published' }] });
    for (const [days, digest] of [
      [5, digestOf('second')],
      [10, digestOf('third')],
    ] as const) {
      await copy.publish((roster) => ({
        ...roster,
        created: inDays(days),
        recipients: roster.recipients.map((one) => (one.name === 'spy' ? { ...one, evidence: invented(digest) } : one)),
      }));
    }
    const ended = await verify(copy, { clock: '+11d' });
    expect(ended).toMatchObject({ ...NOT_RIGHT, result: { findings: [{ message: expect.stringContaining('spy') }] } });

    const ahead = await ship.copy();
    await ahead.publish((roster) => ({ ...withReader(roster, spy), created: inDays(3650) }));
    expect(await verify(ahead, { clock: '+8d' })).toMatchObject(NOT_RIGHT);
  });
});

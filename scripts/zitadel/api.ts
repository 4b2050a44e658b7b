/**
 * ZITADEL's API of version 4, in the JSON of the Connect protocol: `POST ISSUER/PACKAGE.SERVICE/METHOD`. Names of methods and members
 * are those of its protos (proto/zitadel/{project,application,user,authorization,internal_permission}/v2).
 */
import type { Exchange } from '../../src/adapters/identity-provider/exchange.ts';
import { printable } from '../../src/core/printable.ts';

export type Body = Readonly<Record<string, unknown>>;

export interface ZitadelApi {
  /** `method` without `zitadel.`: `project.v2.ProjectService/CreateProject`. Gives the answer, whose members are to be checked. */
  call(method: string, body: Body): Promise<Body>;
  /** True: nothing is sent, and answers are made up. */
  readonly isDryRun: boolean;
}

/** Something that a person has to mend. */
export class SetupProblem extends Error {
  readonly hint: string;

  constructor(message: string, hint: string) {
    super(message);
    this.hint = hint;
  }
}

export interface LiveApiSettings {
  readonly issuer: string;
  readonly token: string;
  /** Of what changes nothing, tried again where that may help. */
  readonly reading: Exchange;
  /** Of everything else: an answer that was lost may have been a success, and the next run finds out. */
  readonly writing: Exchange;
  readonly signal: AbortSignal;
}

export function createLiveApi({ issuer, token, reading, writing, signal }: LiveApiSettings): ZitadelApi {
  return {
    isDryRun: false,
    async call(method, body) {
      const exchange = isRead(method) ? reading : writing;
      const { status, body: text } = await exchange.send(`${issuer}/zitadel.${method}`, {
        method: 'POST',
        headers: {
          Authorization: `Bearer ${token}`,
          'Content-Type': 'application/json',
          Accept: 'application/json',
          'Connect-Protocol-Version': '1',
        },
        body: JSON.stringify(body),
        signal,
      });
      const answer = jsonOf(text);
      if (status === 200 && answer !== undefined) return answer;
      throw refusal(method, status, answer);
    },
  };
}

/** Prints what would be sent to an organization that has nothing of it yet. */
export function createDryRun(issuer: string, print: (text: string) => void): ZitadelApi {
  return {
    isDryRun: true,
    async call(method, body) {
      print(`POST ${issuer}/zitadel.${method}\n${JSON.stringify(body, undefined, 2)}\n`);
      return madeUp(method, body);
    },
  };
}

function isRead(method: string): boolean {
  return /\/List\w+$/.test(method);
}

function madeUp(method: string, body: Body): Body {
  const name = String(body.name ?? body.username ?? '');
  switch (method.replace(/^.*\//, '')) {
    case 'CreateProject':
      return { projectId: `<id of ${name}>` };
    case 'CreateApplication':
      return { oidcConfiguration: { clientId: `<client id of ${name}>` } };
    case 'CreateUser':
      return { id: `<id of ${name}>` };
    case 'AddKey':
      return { keyId: '<key id>' };
    default:
      return {};
  }
}

function jsonOf(text: string): Body | undefined {
  try {
    const value: unknown = JSON.parse(text);
    return typeof value === 'object' && value !== null ? (value as Body) : undefined;
  } catch {
    return undefined;
  }
}

function refusal(method: string, status: number, answer: Body | undefined): SetupProblem {
  const said = printable(String(answer?.message ?? ''), 200);
  return new SetupProblem(
    `ZITADEL answers HTTP ${status} to ${method}${said === '' ? '' : `: ${said}`}`,
    hintOf(status, answer),
  );
}

function hintOf(status: number, answer: Body | undefined): string {
  if (status === 200 || answer === undefined)
    return 'Check that --issuer is the address of ZITADEL, version 4 or later.';
  if (status === 401) return 'The token is not right, or has expired: make a new one.';
  if (status === 403) return 'The token must be that of a manager with the role Org Owner of this organization.';
  if (status === 404)
    return 'Check --organization; if it is right, this ZITADEL is older than version 4: do the steps of docs/zitadel.md by hand.';
  if (status === 409)
    return 'Something of that name is there and is not shown to this token: check --organization and --prefix.';
  return 'Run the command again; what it made so far is found. Or do the steps of docs/zitadel.md by hand.';
}

import { readFile } from 'node:fs/promises';
import { Agent, fetch } from 'undici';
import type { PersonEntry } from './directory.ts';

/** Somebody in front of a browser without a screen. What the directory says of him may be changed at any time. */
export interface Person extends PersonEntry {
  /**
   * Opens an address (of a login, or the complete one of the device flow), fills in every form, and follows where it leads. Gives the
   * address and page where it ended. `leave: false` stops before an address that is not the provider's: what a person would copy.
   */
  logIn(
    url: string,
    options?: { readonly leave?: boolean },
  ): Promise<{ readonly address: string; readonly page: string }>;
}

const MOST_PAGES = 20;

export function personOf(entry: PersonEntry, caFile: string | undefined): Person {
  return Object.assign(entry, {
    logIn: (url: string, { leave = true }: { readonly leave?: boolean } = {}) =>
      browse(url, { leave, caFile, fields: { login: entry.id } }),
  });
}

export interface Browsing {
  readonly leave: boolean;
  readonly caFile: string | undefined;
  /** What is typed into the fields of these names. */
  readonly fields: Readonly<Record<string, string>>;
}

/** Follows redirects and submits forms with one set of cookies. */
export async function browse(url: string, browsing: Browsing) {
  const ca = browsing.caFile === undefined ? undefined : await readFile(browsing.caFile);
  const dispatcher = new Agent(ca === undefined ? {} : { connect: { ca } });
  try {
    return await follow(url, browsing, dispatcher);
  } finally {
    await dispatcher.close();
  }
}

async function follow(url: string, { leave, fields }: Browsing, dispatcher: Agent) {
  const home = new URL(url).origin;
  const cookies = new Map<string, string>();
  let address = new URL(url);
  let form: URLSearchParams | undefined;
  for (let pages = 0; pages < MOST_PAGES; pages += 1) {
    if (address.origin !== home && !leave) return { address: address.href, page: '' };
    const response = await fetch(address, {
      dispatcher,
      redirect: 'manual',
      headers: { cookie: [...cookies].map(([name, value]) => `${name}=${value}`).join('; ') },
      ...(form === undefined ? {} : { method: 'POST', body: form }),
    });
    keepCookies(response.headers.getSetCookie(), cookies);
    const location = response.headers.get('location');
    const page = await response.text();
    if (location !== null) {
      [address, form] = [new URL(location, address), undefined];
      continue;
    }
    const next = address.origin === home ? formOf(page, fields) : undefined;
    if (next === undefined) return { address: address.href, page };
    [address, form] = [new URL(next.action, address), next.values];
  }
  throw new Error(`the login did not end: ${address.href}`);
}

function keepCookies(lines: readonly string[], cookies: Map<string, string>): void {
  for (const line of lines) {
    const [, name = '', value = ''] = /^([^=]+)=([^;]*)/.exec(line) ?? [];
    if (/expires=Thu, 01 Jan 1970/i.test(line)) cookies.delete(name);
    else cookies.set(name, value);
  }
}

/** The first form of a page with what its fields hold, and what is typed. */
function formOf(page: string, typed: Readonly<Record<string, string>>) {
  const [, tag = '', inside] = /<form\b([^>]*)>(.*?)<\/form>/s.exec(page) ?? [];
  if (inside === undefined) return undefined;
  const values = new URLSearchParams();
  for (const [, input = ''] of inside.matchAll(/<input\b([^>]*)>/gs)) {
    const name = attribute(input, 'name');
    if (name !== '') values.set(name, typed[name] ?? attribute(input, 'value'));
  }
  return { action: attribute(tag, 'action'), values };
}

function attribute(tag: string, name: string): string {
  const value = new RegExp(`\\b${name}="([^"]*)"`).exec(tag)?.[1] ?? '';
  return value.replaceAll('&quot;', '"').replaceAll('&#39;', "'").replaceAll('&amp;', '&');
}

/**
 * Rows as the database of a publisher with a shop has them, the same ones every time: names and texts of words as often as words are,
 * prices, times, keys, random identifiers, JSON. As COPY text they compress to about a fifth.
 */

export interface BenchmarkTable {
  readonly name: string;
  /** After `create table NAME`. */
  readonly definition: string;
  /** Once the rows are there. */
  readonly indexes: readonly string[];
  /** Of all COPY text. */
  readonly share: number;
  /** The same where most rows are short. */
  readonly shareOfShort: number;
  /** One line of COPY text. */
  readonly row: (id: number, random: Random) => string;
}

/** Numbers from 0 to below `limit`. */
export type Random = (limit: number) => number;

export const TABLES: readonly BenchmarkTable[] = [
  {
    name: 'customers',
    definition: `(id bigint not null, public_id uuid not null, email text not null, given_name text, family_name text, street text,
      city text, postcode text, country char(2), created_at timestamptz not null, preferences jsonb not null)`,
    indexes: ['alter table customers add primary key (id)'],
    share: 0.04,
    shareOfShort: 0.1,
    row: (id, random) => {
      const [given, family] = [capital(word(random)), capital(word(random))];
      const name = `${given}.${family}`.toLowerCase();
      const settings = `{"news": ${random(2) === 0}, "language": "${pick(LANGUAGES, random)}", "theme": "${pick(THEMES, random)}", "seen": ${random(400)}}`;
      return `${id}\t${uuid(random)}\t${name}${random(1000)}@${word(random)}.example\t${given}\t${family}\t${capital(word(random))} ${random(200) + 1}\t${capital(word(random))}\t${random(90_000) + 10_000}\t${pick(COUNTRIES, random)}\t${time(id * 60, random)}\t${settings}\n`;
    },
  },
  {
    name: 'orders',
    definition: `(id bigint not null, customer_id bigint not null, status text not null, total numeric(12, 2) not null, currency char(3) not null,
      placed_at timestamptz not null, updated_at timestamptz not null, address text not null, note text)`,
    indexes: ['alter table orders add primary key (id)', 'create index on orders (customer_id)'],
    share: 0.07,
    shareOfShort: 0.2,
    row: (id, random) => {
      const note = random(10) === 0 ? words(random, 8) : '\\N';
      const address = `${capital(word(random))} ${capital(word(random))}\\n${capital(word(random))} ${random(200) + 1}\\n${random(90_000) + 10_000} ${capital(word(random))}`;
      return `${id}\t${random(900_000)}\t${pick(STATES, random)}\t${money(random, 90_000)}\tEUR\t${time(id * 20, random)}\t${time(id * 20 + 90_000, random)}\t${address}\t${note}\n`;
    },
  },
  {
    name: 'order_lines',
    definition: `(order_id bigint not null, line integer not null, sku text not null, quantity integer not null, price numeric(12, 2) not null,
      tax numeric(6, 4) not null)`,
    indexes: ['alter table order_lines add primary key (order_id, line)'],
    share: 0.05,
    shareOfShort: 0.3,
    row: (id, random) =>
      `${Math.ceil(id / 4)}\t${id % 4}\t${pick(SKUS, random)}\t${random(9) + 1}\t${money(random, 30_000)}\t${pick(TAXES, random)}\n`,
  },
  {
    name: 'articles',
    definition: `(id bigint not null, slug text not null, title text not null, body text not null, author_id integer not null,
      published_at timestamptz)`,
    indexes: ['alter table articles add primary key (id)'],
    share: 0.14,
    shareOfShort: 0.1,
    row: (id, random) => {
      const title = words(random, 5);
      return `${id}\t${title.replaceAll(' ', '-')}-${id}\t${capital(title)}\t${blocks(random).join('\\n\\n')}\t${random(40)}\t${time(id * 900, random)}\n`;
    },
  },
  {
    name: 'revisions',
    definition:
      '(id bigint not null, article_id bigint not null, saved_at timestamptz not null, author_id integer not null, body text not null)',
    indexes: ['alter table revisions add primary key (id)', 'create index on revisions (article_id)'],
    share: 0.22,
    shareOfShort: 0.02,
    row: (() => {
      // An article is saved about four times while somebody works on it, and some people work at the same time.
      const open = Array.from({ length: 6 }, () => ({ article: 0, saves: 0, blocks: [] as string[] }));
      let articles = 0;
      return (id: number, random: Random) => {
        if (id === 1) {
          articles = 0;
          for (const one of open) one.saves = 0;
        }
        const one = pick(open, random);
        if (one.saves === 0) Object.assign(one, { article: ++articles, saves: random(7) + 1, blocks: blocks(random) });
        one.saves -= 1;
        one.blocks[random(one.blocks.length)] = block(random);
        return `${id}\t${one.article}\t${time(id * 300, random)}\t${random(40)}\t${one.blocks.join('\\n\\n')}\n`;
      };
    })(),
  },
  {
    name: 'comments',
    definition: `(id bigint not null, article_id bigint not null, parent_id bigint, author text not null, email text not null, address inet not null,
      written_at timestamptz not null, state text not null, body text not null)`,
    indexes: ['alter table comments add primary key (id)', 'create index on comments (article_id)'],
    share: 0.15,
    shareOfShort: 0.05,
    row: (id, random) => {
      const author = word(random);
      const parent = random(3) === 0 ? Math.max(1, id - random(20)) : '\\N';
      return `${id}\t${random(60_000)}\t${parent}\t${capital(author)}\t${author}${random(1000)}@${word(random)}.example\t10.0.${random(8)}.${random(250)}\t${time(id * 30, random)}\tapproved\t${capital(words(random, random(110) + 8))}.\n`;
    },
  },
  {
    name: 'audit',
    definition: `(id bigint not null, happened_at timestamptz not null, actor_id integer not null, action text not null, what text not null, before json,
      after json)`,
    indexes: ['alter table audit add primary key (id)', 'create index on audit (happened_at)'],
    share: 0.23,
    shareOfShort: 0.05,
    row: (id, random) => {
      const [order, customer, total, actor] = [random(900_000), random(900_000), money(random, 90_000), random(40)];
      const [placed, city, note] = [
        time(id * 12, random),
        capital(word(random)),
        random(4) === 0 ? `"${words(random, 8)}"` : 'null',
      ];
      const asJson = (status: string, updated: string, by: string) =>
        `{"id": ${order}, "customer_id": ${customer}, "status": "${status}", "total": ${total}, "currency": "EUR", "placed_at": "${placed}", "updated_at": "${updated}", "updated_by": ${by}, "shipping_city": "${city}", "shipping_method": "standard", "payment_method": "card", "coupon_code": null, "gift": false, "note": ${note}}`;
      const before = asJson('paid', placed, 'null');
      const after = asJson(pick(STATES, random), time(id * 12 + 90_000, random), String(actor));
      return `${id}\t${time(id * 12 + 90_000, random)}\t${actor}\tupdate\torders\t${before}\t${after}\n`;
    },
  },
  {
    name: 'events',
    definition: `(id bigint not null, happened_at timestamptz not null, kind text not null, actor uuid not null, address inet not null,
      payload jsonb not null)`,
    indexes: ['alter table events add primary key (id)', 'create index on events (happened_at)'],
    share: 0.1,
    shareOfShort: 0.18,
    row: (id, random) => {
      const kind = pick(KINDS, random);
      const path = `/${word(random)}/${word(random)}/${random(5000)}`;
      const payload = `{"path": "${path}", "agent": "${pick(AGENTS, random)}", "status": ${pick(CODES, random)}, "millis": ${random(900)}, "referrer": "https://shop.example/${word(random)}", "session": "${hex(random, 2)}", "experiment": {"name": "checkout-2023", "variant": "${pick(THEMES, random)}"}, "fields": ["${word(random)}", "${word(random)}"]}`;
      return `${id}\t${time(id * 9, random)}\t${kind}\t${uuid(random)}\t10.0.${random(8)}.${random(250)}\t${payload}\n`;
    },
  },
];

/** A block of an article, between the comments by which an editor knows it again. */
function block(random: Random): string {
  const kind = random(12);
  if (kind === 0) return editorBlock('heading', `<h2 class="wp-block-heading">${capital(words(random, 5))}</h2>`);
  if (kind === 1) {
    const image = 1000 + random(90_000);
    return editorBlock(
      `image {"id":${image},"sizeSlug":"large","linkDestination":"none"}`,
      `<figure class="wp-block-image size-large"><img src="https://media.publisher.example/uploads/2025/0${random(9) + 1}/${word(random)}-${image}-1024x683.jpg" alt="${words(random, 4)}" class="wp-image-${image}"/><figcaption class="wp-element-caption">${capital(words(random, 8))}</figcaption></figure>`,
    );
  }
  const text = `${capital(words(random, random(90) + 20))}.`;
  const link =
    kind === 2
      ? ` <a href="https://www.publisher.example/${word(random)}-${word(random)}-${random(60_000)}/">${words(random, 3)}</a>`
      : '';
  return editorBlock('paragraph', `<p>${text}${link}</p>`);
}

function editorBlock(head: string, html: string): string {
  const [name] = head.split(' ');
  return `<!-- wp:${head} -->\\n${html}\\n<!-- /wp:${name} -->`;
}

function blocks(random: Random): string[] {
  return Array.from({ length: random(12) + 2 }, () => block(random));
}

/** COPY text of one table, in parts, of about so many bytes. */
export function* copyText(table: BenchmarkTable, sizeBytes: number): Generator<string> {
  const random = createRandom(table.name.length * 7919 + table.name.charCodeAt(0));
  let part = '';
  let written = 0;
  for (let id = 1; written + part.length < sizeBytes; id += 1) {
    part += table.row(id, random);
    if (part.length < PART_LENGTH) continue;
    yield part;
    written += part.length;
    part = '';
  }
  yield part;
}

const PART_LENGTH = 256 * 1024;

/** Mulberry32, by Tommy Ettinger. */
function createRandom(seed: number): Random {
  let state = seed >>> 0;
  return (limit) => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return Math.floor((((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32) * limit);
  };
}

function pick<T>(list: readonly T[], random: Random): T {
  return list[random(list.length)] as T;
}

function word(random: Random): string {
  return pick(TEXT_WORDS, random);
}

function words(random: Random, count: number): string {
  let text = word(random);
  for (let one = 1; one < count; one += 1) text += ` ${word(random)}`;
  return text;
}

function capital(text: string): string {
  return text.slice(0, 1).toUpperCase() + text.slice(1);
}

function money(random: Random, limit: number): string {
  return (random(limit) / 100).toFixed(2);
}

/** About so many seconds after the first. */
function time(seconds: number, random: Random): string {
  const after = seconds + random(600);
  const second = after % DAY_SECONDS;
  return `${DAYS[Math.floor(after / DAY_SECONDS) % DAYS.length]} ${TWO_DIGITS[Math.floor(second / 3600)]}:${TWO_DIGITS[Math.floor(second / 60) % 60]}:${TWO_DIGITS[second % 60]}.${random(900) + 100}+00`;
}

function hex(random: Random, groups: number): string {
  let text = '';
  for (let group = 0; group < groups; group += 1) text += pick(FOUR_HEX, random);
  return text;
}

function uuid(random: Random): string {
  return `${hex(random, 2)}-${hex(random, 1)}-4${hex(random, 1).slice(1)}-a${hex(random, 1).slice(1)}-${hex(random, 3)}`;
}

const DAY_SECONDS = 86_400;
const DAYS = Array.from({ length: 1000 }, (_, day) => new Date(Date.UTC(2023, 0, 1 + day)).toISOString().slice(0, 10));
const TWO_DIGITS = Array.from({ length: 60 }, (_, number) => String(number).padStart(2, '0'));
const FOUR_HEX = Array.from({ length: 65_536 }, (_, number) => number.toString(16).padStart(4, '0'));

const LANGUAGES = ['de', 'en', 'fr', 'it', 'nl', 'pt'];
const COUNTRIES = ['AT', 'CH', 'DE', 'FR', 'IT', 'NL', 'PT'];
const THEMES = ['dark', 'light', 'system'];
const STATES = ['cancelled', 'delivered', 'delivered', 'delivered', 'paid', 'returned', 'shipped'];
const TAXES = ['0.0700', '0.1900', '0.1900', '0.2000'];
const KINDS = ['article.read', 'cart.changed', 'login', 'order.placed', 'page.viewed', 'page.viewed', 'search'];
const CODES = [200, 200, 200, 200, 204, 301, 404, 500];
const AGENTS = [
  'Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0',
  'Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/142.0.0.0 Safari/537.36',
  'Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/18.6 Safari/604.1',
];
const SYLLABLES = [
  'ba',
  'cor',
  'de',
  'el',
  'fi',
  'gan',
  'hu',
  'in',
  'ka',
  'lo',
  'mer',
  'no',
  'po',
  'ra',
  'sel',
  'ti',
  'un',
  'ves',
];

/** As they are in a text: the n-th word is met about 1/n as often as the first. */
const TEXT_WORDS: readonly string[] = (() => {
  const random = createRandom(1);
  const words = Array.from({ length: 6000 }, (_, place) =>
    Array.from({ length: 1 + random(place < 60 ? 2 : 4) }, () => pick(SYLLABLES, random)).join(''),
  );
  return Array.from(
    { length: 65_536 },
    (_, place) => words[Math.floor(words.length ** (place / 65_536)) - 1] as string,
  );
})();

const SKUS: readonly string[] = (() => {
  const random = createRandom(2);
  return Array.from({ length: 2000 }, () => `${word(random).slice(0, 3).toUpperCase()}-${random(100_000)}`);
})();

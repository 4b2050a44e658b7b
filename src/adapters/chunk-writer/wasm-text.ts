/**
 * Turns a small part of the WebAssembly text format (WebAssembly Core Specification 2.0, chapter 6) into bytes (chapter 5), so
 * that what runs is what can be read in the repository. Understood are
 *
 *     (module
 *       (memory (export "NAME") PAGES PAGES)
 *       (func $NAME (export "NAME") (param $A TYPE)… (result TYPE)? (local $B TYPE)… INSTRUCTION…)…)
 *
 * with one memory of a fixed size, values of the types i32 and i64, and instructions written one after the other, never folded
 * into parentheses. `block`, `loop` and `if` take an optional label and no type; comments start with `;;`.
 */

const VALUE_TYPES: Readonly<Record<string, number>> = { i32: 0x7f, i64: 0x7e };
const EMPTY_BLOCK = 0x40;

const OPCODES: Readonly<Record<string, readonly number[]>> = {
  return: [0x0f],
  select: [0x1b],
  'i32.eqz': [0x45],
  'i32.ne': [0x47],
  'i32.lt_u': [0x49],
  'i32.gt_u': [0x4b],
  'i32.le_u': [0x4d],
  'i32.ge_u': [0x4f],
  'i64.lt_u': [0x54],
  'i32.add': [0x6a],
  'i32.sub': [0x6b],
  'i32.and': [0x71],
  'i32.or': [0x72],
  'i32.shl': [0x74],
  'i32.rotl': [0x77],
  'i32.rotr': [0x78],
  'i64.add': [0x7c],
  'i64.shl': [0x86],
  'memory.copy': [0xfc, 0x0a, 0x00, 0x00],
};
/** Opcode, and the exponent of the natural alignment. */
const MEMORY_OPCODES: Readonly<Record<string, readonly [number, number]>> = {
  'i32.load': [0x28, 2],
  'i64.load': [0x29, 3],
  'i32.load8_u': [0x2d, 0],
  'i32.store': [0x36, 2],
  'i64.store': [0x37, 3],
};
const LOCAL_OPCODES: Readonly<Record<string, number>> = { 'local.get': 0x20, 'local.set': 0x21, 'local.tee': 0x22 };
const BRANCH_OPCODES: Readonly<Record<string, number>> = { br: 0x0c, br_if: 0x0d };
const BLOCK_OPCODES: Readonly<Record<string, number>> = { block: 0x02, loop: 0x03, if: 0x04 };
const END = 0x0b;

type Expression = string | readonly Expression[];

/** @throws Error for what is not understood: the source is part of the program. */
export function assembleModule(text: string): Uint8Array<ArrayBuffer> {
  const [module, ...rest] = parse(text);
  if (!Array.isArray(module) || module[0] !== 'module' || rest.length > 0) throw new Error('not one module');
  const types: string[] = [];
  const typeBytes: number[][] = [];
  const functions: number[][] = [];
  const memories: number[][] = [];
  const exported: number[][] = [];
  const bodies: number[][] = [];
  for (const field of module.slice(1) as readonly Expression[][]) {
    if (field[0] === 'memory') {
      const [, name, minimum, maximum] = field;
      exported.push([...nameBytes(exportName(name)), 0x02, memories.length]);
      memories.push([0x01, ...unsigned(Number(minimum)), ...unsigned(Number(maximum))]);
    } else if (field[0] === 'func') {
      const { name, type, body } = assembleFunction(field);
      const key = type.join();
      if (!types.includes(key)) {
        types.push(key);
        typeBytes.push(type);
      }
      exported.push([...nameBytes(name), 0x00, functions.length]);
      functions.push(unsigned(types.indexOf(key)));
      bodies.push([...unsigned(body.length), ...body]);
    } else throw new Error(`unknown field ${String(field[0])}`);
  }
  return new Uint8Array([
    ...[0x00, 0x61, 0x73, 0x6d, 0x01, 0x00, 0x00, 0x00],
    ...section(1, typeBytes),
    ...section(3, functions),
    ...section(5, memories),
    ...section(7, exported),
    ...section(10, bodies),
  ]);
}

function assembleFunction(field: readonly Expression[]): { name: string; type: number[]; body: number[] } {
  const parameters: number[] = [];
  const results: number[] = [];
  const localTypes: number[] = [];
  const locals = new Map<string, number>();
  let name = '';
  let at = 2;
  for (; Array.isArray(field[at]); at += 1) {
    const [kind, ...words] = field[at] as readonly string[];
    const type = VALUE_TYPES[words.at(-1) ?? ''];
    if (kind === 'export') name = exportName(field[at]);
    else if (type === undefined) throw new Error(`unknown type in (${kind} ${words.join(' ')})`);
    else if (kind === 'result') results.push(type);
    else {
      (kind === 'param' ? parameters : localTypes).push(type);
      locals.set(words[0] ?? '', locals.size);
    }
  }
  const code = assembleInstructions(field.slice(at) as readonly string[], locals);
  return {
    name,
    type: [0x60, ...vector(parameters.map((type) => [type])), ...vector(results.map((type) => [type]))],
    body: [...vector(runsOf(localTypes)), ...code, END],
  };
}

function assembleInstructions(words: readonly string[], locals: ReadonlyMap<string, number>): number[] {
  const code: number[] = [];
  const labels: string[] = [];
  let at = 0;
  const next = () => words[at++] ?? '';
  while (at < words.length) {
    const word = next();
    const plain = OPCODES[word];
    const memory = MEMORY_OPCODES[word];
    const local = LOCAL_OPCODES[word];
    const branch = BRANCH_OPCODES[word];
    const block = BLOCK_OPCODES[word];
    if (plain !== undefined) code.push(...plain);
    else if (local !== undefined) code.push(local, ...unsigned(known(locals.get(words[at] ?? ''), next())));
    else if (word === 'i32.const') code.push(0x41, ...signed(BigInt.asIntN(32, BigInt(next()))));
    else if (word === 'i64.const') code.push(0x42, ...signed(BigInt.asIntN(64, BigInt(next()))));
    else if (memory !== undefined) {
      const offset = words[at]?.startsWith('offset=') ? Number(next().slice('offset='.length)) : 0;
      code.push(memory[0], memory[1], ...unsigned(offset));
    } else if (branch !== undefined) {
      const label = next();
      const depth = labels.lastIndexOf(label);
      code.push(branch, ...unsigned(known(depth < 0 ? undefined : labels.length - 1 - depth, label)));
    } else if (block !== undefined) {
      labels.push(words[at]?.startsWith('$') ? next() : '');
      code.push(block, EMPTY_BLOCK);
    } else if (word === 'end') {
      if (labels.pop() === undefined) throw new Error('end without a block');
      code.push(END);
    } else throw new Error(`unknown instruction ${word}`);
  }
  if (labels.length > 0) throw new Error('a block without its end');
  return code;
}

function known(index: number | undefined, name: string): number {
  if (index === undefined) throw new Error(`unknown name ${name}`);
  return index;
}

/** Locals are declared in runs of one type. */
function runsOf(types: readonly number[]): number[][] {
  const runs: { type: number; count: number }[] = [];
  for (const type of types) {
    const last = runs.at(-1);
    if (last?.type === type) last.count += 1;
    else runs.push({ type, count: 1 });
  }
  return runs.map(({ type, count }) => [...unsigned(count), type]);
}

function exportName(expression: Expression | undefined): string {
  const [kind, name] = expression as readonly string[];
  if (kind !== 'export' || name === undefined) throw new Error('an export belongs here');
  return name.slice(1, -1);
}

function nameBytes(name: string): number[] {
  const bytes = new TextEncoder().encode(name);
  return [...unsigned(bytes.length), ...bytes];
}

function section(id: number, items: readonly number[][]): number[] {
  const content = vector(items);
  return [id, ...unsigned(content.length), ...content];
}

function vector(items: readonly (readonly number[])[]): number[] {
  return [...unsigned(items.length), ...items.flat()];
}

/** LEB128. */
function unsigned(value: number): number[] {
  const bytes: number[] = [];
  let rest = value;
  while (rest >= 0x80) {
    bytes.push((rest % 0x80) | 0x80);
    rest = Math.floor(rest / 0x80);
  }
  return [...bytes, rest];
}

function signed(value: bigint): number[] {
  const bytes: number[] = [];
  for (let rest = value; ; ) {
    const low = Number(rest & 0x7fn);
    rest >>= 7n;
    const done = (rest === 0n && low < 0x40) || (rest === -1n && low >= 0x40);
    bytes.push(done ? low : low | 0x80);
    if (done) return bytes;
  }
}

function parse(text: string): Expression[] {
  const words = text.replaceAll(/;;.*/g, '').match(/[()]|"[^"]*"|[^\s()"]+/g) ?? [];
  const open: Expression[][] = [[]];
  for (const word of words) {
    if (word === '(') open.push([]);
    else if (word === ')') {
      const closed = open.pop();
      if (closed === undefined || open.length === 0) throw new Error('a parenthesis too many');
      open.at(-1)?.push(closed);
    } else open.at(-1)?.push(word);
  }
  const [all, ...unclosed] = open;
  if (all === undefined || unclosed.length > 0) throw new Error('a parenthesis is not closed');
  return all;
}

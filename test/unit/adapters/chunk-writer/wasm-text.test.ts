import { createHash } from 'node:crypto';
import { describe, expect, test } from 'vitest';
import { SCANNER_TEXT } from '../../../../src/adapters/chunk-writer/scanner-text.ts';
import { assembleModule } from '../../../../src/adapters/chunk-writer/wasm-text.ts';

describe('the assembler of WebAssembly text', () => {
  test('makes of the scanner the very bytes that wat2wasm of wabt 1.0.39 makes of it', () => {
    const bytes = assembleModule(SCANNER_TEXT);
    expect(bytes.length).toBe(502);
    expect(createHash('sha256').update(bytes).digest('hex')).toBe(
      '07a7f0406acc3bbd43a8a808779907dcb887e482e522b38442a06aef6d90fdce',
    );
  });

  test('encodes a small module as the specification says', () => {
    const text = `
      (module
        (memory (export "m") 1 1)
        (func $f (export "f") (param $a i32) (result i32) (local $b i64)
          local.get $a ;; a comment
          i32.load8_u offset=300
          i32.const -129
          i32.add))`;
    expect(Buffer.from(assembleModule(text)).toString('hex')).toBe(
      [
        '0061736d01000000', // magic, version 1
        '0106' + '01' + '60017f017f', // one type: i32 to i32
        '0302' + '01' + '00', // one function, of that type
        '0504' + '01' + '010101', // one memory of exactly one page
        '0709' + '02' + '016d0200' + '01660000', // exports m, f
        '0a10' + '01' + '0e' + '01017e' + '2000' + '2d00ac02' + '41ff7e' + '6a' + '0b', // one body
      ].join(''),
    );
  });

  test.each([
    ['an unknown instruction', '(module (func $f (export "f") i32.dance))'],
    ['an unknown local', '(module (func $f (export "f") local.get $nobody))'],
    ['an unknown label', '(module (func $f (export "f") br $nowhere))'],
    ['a block without its end', '(module (func $f (export "f") block))'],
    ['an end without a block', '(module (func $f (export "f") end))'],
    ['an unknown field', '(module (table 1))'],
    ['a parenthesis too many', '(module))'],
    ['a parenthesis too few', '(module'],
    ['two modules', '(module) (module)'],
  ])('refuses %s', (_, text) => {
    expect(() => assembleModule(text)).toThrow();
  });
});

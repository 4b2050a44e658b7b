/**
 * The two inner loops of a backup, in WebAssembly's text form. The memory, whose addresses the module knows by heart:
 *
 *         0   gear table: 256 words of 64 bits, little endian
 *      2048   REST    i32   bytes that are still to come of the CopyData message that was begun
 *      2052   ROWS    i32   CopyData messages since the caller set it to 0
 *      2056   OUT     i32   where the last `strip` stopped writing
 *      2064   HASH    i64   the gear hash up to the byte that was scanned last
 *      2072   LIMIT   i64   a chunk ends after a byte whose hash is below it, unsigned
 *
 * What lies above is the caller's.
 */
export const REST_AT = 2048;
export const ROWS_AT = 2052;
export const OUT_AT = 2056;
export const HASH_AT = 2064;
export const LIMIT_AT = 2072;
/** Where the caller's memory begins. */
export const FREE_AT = 4096;
/** Of 64 KiB. */
export const MEMORY_PAGES = 86;

/** hash = hash * 2 + gear[byte]; then out of the loop, one behind the byte, if the chunk ends here. */
const step = (offset: number) => `
        local.get $hash
        i64.const 1
        i64.shl
        local.get $at
        i32.load8_u offset=${offset}
        i32.const 3
        i32.shl
        i64.load
        i64.add
        local.tee $hash
        local.get $limit
        i64.lt_u
        if
          local.get $at
          i32.const ${offset + 1}
          i32.add
          local.set $found
          br $done
        end`;

export const SCANNER_TEXT = `
(module
  ;; It never grows: views of it stay valid.
  (memory (export "memory") ${MEMORY_PAGES} ${MEMORY_PAGES})

  ;; Hashes the bytes from $at to $end. Returns the address behind the byte after which the chunk ends, or 0.
  (func $scan (export "scan") (param $at i32) (param $end i32) (result i32)
    (local $found i32) (local $hash i64) (local $limit i64)
    i32.const ${HASH_AT}
    i64.load
    local.set $hash
    i32.const ${LIMIT_AT}
    i64.load
    local.set $limit
    block $done
      block $few
        loop $four
          local.get $end
          local.get $at
          i32.sub
          i32.const 4
          i32.lt_u
          br_if $few
          ${[0, 1, 2, 3].map(step).join('')}
          local.get $at
          i32.const 4
          i32.add
          local.set $at
          br $four
        end
      end
      loop $one
        local.get $at
        local.get $end
        i32.ge_u
        br_if $done
        ${step(0)}
        local.get $at
        i32.const 1
        i32.add
        local.set $at
        br $one
      end
    end
    i32.const ${HASH_AT}
    local.get $hash
    i64.store
    local.get $found
  )

  ;; Reads messages of PostgreSQL's protocol from $at to $end and writes what is in CopyData messages to $out, end to end.
  ;; Stops, and returns the address, where the bytes end, in front of a header that is not wholly there, and in front of a
  ;; message of another kind.
  (func $strip (export "strip") (param $at i32) (param $end i32) (param $out i32) (result i32)
    (local $rest i32) (local $rows i32) (local $take i32)
    i32.const ${REST_AT}
    i32.load
    local.set $rest
    i32.const ${ROWS_AT}
    i32.load
    local.set $rows
    block $stop
      loop $next
        ;; take = min(rest, end - at)
        local.get $rest
        local.get $end
        local.get $at
        i32.sub
        local.tee $take
        local.get $rest
        local.get $take
        i32.lt_u
        select
        local.set $take

        local.get $out
        local.get $at
        local.get $take
        memory.copy

        local.get $out
        local.get $take
        i32.add
        local.set $out
        local.get $at
        local.get $take
        i32.add
        local.set $at
        local.get $rest
        local.get $take
        i32.sub
        local.set $rest

        ;; A header is 5 bytes: 'd' and the length, big endian, which counts itself.
        local.get $end
        local.get $at
        i32.sub
        i32.const 5
        i32.lt_u
        br_if $stop
        local.get $at
        i32.load8_u
        i32.const 0x64
        i32.ne
        br_if $stop

        ;; rest = the length with its bytes turned round, less 4
        local.get $at
        i32.load offset=1
        local.tee $take
        i32.const 8
        i32.rotl
        i32.const 0x00ff00ff
        i32.and
        local.get $take
        i32.const 8
        i32.rotr
        i32.const 0xff00ff00
        i32.and
        i32.or
        i32.const 4
        i32.sub
        local.tee $take
        ;; No message is that long: the caller finds a header that was left, and says so.
        i32.const 0x7fffffff
        i32.gt_u
        br_if $stop
        local.get $take
        local.set $rest
        local.get $rows
        i32.const 1
        i32.add
        local.set $rows
        local.get $at
        i32.const 5
        i32.add
        local.set $at
        br $next
      end
    end
    i32.const ${REST_AT}
    local.get $rest
    i32.store
    i32.const ${ROWS_AT}
    local.get $rows
    i32.store
    i32.const ${OUT_AT}
    local.get $out
    i32.store
    local.get $at
  )
)
`;

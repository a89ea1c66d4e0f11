// Shortens the constants of vectors in the text of a module: there are thousands, and each takes 18 bytes, which were a fifth of the code. Bits stay what they are.
// V8 makes such a constant with three instructions where it is used, unless that is a loop, in front of which it is then made once.
//
// In functions without loops numbers are read from a pool in memory: one instruction. In loops, where that would be one in every step, they are broadcast
// from a number, except those of float64: where they are more than the registers hold, code with these took up to twice as long.

/** Where the pool of constants may lie: below the module's own data. */
export const POOL = { from: 16, to: 4096 };

/** Functions that are called so often that a thirtieth of their time is worth their constants' bytes. */
const KEPT = /^\n \(func \$wasm\/generated\/elementwise\/expKernel /;

const CONSTANT = /\(v128\.const i32x4 (\S+) (\S+) (\S+) (\S+)\)/g;

/** What a module's own data begin with. */
const DATA = '\n (data ';

/** The element that a vector repeats, as bits, and its bytes: 4 or 8; null of any other vector. */
function elementOf(lanes) {
  const [a, b, c, d] = lanes.map(BigInt);
  if (a !== c || b !== d) return null;
  return a === b ? { bits: a, bytes: 4 } : { bits: a | (b << 32n), bytes: 8 };
}

/** A vector of four equal elements that is broadcast from one of them. */
function broadcast(bits) {
  const integer = BigInt.asIntN(32, bits);
  const value = new Float32Array(new Int32Array([Number(integer)]).buffer)[0];
  // Small integers take fewer bytes than a float32; -0, NaN and infinities have other names in texts than JavaScript's.
  const isSmall = integer >= -(2n ** 20n) && integer < 2n ** 20n;
  return isSmall || value === 0 || !Number.isFinite(value)
    ? `(i32x4.splat (i32.const ${integer}))`
    : `(f32x4.splat (f32.const ${value}))`;
}

/** Numbers in memory, each once. */
class Pool {
  at = POOL.from;
  data = '';
  places = new Map();

  /** A vector that is read from the pool: one instruction, where code that runs once would make the constant with three. */
  read({ bits, bytes }) {
    const key = `${bytes}:${bits}`;
    let place = this.places.get(key);
    if (place === undefined) {
      this.places.set(key, (place = this.at));
      this.at += bytes;
      for (let i = 0n; i < bytes; i++) this.data += `\\${((bits >> (8n * i)) & 255n).toString(16).padStart(2, '0')}`;
    }
    return `(v128.load${8 * bytes}_splat offset=${place} align=4 (i32.const 0))`;
  }
}

/** The text of a module whose memory is free at `POOL`, with shorter constants. */
export function shortenConstants(text) {
  const pool = new Pool();
  const functions = text.split(/(?=\n \(func )/).map((code) => {
    if (KEPT.test(code)) return code;
    const loops = code.includes('(loop');
    return code.replace(CONSTANT, (constant, ...lanes) => {
      const element = elementOf(lanes.slice(0, 4));
      if (!element || (loops && element.bytes === 8)) return constant;
      return loops || element.bits === 0n ? broadcast(element.bits) : pool.read(element);
    });
  });
  if (pool.at > POOL.to) throw new Error(`the pool of constants ends at ${pool.at}, beyond ${POOL.to}`);
  if (pool.data === '' || !text.includes(DATA))
    throw new Error('the text of the module is not as it was: no constants, or no data');
  return functions.join('').replace(DATA, `\n (data $pool (i32.const ${POOL.from}) "${pool.data}")${DATA}`);
}

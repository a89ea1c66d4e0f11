import { fromBfloat16, fromHalf, toBfloat16, toHalf } from '../../src/half.js';

/** What the bits mean by IEEE 754, from the definition: sign, exponent and mantissa of the given widths. */
function meaning(bits: number, exponentBits: number, mantissaBits: number): number {
  const mantissa = bits & (2 ** mantissaBits - 1);
  const exponent = (bits >>> mantissaBits) & (2 ** exponentBits - 1);
  const sign = bits >>> 15 ? -1 : 1;
  const bias = 2 ** (exponentBits - 1) - 1;
  if (exponent === 2 ** exponentBits - 1) return mantissa ? NaN : sign * Infinity;
  const fraction = mantissa / 2 ** mantissaBits;
  return exponent === 0 ? sign * fraction * 2 ** (1 - bias) : sign * (1 + fraction) * 2 ** (exponent - bias);
}

const formats = [
  { name: 'float16', from: fromHalf, to: toHalf, exponent: 5, mantissa: 10, infinity: 0x7c00 },
  { name: 'bfloat16', from: fromBfloat16, to: toBfloat16, exponent: 8, mantissa: 7, infinity: 0x7f80 },
] as const;

describe.each(formats)('$name', ({ from, to, exponent, mantissa, infinity }) => {
  const finite = Array.from({ length: infinity }, (_, bits) => bits);

  test('all 65536 patterns mean what IEEE 754 says, and come back', () => {
    let wrong = 0;
    for (let bits = 0; bits < 65536; bits++) {
      const value = from(bits);
      if (!Object.is(value, meaning(bits, exponent, mantissa))) wrong++;
      const back = to(value);
      if (Number.isNaN(value) ? !Number.isNaN(from(back)) : back !== bits) wrong++;
    }
    expect(wrong).toBe(0);
  });

  test('between any two neighbours: the middle goes to the even one, anything beside it to the nearer', () => {
    let wrong = 0;
    for (const bits of finite.slice(0, -1)) {
      const [low, high] = [from(bits), from(bits + 1)];
      const middle = (low + high) / 2; // exact in float64
      const even = bits % 2 === 0 ? bits : bits + 1;
      const tiny = (high - low) * 2 ** -30;
      if (to(middle) !== even || to(middle - tiny) !== bits || to(middle + tiny) !== bits + 1) wrong++;
      if (to(-middle) !== (even | 0x8000) || to(-middle - tiny) !== ((bits + 1) | 0x8000)) wrong++;
    }
    expect(wrong).toBe(0);
  });

  test('the ends', () => {
    const largest = from(infinity - 1);
    const step = largest - from(infinity - 2);
    expect(to(largest + step / 2)).toBe(infinity); // the tie rounds up to the even pattern, which is infinity
    expect(to(largest + step / 2 - step * 2 ** -20)).toBe(infinity - 1);
    expect([to(1e300), to(-1e300), to(Infinity), to(-Infinity)]).toEqual([
      infinity,
      infinity | 0x8000,
      infinity,
      infinity | 0x8000,
    ]);
    expect([to(0), to(-0), to(5e-324), to(-5e-324)]).toEqual([0, 0x8000, 0, 0x8000]);
    expect([to(from(1) / 2), to(from(1) * 0.51), to(from(1) * 1.5), to(from(1) * 2.5)]).toEqual([0, 1, 2, 2]);
    expect(Number.isNaN(from(to(NaN)))).toBe(true);
  });

  test('random numbers are rounded to the nearest pattern', () => {
    let state = 1;
    const beaten: number[] = [];
    for (let i = 0; i < 20000; i++) {
      state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
      const value = (state / 2 ** 31 - 1) * 2 ** ((state % 36) - 22);
      const bits = to(value);
      const error = Math.abs(from(bits) - value);
      if ([bits - 1, bits + 1].some((other) => Math.abs(from(other) - value) < error)) beaten.push(value);
    }
    expect(beaten).toEqual([]);
  });
});

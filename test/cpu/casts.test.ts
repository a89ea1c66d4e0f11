import { cast, type DType, memory, random, resetPeakMemory, scope, tensor, zeros } from 'tapegrad';
import { arrayClass, BYTES, type TypedArray } from '../../src/backends/backend.js';
import { Allocator } from '../../src/backends/cpu/allocator.js';
import { heap } from '../../src/backends/cpu/heap.js';
import { castsByFloat32 } from '../../src/backends/cpu/kernels/copy.js';
import { SHORT } from '../../src/backends/cpu/kernels/variant.js';
import { fromBfloat16, fromHalf, toBfloat16, toHalf } from '../../src/half.js';

/*
 * Casts between all element types, against src/half.ts (which rounds from float64, once) and JavaScript's own conversions: every bit pattern of the
 * 16-bit types, and of the others what lies at, between and beside the numbers of the shorter types.
 */

const DTYPES: readonly DType[] = ['float32', 'float64', 'int32', 'bool', 'float16', 'bfloat16'];
const pairs = DTYPES.flatMap((from) => DTYPES.filter((to) => to !== from).map((to) => [from, to] as const));

const decode = (dtype: DType): ((stored: number) => number) =>
  dtype === 'float16' ? fromHalf : dtype === 'bfloat16' ? fromBfloat16 : (value) => value;

const ENCODERS: Readonly<Record<DType, (value: number) => number>> = {
  float32: Math.fround,
  float64: (value) => value,
  int32: (value) => (Number.isNaN(value) ? 0 : Math.min(Math.max(Math.trunc(value), -(2 ** 31)), 2 ** 31 - 1) + 0),
  bool: (value) => (value !== 0 ? 1 : 0),
  float16: toHalf,
  bfloat16: toBfloat16,
};

const rng = random(11);
const ALL_BITS = Uint16Array.from({ length: 65536 }, (_, bits) => bits);
const ENDS = [
  NaN,
  Infinity,
  -Infinity,
  0,
  -0,
  1,
  -1,
  0.5,
  2.5,
  -2.5,
  65504,
  65519.99,
  65520,
  65536,
  3.4e38,
  -3.4e38,
  1e-45,
];

/** The 16-bit types' numbers, the middles between neighbours, and what is `beside` (relative) those. */
function around(beside: number): number[] {
  const values: number[] = [];
  for (const from of [fromHalf, fromBfloat16]) {
    for (let bits = 0; bits < 0x7f80; bits += 1 + rng.integer(0, 12)) {
      const [low, high] = [from(bits), from(bits + 1)];
      if (!Number.isFinite(low + high)) continue;
      const middle = (low + high) / 2;
      for (const value of [low, middle, middle * (1 + beside), middle * (1 - beside)]) values.push(value, -value);
    }
  }
  return values;
}

function samples(dtype: DType): TypedArray {
  switch (dtype) {
    case 'float16':
    case 'bfloat16':
      return ALL_BITS;
    case 'bool':
      return Uint8Array.from({ length: 67 }, () => rng.integer(0, 2));
    case 'int32': {
      const powers = Array.from({ length: 31 }, (_, k) => [2 ** k - 1, 2 ** k, 2 ** k + 1, -(2 ** k)]).flat();
      // Middles of bfloat16 with a bit far below, which float32 would lose.
      const traps = Array.from({ length: 200 }, () => (2 * rng.integer(128, 256) + 1) * 2 ** 22 + rng.integer(-2, 3));
      const any = Array.from({ length: 5000 }, () => rng.integer(-(2 ** 31), 2 ** 31));
      return Int32Array.from([...powers, 2 ** 31 - 1, -(2 ** 31), ...traps, ...any]);
    }
    case 'float32': {
      const bits = Int32Array.from({ length: 40000 }, () => rng.integer(-(2 ** 31), 2 ** 31));
      return Float32Array.from([...ENDS, ...around(2 ** -23), ...new Float32Array(bits.buffer)]);
    }
    case 'float64': {
      const bits = Int32Array.from({ length: 20000 }, () => rng.integer(-(2 ** 31), 2 ** 31));
      const reals = Array.from(
        { length: 20000 },
        () => (rng.integer(-(2 ** 30), 2 ** 30) / 2 ** 20) * 2 ** rng.integer(-150, 120),
      );
      const ends = [
        1e300,
        -1e300,
        5e-324,
        2 ** 31,
        2 ** 31 - 0.5,
        -(2 ** 31) - 0.5,
        -(2 ** 31) - 1,
        2 ** -25,
        2 ** -150,
      ];
      return Float64Array.from([
        ...ENDS,
        ...ends,
        ...around(2 ** -52),
        ...around(2 ** -30),
        ...reals,
        ...new Float64Array(bits.buffer),
      ]);
    }
  }
}

const bytesOf = ({ buffer, byteOffset, byteLength }: TypedArray): Uint8Array =>
  new Uint8Array(buffer, byteOffset, byteLength);

let arena: Allocator;
beforeEach(() => {
  arena = new Allocator();
});
afterEach(() => arena.close());

function castInHeap(source: TypedArray, from: DType, to: DType): TypedArray {
  const n = source.length;
  const [x, out] = [arena.allocate(source.byteLength), arena.allocate(source.length * BYTES[to] + 16)];
  heap().u8.set(bytesOf(source), x);
  const end = out + source.length * BYTES[to];
  heap().u8.fill(77, end, end + 16);
  const run = (a: DType, b: DType, source: number, result: number): void => {
    heap().functions[`cast${SHORT[a]}To${SHORT[b]}`]!(source, result, n);
  };
  if (castsByFloat32(from, to)) {
    const between = arena.allocate(4 * n);
    run(from, 'float32', x, between);
    run('float32', to, between, out);
  } else run(from, to, x, out);
  expect([...heap().u8.subarray(end, end + 16)]).toEqual(new Array<number>(16).fill(77));
  return new (arrayClass(to))(heap().u8.slice(out, end).buffer);
}

function expectSame(got: TypedArray, source: TypedArray, from: DType, to: DType): void {
  expect(got).toHaveLength(source.length);
  const [value, encode, read] = [decode(from), ENCODERS[to], decode(to)];
  for (let i = 0; i < source.length; i++) {
    const want = encode(value(source[i]!));
    if (Object.is(got[i], want) || (Number.isNaN(read(got[i]!)) && Number.isNaN(read(want)))) continue;
    throw new Error(`${from} ${source[i]} (${value(source[i]!)}) is ${got[i]} as ${to}, not ${want}`);
  }
}

test.each(pairs)('%s to %s is exact', (from, to) => {
  const source = samples(from);
  expectSame(castInHeap(source, from, to), source, from, to);
});

test.each(pairs)('%s to %s of every length, by the op, in the heap and outside', (from, to) => {
  const all = samples(from);
  for (const n of [0, 1, 2, 3, 4, 5, 7, 8, 15, 17, 66]) {
    const at = rng.integer(0, all.length - n);
    const source = all.slice(at, at + n);
    expectSame(castInHeap(source, from, to), source, from, to);
    const x =
      from === 'float16' || from === 'bfloat16'
        ? tensor(Float32Array.from(source, decode(from)), { dtype: from })
        : tensor(source, { dtype: from });
    expectSame(cast(x, to).rawDataSync('copy'), source, from, to);
    expectSame(
      scope(() => cast(x, to).rawDataSync('copy')),
      source,
      from,
      to,
    );
    expectSame(
      scope(() => cast(x.reshape([1, n]).transpose().transpose(), to).rawDataSync('copy')),
      source,
      from,
      to,
    );
  }
  expect(cast(zeros([0, 3], { dtype: from }), to)).toMatchObject({ shape: [0, 3], dtype: to });
});

test.each(pairs.filter(([from, to]) => castsByFloat32(from, to)))(
  '%s to %s takes little memory beside the result, however long, and is as exact there',
  (from, to) => {
    const few = Float32Array.of(1, 0, 0.5, -2, 7);
    const n = 2 ** 21 + 3;
    const values = Float32Array.from({ length: n }, (_, i) => few[i % few.length]!);
    const x = cast(tensor(values), from);
    scope(() => {
      const near = x.clone();
      resetPeakMemory();
      const before = memory().peakBytes;
      const result = cast(near, to);
      expect(memory().peakBytes - before).toBeLessThan(n * BYTES[to] + 2 ** 21);
      const want = Array.from(few, (value) => ENCODERS[to](from === 'bool' ? Number(value !== 0) : value));
      expect(result.rawDataSync('copy').every((value, i) => value === want[i % want.length])).toBe(true);
    });
  },
);

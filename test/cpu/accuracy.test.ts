import type { TypedArray } from '../../src/backends/backend.js';
import { elementwiseLoops } from '../../src/backends/cpu/generated/elementwise.js';
import { Allocator } from '../../src/backends/cpu/allocator.js';
import { heap } from '../../src/backends/cpu/heap.js';

/*
 * The SIMD functions against float64 over all of float32: every STEP-th bit pattern, with infinities, NaN, denormals and both zeros among
 * them. The error is counted in units in the last place of the exact result.
 */

const COUNT = 2 ** 16;
const STEP = 19937;
const EDGES = [
  0,
  -0,
  1,
  -1,
  Infinity,
  -Infinity,
  NaN,
  0.5,
  -0.5,
  2,
  1e-45,
  -1e-45,
  1.2e-38,
  -1.2e-38,
  3.4e38,
  -3.4e38,
  88.722,
  88.723,
  88.73,
  -87.33,
  -103.9,
  -104,
  0.625,
  1e9,
  -1e9,
];

type Loop = (
  out: TypedArray,
  at: number,
  n: number,
  xs: TypedArray,
  xAt: number,
  xStep: number,
  ys: TypedArray,
  yAt: number,
  yStep: number,
) => void;

const unit = (value: number): number =>
  Math.abs(value) < 2 ** -126 ? 2 ** -149 : 2 ** (Math.floor(Math.log2(Math.abs(value))) - 23);

/** How far a float32 is from the exact value; beyond the largest float32, infinity is the exact answer. */
function ulps(got: number, exact: number): number {
  const rounded = Math.fround(exact);
  if (Object.is(got, rounded)) return 0;
  if (Number.isNaN(exact) || Number.isNaN(got) || (rounded === 0 && got === 0)) return Infinity;
  const bounded = (value: number): number => (Number.isFinite(value) ? value : Math.sign(value) * 2 ** 128);
  if (!Number.isFinite(exact)) return Infinity;
  return Math.abs(bounded(got) - (Number.isFinite(rounded) ? exact : bounded(rounded))) / unit(bounded(rounded));
}

let arena: Allocator;
beforeEach(() => {
  arena = new Allocator();
});
afterEach(() => arena.close());

/** All operands at once through the kernel; the worst error and where. */
function worst(
  name: string,
  run: (addresses: readonly number[], out: number, n: number) => void,
  operands: readonly Float32Array[],
): { error: number; at: readonly number[] } {
  const n = operands[0]!.length;
  const addresses = operands.map(() => arena.allocate(n * 4));
  const out = arena.allocate(n * 4);
  operands.forEach((values, i) => heap().f32.set(values, addresses[i]! / 4));
  run(addresses, out, n);
  const results = heap().f32.slice(out / 4, out / 4 + n);
  const wide = operands.map((values) => Float64Array.from(values));
  const exact = new Float64Array(n);
  (elementwiseLoops as unknown as Readonly<Record<string, Loop>>)[name]!(
    exact,
    0,
    n,
    wide[0]!,
    0,
    1,
    wide[1] ?? wide[0]!,
    0,
    1,
  );
  let found = { error: 0, at: [] as number[] };
  for (let i = 0; i < n; i++) {
    const error = ulps(results[i]!, exact[i]!);
    if (error > found.error) found = { error, at: operands.map((values) => values[i]!) };
  }
  return found;
}

function allFloats(): Float32Array {
  const bits = new Int32Array(COUNT * 4);
  let n = 0;
  for (let pattern = -(2 ** 31); pattern < 2 ** 31 && n < bits.length; pattern += STEP) bits[n++] = pattern;
  const floats = new Float32Array(bits.buffer, 0, n);
  return Float32Array.from([...EDGES, ...floats]);
}

describe('float32 functions', () => {
  test.each([
    ['exp', 1],
    ['expm1', 1.5],
    ['log', 1],
    ['log1p', 1.5],
    ['sin', 1.6],
    ['cos', 1.6],
    ['tanh', 1.5],
    ['erf', 1.5],
    ['sqrt', 0.5],
    ['rsqrt', 1.5],
    ['neg', 0],
    ['abs', 0],
    ['sign', 0],
    ['floor', 0],
    ['square', 0.5],
    ['reciprocal', 0.5],
    ['relu', 0],
    ['step', 0],
    ['sigmoid', 2.2],
    ['softplus', 2],
    ['gelu', 7],
  ] as const)('%s is accurate to %d ulp', (name, limit) => {
    const { error, at } = worst(
      name,
      ([x], out, n) => {
        heap().functions[name]!(x!, out, n);
      },
      [allFloats()],
    );
    expect({ within: error <= limit, error, at }).toMatchObject({ within: true });
  });

  test('the slope of gelu is accurate to 4e-7, and relatively to 2e-6 where it is small; far out as everywhere', () => {
    const x = Float32Array.from({ length: COUNT }, (_, i) =>
      i < 16 ? [14, -14, 16, -16, 39, -41, 3e38, -3e38][i % 8]! : 28 * (i / COUNT) - 14,
    );
    const [one, from, out] = [4, 4 * COUNT, 4 * COUNT].map((bytes) => arena.allocate(bytes)) as [
      number,
      number,
      number,
    ];
    const exact = new Float64Array(COUNT);
    heap().f32.set([1], one / 4);
    heap().f32.set(x, from / 4);
    heap().functions.geluVjp!(one, from, out, 1, COUNT, 0, 0, 0, 1);
    elementwiseLoops.geluVjp(exact, 0, COUNT, Float32Array.of(1), 0, 0, x, 0, 1);
    const got = heap().f32.slice(out / 4, out / 4 + COUNT);
    const wrong = exact.findIndex((want, i) => {
      const error = Math.abs(got[i]! - want);
      return !(error <= 4e-7 && (x[i]! > -2 || error <= 2e-6 * Math.abs(want) + 2 ** -149));
    });
    expect(wrong < 0 ? null : { x: x[wrong], got: got[wrong], want: exact[wrong] }).toBeNull();
  });

  test('pow is accurate to 1 ulp, and as IEEE 754 has it at the edges', () => {
    const bases: number[] = [];
    const exponents: number[] = [];
    for (const x of [...EDGES, -2, 3, -3, 2.5]) {
      for (const y of [...EDGES, 3, -3, 2, -2, 16777217]) {
        bases.push(x);
        exponents.push(y);
      }
    }
    for (let i = 0; i < 40000; i++) {
      const u = Math.sin(i * 12.9898) * 0.999;
      const v = Math.sin(i * 78.233) * 0.999;
      bases.push(Math.exp(20 * u), 10 * u, 1 + 0.1 * u);
      exponents.push(8 * v, Math.round(10 * v), 900 * v);
    }
    const { error, at } = worst(
      'pow',
      ([x, y], out, n) => {
        heap().functions.pow!(x!, y!, out, 1, n, 0, 0, 1, 1);
      },
      [Float32Array.from(bases), Float32Array.from(exponents)],
    );
    expect({ within: error <= 1, error, at }).toMatchObject({ within: true });
  });

  test('a lane is the same whatever lies beside it', () => {
    const x = [0.3, -2, 12.9, 13, -13.1, 86.9, -87.1, 200, -200, NaN, 0, 1e-40, -5, 100, 3];
    for (const name of ['exp', 'sigmoid', 'gelu', 'geluVjp', 'tanh', 'softplus', 'silu']) {
      const run = (values: readonly number[]): number[] => {
        const [from, out] = [arena.allocate(values.length * 4), arena.allocate(values.length * 4)];
        heap().f32.set(values, from / 4);
        const { length } = values;
        if (name === 'geluVjp') heap().functions[name]!(from, from, out, 1, length, 0, 0, 1, 1);
        else heap().functions[name]!(from, out, length);
        return [...heap().f32.slice(out / 4, out / 4 + length)];
      };
      const alone = x.map((value) => run([value])[0]);
      expect(run(x)).toEqual(alone);
      expect(run([1, 2, ...x]).slice(2)).toEqual(alone);
    }
  });
});

import { arrayClass, type DType, type TypedArray } from '../../src/backends/backend.js';
import { Allocator } from '../../src/backends/cpu/allocator.js';
import { elementwiseCodes, elementwiseLoops } from '../../src/backends/cpu/generated/elementwise.js';
import { heap } from '../../src/backends/cpu/heap.js';
import { variant } from '../../src/backends/cpu/kernels/variant.js';
import { formulas } from '../../src/ops/elementwise.js';
import { logicalNot, random, scope, tensor, type Tensor } from 'tapegrad';

/*
 * The WebAssembly functions of float64, int32 and bool, element for element against the formulas as plain loops in float64 and, where int32 wraps
 * around, against BigInt.
 */

type Loop = (out: TypedArray, at: number, n: number, ...operands: readonly (TypedArray | number)[]) => void;
const loops = elementwiseLoops as unknown as Readonly<Record<string, Loop>>;

/** Steps of one operand, from run to run and within a run. */
type Steps = readonly [row: number, step: number];

const SPECIAL: Readonly<Partial<Record<DType, readonly number[]>>> = {
  float64: [NaN, Infinity, -Infinity, 0, -0, 1, -1, 0.5, -0.5, 2.5, 5e-324, -1e-310, 1.7e308, -1.7e308, 2 ** 53 + 2],
  int32: [0, 1, -1, 2 ** 31 - 1, -(2 ** 31), 46341, 65536, -65537],
  bool: [0, 1],
};

const rng = random(7);
function draw(dtype: DType, length: number): TypedArray {
  const special = SPECIAL[dtype]!;
  const data = new (arrayClass(dtype))(length);
  for (let i = 0; i < length; i++) {
    const any = dtype === 'int32' ? rng.integer(-(2 ** 31), 2 ** 31) : (rng.integer(0, 2001) - 1000) / 64;
    data[i] = dtype === 'bool' || rng.integer(0, 2) === 0 ? special[rng.integer(0, special.length)]! : any;
  }
  return data;
}

const wrapped: Readonly<Record<string, (x: bigint, y: bigint) => bigint>> = {
  mul: (x, y) => x * y,
  square: (x) => x * x,
};

let arena: Allocator;
beforeEach(() => {
  arena = new Allocator();
});
afterEach(() => arena.close());

const place = (data: TypedArray): number => {
  const at = arena.allocate(data.byteLength);
  heap().u8.set(new Uint8Array(data.buffer, data.byteOffset, data.byteLength), at);
  return at;
};

/** Rows of runs through the WebAssembly function and through the plain loop. */
function both(
  name: string,
  dtype: DType,
  rows: number,
  n: number,
  steps: readonly Steps[],
): { got: TypedArray; want: TypedArray; operands: readonly TypedArray[] } {
  const { arity, operands: kinds, result } = formulas.get(name)!;
  const operands = steps.map(([row, step], i) =>
    draw(kinds?.[i] === 'bool' ? 'bool' : dtype, Math.max(1, (rows - 1) * row + (n - 1) * step + 1)),
  );
  const Result = arrayClass(result === 'bool' ? 'bool' : dtype);
  const [got, want] = [new Result(rows * n), new Result(rows * n)];
  const addresses = operands.map(place);
  const guard = new Uint8Array(16).fill(77);
  const out = arena.allocate(got.byteLength + 16);
  heap().u8.set(guard, out + got.byteLength);
  const run = heap().functions[variant(name, dtype)!]!;
  if (arity === 1) run(addresses[0]!, out, rows * n);
  else run(...addresses, out, rows, n, ...steps.map(([row]) => row), ...steps.map(([, step]) => step));
  new Uint8Array(got.buffer).set(heap().u8.subarray(out, out + got.byteLength));
  expect([...heap().u8.subarray(out + got.byteLength, out + got.byteLength + 16)]).toEqual([...guard]);
  for (let row = 0; row < rows; row++)
    loops[name]!(want, row * n, n, ...operands.flatMap((data, i) => [data, row * steps[i]![0], steps[i]![1]]));
  const exact = dtype === 'int32' ? wrapped[name] : undefined;
  if (exact) {
    for (let k = 0; k < want.length; k++) {
      const [x, y = 0] = operands.map((data, i) => data[Math.floor(k / n) * steps[i]![0] + (k % n) * steps[i]![1]]!);
      want[k] = Number(BigInt.asIntN(32, exact(BigInt(x!), BigInt(y))));
    }
  }
  return { got, want, operands };
}

const LENGTHS = [0, 1, 2, 3, 4, 5, 7, 8, 9, 15, 16, 17, 31, 33, 63, 64, 65, 130];
const names = Object.keys(elementwiseCodes);
const cases = (['float64', 'int32', 'bool'] as const).flatMap((dtype) =>
  names.filter((name) => variant(name, dtype) !== null && loops[name]).map((name) => [name, dtype] as const),
);

/** Functions of many instructions; test/cpu/accuracy64.test.ts says how near they come. */
const rounds = (name: string): boolean =>
  /exp|log|tanh|sin|cos|pow/.test(elementwiseCodes[name as keyof typeof elementwiseCodes]);

test('what people use of each type has a WebAssembly function', () => {
  const count = (dtype: DType): number => cases.filter(([, of]) => of === dtype).length;
  expect(count('float64')).toBeGreaterThan(35);
  expect(count('int32')).toBeGreaterThan(15);
  expect(count('bool')).toBe(6);
});

test.each(cases.filter(([name]) => !rounds(name)))('%s of %s is what the formula says', (name, dtype) => {
  const { arity } = formulas.get(name)!;
  for (const n of LENGTHS) {
    for (const rows of arity === 1 ? [1] : [1, 3]) {
      const patterns = 2 ** arity - 1;
      for (let pattern = 0; pattern <= (arity === 1 ? 0 : patterns); pattern++) {
        const steps = Array.from({ length: arity }, (_, i): Steps => {
          const step = (pattern >> i) & 1 ? 0 : 1;
          return [rows === 1 ? 0 : [step * n, 0, 1 - step][(pattern + i) % 3]!, step];
        });
        if (arity === 2 && steps.every(([, step]) => step === 0)) continue; // one of two always moves
        const { got, want, operands } = both(name, dtype, rows, n, steps);
        const at = got.findIndex((value, i) => !Object.is(value, want[i]));
        if (at >= 0)
          throw new Error(
            `${name} ${dtype} ${rows}x${n}, steps ${JSON.stringify(steps)}, element ${at}: ${got[at]}, not ${want[at]}, of ${operands.map((data, i) => data[Math.floor(at / n) * steps[i]![0] + (at % n) * steps[i]![1]]).join(' ')}`,
          );
      }
    }
  }
});

describe('through ops', () => {
  const both32 = (run: () => Tensor): number[][] => [
    run().arraySync<number[]>(),
    scope(() => run().arraySync<number[]>()),
  ];

  test('int32 wraps around, in and outside a scope', () => {
    const x = tensor([2 ** 31 - 1, -(2 ** 31), 65537, -3, 0], { dtype: 'int32' });
    for (const got of both32(() => x.add(1))) expect(got).toEqual([-(2 ** 31), -(2 ** 31) + 1, 65538, -2, 1]);
    for (const got of both32(() => x.sub(2))) expect(got).toEqual([2 ** 31 - 3, 2 ** 31 - 2, 65535, -5, -2]);
    for (const got of both32(() => x.mul(x))) expect(got).toEqual([1, 0, 131073, 9, 0]);
    for (const got of both32(() => x.abs())) expect(got).toEqual([2 ** 31 - 1, -(2 ** 31), 65537, 3, 0]);
    for (const got of both32(() => x.neg())) expect(got).toEqual([-(2 ** 31) + 1, -(2 ** 31), -65537, 3, 0]);
  });

  test.each(['float64', 'int32'] as const)('%s broadcasts and takes views', (dtype) => {
    const x = rng.integers([5, 7, 3], -9, 10).cast(dtype);
    const y = rng.integers([3, 7], -9, 10).cast(dtype).transpose();
    const want = x
      .arraySync<number[][][]>()
      .map((plane) => plane.map((row, j) => row.map((value, k) => value * y.arraySync<number[][]>()[j]![k]! + 0)));
    const product = (a: Tensor, b: Tensor): Tensor => a.mul(b).add(0); // no zeros of the other sign
    expect(product(x, y).arraySync()).toEqual(want);
    expect(scope(() => product(x, y).arraySync())).toEqual(want);
    const turned = product(x.transpose(0, 2), y.transpose().reshape([3, 7, 1]));
    expect(turned.transpose(0, 2).arraySync()).toEqual(want);
  });

  test.each(['float64', 'int32', 'bool'] as const)('%s without elements', (dtype) => {
    const x = tensor([], { dtype }).reshape([0, 3]);
    expect(x.equal(x)).toMatchObject({ shape: [0, 3], dtype: 'bool' });
    expect(logicalNot(x.equal(x)).shape).toEqual([0, 3]);
    if (dtype !== 'bool') expect(x.add(tensor([1, 2, 3], { dtype }))).toMatchObject({ shape: [0, 3], dtype });
  });
});

import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import {
  add,
  clip,
  concat,
  type DType,
  equal,
  exp,
  greater,
  logicalAnd,
  matmul,
  maximum,
  mul,
  pow,
  stack,
  sub,
  tensor,
  type Tensor,
  valueAndGrad,
  where,
} from 'tapegrad';

const DTYPES: readonly DType[] = ['bool', 'int32', 'float16', 'bfloat16', 'float32', 'float64'];
const of = (dtype: DType): Tensor => tensor([1, 0], { dtype });

/** The rows of the n-th table of docs/dtypes.md whose first column is bold. */
function tables(): Record<string, string[]>[] {
  const text = readFileSync(join(__dirname, '..', '..', 'docs', 'dtypes.md'), 'utf8');
  return text
    .split(/\n\n/)
    .filter((part) => part.startsWith('| |'))
    .map((part) =>
      Object.fromEntries(
        part
          .split('\n')
          .filter((line) => line.startsWith('| **'))
          .map((line) => {
            const [name, ...cells] = line
              .split('|')
              .map((cell) => cell.trim())
              .filter(Boolean);
            return [name!.replaceAll('*', ''), cells];
          }),
      ),
    );
}

test('two tensors promote as the table of docs/dtypes.md says, in either order', () => {
  const [table] = tables();
  expect(Object.keys(table!)).toEqual(DTYPES);
  for (const a of DTYPES) {
    DTYPES.forEach((b, column) => {
      const promoted = table![a]![column] as DType;
      const arithmetic = promoted === 'bool' ? 'int32' : promoted;
      const found = {
        add: add(of(a), of(b)).dtype,
        sub: sub(of(a), of(b)).dtype,
        mul: mul(of(b), of(a)).dtype,
        maximum: maximum(of(a), of(b)).dtype,
      };
      expect([a, b, found]).toEqual([a, b, { add: arithmetic, sub: arithmetic, mul: arithmetic, maximum: arithmetic }]);
      expect([equal(of(a), of(b)).dtype, greater(of(a), of(b)).dtype]).toEqual(['bool', 'bool']);
      const moved = [
        where(tensor([true, false]), of(a), of(b)),
        concat([of(a), of(b)]),
        stack([of(a), of(b)]),
        of(a).concat([of(b)]),
      ];
      expect([a, b, moved.map((result) => result.dtype)]).toEqual([a, b, moved.map(() => promoted)]);
      if (promoted !== 'bool') expect([a, b, matmul(of(a), of(b)).dtype]).toEqual([a, b, promoted]);
    });
  }
});

test('gradients of joined tensors have the dtype of each part, whatever it was joined with', () => {
  const joins = (join: typeof concat) => (half: Tensor, single: Tensor, brain: Tensor) =>
    join([half, of('int32'), single, tensor([true, false]), brain])
      .mul(tensor([1, -2, 3, -4, 5, -6, 7, -8, 9, -10]).reshape(join === concat ? [10] : [5, 2]))
      .sum();
  for (const join of [concat, stack]) {
    const [value, gradients] = valueAndGrad(joins(join), { argnums: [0, 1, 2] })(
      of('float16'),
      of('float32'),
      of('bfloat16'),
    );
    expect([value.dtype, value.itemSync()]).toEqual(['float32', 1 + 3 + 5 + 7 + 9]);
    expect(gradients.map((g) => [g.dtype, g.arraySync()])).toEqual([
      ['float16', [1, -2]],
      ['float32', [5, -6]],
      ['bfloat16', [9, -10]],
    ]);
  }
});

test('integers and lists beside several tensors keep their values: the widest tensor decides', () => {
  const half = of('float16');
  const wide = tensor([1e6, 1e6], { dtype: 'float64' });
  expect(clip(half, Int32Array.of(70001, 2049), wide).arraySync()).toEqual([70001, 2049]);
  expect(clip(half, [70001, 2049], wide).arraySync()).toEqual([70001, 2049]);
  expect(clip(of('bfloat16'), Int32Array.of(257, 2049), tensor([1e6, 1e6])).arraySync()).toEqual([257, 2049]);
  const chosen = where(of('float32'), Int32Array.of(16777217, 2), Int32Array.of(3, 4));
  expect([chosen.dtype, chosen.arraySync()]).toEqual(['int32', [16777217, 4]]);
  for (const data of [Int32Array.of(70001, 2), [70001, 2]])
    expect(where(half, data, tensor([3, 4])).arraySync()).toEqual([70001, 4]);
  expect(of('float32').add(Int32Array.of(1, 16777217)).arraySync()).toEqual([2, 16777216]);
  expect(of('float16').mul(Int32Array.of(1, 2)).dtype).toBe('float16');
  expect(() => logicalAnd(Int32Array.of(1, 0), of('float32'))).toThrow('[logicalAnd] operand 1 is float32');
});

test('plain numbers are as weak as the table says, on either side', () => {
  const table = tables()[1]!;
  expect(Object.keys(table)).toEqual(DTYPES);
  for (const dtype of DTYPES) {
    const [whole, beyond, fraction] = table[dtype] as DType[];
    const found = [2, -(2 ** 31), 2 ** 31, 0.5, Infinity, NaN].map((value) => [
      mul(of(dtype), value).dtype,
      mul(value, of(dtype)).dtype,
    ]);
    expect([dtype, found]).toEqual([
      dtype,
      [whole, whole, beyond, fraction, fraction, fraction].map((want) => [want, want]),
    ]);
  }
});

test('lists beside tensors', () => {
  for (const dtype of ['float16', 'bfloat16', 'float32', 'float64'] as const)
    expect(of(dtype).add([1, 2]).dtype).toBe(dtype);
  expect(of('int32').add([1, 2]).dtype).toBe('float32');
  expect(of('float64').add([0.1, 0.2]).arraySync()).toEqual([1.1, 0.2]);
  expect(of('int32').add(Int32Array.of(1, 2)).dtype).toBe('int32');
});

test('ops without integer results give float32; storage stays storage', () => {
  for (const dtype of DTYPES) {
    const float = dtype === 'bool' || dtype === 'int32' ? 'float32' : dtype;
    const t = of(dtype);
    const results = [
      exp(t),
      t.div(t),
      t.mean(),
      t.variance(),
      t.softmax(),
      t.logSoftmax(),
      t.logSumExp(),
      t.sigmoid(),
      t.sqrt(),
    ];
    expect([dtype, results.map((result) => result.dtype)]).toEqual([dtype, results.map(() => float)]);
    const whole = dtype === 'bool' ? 'int32' : dtype;
    const sums = [t.sum(), t.cumsum(), t.prod(), t.max(), t.min(), t.abs(), t.square(), t.neg(), pow(t, t)];
    expect([dtype, sums.map((result) => result.dtype)]).toEqual([dtype, sums.map(() => whole)]);
    const moved = [
      t.reshape([2, 1]),
      t.flip(),
      t.slice([0, 1]),
      t.pad([[1, 0]]),
      t.take([0]),
      t.broadcastTo([3, 2]),
      t.clone(),
    ];
    expect([dtype, moved.map((result) => result.dtype)]).toEqual([dtype, moved.map(() => dtype)]);
  }
});

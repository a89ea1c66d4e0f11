/** Gradients of the losses where ordinary arithmetic would make NaN of them. */
import {
  bceWithLogits,
  crossEntropy,
  grad,
  hessian,
  huber,
  klDiv,
  logSoftmax,
  mse,
  random,
  softmax,
  tensor,
  type Tensor,
  zeros,
} from 'tapegrad';

const gradient = (f: (x: Tensor) => Tensor, x: Tensor): unknown => grad(f)(x).arraySync();

describe('crossEntropy', () => {
  test('gives ignored rows a gradient of 0, whatever they hold', () => {
    const logits = tensor([
      [NaN, Infinity, 0],
      [-Infinity, -Infinity, -Infinity],
      [0, 0, -Infinity],
    ]);
    for (const options of [{}, { weight: [1, 2, 0] }, { weight: [1, 2, 0], labelSmoothing: 0.1 }]) {
      const rows = gradient((x) => crossEntropy(x, [-100, -100, 0], options), logits) as number[][];
      expect(rows.slice(0, 2)).toEqual([
        [0, 0, 0],
        [0, 0, 0],
      ]);
      expect(rows[2]![0]).toBeLessThan(-0.3);
      expect(rows[2]!.every(Number.isFinite)).toBe(true);
    }
  });

  test('the gradient is softmax - target over the rows that count', () => {
    const x = random(1).normal([4, 5]);
    const targets = [3, -100, 0, 4];
    const share = softmax(x).arraySync<number[][]>();
    const got = grad((t: Tensor) => crossEntropy(t, targets))(x).arraySync<number[][]>();
    targets.forEach((target, n) =>
      share[n]!.forEach((p, c) => {
        expect(got[n]![c]).toBeCloseTo(target < 0 ? 0 : (p - Number(c === target)) / 3, 6);
      }),
    );
  });

  test('a class that cannot be has a gradient of 0 where it is not the target, and a finite one where it is', () => {
    const x = tensor([[0, -Infinity]]);
    expect(gradient((t) => crossEntropy(t, [0]), x)).toEqual([[0, 0]]);
    expect(gradient((t) => crossEntropy(t, [1]), x)).toEqual([[1, -1]]);
    const second = hessian((t: Tensor) => crossEntropy(t, [0]))(x);
    expect(Array.from(second.dataSync(), Math.abs)).toEqual([0, 0, 0, 0]);
  });

  test('of nothing it is 0, and so is the gradient', () => {
    const x = random(2).normal([2, 3]);
    for (const options of [{}, { weight: [1, 1, 1] }]) {
      expect(crossEntropy(x, [-100, -100], options).itemSync()).toBe(0);
      expect(gradient((t) => crossEntropy(t, [-100, -100], options), x)).toEqual([
        [0, 0, 0],
        [0, 0, 0],
      ]);
    }
    // Only classes of weight 0 among the targets: nothing counts either.
    expect(crossEntropy(x, [1, 1], { weight: [1, 0, 1] }).itemSync()).toBe(0);
    expect(gradient((t) => crossEntropy(t, [1, 1], { weight: [1, 0, 1] }), x)).toEqual([
      [0, 0, 0],
      [0, 0, 0],
    ]);
    expect(crossEntropy(zeros([0, 3]), []).itemSync()).toBe(0);
  });

  test('takes targets as lists, typed arrays and tensors', () => {
    const x = random(3).normal([2, 3]);
    const want = crossEntropy(x, [2, 0]).itemSync();
    for (const targets of [new Uint8Array([2, 0]), new BigInt64Array([2n, 0n]), tensor([2, 0], { dtype: 'int32' })])
      expect(crossEntropy(x, targets).itemSync()).toBe(want);
    expect(() => crossEntropy(x, tensor([2, 0.5]))).toThrow('[crossEntropy] targets is float32; it must hold integers');
    expect(() => crossEntropy(x, [2, 0.5])).toThrow('[crossEntropy] targets');
  });
});

test('bceWithLogits of certain logits', () => {
  const x = tensor([Infinity, -Infinity, Infinity, -Infinity, 1e30]);
  expect(gradient((t) => bceWithLogits(t, [1, 0, 0, 1, 1], { reduction: 'sum' }), x)).toEqual([0, 0, 1, -1, 0]);
});

test('huber keeps the slope delta for outliers, infinite ones among them', () => {
  const x = tensor([Infinity, -Infinity, 1e30, 0.5, 0]);
  expect(gradient((t) => huber(t, [0, 0, 0, 0, 0], { delta: 2, reduction: 'sum' }), x)).toEqual([2, -2, 2, 0.5, 0]);
});

test('klDiv has no NaN in its gradients where the target is 0', () => {
  const x = tensor([-1, -Infinity]);
  expect(gradient((t) => klDiv(t, [0, 0], { reduction: 'sum' }), x)).toEqual([-0, -0]);
  const logits = tensor([0, -Infinity]);
  const of = (t: Tensor): Tensor => klDiv(tensor([-1, -2]), logSoftmax(t), { logTarget: true, reduction: 'sum' });
  expect(gradient(of, logits)).toEqual([0, 0]);
});

test('nothing broadcasts but the weights', () => {
  const column = zeros([3, 1]);
  for (const loss of [mse, huber, bceWithLogits, klDiv])
    for (const other of [zeros([3]), zeros([1]), zeros([]), zeros([3, 3]), zeros([1, 3])])
      expect(() => loss(column, other)).toThrow('their shapes must be equal');
});

import {
  add,
  argmax,
  argmin,
  avgPool2d,
  broadcastTo,
  cast,
  clip,
  clone,
  concat,
  conv2d,
  cumsum,
  div,
  equal,
  flip,
  gather,
  grad,
  greater,
  greaterEqual,
  layerNorm,
  less,
  linear,
  logicalAnd,
  logicalNot,
  logicalOr,
  logSoftmax,
  logSumExp,
  matmul,
  max,
  maximum,
  maxPool2d,
  min,
  minimum,
  mul,
  notEqual,
  pad,
  permute,
  random,
  scatterAdd,
  scope,
  slice,
  softmax,
  square,
  stack,
  sub,
  sum,
  take,
  type Tensor,
  tensor,
  transpose,
  unfold,
  where,
} from 'tapegrad';

/*
 * The WebAssembly kernels (float32) against the generic ones (float64), over sizes around the vector width, the unrolled loops and the matrix
 * tiles, inside a scope (arena memory) and outside (ordinary arrays).
 */

const SIZES = [1, 2, 3, 4, 5, 7, 8, 9, 16, 17, 33];
const rng = random(20);
const size = (): number => SIZES[rng.integer(0, SIZES.length)]!;
const any = (shape: readonly number[]): Tensor => rng.normal(shape);

// Jest's sandbox looks globals up slowly, and the loop below runs a million times.
const { is } = Object;
const { isFinite } = Number;
const { abs, max: larger } = Math;

/** Equal to within rounding, relative to the largest element: sums cancel. */
function expectSame(label: string, got: Tensor, want: Tensor, tolerance: number): void {
  expect(got.shape).toEqual(want.shape);
  const a = got.dataSync();
  const b = want.dataSync();
  let scale = 1e-3;
  for (const value of b) if (isFinite(value)) scale = larger(scale, abs(value));
  for (let i = 0; i < b.length; i++) {
    if (is(a[i], b[i]) || a[i] === b[i]) continue;
    const error = abs(a[i]! - b[i]!) / scale;
    if (!(error <= tolerance))
      throw new Error(`${label} ${got.shape.join('x')} element ${i}: ${a[i]}, in float64 ${b[i]}`);
  }
}

function check(label: string, fn: (...inputs: Tensor[]) => Tensor, inputs: readonly Tensor[], tolerance = 2e-6): void {
  const wide = fn(...inputs.map((t) => (t.dtype === 'float32' ? cast(t, 'float64') : t)));
  expectSame(label, fn(...inputs), wide, tolerance);
  expectSame(
    `${label} in a scope`,
    scope(() => clone(fn(...inputs))),
    wide,
    tolerance,
  );
}

const ROUNDS = Array.from({ length: 10 }, (_, i) => i);

describe('float32 kernels agree with float64', () => {
  test.each(ROUNDS)('reductions, round %d', () => {
    const x = any([size(), size(), size()]);
    for (const axis of [0, 1, 2, undefined]) {
      for (const [name, op] of Object.entries({ sum, max, min, argmax, argmin, logSumExp }))
        check(name, (t) => op(t, axis), [x]);
    }
    for (const axis of [0, 1, 2]) {
      check('softmax', (t) => softmax(t, axis), [x]);
      check('logSoftmax', (t) => logSoftmax(t, axis), [x]);
      check('cumsum', (t) => cumsum(t, axis), [x], 1e-5);
      check('cumsum reversed', (t) => cumsum(t, axis, { reverse: true }), [x], 1e-5);
    }
    check('layerNorm', (t) => layerNorm(t), [x], 1e-5);
    const weights = any(x.shape);
    if (x.shape[2]! > 2)
      check('layerNorm vjp', (t, w) => grad((u: Tensor) => sum(mul(layerNorm(u), w)))(t), [x, weights], 1e-4);
  });

  test.each([
    [1, 2048],
    [3, 15],
    [4, 16],
    [7, 2049],
    [9, 4100],
    [13, 2063],
  ])('extremes down the rows of a %d x %d matrix', (rows, columns) => {
    const x = any([2, rows, columns]);
    const broken = (x.dataSync() as Float32Array).slice();
    for (const value of [NaN, Infinity, -Infinity, 0, -0])
      for (let i = 0; i < 9; i++) broken[rng.integer(0, broken.length)] = value;
    for (const data of [x, tensor(broken, { shape: x.shape })]) {
      check('max', (t) => max(t, 1), [data], 0);
      check('min', (t) => min(t, 1), [data], 0);
    }
  });

  test.each(ROUNDS)('reductions of infinities and NaN, round %d', () => {
    const x = any([size(), size(), size()]);
    const data = (x.dataSync() as Float32Array).slice();
    for (const value of [NaN, Infinity, -Infinity, -Infinity]) data[rng.integer(0, data.length)] = value;
    const broken = tensor(data, { shape: x.shape });
    for (const axis of [0, 1, 2]) {
      for (const [name, op] of Object.entries({ sum, max, min, argmax, argmin, logSumExp }))
        check(name, (t) => op(t, axis), [broken]);
    }
  });

  test.each(ROUNDS)('broadcasting, round %d', () => {
    const [a, b, c] = [size(), size(), size()];
    const shapes: [number[], number[]][] = [
      [
        [a, b, c],
        [a, b, c],
      ],
      [
        [a, b, c],
        [1, b, 1],
      ],
      [[a, b, c], [c]],
      [[b, 1], [c]],
      [[a, b, c], []],
      [[], [a, b, c]],
      [
        [a, 1, c],
        [1, b, 1],
      ],
      [
        [a, 1, c],
        [b, 1],
      ],
      [
        [1, b, 1],
        [a, b, c],
      ],
    ];
    for (const [left, right] of shapes) {
      for (const [name, op] of Object.entries({
        add,
        sub,
        mul,
        div,
        maximum,
        minimum,
        less,
        greaterEqual,
        equal,
        notEqual,
      }))
        check(name, op, [any(left), any(right)]);
      check('where', (x, y) => where(greater(x, 0), x, y), [any(left), any(right)]);
      check('where of a broadcast condition', (x, y) => where(greater(y, 0), x, 1), [any(left), any(right)]);
      check('logic', (x, y) => logicalOr(logicalAnd(greater(x, 0), less(y, 0.5)), logicalNot(greater(y, -0.2))), [
        any(left),
        any(right),
      ]);
      check('clip', (x, y) => clip(x, y, 0.4), [any(left), any(right)]);
    }
  });

  test.each(ROUNDS)('movement, round %d', () => {
    const [a, b, c, d] = [size(), size(), size(), size()];
    const x = any([a, b, c, d]);
    for (const order of [
      [3, 1, 0, 2],
      [1, 3, 2, 0],
      [0, 2, 1, 3],
      [2, 3, 0, 1],
    ])
      check('permute', (t) => permute(t, order), [x], 0);
    check('transpose', (t) => transpose(t), [x], 0);
    check('flip', (t) => flip(t), [x], 0);
    check('flip of one axis', (t) => flip(t, 1), [x], 0);
    check('slice', (t) => slice(t, [null, null, -2], [1], [null, -1], [null, null, 3]), [x], 0);
    check(
      'slice vjp',
      (t) => grad((u: Tensor) => sum(square(slice(u, [null, null, -2], [1], [null, -1], [null, null, 3]))))(t),
      [x],
    );
    check(
      'pad',
      (t) =>
        pad(
          t,
          [
            [1, 0],
            [0, 2],
            [3, 1],
            [2, 2],
          ],
          { value: 0.5 },
        ),
      [x],
      0,
    );
    check('concat', (t, u) => concat([t, u, t], 1), [x, any([a, size(), c, d])], 0);
    check('stack', (t, u) => stack([t, u], 2), [x, any([a, b, c, d])], 0);
    check('broadcastTo', (t) => broadcastTo(t, [d, a, b, c]), [any([a, 1, c])], 0);
    const positions = Int32Array.from({ length: d }, () => rng.integer(0, b));
    check('take', (t) => take(t, positions, 1), [x], 0);
    check('take vjp', (t) => grad((u: Tensor) => sum(square(take(u, positions, 1))))(t), [x]);
    const along = tensor(
      Int32Array.from({ length: a * 3 * c * d }, () => rng.integer(0, b)),
      { shape: [a, 3, c, d] },
    );
    check('gather', (t) => gather(t, along, 1), [x], 0);
    check('gather vjp', (t) => grad((u: Tensor) => sum(square(gather(u, along, 1))))(t), [x]);
    check('scatterAdd', (t, u) => scatterAdd(t, along, u, 1), [x, any([a, 3, c, d])]);
  });

  test.each(ROUNDS)('matrix products, round %d', () => {
    const [a, b, c, d] = [size(), size(), size(), size()];
    const inner = rng.integer(0, 4) === 0 ? 256 + b : b; // more than one block of the inner dimension
    check('matrix times matrix', matmul, [any([a, inner]), any([inner, c])], 1e-5);
    check('batch times batch', matmul, [any([d, a, b]), any([d, b, c])], 1e-5);
    check('batch times matrix', matmul, [any([d, a, b]), any([b, c])], 1e-5);
    check('matrix times batch', matmul, [any([a, b]), any([d, b, c])], 1e-5);
    check('matrix times vector', matmul, [any([a, inner]), any([inner])], 1e-5);
    check('vector times matrix', matmul, [any([inner]), any([inner, c])], 1e-5);
    check('linear', linear, [any([d, a, inner]), any([c, inner])], 1e-5);
    check(
      'product vjp',
      (x, y) => grad((u: Tensor) => sum(square(matmul(u, y))))(x),
      [any([d, a, b]), any([b, c])],
      1e-5,
    );
    check(
      'product vjp, right',
      (x, y) => grad((u: Tensor) => sum(square(matmul(x, u))))(y),
      [any([d, a, b]), any([b, c])],
      1e-5,
    );
  });

  test.each(ROUNDS)('windows, round %d', (round) => {
    const [height, width, channels] = [4 + rng.integer(0, 5), 4 + rng.integer(0, 7), 1 + rng.integer(0, 9)];
    const kernel: [number, number] = [1 + rng.integer(0, 3), 1 + rng.integer(0, 3)];
    const options = {
      stride: [1 + (round % 2), 1 + (round % 3)],
      padding: [round % 2, round % 3],
      dilation: [1, 1 + (round % 2)],
    } as const;
    const x = any([2, height, width, channels]);
    const weight = any([1 + rng.integer(0, 9), ...kernel, channels]);
    if ((kernel[1] - 1) * options.dilation[1] + 1 > width + 2 * options.padding[1]) return;
    check('unfold', (t) => unfold(t, kernel, options), [x], 0);
    check('conv2d', (t, w) => conv2d(t, w, options), [x, weight], 1e-5);
    check('conv2d vjp', (t, w) => grad((u: Tensor) => sum(square(conv2d(u, w, options))))(t), [x, weight], 1e-5);
    check(
      'conv2d vjp, weight',
      (t, w) => grad((u: Tensor) => sum(square(conv2d(t, u, options))))(w),
      [x, weight],
      1e-5,
    );
    check('maxPool2d', (t) => maxPool2d(t, 2), [x], 0);
    check('maxPool2d, overlapping', (t) => maxPool2d(t, [3, 2], { stride: 1, padding: [1, 0] }), [x], 0);
    check('maxPool2d vjp', (t) => grad((u: Tensor) => sum(square(maxPool2d(u, 2))))(t), [x]);
    check('avgPool2d', (t) => avgPool2d(t, 2), [x]);
  });
});

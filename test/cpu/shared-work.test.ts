import {
  add,
  argmax,
  clone,
  conv2d,
  exp,
  greater,
  layerNorm,
  logSoftmax,
  matmul,
  max,
  maxPool2d,
  mul,
  pow,
  random,
  scope,
  setThreads,
  sin,
  softmax,
  square,
  stack,
  sum,
  type Tensor,
  transpose,
  unfold,
  valueAndGrad,
  where,
} from 'tapegrad';
import { poolState, warmThreads } from '../../src/backends/cpu/pool.js';

/* Kernels with enough work are divided among threads. Every result must be the same to the last bit for any number of them. */

const rng = random(5);
const [tall, square512] = [rng.normal([4000, 300]), rng.normal([512, 512])];
const [flat, column, row] = [rng.normal([1500, 801]), rng.normal([1500, 1]), rng.normal([801])];
const [images, weight] = [rng.normal([7, 40, 61, 5]), rng.normal([9, 3, 3, 5])];
const batch = rng.normal([6, 160, 170]);
const scaled = { weight: rng.normal([801]), bias: rng.normal([801]) };

const OPS: Readonly<Record<string, () => Tensor>> = {
  'matrix product, packed': () => matmul(square512, square512),
  'matrix product with few rows': () => matmul(transpose(tall).slice([0, 20]), tall),
  'matrix product with few columns': () => matmul(tall, transpose(tall).slice([], [0, 9])),
  'matrix product, batch': () => matmul(batch, transpose(batch, 1, 2)),
  'matrix times vector': () => matmul(flat, row),
  'unary, cheap': () => square(flat),
  'unary, dear': () => exp(flat),
  'unary with rare slow lanes': () => sin(mul(flat, 1e8)),
  'binary, same shapes': () => pow(flat, flat),
  'binary, scalar': () => add(flat, 1.5),
  'binary, row and column': () => mul(add(flat, row), column),
  'comparison and choice': () => where(greater(flat, row), flat, column),
  softmax: () => softmax(flat),
  'softmax down the first axis': () => softmax(flat, 0),
  'softmax gradient': () => valueAndGrad((x: Tensor) => sum(mul(softmax(x), flat)))(flat)[1],
  'softmax gradient down the first axis': () => valueAndGrad((x: Tensor) => sum(mul(softmax(x, 0), flat)))(flat)[1],
  logSoftmax: () => logSoftmax(flat),
  layerNorm: () => layerNorm(flat),
  'layerNorm, scaled and shifted': () => layerNorm(flat, scaled),
  'sum of rows': () => sum(flat, 1),
  'max of rows': () => max(flat, 1),
  'argmax of rows': () => argmax(flat, 1),
  unfold: () => unfold(images, 3, { padding: 1 }),
  maxPool2d: () => maxPool2d(images, 3, { stride: 1 }),
  'maxPool2d gradient, windows that overlap': () =>
    valueAndGrad((x: Tensor) => sum(square(maxPool2d(x, 3, { stride: 1 }))))(images)[1],
  'maxPool2d gradient, windows that do not': () =>
    valueAndGrad((x: Tensor) => sum(square(maxPool2d(x, [4, 1]))))(images)[1],
  'convolution, gradient of the weight': () =>
    valueAndGrad((w: Tensor) => sum(square(conv2d(images, w, { padding: 1 }))))(weight)[1],
  'convolution, gradient of the images': () =>
    valueAndGrad((x: Tensor) => sum(square(conv2d(x, weight, { padding: 1 }))))(images)[1],
  'layer norm gradient': () => valueAndGrad((x: Tensor) => sum(square(layerNorm(exp(x)))))(flat)[1],
  'layer norm gradient, scaled and shifted': () =>
    valueAndGrad((x: Tensor) => sum(square(layerNorm(x, scaled))))(flat)[1],
  'layer norm, gradients of weight and bias': () =>
    stack(Object.values(valueAndGrad((affine: typeof scaled) => sum(square(layerNorm(flat, affine))))(scaled)[1])),
};

/** The bits of every result; buffers compare a thousand times faster than arrays of a million numbers. */
const results = (): Map<string, Buffer> =>
  new Map(
    Object.entries(OPS).map(([name, run]) => {
      const data = scope(() => clone(run())).dataSync();
      return [name, Buffer.from(data.buffer, data.byteOffset, data.byteLength)];
    }),
  );

describe('work shared among threads', () => {
  let alone: Map<string, Buffer>;
  beforeAll(() => {
    setThreads(1);
    alone = results();
  });
  afterAll(() => {
    setThreads(1);
  });

  test.each([2, 3, 5])('%d threads give the bits of one', async (n) => {
    setThreads(n);
    expect(await warmThreads()).toBe(n);
    const shared = results();
    const different = [...alone].filter(([name, bits]) => !shared.get(name)!.equals(bits)).map(([name]) => name);
    expect(different).toEqual([]);
    expect(poolState().workers).toHaveLength(n - 1);
  });
});

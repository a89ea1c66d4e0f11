import { avgPool2d, conv1d, conv2d, DTypeError, embedding, gather, linear, matmul, maxPool2d, oneHot, scatterAdd, ShapeError, take, tensor, type Tensor, unfold, ValueError, zeros } from 'tapegrad';
import { at, broadcastShape, build, sizeOf, spread, total, type Values, values } from '../reference.js';
import type { Exact, OpInfo, Sample } from './info.js';

const int = (data: number[], shape = [data.length]): Tensor => tensor(data, { dtype: 'int32', shape });
const exact = (name: string, run: () => Tensor, dtype: Exact['dtype'], shape: number[], numbers: number[]): Exact => ({ name, run, dtype, shape, values: numbers });
const text = (...shapes: (readonly number[])[]): string => shapes.map((shape) => `[${shape.join(',')}]`).join(' x ');
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

/** Matrix product with NumPy's rules for vectors and leading axes. */
function product(a: Values, b: Values): Values {
  const left = a.shape.length === 1 ? values([1, ...a.shape], a.data) : a;
  const right = b.shape.length === 1 ? values([...b.shape, 1], b.data) : b;
  const lead = broadcastShape(left.shape.slice(0, -2), right.shape.slice(0, -2));
  const [m, k] = left.shape.slice(-2) as [number, number];
  const n = right.shape[right.shape.length - 1]!;
  const full = build([...lead, m, n], (p) => {
    const [i, j] = p.slice(-2) as [number, number];
    return total(range(k).map((q) => at(left, [...p.slice(0, -2), i, q]) * at(right, [...p.slice(0, -2), q, j])));
  });
  return values([...lead, ...(a.shape.length === 1 ? [] : [m]), ...(b.shape.length === 1 ? [] : [n])], full.data);
}

const matmulSample = ([a, b]: readonly [readonly number[], readonly number[]], forwardOnly: boolean): Sample => ({ name: text(a, b), inputs: [spread(a, -2, 2), spread(b, -2, 2, 1)], run: matmul, want: product, forwardOnly });

interface Window { kernel: [number, number]; stride?: [number, number]; padding?: [number, number]; dilation?: [number, number] }

/** The elements of channel c that each window sees; null in the padding. */
function windows(x: Values, { kernel: [kh, kw], stride = [1, 1], padding = [0, 0], dilation = [1, 1] }: Window): { out: [number, number]; see: (n: number, oh: number, ow: number, c: number) => (number | null)[] } {
  const [, height, width] = x.shape as [number, number, number, number];
  const count = (size: number, k: number, axis: 0 | 1): number => Math.floor((size + 2 * padding[axis] - dilation[axis] * (k - 1) - 1) / stride[axis]) + 1;
  return {
    out: [count(height, kh, 0), count(width, kw, 1)],
    see: (n, oh, ow, c) => range(kh).flatMap((i) => range(kw).map((j) => {
      const [h, w] = [oh * stride[0] - padding[0] + i * dilation[0], ow * stride[1] - padding[1] + j * dilation[1]];
      return h >= 0 && h < height && w >= 0 && w < width ? at(x, [n, h, w, c]) : null;
    })),
  };
}

function convolved(x: Values, weight: Values, window: Omit<Window, 'kernel'> = {}): Values {
  const { out, see } = windows(x, { kernel: [weight.shape[1]!, weight.shape[2]!], ...window });
  return build([x.shape[0]!, ...out, weight.shape[0]!], ([n, oh, ow, o]) => total(range(x.shape[3]!).map((c) => total(see(n!, oh!, ow!, c).map((value, p) => {
    const [i, j] = [Math.floor(p / weight.shape[2]!), p % weight.shape[2]!];
    return (value ?? 0) * at(weight, [o!, i, j, c]);
  })))));
}

const pooled = (x: Values, window: Window, f: (seen: (number | null)[]) => number): Values => {
  const { out, see } = windows(x, window);
  return build([x.shape[0]!, ...out, x.shape[3]!], ([n, oh, ow, c]) => f(see(n!, oh!, ow!, c!)));
};
const patches = (x: Values, window: Window): Values => {
  const { out, see } = windows(x, window);
  return build([x.shape[0]!, ...out, ...window.kernel, x.shape[3]!], ([n, oh, ow, i, j, c]) => see(n!, oh!, ow!, c!)[i! * window.kernel[1] + j!] ?? 0);
};
const largest = (seen: (number | null)[]): number => Math.max(...seen.map((value) => value ?? -Infinity));
const average = (seen: (number | null)[]): number => total(seen.map((value) => value ?? 0)) / seen.length;

const WINDOWS: readonly (readonly [shape: readonly number[], window: Window])[] = [
  [[1, 4, 4, 1], { kernel: [2, 2] }], [[2, 5, 4, 2], { kernel: [3, 2], stride: [2, 1], padding: [1, 1] }], [[1, 6, 5, 2], { kernel: [2, 2], dilation: [3, 2] }], [[1, 1, 7, 1], { kernel: [1, 3], stride: [1, 2] }], [[0, 3, 3, 1], { kernel: [2, 2] }], [[1, 3, 3, 2], { kernel: [1, 1] }],
];
const LONG_WINDOWS: typeof WINDOWS = [[[3, 17, 13, 5], { kernel: [3, 3], padding: [1, 1] }], [[2, 9, 11, 9], { kernel: [3, 2], stride: [2, 3], padding: [1, 0], dilation: [2, 1] }]];
const options = ({ kernel: _, ...rest }: Window): Omit<Window, 'kernel'> => rest;
const windowName = (shape: readonly number[], window: Window): string => `${text(shape)} ${JSON.stringify(window)}`;
const windowed = (run: (x: Tensor, window: Window) => Tensor, want: (x: Values, window: Window) => Values): Sample[] => [...WINDOWS, ...LONG_WINDOWS].map(([shape, window]) => ({
  name: windowName(shape, window), inputs: [spread(shape, -3, 3)], run: (x) => run(x, window), want: (x) => want(x, window), forwardOnly: sizeOf(shape) > 100,
}));
const badWindow = (name: string, run: (x: Tensor, kernel: number, options: object) => unknown): OpInfo['errors'] & object => [
  { run: () => run(zeros([3, 3]), 2, {}), error: ShapeError, message: `[${name}] x is [3, 3]; it must be [N, H, W, C]` },
  { run: () => run(zeros([1, 3, 3, 1]), 0, {}), error: ValueError, message: `[${name}] kernel 0 x 0; whole numbers from 1 on are allowed` },
  { run: () => run(zeros([1, 3, 3, 1]), 2, { stride: 0 }), error: ValueError, message: `[${name}] stride 0 x 0; whole numbers from 1 on are allowed` },
  { run: () => run(zeros([1, 3, 3, 1]), 2, { padding: -1 }), error: ValueError, message: `[${name}] padding -1 x -1; whole numbers from 0 on are allowed` },
  { run: () => run(zeros([1, 3, 3, 1]), 2, { dilation: [1, 1.5] }), error: ValueError, message: `[${name}] dilation 1 x 1.5; whole numbers from 1 on are allowed` },
  { run: () => run(zeros([1, 3, 3, 1]), 4, {}), error: ShapeError, message: `[${name}] a window of 4 x 4 does not fit into 3 x 3 with padding 0 x 0` },
];

export const productInfo = {
  matmul: {
    samples: [
      ...([[[2, 3], [3, 4]], [[3], [3]], [[3], [3, 2]], [[2, 3], [3]], [[2, 2, 3], [3, 2]], [[2, 3], [2, 3, 2]], [[2, 2, 3], [2, 3, 2]], [[2, 1, 2, 3], [3, 3, 2]], [[1, 2, 3], [2, 3, 1]], [[3], [2, 3, 2]], [[2, 2, 3], [3]], [[1, 1], [1, 1]], [[2, 0], [0, 3]], [[0, 2], [2, 3]], [[0, 2, 3], [3, 1]]] as const).map((pair) => matmulSample(pair, false)),
      ...([[[5, 17], [17, 9]], [[33, 31], [31, 35]], [[1, 129], [129, 1]], [[65, 4], [4, 66]], [[3, 8, 8], [3, 8, 8]], [[2, 3, 5, 7], [2, 1, 7, 4]], [[130, 3], [3, 130]]] as const).map((pair) => matmulSample(pair, true)),
    ],
    ulps: 4, ulps64: 8, absolute: 2e-5, gradientError: 1e-5,
    exact: [
      exact('int32', () => matmul(int([1, 2, 3, 4], [2, 2]), int([1, 0, 0, 1], [2, 2])), 'int32', [2, 2], [1, 2, 3, 4]), exact('int32 and float32', () => matmul(int([1, 2]), tensor([0.5, 0.25])), 'float32', [], [1]),
      exact('NaN and infinity', () => matmul(tensor([[NaN, 1], [Infinity, 1], [1, 1]]), tensor([[0], [1]])), 'float32', [3, 1], [NaN, NaN, 1]),
    ],
    errors: [
      { run: () => matmul(zeros([2, 3]), zeros([2, 3])), error: ShapeError, message: '[matmul] inner axes differ: [2, 3] times [2, 3]' }, { run: () => matmul(zeros([]), zeros([2])), error: ShapeError, message: '[matmul] operands [] and [2]: neither may be a scalar' },
      { run: () => matmul(zeros([2, 2, 3]), zeros([3, 3, 2])), error: ShapeError, message: '[matmul] shapes [2] and [3] do not broadcast' }, { run: () => matmul(tensor([true]), tensor([true])), error: DTypeError, message: '[matmul] operands are bool; cast them' },
    ],
  },
  linear: {
    samples: ([[[2, 3], [4, 3]], [[3], [2, 3]], [[2, 2, 3], [1, 3]], [[0, 3], [2, 3]], [[31, 33], [35, 33]]] as const).map(([x, weight]) => ({ name: text(x, weight), inputs: [spread(x, -2, 2), spread(weight, -2, 2, 1)], run: linear, want: (a, b) => product(a, build([b.shape[1]!, b.shape[0]!], ([i, j]) => at(b, [j!, i!]))), forwardOnly: x[0] > 30 })),
    ulps: 4, absolute: 2e-5, gradientError: 1e-5,
    errors: [{ run: () => linear(zeros([2, 3]), zeros([3, 4])), error: ShapeError, message: '[linear] x [2, 3] and weight [3, 4]: the weight must be [out, 3]' }, { run: () => linear(zeros([]), zeros([3, 4])), error: ShapeError, message: '[linear] x [] and weight [3, 4]: the weight must be [out, in]' }, { run: () => linear(tensor([true]), tensor([[true]])), error: DTypeError, message: '[linear] operands are bool; cast them' }],
  },
  conv2d: {
    samples: [...WINDOWS, ...LONG_WINDOWS].map(([shape, window]) => ({
      name: windowName(shape, window), inputs: [spread(shape, -2, 2), spread([3, ...window.kernel, shape[3]!], -2, 2, 1)], run: (x, weight) => conv2d(x, weight, options(window)), want: (x, weight) => convolved(x, weight, options(window)), forwardOnly: sizeOf(shape) > 100,
    })),
    ulps: 4, absolute: 3e-5, gradientError: 1e-5,
    errors: [
      { run: () => conv2d(zeros([1, 3, 3, 2]), zeros([1, 2, 2, 3])), error: ShapeError, message: '[conv2d] x [1, 3, 3, 2] and weight [1, 2, 2, 3]; they must be [N, H, W, C] and [O, kernelH, kernelW, C]' },
      { run: () => conv2d(zeros([1, 3, 3, 2]), zeros([1, 4, 4, 2])), error: ShapeError, message: '[conv2d] a window of 4 x 4 does not fit into 3 x 3 with padding 0 x 0' }, { run: () => conv2d(zeros([1, 3, 3, 1]), zeros([1, 2, 2, 1]), { stride: -1 }), error: ValueError, message: '[conv2d] stride -1 x -1; whole numbers from 1 on are allowed' },
    ],
  },
  conv1d: {
    samples: ([[[2, 5, 2], 3, {}], [[1, 7, 1], 2, { stride: 2, padding: 1 }], [[1, 9, 2], 3, { dilation: 2, padding: 2 }], [[2, 129, 7], 5, { padding: 2 }]] as const).map(([shape, kernel, given]) => ({
      name: `${text(shape)} ${JSON.stringify({ kernel, ...given })}`, inputs: [spread(shape, -2, 2), spread([3, kernel, shape[2]], -2, 2, 1)], run: (x, weight) => conv1d(x, weight, given),
      want: (x, weight) => {
        const { stride = 1, padding = 0, dilation = 1 } = given as { stride?: number; padding?: number; dilation?: number };
        const image = convolved(values([shape[0], 1, shape[1], shape[2]], x.data), values([3, 1, kernel, shape[2]], weight.data), { stride: [1, stride], padding: [0, padding], dilation: [1, dilation] });
        return values([shape[0], image.shape[2]!, 3], image.data);
      },
      forwardOnly: shape[1] > 100,
    })),
    ulps: 4, absolute: 3e-5, gradientError: 1e-5,
    errors: [{ run: () => conv1d(zeros([1, 3, 2]), zeros([1, 2, 3])), error: ShapeError, message: '[conv1d] x [1, 3, 2] and weight [1, 2, 3]; they must be [N, L, C] and [O, kernel, C]' }],
  },
  unfold: { samples: windowed((x, { kernel, ...rest }) => unfold(x, kernel, rest), patches), errors: badWindow('unfold', (x, kernel, rest) => unfold(x, kernel, rest)) },
  avgPool2d: { samples: windowed((x, { kernel, ...rest }) => avgPool2d(x, kernel, { stride: 1, ...rest }), (x, window) => pooled(x, window, average)), ulps: 2, absolute: 1e-6, errors: badWindow('avgPool2d', (x, kernel, rest) => avgPool2d(x, kernel, rest)), exact: [exact('int32 gives float32', () => avgPool2d(int([1, 2, 3, 5], [1, 2, 2, 1]), 2), 'float32', [1, 1, 1, 1], [2.75])] },
  maxPool2d: {
    samples: windowed((x, { kernel, ...rest }) => maxPool2d(x, kernel, { stride: 1, ...rest }), (x, window) => pooled(x, window, largest)),
    exact: [
      exact('its windows do not overlap by default', () => maxPool2d(tensor([1, 2, 3, 4, 5, 6, 7, 8], { shape: [1, 2, 4, 1] }), 2), 'float32', [1, 1, 2, 1], [6, 8]), exact('all negative beside padding', () => maxPool2d(tensor([-3, -2], { shape: [1, 1, 2, 1] }), [1, 2], { padding: [0, 1] }), 'float32', [1, 1, 2, 1], [-3, -2]),
      exact('NaN wins', () => maxPool2d(tensor([1, NaN, 3, Infinity], { shape: [1, 2, 2, 1] }), 2), 'float32', [1, 1, 1, 1], [NaN]), exact('-Infinity only', () => maxPool2d(tensor([-Infinity, -Infinity], { shape: [1, 1, 2, 1] }), [1, 2]), 'float32', [1, 1, 1, 1], [-Infinity]),
      exact('int32', () => maxPool2d(int([1, 9, 3, 4], [1, 2, 2, 1]), 2), 'int32', [1, 1, 1, 1], [9]),
    ],
    errors: [
      ...badWindow('maxPool2d', (x, kernel, rest) => maxPool2d(x, kernel, rest)),
      { run: () => maxPool2d(zeros([1, 3, 3, 1]), 2, { padding: 2 }), error: ValueError, message: '[maxPool2d] padding 2 x 2 leaves a window without any element of 3 x 3, and so without a largest one' },
      { run: () => maxPool2d(zeros([1, 1, 1, 1]), 2, { padding: 1, dilation: 2 }), error: ValueError, message: '[maxPool2d] padding 1 x 1 leaves a window without any element of 1 x 1, and so without a largest one' },
    ],
  },
} satisfies Record<string, OpInfo>;

const outside = (name: string, run: (index: number) => unknown): OpInfo['errors'] & object => [3, -4].map((index) => ({ run: () => run(index), error: ValueError, message: `[${name}] index 0 is ${index}; allowed are [-3, 3)` }));

export const indexingInfo = {
  take: {
    samples: [
      { name: 'rows, one of them twice', inputs: [spread([3, 2], -3, 3)], run: (x) => take(x, [2, 0, 2]), want: (x) => build([3, 2], ([i, j]) => at(x, [[2, 0, 2][i!]!, j!])) }, { name: 'a matrix of positions along -1', inputs: [spread([2, 3], -3, 3)], run: (x) => take(x, [[0, -1], [1, 1]], -1), want: (x) => build([2, 2, 2], ([i, a, b]) => at(x, [i!, [[0, 2], [1, 1]][a!]![b!]!])) },
      { name: 'one', inputs: [spread([3], -3, 3)], run: (x) => take(x, 1), want: (x) => values([], [x.data[1]!]) }, { name: 'none', inputs: [spread([3, 2], -3, 3)], run: (x) => take(x, []), want: () => values([0, 2], []) },
      { name: '[131,9], an int32 tensor', inputs: [spread([131, 9], -3, 3)], run: (x) => take(x, tensor(Int32Array.from([130, 0, 7, 7, 64]))), want: (x) => build([5, 9], ([i, j]) => at(x, [[130, 0, 7, 7, 64][i!]!, j!])), forwardOnly: true },
      { name: 'the middle axis, bytes', inputs: [spread([2, 4, 3], -3, 3)], run: (x) => take(x, Uint8Array.from([3, 3, 1]), 1), want: (x) => build([2, 3, 3], ([i, j, k]) => at(x, [i!, [3, 3, 1][j!]!, k!])) },
    ],
    exact: [exact('int32', () => take(int([5, 6, 7]), [2, 0]), 'int32', [2], [7, 5]), exact('bool', () => take(tensor([true, false]), [1, 0, 0]), 'bool', [3], [0, 1, 1])],
    errors: [...outside('take', (index) => take(zeros([3]), [index])), { run: () => take(zeros([3]), tensor([0.5])), error: DTypeError, message: '[take] indices are float32; they must be int32' }, { run: () => take(zeros([3]), [0.5]), error: ValueError, message: 'element 0 is 0.5; int32 holds whole numbers' }, { run: () => take(zeros([3]), [0], 1), error: ShapeError, message: '[take] axis 1 is outside [-1, 1)' }, { run: () => take(zeros([]), [0]), error: ShapeError, message: '[take] axis 0 of a scalar: it has no axes' }],
  },
  embedding: {
    samples: [{ name: '[5,3], ids [2,2]', inputs: [spread([5, 3], -3, 3)], run: (x) => embedding(x, [[4, 0], [4, 1]]), want: (x) => build([2, 2, 3], ([a, b, j]) => at(x, [[[4, 0], [4, 1]][a!]![b!]!, j!])) }],
    errors: [{ run: () => embedding(zeros([3]), [0]), error: ShapeError, message: '[embedding] the table is [3]; it must be [count, width]' }],
  },
  gather: {
    samples: [
      { name: '[3,2] along 0', inputs: [spread([3, 2], -3, 3)], run: (x) => gather(x, [[2, 0], [2, 1]], 0), want: (x) => build([2, 2], ([i, j]) => at(x, [[[2, 0], [2, 1]][i!]![j!]!, j!])) }, { name: '[2,3] along -1, negative', inputs: [spread([2, 3], -3, 3)], run: (x) => gather(x, [[-1], [0]], -1), want: (x) => values([2, 1], [at(x, [0, 2]), at(x, [1, 0])]) },
      { name: '[4,33,2] along 1', inputs: [spread([4, 33, 2], -3, 3)], run: (x) => gather(x, along(4, 2), 1), want: (x) => build([4, 1, 2], ([i, , k]) => at(x, [i!, (7 * i! + k!) % 33, k!])), forwardOnly: true },
    ],
    errors: [...outside('gather', (index) => gather(zeros([3]), [index], 0)), { run: () => gather(zeros([2, 3]), [[0]], 1), error: ShapeError, message: '[gather] indices [1, 1] for x [2, 3]; all axes but axis 1 must agree' }, { run: () => gather(zeros([2, 3]), [0], 1), error: ShapeError, message: '[gather] indices [1] for x [2, 3]; all axes but axis 1 must agree' }],
  },
  scatterAdd: {
    samples: [
      { name: 'several onto one', inputs: [spread([3, 2], -3, 3), spread([4, 2], -3, 3, 1)], run: (x, updates) => scatterAdd(x, [[0, 0], [2, 0], [0, 1], [-1, 0]], updates, 0), want: (x, updates) => build([3, 2], ([i, j]) => at(x, [i!, j!]) + total([[0, 0], [2, 0], [0, 1], [2, 0]].map((row, u) => (row[j!] === i ? at(updates, [u, j!]) : 0)))) },
      { name: 'nothing', inputs: [spread([3], -3, 3), spread([0], 0, 1)], run: (x, updates) => scatterAdd(x, [], updates, 0), want: (x) => x },
    ],
    ulps: 2, absolute: 5e-7, storage: 1,
    errors: [...outside('scatterAdd', (index) => scatterAdd(zeros([3]), [index], zeros([1]), 0)), { run: () => scatterAdd(zeros([3]), [0, 1], zeros([1]), 0), error: ShapeError, message: '[scatterAdd] indices [2] and updates [1] for x [3]; all axes but axis 0 must agree' }],
  },
  oneHot: {
    samples: [{ name: 'as a mask', inputs: [spread([2, 3], -3, 3)], run: (x) => x.mul(oneHot([1, 2], 3, x.dtype)), want: (x) => build([2, 3], ([i, j]) => (j === [1, 2][i!] ? at(x, [i!, j!]) : 0)) }],
    exact: [exact('outside is zeros', () => oneHot([0, -1, 3, 2], 3), 'float32', [4, 3], [1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]), exact('int32', () => oneHot(1, 2, 'int32'), 'int32', [2], [0, 1]), exact('no classes', () => oneHot([1], 0), 'float32', [1, 0], [])],
    errors: [{ run: () => oneHot([0], -1), error: ValueError, message: '[oneHot] depth -1; it must be a non-negative integer' }, { run: () => oneHot(tensor([0]), 2), error: DTypeError, message: '[oneHot] indices are float32; they must be int32' }],
  },
} satisfies Record<string, OpInfo>;

/** Positions [rows, 1, columns] for the longer gather. */
const along = (rows: number, columns: number): number[][][] => range(rows).map((i) => [range(columns).map((k) => (7 * i + k) % 33)]);

import { avgPool2d, maxPool2d, ShapeError, tensor, type Tensor, unfold, ValueError, zeros } from 'tapegrad';
import { at, average, build, range, sizeOf, spread, type Values } from '../reference.js';
import { exact, int, type OpInfo, type Sample, text } from './info.js';

export interface Window {
  kernel: [number, number];
  stride?: [number, number];
  padding?: [number, number];
  dilation?: [number, number];
}

/** Without the window's size, and with the zeros after each axis where those are others than before it. */
export interface Further extends Omit<Window, 'kernel'> {
  after?: [number, number];
}

/** The elements of channel c that each window sees; null in the padding. */
export function windows(
  x: Values,
  { kernel: [kh, kw], stride = [1, 1], padding = [0, 0], after = padding, dilation = [1, 1] }: Window & Further,
): { out: [number, number]; see: (n: number, oh: number, ow: number, c: number) => (number | null)[] } {
  const [, height, width] = x.shape as [number, number, number, number];
  const count = (size: number, k: number, axis: 0 | 1): number =>
    Math.floor((size + padding[axis] + after[axis] - dilation[axis] * (k - 1) - 1) / stride[axis]) + 1;
  return {
    out: [count(height, kh, 0), count(width, kw, 1)],
    see: (n, oh, ow, c) =>
      range(kh).flatMap((i) =>
        range(kw).map((j) => {
          const [h, w] = [oh * stride[0] - padding[0] + i * dilation[0], ow * stride[1] - padding[1] + j * dilation[1]];
          return h >= 0 && h < height && w >= 0 && w < width ? at(x, [n, h, w, c]) : null;
        }),
      ),
  };
}

export const pooled = (x: Values, window: Window, f: (seen: (number | null)[]) => number): Values => {
  const { out, see } = windows(x, window);
  return build([x.shape[0]!, ...out, x.shape[3]!], ([n, oh, ow, c]) => f(see(n!, oh!, ow!, c!)));
};
const patches = (x: Values, window: Window): Values => {
  const { out, see } = windows(x, window);
  return build(
    [x.shape[0]!, ...out, ...window.kernel, x.shape[3]!],
    ([n, oh, ow, i, j, c]) => see(n!, oh!, ow!, c!)[i! * window.kernel[1] + j!] ?? 0,
  );
};
export const largest = (seen: (number | null)[]): number => Math.max(...seen.map((value) => value ?? -Infinity));
export const averageSeen = (seen: (number | null)[]): number => average(seen.map((value) => value ?? 0));

export const WINDOWS: readonly (readonly [shape: readonly number[], window: Window])[] = [
  [[1, 4, 4, 1], { kernel: [2, 2] }],
  [[2, 5, 4, 2], { kernel: [3, 2], stride: [2, 1], padding: [1, 1] }],
  [[1, 6, 5, 2], { kernel: [2, 2], dilation: [3, 2] }],
  [[1, 1, 7, 1], { kernel: [1, 3], stride: [1, 2] }],
  [[0, 3, 3, 1], { kernel: [2, 2] }],
  [[1, 3, 3, 2], { kernel: [1, 1] }],
];
export const LONG_WINDOWS: typeof WINDOWS = [
  [[3, 17, 13, 5], { kernel: [3, 3], padding: [1, 1] }],
  [[2, 9, 11, 9], { kernel: [3, 2], stride: [2, 3], padding: [1, 0], dilation: [2, 1] }],
];
export const options = ({ kernel: _, ...rest }: Window): Omit<Window, 'kernel'> => rest;
export const windowName = (shape: readonly number[], window: Window): string =>
  `${text(shape)} ${JSON.stringify(window)}`;
const windowed = (run: (x: Tensor, window: Window) => Tensor, want: (x: Values, window: Window) => Values): Sample[] =>
  [...WINDOWS, ...LONG_WINDOWS].map(([shape, window]) => ({
    name: windowName(shape, window),
    inputs: [spread(shape, -3, 3)],
    run: (x) => run(x, window),
    want: (x) => want(x, window),
    forwardOnly: sizeOf(shape) > 100,
  }));
const badWindow = (
  name: string,
  run: (x: Tensor, kernel: number, options: object) => unknown,
): OpInfo['errors'] & object => [
  {
    run: () => run(zeros([3, 3]), 2, {}),
    error: ShapeError,
    message: `[${name}] x is [3, 3]; it must be [N, H, W, C]`,
  },
  {
    run: () => run(zeros([1, 3, 3, 1]), 0, {}),
    error: ValueError,
    message: `[${name}] kernel 0 x 0; whole numbers from 1 on are allowed`,
  },
  {
    run: () => run(zeros([1, 3, 3, 1]), 2, { stride: 0 }),
    error: ValueError,
    message: `[${name}] stride 0 x 0; whole numbers from 1 on are allowed`,
  },
  {
    run: () => run(zeros([1, 3, 3, 1]), 2, { padding: -1 }),
    error: ValueError,
    message: `[${name}] padding -1 x -1; whole numbers from 0 on are allowed`,
  },
  {
    run: () => run(zeros([1, 3, 3, 1]), 2, { dilation: [1, 1.5] }),
    error: ValueError,
    message: `[${name}] dilation 1 x 1.5; whole numbers from 1 on are allowed`,
  },
  {
    run: () => run(zeros([1, 3, 3, 1]), 4, {}),
    error: ShapeError,
    message: `[${name}] a window of 4 x 4 does not fit into 3 x 3 with padding 0 x 0`,
  },
];

export const windowInfo = {
  unfold: {
    samples: windowed((x, { kernel, ...rest }) => unfold(x, kernel, rest), patches),
    errors: badWindow('unfold', (x, kernel, rest) => unfold(x, kernel, rest)),
  },
  avgPool2d: {
    samples: windowed(
      (x, { kernel, ...rest }) => avgPool2d(x, kernel, { stride: 1, ...rest }),
      (x, window) => pooled(x, window, averageSeen),
    ),
    ulps: 2,
    absolute: 1e-6,
    errors: badWindow('avgPool2d', (x, kernel, rest) => avgPool2d(x, kernel, rest)),
    exact: [
      exact(
        'int32 gives float32',
        () => avgPool2d(int([1, 2, 3, 5], [1, 2, 2, 1]), 2),
        'float32',
        [1, 1, 1, 1],
        [2.75],
      ),
    ],
  },
  maxPool2d: {
    samples: windowed(
      (x, { kernel, ...rest }) => maxPool2d(x, kernel, { stride: 1, ...rest }),
      (x, window) => pooled(x, window, largest),
    ),
    exact: [
      exact(
        'its windows do not overlap by default',
        () => maxPool2d(tensor([1, 2, 3, 4, 5, 6, 7, 8], { shape: [1, 2, 4, 1] }), 2),
        'float32',
        [1, 1, 2, 1],
        [6, 8],
      ),
      exact(
        'all negative beside padding',
        () => maxPool2d(tensor([-3, -2], { shape: [1, 1, 2, 1] }), [1, 2], { padding: [0, 1] }),
        'float32',
        [1, 1, 2, 1],
        [-3, -2],
      ),
      exact(
        'NaN wins',
        () => maxPool2d(tensor([1, NaN, 3, Infinity], { shape: [1, 2, 2, 1] }), 2),
        'float32',
        [1, 1, 1, 1],
        [NaN],
      ),
      exact(
        '-Infinity only',
        () => maxPool2d(tensor([-Infinity, -Infinity], { shape: [1, 1, 2, 1] }), [1, 2]),
        'float32',
        [1, 1, 1, 1],
        [-Infinity],
      ),
      exact('int32', () => maxPool2d(int([1, 9, 3, 4], [1, 2, 2, 1]), 2), 'int32', [1, 1, 1, 1], [9]),
    ],
    errors: [
      ...badWindow('maxPool2d', (x, kernel, rest) => maxPool2d(x, kernel, rest)),
      {
        run: () => maxPool2d(zeros([1, 3, 3, 1]), 2, { padding: 2 }),
        error: ValueError,
        message: '[maxPool2d] padding 2 x 2 leaves a window without any element of 3 x 3, and so without a largest one',
      },
      {
        run: () => maxPool2d(zeros([1, 1, 1, 1]), 2, { padding: 1, dilation: 2 }),
        error: ValueError,
        message: '[maxPool2d] padding 1 x 1 leaves a window without any element of 1 x 1, and so without a largest one',
      },
    ],
  },
} satisfies Record<string, OpInfo>;

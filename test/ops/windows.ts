import {
  avgPool2d,
  conv1d,
  conv2d,
  maxPool2d,
  ShapeError,
  tensor,
  type Tensor,
  unfold,
  ValueError,
  zeros,
} from 'tapegrad';
import { at, average, build, range, sizeOf, spread, total, type Values, values } from '../reference.js';
import { exact, int, type OpInfo, type Sample, text } from './info.js';

interface Window {
  kernel: [number, number];
  stride?: [number, number];
  padding?: [number, number];
  dilation?: [number, number];
}

/** The elements of channel c that each window sees; null in the padding. */
function windows(
  x: Values,
  { kernel: [kh, kw], stride = [1, 1], padding = [0, 0], dilation = [1, 1] }: Window,
): { out: [number, number]; see: (n: number, oh: number, ow: number, c: number) => (number | null)[] } {
  const [, height, width] = x.shape as [number, number, number, number];
  const count = (size: number, k: number, axis: 0 | 1): number =>
    Math.floor((size + 2 * padding[axis] - dilation[axis] * (k - 1) - 1) / stride[axis]) + 1;
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

function convolved(x: Values, weight: Values, window: Omit<Window, 'kernel'> = {}): Values {
  const { out, see } = windows(x, { kernel: [weight.shape[1]!, weight.shape[2]!], ...window });
  return build([x.shape[0]!, ...out, weight.shape[0]!], ([n, oh, ow, o]) =>
    total(
      range(x.shape[3]!).map((c) =>
        total(
          see(n!, oh!, ow!, c).map((value, p) => {
            const [i, j] = [Math.floor(p / weight.shape[2]!), p % weight.shape[2]!];
            return (value ?? 0) * at(weight, [o!, i, j, c]);
          }),
        ),
      ),
    ),
  );
}

const pooled = (x: Values, window: Window, f: (seen: (number | null)[]) => number): Values => {
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
const largest = (seen: (number | null)[]): number => Math.max(...seen.map((value) => value ?? -Infinity));
const averageSeen = (seen: (number | null)[]): number => average(seen.map((value) => value ?? 0));

const WINDOWS: readonly (readonly [shape: readonly number[], window: Window])[] = [
  [[1, 4, 4, 1], { kernel: [2, 2] }],
  [[2, 5, 4, 2], { kernel: [3, 2], stride: [2, 1], padding: [1, 1] }],
  [[1, 6, 5, 2], { kernel: [2, 2], dilation: [3, 2] }],
  [[1, 1, 7, 1], { kernel: [1, 3], stride: [1, 2] }],
  [[0, 3, 3, 1], { kernel: [2, 2] }],
  [[1, 3, 3, 2], { kernel: [1, 1] }],
];
const LONG_WINDOWS: typeof WINDOWS = [
  [[3, 17, 13, 5], { kernel: [3, 3], padding: [1, 1] }],
  [[2, 9, 11, 9], { kernel: [3, 2], stride: [2, 3], padding: [1, 0], dilation: [2, 1] }],
];
const options = ({ kernel: _, ...rest }: Window): Omit<Window, 'kernel'> => rest;
const windowName = (shape: readonly number[], window: Window): string => `${text(shape)} ${JSON.stringify(window)}`;
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
  conv2d: {
    samples: [...WINDOWS, ...LONG_WINDOWS].map(([shape, window]) => ({
      name: windowName(shape, window),
      inputs: [spread(shape, -2, 2), spread([3, ...window.kernel, shape[3]!], -2, 2, 1)],
      run: (x, weight) => conv2d(x, weight, options(window)),
      want: (x, weight) => convolved(x, weight, options(window)),
      forwardOnly: sizeOf(shape) > 100,
    })),
    ulps: 4,
    absolute: 3e-5,
    gradientError: 1e-5,
    errors: [
      {
        run: () => conv2d(zeros([1, 3, 3, 2]), zeros([1, 2, 2, 3])),
        error: ShapeError,
        message:
          '[conv2d] x [1, 3, 3, 2] and weight [1, 2, 2, 3]; they must be [N, H, W, C] and [O, kernelH, kernelW, C]',
      },
      {
        run: () => conv2d(zeros([1, 3, 3, 2]), zeros([1, 4, 4, 2])),
        error: ShapeError,
        message: '[conv2d] a window of 4 x 4 does not fit into 3 x 3 with padding 0 x 0',
      },
      {
        run: () => conv2d(zeros([1, 3, 3, 1]), zeros([1, 2, 2, 1]), { stride: -1 }),
        error: ValueError,
        message: '[conv2d] stride -1 x -1; whole numbers from 1 on are allowed',
      },
    ],
  },
  conv1d: {
    samples: (
      [
        [[2, 5, 2], 3, {}],
        [[1, 7, 1], 2, { stride: 2, padding: 1 }],
        [[1, 9, 2], 3, { dilation: 2, padding: 2 }],
        [[2, 129, 7], 5, { padding: 2 }],
      ] as const
    ).map(([shape, kernel, given]) => ({
      name: `${text(shape)} ${JSON.stringify({ kernel, ...given })}`,
      inputs: [spread(shape, -2, 2), spread([3, kernel, shape[2]], -2, 2, 1)],
      run: (x, weight) => conv1d(x, weight, given),
      want: (x, weight) => {
        const {
          stride = 1,
          padding = 0,
          dilation = 1,
        } = given as { stride?: number; padding?: number; dilation?: number };
        const image = convolved(
          values([shape[0], 1, shape[1], shape[2]], x.data),
          values([3, 1, kernel, shape[2]], weight.data),
          {
            stride: [1, stride],
            padding: [0, padding],
            dilation: [1, dilation],
          },
        );
        return values([shape[0], image.shape[2]!, 3], image.data);
      },
      forwardOnly: shape[1] > 100,
    })),
    ulps: 4,
    absolute: 3e-5,
    gradientError: 1e-5,
    errors: [
      {
        run: () => conv1d(zeros([1, 3, 2]), zeros([1, 2, 3])),
        error: ShapeError,
        message: '[conv1d] x [1, 3, 2] and weight [1, 2, 3]; they must be [N, L, C] and [O, kernel, C]',
      },
    ],
  },
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

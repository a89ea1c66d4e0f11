import {
  conv1d,
  type Conv1dOptions,
  conv2d,
  convTranspose1d,
  type ConvTranspose1dOptions,
  convTranspose2d,
  DTypeError,
  ShapeError,
  tensor,
  type Tensor,
  ValueError,
  zeros,
} from 'tapegrad';
import { at, build, positions, range, sizeOf, spread, total, type Values, values } from '../reference.js';
import { exact, int, type OpInfo, type Sample, text } from './info.js';
import { type Further, LONG_WINDOWS, options, windowName, windows, WINDOWS } from './windows.js';

/** Groups of channels of the operands and of the result. */
interface Grouped extends Further {
  groups?: number;
}

function convolved(x: Values, weight: Values, { groups = 1, ...window }: Grouped = {}): Values {
  const [outChannels, kh, kw, own] = weight.shape as [number, number, number, number];
  const { out, see } = windows(x, { kernel: [kh, kw], ...window });
  return build([x.shape[0]!, ...out, outChannels], ([n, oh, ow, o]) => {
    const first = Math.floor((o! * groups) / outChannels) * own;
    return total(
      range(own).map((c) =>
        total(
          see(n!, oh!, ow!, first + c).map(
            (value, p) => (value ?? 0) * at(weight, [o!, Math.floor(p / kw), p % kw, c]),
          ),
        ),
      ),
    );
  });
}

interface Transposed extends Grouped {
  more?: [number, number];
}

/** Each element's window of weights, added to the result: no convolution turned round. */
function spreadOut(
  x: Values,
  weight: Values,
  { stride = [1, 1], padding = [0, 0], dilation = [1, 1], more = [0, 0], groups = 1 }: Transposed = {},
): Values {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const [outChannels, kh, kw, own] = weight.shape as [number, number, number, number];
  const size = (count: number, k: number, axis: 0 | 1): number =>
    (count - 1) * stride[axis] - 2 * padding[axis] + dilation[axis] * (k - 1) + more[axis] + 1;
  const shape = [batch, size(height, kh, 0), size(width, kw, 1), outChannels];
  const parts = range(sizeOf(shape)).map((): number[] => []);
  for (const [n, h, w, c] of positions([batch, height, width, channels]) as [number, number, number, number][])
    for (const [i, j, o] of positions([kh, kw, outChannels / groups]) as [number, number, number][]) {
      const place = [
        h * stride[0] - padding[0] + i * dilation[0],
        w * stride[1] - padding[1] + j * dilation[1],
      ] as const;
      if (place[0] < 0 || place[0] >= shape[1]! || place[1] < 0 || place[1] >= shape[2]!) continue;
      const to = Math.floor(c / own) * (outChannels / groups) + o;
      parts[((n * shape[1]! + place[0]) * shape[2]! + place[1]) * outChannels + to]!.push(
        at(x, [n, h, w, c]) * at(weight, [to, i, j, c % own]),
      );
    }
  return values(shape, parts.map(total));
}

/** Groups, depthwise ones among them, with every kind of step between the places of a window. */
const GROUPED: readonly (readonly [shape: readonly number[], weight: readonly number[], given: Grouped])[] = [
  [[2, 3, 4, 4], [6, 2, 2, 2], { groups: 2 }],
  [[1, 4, 3, 6], [3, 2, 3, 2], { groups: 3, padding: [1, 1], stride: [2, 1] }],
  [[2, 4, 3, 3], [3, 3, 2, 1], { groups: 3, padding: [1, 0] }],
  [[1, 5, 5, 2], [6, 2, 2, 1], { groups: 2, stride: [2, 3], padding: [1, 1], dilation: [2, 1] }],
  [[1, 9, 1, 5], [5, 4, 1, 1], { groups: 5, stride: [3, 1], dilation: [2, 1], padding: [4, 0] }],
  [[1, 8, 3, 2], [2, 3, 1, 1], { groups: 2, stride: [2, 1], dilation: [4, 1], padding: [3, 0] }],
  [[0, 3, 3, 2], [2, 2, 2, 1], { groups: 2 }],
  [[1, 2, 2, 2], [2, 1, 1, 1], { groups: 2 }],
  [[2, 13, 11, 37], [37, 5, 4, 1], { groups: 37, padding: [2, 2], stride: [1, 2] }],
  [[3, 1, 65, 16], [16, 1, 31, 1], { groups: 16, padding: [0, 15] }],
  [[2, 7, 6, 24], [16, 3, 3, 3], { groups: 8, padding: [1, 1] }],
];
/** Results and images wide enough for the CPU to read float32 patches where they lie. */
const WIDE: typeof GROUPED = [
  [[1, 4, 5, 4], [5, 2, 3, 4], { groups: 1, padding: [1, 1] }],
  [[2, 3, 6, 2], [4, 2, 2, 2], { groups: 1, dilation: [1, 2] }],
];
const samplesOf = (
  list: typeof GROUPED,
  run: (x: Tensor, weight: Tensor, given: Grouped) => Tensor,
  want: (x: Values, weight: Values, given: Grouped) => Values,
): Sample[] =>
  list.map(([shape, weight, given]) => ({
    name: `${text(shape, weight)} ${JSON.stringify(given)}`,
    inputs: [spread(shape, -2, 2), spread(weight, -2, 2, 1)],
    run: (x, w) => run(x, w, given),
    want: (x, w) => want(x, w, given),
    forwardOnly: sizeOf(shape) > 100,
  }));

/** Sequences as images of height 1. */
const flat =
  (image: (x: Values, weight: Values) => Values): ((x: Values, weight: Values) => Values) =>
  (x, weight) => {
    const upright = ({ shape, data }: Values): Values => values([shape[0]!, 1, ...shape.slice(1)], data);
    const { shape, data } = image(upright(x), upright(weight));
    return values([shape[0]!, shape[2]!, shape[3]!], data);
  };

/** The zeros before and after a sequence. */
function endsOf({ padding = 0, dilation = 1 }: Conv1dOptions, kernel: number): [before: number, after: number] {
  if (typeof padding === 'number') return [padding, padding];
  const all = dilation * (kernel - 1);
  return padding === 'causal' ? [all, 0] : [Math.floor(all / 2), all - Math.floor(all / 2)];
}

const TRANSPOSED: readonly (readonly [shape: readonly number[], weight: readonly number[], given: Transposed])[] = [
  [[1, 2, 3, 2], [3, 2, 2, 2], {}],
  [[2, 3, 2, 2], [2, 3, 2, 2], { stride: [2, 1], padding: [1, 0] }],
  [[1, 3, 3, 1], [2, 3, 3, 1], { stride: [2, 3], padding: [1, 1], more: [1, 2] }],
  [[1, 3, 2, 2], [1, 2, 2, 2], { stride: [1, 2], dilation: [3, 2], padding: [1, 0], more: [2, 1] }],
  [[1, 2, 2, 4], [6, 2, 2, 2], { groups: 2, stride: [2, 2], padding: [0, 1], more: [1, 1] }],
  [[2, 3, 2, 3], [3, 3, 2, 1], { groups: 3, stride: [2, 1], padding: [1, 0], more: [1, 0] }],
  [[1, 4, 1, 2], [4, 3, 1, 1], { groups: 2, stride: [3, 1], dilation: [2, 1], more: [2, 0] }],
  [[1, 2, 2, 1], [1, 1, 1, 1], { stride: [3, 3] }],
  [[0, 2, 2, 1], [1, 2, 2, 1], {}],
  [[2, 9, 7, 5], [6, 4, 3, 5], { stride: [2, 2], padding: [1, 1], more: [1, 0] }],
  [[2, 1, 33, 20], [20, 1, 7, 1], { groups: 20, stride: [1, 2], padding: [0, 3], more: [0, 1] }],
];

const refusals = (
  op: string,
  run: (x: Tensor, weight: Tensor, given: object) => unknown,
): OpInfo['errors'] & object => [
  {
    run: () => run(zeros([1, 3, 3, 4]), zeros([4, 2, 2, 4]), { groups: 2 }),
    error: ShapeError,
    message: `[${op}] x [1, 3, 3, 4] and weight [4, 2, 2, 4]; they must be [N, H, W, C] and [O, kernelH, kernelW, C / 2], C and O multiples of the 2 groups`,
  },
  {
    run: () => run(zeros([1, 3, 3, 4]), zeros([3, 2, 2, 2]), { groups: 2 }),
    error: ShapeError,
    message: `[${op}] x [1, 3, 3, 4] and weight [3, 2, 2, 2]; they must be`,
  },
  {
    run: () => run(zeros([1, 3, 3, 4]), zeros([4, 2, 2, 4]), { groups: 0 }),
    error: ValueError,
    message: `[${op}] groups is 0; it must be a whole number, at least 1`,
  },
  {
    run: () => run(tensor([true]).reshape([1, 1, 1, 1]), tensor([true]).reshape([1, 1, 1, 1]), {}),
    error: DTypeError,
    message: `[${op}] operands are bool; cast them`,
  },
];

const TOLERANCE = { ulps: 4, absolute: 3e-5, gradientError: 1e-5 } as const;

export const convolutionInfo = {
  conv2d: {
    samples: [
      ...[...WINDOWS, ...LONG_WINDOWS].map(([shape, window]): Sample => ({
        name: windowName(shape, window),
        inputs: [spread(shape, -2, 2), spread([3, ...window.kernel, shape[3]!], -2, 2, 1)],
        run: (x, weight) => conv2d(x, weight, options(window)),
        want: (x, weight) => convolved(x, weight, options(window)),
        forwardOnly: sizeOf(shape) > 100,
      })),
      ...samplesOf([...GROUPED, ...WIDE], (x, weight, given) => conv2d(x, weight, given), convolved),
      {
        name: "'same' with an even window",
        inputs: [spread([1, 4, 3, 2], -2, 2), spread([2, 2, 4, 1], -2, 2, 1)],
        run: (x, weight) => conv2d(x, weight, { padding: 'same', groups: 2 }),
        want: (x, weight) => convolved(x, weight, { padding: [0, 1], after: [1, 2], groups: 2 }),
      },
    ],
    ...TOLERANCE,
    exact: [
      exact(
        'int32, each channel by itself, wraps around',
        () => conv2d(int([65537, 2], [1, 1, 1, 2]), int([65537, -3], [2, 1, 1, 1]), { groups: 2 }),
        'int32',
        [1, 1, 1, 2],
        [131073, -6],
      ),
    ],
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
      ...refusals('conv2d', (x, weight, given) => conv2d(x, weight, given)),
    ],
  },
  conv1d: {
    samples: (
      [
        [[2, 5, 2], 3, {}],
        [[1, 7, 1], 2, { stride: 2, padding: 1 }],
        [[1, 9, 2], 3, { dilation: 2, padding: 2 }],
        [[1, 6, 2], 4, { padding: 'same' }],
        [[1, 6, 2], 2, { padding: 'same', dilation: 3 }],
        [[2, 6, 2], 3, { padding: 'causal', dilation: 2 }],
        [[1, 7, 2], 4, { padding: 'causal', stride: 3 }],
        [[2, 6, 3], 3, { padding: 'causal', groups: 3 }],
        [[1, 6, 6], 2, { padding: 'same', groups: 3 }],
        [[2, 129, 7], 5, { padding: 2 }],
        [[2, 70, 9], 31, { padding: 'same', groups: 3 }],
      ] as [[number, number, number], number, Conv1dOptions][]
    ).map(([shape, kernel, given]) => ({
      name: `${text(shape)} ${JSON.stringify({ kernel, ...given })}`,
      inputs: [spread(shape, -2, 2), spread([3, kernel, shape[2] / (given.groups ?? 1)], -2, 2, 1)],
      run: (x, weight) => conv1d(x, weight, given),
      want: flat((x, weight) => {
        const { stride = 1, dilation = 1, groups = 1 } = given;
        const [before, after] = endsOf(given, kernel);
        return convolved(x, weight, {
          stride: [1, stride],
          padding: [0, before],
          after: [0, after],
          dilation: [1, dilation],
          groups,
        });
      }),
      forwardOnly: shape[1] > 50,
    })),
    ...TOLERANCE,
    exact: [
      exact(
        'causal: nothing sees what comes after it',
        () => conv1d(tensor([[[1], [2], [NaN]]]), tensor([[[10], [1]]]), { padding: 'causal' }),
        'float32',
        [1, 3, 1],
        [1, 12, NaN],
      ),
    ],
    errors: [
      {
        run: () => conv1d(zeros([1, 3, 2]), zeros([1, 2, 3])),
        error: ShapeError,
        message: '[conv1d] x [1, 3, 2] and weight [1, 2, 3]; they must be [N, L, C] and [O, kernel, C]',
      },
      {
        run: () => conv1d(zeros([1, 3, 2]), zeros([1, 4, 2])),
        error: ShapeError,
        message: '[conv1d] a window of 4 does not fit into 3 with padding 0',
      },
      {
        run: () => conv1d(zeros([1, 3, 2]), zeros([1, 31, 2]), { padding: 'causal', dilation: 2 ** 28 }),
        error: ValueError,
        message: '[conv1d] kernel 31 with dilation 268435456 reaches over 8053063681 elements; 2^28 at most',
      },
      {
        run: () => conv1d(zeros([1, 3, 2]), zeros([1, 2, 2]), 'causal' as never),
        error: ValueError,
        message: "(write { padding: 'causal' })",
      },
    ],
  },
  convTranspose2d: {
    samples: TRANSPOSED.map(([shape, weight, { more, ...given }]): Sample => ({
      name: `${text(shape, weight)} ${JSON.stringify({ ...given, more })}`,
      inputs: [spread(shape, -2, 2), spread(weight, -2, 2, 1)],
      run: (x, w) => convTranspose2d(x, w, { ...given, ...(more && { outputPadding: more }) }),
      want: (x, w) => spreadOut(x, w, { ...given, ...(more && { more }) }),
      forwardOnly: sizeOf(shape) > 100,
    })),
    ...TOLERANCE,
    errors: [
      ...refusals('convTranspose2d', (x, weight, given) => convTranspose2d(x, weight, given)),
      {
        run: () => convTranspose2d(zeros([1, 3, 3, 1]), zeros([1, 2, 2, 1]), { stride: 2, outputPadding: [1, 2] }),
        error: ValueError,
        message: '[convTranspose2d] outputPadding is 2; with stride 2 and dilation 1 it may be 1 at most',
      },
      {
        run: () => convTranspose2d(zeros([1, 1, 3, 1]), zeros([1, 2, 2, 1]), { padding: 1 }),
        error: ShapeError,
        message: '[convTranspose2d] the padding leaves nothing: the size of the result would be 0 x 2',
      },
      {
        run: () => convTranspose2d(zeros([1, 3, 3, 1]), zeros([1, 2, 2, 1]), { padding: 'same' as never }),
        error: ValueError,
        message: "[convTranspose2d] padding 'same'; whole numbers from 0 on are allowed",
      },
    ],
  },
  convTranspose1d: {
    samples: (
      [
        [[2, 4, 2], [3, 3, 2], {}],
        [[1, 4, 2], [2, 4, 2], { stride: 2, padding: 1 }],
        [[1, 3, 4], [6, 3, 2], { stride: 3, outputPadding: 2, groups: 2 }],
        [[2, 3, 2], [2, 2, 1], { dilation: 3, outputPadding: 1, groups: 2 }],
        [[2, 65, 6], [4, 5, 6], { stride: 2, padding: 2, outputPadding: 1 }],
      ] as [number[], number[], ConvTranspose1dOptions][]
    ).map(([shape, weight, given]) => ({
      name: `${text(shape, weight)} ${JSON.stringify(given)}`,
      inputs: [spread(shape, -2, 2), spread(weight, -2, 2, 1)],
      run: (x, w) => convTranspose1d(x, w, given),
      want: flat((x, w) => {
        const { stride = 1, padding = 0, dilation = 1, outputPadding = 0, groups = 1 } = given;
        return spreadOut(x, w, {
          stride: [1, stride],
          padding: [0, padding],
          dilation: [1, dilation],
          more: [0, outputPadding],
          groups,
        });
      }),
      forwardOnly: shape[1]! > 50,
    })),
    ...TOLERANCE,
    errors: [
      {
        run: () => convTranspose1d(zeros([1, 3, 2]), zeros([1, 2, 3])),
        error: ShapeError,
        message: '[convTranspose1d] x [1, 3, 2] and weight [1, 2, 3]; they must be [N, L, C] and [O, kernel, C]',
      },
      {
        run: () => convTranspose1d(zeros([1, 3, 2]), zeros([1, 2, 2]), { outputPadding: 1 }),
        error: ValueError,
        message: '[convTranspose1d] outputPadding is 1; with stride 1 and dilation 1 it may be 0 at most',
      },
      {
        run: () => convTranspose1d(zeros([1, 1, 2]), zeros([1, 2, 2]), { padding: 1 }),
        error: ShapeError,
        message: '[convTranspose1d] the padding leaves nothing: the size of the result would be 0',
      },
    ],
  },
} satisfies Record<string, OpInfo>;

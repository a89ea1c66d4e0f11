import {
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  avgPool1d,
  globalAvgPool,
  globalMaxPool,
  interpolate,
  type InterpolateOptions,
  maxPool1d,
  ShapeError,
  tensor,
  type Tensor,
  ValueError,
  type Window1dOptions,
  zeros,
} from 'tapegrad';
import { at, average, build, positions, sizeOf, spread, type Values, values } from '../reference.js';
import { exact, int, type OpInfo, type Sample, text } from './info.js';
import { averageSeen, type Further, largest, pooled } from './windows.js';

/** Windows along time: the length of each, and options with what they are as zeros before and after. */
const windowed1d = (
  run: (x: Tensor, kernel: number, options: Window1dOptions) => Tensor,
  f: (seen: (number | null)[]) => number,
): Sample[] =>
  (
    [
      [[2, 6, 2], 2, { stride: 1 }, {}],
      [[1, 9, 1], 3, { stride: 2, padding: 1 }, { stride: [1, 2], padding: [0, 1] }],
      [[1, 8, 2], 2, { stride: 1, padding: 'same', dilation: 3 }, { dilation: [1, 3], padding: [0, 1], after: [0, 2] }],
      [[0, 4, 1], 2, { stride: 1 }, {}],
      [[2, 129, 5], 4, { stride: 3, padding: 2 }, { stride: [1, 3], padding: [0, 2] }],
    ] as [number[], number, Window1dOptions, Further][]
  ).map(([shape, kernel, given, window]) => ({
    name: `${text(shape)} ${JSON.stringify({ kernel, ...given })}`,
    inputs: [spread(shape, -3, 3)],
    run: (x) => run(x, kernel, given),
    want: (x) => {
      const image = values([shape[0]!, 1, ...shape.slice(1)], x.data);
      const { shape: out, data } = pooled(image, { kernel: [1, kernel], ...window }, f);
      return values([out[0]!, out[2]!, out[3]!], data);
    },
    forwardOnly: shape[1]! > 100,
  }));
const badWindow1d = (
  name: string,
  run: (x: Tensor, kernel: number, options: Window1dOptions) => unknown,
): OpInfo['errors'] & object => [
  {
    run: () => run(zeros([3, 3]), 2, {}),
    error: ShapeError,
    message: `[${name}] x is [3, 3]; it must be [N, L, C]`,
  },
  {
    run: () => run(zeros([1, 3, 1]), 4, {}),
    error: ShapeError,
    message: `[${name}] a window of 4 does not fit into 3 with padding 0`,
  },
  {
    run: () => run(zeros([1, 3, 1]), 2, { padding: 'same' }),
    error: ValueError,
    message: `[${name}] padding 'same' keeps the size, which stride 2 does not; give the padding as a number`,
  },
];

/** The means of parts that cover the axes between batch and channels evenly. */
function adapted(x: Values, size: readonly number[]): Values {
  const [batch, ...rest] = x.shape as [number, ...number[]];
  const channels = rest.pop()!;
  return build([batch, ...size, channels], ([n, ...place]) => {
    const c = place.pop()!;
    const ends = place.map((i, axis) => [
      Math.floor((i * rest[axis]!) / size[axis]!),
      Math.ceil(((i + 1) * rest[axis]!) / size[axis]!),
    ]);
    const inside = positions(ends.map(([from, to]) => to! - from!));
    return average(inside.map((offset) => at(x, [n!, ...offset.map((o, axis) => o + ends[axis]![0]!), c])));
  });
}

/** A function of everything between batch and channels, of the first frames where there are lengths. */
const overall = (x: Values, f: (seen: number[]) => number, lengths?: readonly number[]): Values =>
  build([x.shape[0]!, x.shape.at(-1)!], ([n, c]) =>
    f(
      positions(x.shape.slice(1, -1))
        .filter(([t]) => !lengths || t! < lengths[n!]!)
        .map((place) => at(x, [n!, ...place, c!])),
    ),
  );
const badGlobal = (
  name: string,
  run: (x: Tensor, options: { lengths?: number[] }) => unknown,
): OpInfo['errors'] & object => [
  {
    run: () => run(zeros([3, 3]), {}),
    error: ShapeError,
    message: `[${name}] x is [3, 3]; it must be [N, ..., C] with axes between batch and channels`,
  },
  {
    run: () => run(zeros([3, 0, 3]), {}),
    error: ShapeError,
    message: `[${name}] x is [3, 0, 3]; there is nothing to pool over`,
  },
  {
    run: () => run(zeros([2, 3, 3]), { lengths: [1] }),
    error: ShapeError,
    message: `[${name}] 1 lengths for 2 sequences`,
  },
  {
    run: () => run(zeros([2, 3, 3]), { lengths: [1, 4] }),
    error: ValueError,
    message: `[${name}] sequence 1: its length is 4; it must be in [`,
  },
  {
    run: () => run(zeros([2, 3, 3, 1]), { lengths: [1, 3] }),
    error: ShapeError,
    message: `[${name}] x is [2, 3, 3, 1]; with lengths it must be sequences, [N, L, C]`,
  },
];

/** Linear interpolation, by the line between the two elements beside each place. */
function interpolated(x: Values, { size, scale, axis = -2, alignCorners = false }: InterpolateOptions): Values {
  const own = axis < 0 ? axis + x.shape.length : axis;
  const length = x.shape[own]!;
  const count = size ?? Math.floor(length * scale!);
  const step = scale === undefined || count === length ? length / count : 1 / scale;
  const last = length - 1;
  return build(
    x.shape.map((dim, i) => (i === own ? count : dim)),
    (place) => {
      const i = place[own]!;
      const exactPlace = alignCorners ? (count === 1 ? 0 : (i * last) / (count - 1)) : (i + 0.5) * step - 0.5;
      const where = Math.max(0, Math.min(last, exactPlace));
      const of = (index: number): number => at(x, [...place.slice(0, own), index, ...place.slice(own + 1)]);
      const low = Math.floor(where);
      return low === where ? of(low) : of(low) + (where - low) * (of(low + 1) - of(low));
    },
  );
}

export const poolInfo = {
  interpolate: {
    samples: (
      [
        [[2, 4, 2], { size: 7 }],
        [[2, 4, 2], { size: 7, alignCorners: true }],
        [[5, 2], { scale: 2 }],
        [[5, 2], { scale: 2, alignCorners: true }],
        [[1, 9, 1], { scale: 0.5 }],
        [[3, 7], { scale: 1.37, axis: -1 }],
        [[2, 3], { scale: 1.4 }],
        [[3, 7], { scale: 0.4, axis: 1, alignCorners: true }],
        [[4, 2, 3], { size: 3, axis: 0 }],
        [[1, 3], { size: 4 }],
        [[3, 1], { size: 1 }],
        [[5, 1], { size: 1, alignCorners: true }],
        [[2, 3], { size: 2 }],
        [[0, 3, 2], { size: 5 }],
        [[2, 131, 5], { size: 77 }],
        [[2, 31, 9], { scale: 3.1, alignCorners: true }],
      ] as [number[], InterpolateOptions][]
    ).map(([shape, given]) => ({
      name: `${text(shape)} ${JSON.stringify(given)}`,
      inputs: [spread(shape, -3, 3)],
      run: (x) => interpolate(x, given),
      want: (x) => interpolated(x, given),
      forwardOnly: sizeOf(shape) > 100,
    })),
    ulps: 2,
    absolute: 1e-6,
    exact: [
      exact('int32', () => interpolate(int([1, 2]), { scale: 2, axis: 0 }), 'float32', [4], [1, 1.25, 1.75, 2]),
      exact(
        'a scale that leaves the length leaves the elements',
        () => interpolate(tensor([1, 5, 2]), { scale: 1.2, axis: 0 }),
        'float32',
        [3],
        [1, 5, 2],
      ),
      exact(
        'an infinity reaches what lies beside it only',
        () => interpolate(tensor([1, 2, Infinity]), { size: 5, axis: 0, alignCorners: true }),
        'float32',
        [5],
        [1, 1.5, 2, Infinity, Infinity],
      ),
    ],
    errors: [
      {
        run: () => interpolate(zeros([3, 2]), {}),
        error: ValueError,
        message: '[interpolate] give either size or scale; neither is there',
      },
      {
        run: () => interpolate(zeros([3, 2]), { size: 3, scale: 1 }),
        error: ValueError,
        message: '[interpolate] give either size or scale; both are there',
      },
      {
        run: () => interpolate(zeros([3, 2]), { scale: 0 }),
        error: ValueError,
        message: '[interpolate] scale is 0; it must be a positive number, 2^28 at most',
      },
      {
        run: () => interpolate(zeros([3, 2]), { scale: 0.1 }),
        error: ShapeError,
        message: '[interpolate] axis 0 of [3, 2] would become 0 long',
      },
      {
        run: () => interpolate(zeros([0, 2]), { size: 3 }),
        error: ShapeError,
        message: '[interpolate] axis 0 of [0, 2] would become 3 long',
      },
      {
        run: () => interpolate(zeros([3]), { size: 3 }),
        error: ShapeError,
        message: '[interpolate] axis -2 is outside [-1, 1)',
      },
      { run: () => interpolate(zeros([3, 2]), 4 as never), error: ValueError, message: '(write { size: 4 })' },
    ],
  },
  maxPool1d: {
    samples: windowed1d((x, kernel, rest) => maxPool1d(x, kernel, rest), largest),
    exact: [
      exact(
        'its windows do not overlap by default',
        () => maxPool1d(tensor([[[1], [2], [3], [4], [5]]]), 2),
        'float32',
        [1, 2, 1],
        [2, 4],
      ),
      exact('NaN wins', () => maxPool1d(tensor([[[1], [NaN], [3]]]), 3), 'float32', [1, 1, 1], [NaN]),
    ],
    errors: [
      ...badWindow1d('maxPool1d', (x, kernel, rest) => maxPool1d(x, kernel, rest)),
      {
        run: () => maxPool1d(zeros([1, 3, 1]), 2, { padding: 2 }),
        error: ValueError,
        message: '[maxPool1d] padding 2 leaves a window without any element of 3, and so without a largest one',
      },
    ],
  },
  avgPool1d: {
    samples: windowed1d((x, kernel, rest) => avgPool1d(x, kernel, rest), averageSeen),
    ulps: 2,
    absolute: 1e-6,
    exact: [exact('int32', () => avgPool1d(int([1, 2, 3, 5], [1, 4, 1]), 4), 'float32', [1, 1, 1], [2.75])],
    errors: badWindow1d('avgPool1d', (x, kernel, rest) => avgPool1d(x, kernel, rest)),
  },
  adaptiveAvgPool1d: {
    samples: (
      [
        [[2, 6, 2], 3],
        [[1, 5, 3], 3],
        [[1, 7, 2], 4],
        [[2, 3, 1], 5],
        [[1, 4, 2], 1],
        [[0, 4, 2], 3],
        [[2, 129, 5], 10],
      ] as const
    ).map(([shape, size]) => ({
      name: `${text(shape)} to ${size}`,
      inputs: [spread(shape, -3, 3)],
      run: (x) => adaptiveAvgPool1d(x, size),
      want: (x) => adapted(x, [size]),
      forwardOnly: shape[1] > 100,
    })),
    ulps: 2,
    absolute: 1e-6,
    exact: [
      exact('int32', () => adaptiveAvgPool1d(int([1, 2, 3, 5], [1, 4, 1]), 2), 'float32', [1, 2, 1], [1.5, 4]),
      exact(
        'an infinity stays in its parts',
        () => adaptiveAvgPool1d(tensor([[[1], [2], [Infinity], [4], [NaN]]]), 3),
        'float32',
        [1, 3, 1],
        [1.5, Infinity, NaN],
      ),
    ],
    errors: [
      {
        run: () => adaptiveAvgPool1d(zeros([1, 3, 2]), 0),
        error: ValueError,
        message: '[adaptiveAvgPool1d] size is 0; it must be a whole number, in [1, 16777216]',
      },
      {
        run: () => adaptiveAvgPool1d(zeros([3, 2]), 1),
        error: ShapeError,
        message: '[adaptiveAvgPool1d] x is [3, 2]; it must be [N, L, C]',
      },
      {
        run: () => adaptiveAvgPool1d(zeros([2, 0, 2]), 1),
        error: ShapeError,
        message: '[adaptiveAvgPool1d] x is [2, 0, 2]; there is nothing to pool over',
      },
    ],
  },
  adaptiveAvgPool2d: {
    samples: (
      [
        [
          [1, 4, 6, 2],
          [2, 3],
        ],
        [
          [2, 5, 3, 1],
          [3, 2],
        ],
        [
          [1, 2, 5, 2],
          [3, 1],
        ],
        [
          [2, 17, 13, 3],
          [4, 5],
        ],
      ] as const
    ).map(([shape, size]) => ({
      name: `${text(shape)} to ${text(size)}`,
      inputs: [spread(shape, -3, 3)],
      run: (x) => adaptiveAvgPool2d(x, size),
      want: (x) => adapted(x, size),
      forwardOnly: sizeOf(shape) > 100,
    })),
    ulps: 2,
    absolute: 1e-6,
    errors: [
      {
        run: () => adaptiveAvgPool2d(zeros([1, 3, 3, 1]), [2, 0]),
        error: ValueError,
        message: '[adaptiveAvgPool2d] size 2 x 0; whole numbers from 1 on are allowed',
      },
    ],
  },
  globalAvgPool: {
    samples: [
      ...[
        [2, 5, 3],
        [1, 3, 4, 2],
        [3, 1, 1],
        [0, 2, 3],
      ].map((shape) => ({
        name: text(shape),
        inputs: [spread(shape, -3, 3)],
        run: (x: Tensor) => globalAvgPool(x),
        want: (x: Values) => overall(x, average),
      })),
      {
        name: 'with lengths',
        inputs: [spread([3, 5, 2], -3, 3)],
        run: (x) => globalAvgPool(x, { lengths: [5, 0, 2] }),
        want: (x) => overall(x, (seen) => (seen.length === 0 ? 0 : average(seen)), [5, 0, 2]),
      },
    ],
    ulps: 2,
    absolute: 1e-6,
    exact: [
      exact(
        'what is beyond the length does not count',
        () => globalAvgPool(tensor([[[1], [NaN]]]), { lengths: [1] }),
        'float32',
        [1, 1],
        [1],
      ),
    ],
    errors: badGlobal('globalAvgPool', (x, rest) => globalAvgPool(x, rest)),
  },
  globalMaxPool: {
    samples: [
      ...[
        [2, 5, 3],
        [1, 3, 4, 2],
        [3, 1, 1],
      ].map((shape) => ({
        name: text(shape),
        inputs: [spread(shape, -3, 3)],
        run: (x: Tensor) => globalMaxPool(x),
        want: (x: Values) => overall(x, (seen) => Math.max(...seen)),
      })),
      {
        name: 'with lengths',
        inputs: [spread([3, 5, 2], -3, 3)],
        run: (x) => globalMaxPool(x, { lengths: [5, 1, 2] }),
        want: (x) => overall(x, (seen) => Math.max(...seen), [5, 1, 2]),
      },
    ],
    exact: [exact('int32', () => globalMaxPool(int([-3, -2, 9], [1, 3, 1]), { lengths: [2] }), 'int32', [1, 1], [-2])],
    errors: [
      ...badGlobal('globalMaxPool', (x, rest) => globalMaxPool(x, rest)),
      {
        run: () => globalMaxPool(zeros([2, 3, 1]), { lengths: [3, 0] }),
        error: ValueError,
        message: '[globalMaxPool] sequence 1: its length is 0; it must be in [1, 3]',
      },
    ],
  },
} satisfies Record<string, OpInfo>;

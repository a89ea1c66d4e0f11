import {
  conv1d,
  conv2d,
  grad,
  memory,
  random,
  resetPeakMemory,
  scope,
  square,
  sum,
  tensor,
  type Tensor,
} from 'tapegrad';
import { Allocator } from '../../src/backends/cpu/allocator.js';
import { heap } from '../../src/backends/cpu/heap.js';

/* Convolutions of float32 at stride 1 read their patches where they lie. What they give is compared with float64, which writes patches down. */

type Options = NonNullable<Parameters<typeof conv2d>[2]>;

const CASES: readonly (readonly [x: readonly number[], weight: readonly number[], options: Options])[] = [
  [[2, 7, 9, 5], [6, 3, 3, 5], { padding: 'same' }],
  [[3, 5, 14, 8], [16, 3, 3, 8], { padding: 1 }], // rows that end within a tile
  [[1, 6, 11, 4], [9, 2, 4, 4], {}], // a last column by itself
  [[2, 9, 8, 4], [13, 3, 2, 4], { padding: [0, 1], dilation: [2, 1] }],
  [[1, 4, 17, 6], [5, 2, 5, 6], { padding: 'same', dilation: [1, 3] }], // windows of single places
  [[1, 3, 300, 9], [7, 2, 3, 9], { padding: [1, 2] }], // longer rows than go at a time
  [[1, 4, 6, 300], [4, 2, 2, 300], { padding: 1 }], // more channels than a block has, and fewer positions
  [[2, 1, 40, 70], [20, 1, 5, 70], { padding: [0, 2] }], // windows of more than a block
  [[1, 5, 12, 1], [8, 3, 3, 1], { padding: 1 }], // too few channels for the adjoint to be a convolution
  [[1, 6, 10, 2], [300, 2, 2, 2], {}], // more results than are packed at a time
  [[2, 3, 300, 1], [10, 2, 2, 1], { padding: [1, 0] }], // few channels, and longer rows than a block
  [[40, 3, 5, 4], [4, 3, 1, 4], { padding: [1, 0] }], // positions of several images in a block
  [[2, 4, 4, 4], [4, 4, 1, 4], { padding: [3, 0] }],
];

const numbers = (t: Tensor): number[] => [...(t.dataSync() as Float32Array)];

/** Numbers of both signs that float32 has. */
const draw = (seed: number, shape: readonly number[]): Tensor => random(seed).normal(shape);

/** The largest difference beside the largest of the numbers wanted. */
function difference(found: Tensor, wanted: Tensor): number {
  expect(found.shape).toEqual(wanted.shape);
  const [a, b] = [numbers(found), numbers(wanted)];
  const size = Math.max(...b.map(Math.abs));
  expect(size).toBeGreaterThan(0);
  return Math.max(...a.map((value, i) => Math.abs(value - b[i]!))) / size;
}

test.each(CASES)('x %j, weight %j, %j: value, derivatives of both orders', (shape, weightShape, options) => {
  const [x, weight] = [draw(1, shape), draw(2, weightShape)];
  const [dx, dw] = [draw(3, shape), draw(4, weightShape)];
  const cotangent = draw(5, conv2d(x, weight, options).shape);
  const all = (dtype: 'float32' | 'float64'): Tensor[] => {
    const [a, b, da, db, c] = [x, weight, dx, dw, cotangent].map((t) => t.cast(dtype)) as [
      Tensor,
      Tensor,
      Tensor,
      Tensor,
      Tensor,
    ];
    const value = (p: Tensor, q: Tensor): Tensor => conv2d(p, q, options);
    const both = { argnums: [0, 1] } as const;
    const first = (p: Tensor, q: Tensor): Tensor[] =>
      grad((s: Tensor, t: Tensor) => sum(value(s, t).mul(c)), both)(p, q);
    const second = grad((p: Tensor, q: Tensor) => {
      const [byX, byWeight] = grad((s: Tensor, t: Tensor) => sum(square(value(s, t))), both)(p, q);
      return sum(byX.mul(da)).add(sum(byWeight.mul(db)));
    }, both)(a, b);
    return [value(a, b), ...first(a, b), ...second];
  };
  const wanted = all('float64');
  all('float32').forEach((found, i) => expect(difference(found, wanted[i]!)).toBeLessThan(i < 3 ? 2e-6 : 2e-5));
});

test('infinities and NaN reach what sees them, and nothing else', () => {
  const values = numbers(draw(1, [1, 6, 8, 4]));
  values[37] = Infinity;
  values[113] = NaN;
  const kinds = (t: Tensor): number[] => numbers(t).map((v) => (Number.isFinite(v) ? 0 : v));
  const run = (dtype: 'float32' | 'float64'): number[][] => {
    const x = tensor(values, { shape: [1, 6, 8, 4], dtype });
    const weight = draw(2, [5, 3, 3, 4]).cast(dtype);
    const value = (p: Tensor, q: Tensor): Tensor => conv2d(p, q, { padding: 1 });
    const [byX, byWeight] = grad((p: Tensor, q: Tensor) => sum(value(p, q)), { argnums: [0, 1] })(x, weight);
    const [byHard] = grad((p: Tensor, q: Tensor) => sum(square(value(p, q))), { argnums: [0, 1] })(x, weight);
    return [value(x, weight), byX, byWeight, byHard].map(kinds);
  };
  const found = run('float32');
  expect(found).toEqual(run('float64'));
  expect(found[0]!.filter((kind) => kind === 0).length).toBeGreaterThan(0);
});

test.each(['the weight', 'the cotangent of its gradient', 'the direction'])(
  'what is not finite in %s meets no padding that no window has',
  (where) => {
    const spoilt = (values: Tensor, name: string, at: number): Tensor => {
      const list = numbers(values);
      if (name === where) list[at] = Infinity;
      return tensor(list, { shape: values.shape });
    };
    const [x, weight, g] = [
      draw(1, [2, 6, 9, 4]),
      spoilt(draw(2, [5, 3, 2, 4]), 'the weight', 31),
      draw(3, [2, 6, 8, 5]),
    ];
    const by = spoilt(draw(4, [2, 6, 9, 4]), 'the direction', 0);
    const cotangent = spoilt(g, 'the cotangent of its gradient', 0);
    const both = { argnums: [0, 1] } as const;
    const run = (dtype: 'float32' | 'float64'): Tensor[] => {
      const [a, b, c, d] = [x, weight, cotangent, by].map((t) => t.cast(dtype)) as [Tensor, Tensor, Tensor, Tensor];
      const first = (p: Tensor, q: Tensor, r: Tensor): Tensor[] =>
        grad((s: Tensor, t: Tensor) => sum(conv2d(s, t, { padding: [1, 0] }).mul(r)), both)(p, q);
      const second = grad((q: Tensor, r: Tensor) => sum(first(a, q, r)[0]!.mul(d)), both)(b, c);
      return [...first(a, b, c), ...second];
    };
    const kinds = (t: Tensor): number[] => numbers(t).map((v) => (Number.isFinite(v) ? 0 : v));
    const found = run('float32').map(kinds);
    expect(found).toEqual(run('float64').map(kinds));
    expect(found.some((list) => list.includes(Infinity) || list.includes(-Infinity))).toBe(true);
  },
);

test('a window that reaches far beyond a short sequence needs no more memory than its patches', () => {
  const [x, weight] = [draw(1, [1, 50, 4]), draw(2, [4, 3, 4])];
  scope(() => {
    const before = memory().usedBytes;
    resetPeakMemory();
    const options = { padding: 'same', dilation: 2 ** 20 } as const;
    grad((p: Tensor, q: Tensor) => sum(square(conv1d(p, q, options))), { argnums: [0, 1] })(x, weight);
    expect(memory().peakBytes - before).toBeLessThan(2 ** 20);
  });
});

test('patches are never in memory, neither forward nor for the derivatives', () => {
  const [x, weight] = [draw(1, [1, 4096, 16]), draw(2, [16, 9, 16])];
  const patches = 4 * 4096 * 9 * 16;
  scope(() => {
    const before = memory().usedBytes;
    resetPeakMemory();
    grad((p: Tensor, q: Tensor) => sum(square(conv1d(p, q, { padding: 'same' }))), { argnums: [0, 1] })(x, weight);
    expect(memory().peakBytes - before).toBeLessThan(patches);
  });
});

test('any division of positions, and of a weight’s gradient, gives the same bits', () => {
  const arena = new Allocator();
  const { functions, memory: own } = heap();
  const room = (count: number): number => arena.allocate(4 * count);
  const view = (address: number, count: number): Float32Array => new Float32Array(own.buffer, address, count);
  const place = (count: number, phase: number): number => {
    const address = room(count);
    view(address, count).forEach((_, i, to) => (to[i] = Math.sin(i * 0.37 + phase)));
    return address;
  };
  try {
    for (const [batch, outH, outW, channels, kernelH, kernelW, dilationH, dilationW, n] of [
      [2, 3, 9, 5, 3, 3, 1, 1, 11],
      [1, 2, 290, 4, 2, 3, 1, 2, 9],
      [3, 1, 6, 90, 1, 4, 1, 1, 18],
    ] as const) {
      const [height, width] = [outH + dilationH * (kernelH - 1), outW + dilationW * (kernelW - 1)];
      const [positions, patch] = [batch * outH * outW, kernelH * kernelW * channels];
      const [image, weight, g] = [
        place(batch * height * width * channels, 0),
        place(n * patch, 1),
        place(positions * n, 2),
      ];
      const [panels, out, byWeight] = [room((n + 8) * patch), room(positions * n), room(n * patch)];
      functions.packWeight!(weight, panels, n, patch);
      const sizes = [height, width, channels, outH, outW, kernelH, kernelW, dilationH, dilationW, n];
      const scratch = arena.allocate(Math.max(functions.convEdge!(), functions.convWeightScratch!(n)));
      const forward = (begin: number, end: number): void => {
        functions.conv!(image, panels, out, scratch, begin, end, ...sizes);
      };
      const back = (begin: number, end: number): void => {
        functions.convWeight!(image, g, byWeight, scratch, begin, end, batch, ...sizes);
      };
      forward(0, positions);
      back(0, patch);
      const whole = [view(out, positions * n).slice(), view(byWeight, n * patch).slice()];
      for (const cut of [1, 4, 6, positions - 3]) {
        view(out, positions * n).fill(NaN);
        forward(cut, positions);
        forward(0, cut);
        expect(view(out, positions * n).slice()).toEqual(whole[0]);
      }
      view(byWeight, n * patch).fill(NaN);
      back(16, patch);
      back(8, 16);
      back(0, 8);
      expect(view(byWeight, n * patch).slice()).toEqual(whole[1]);
    }
  } finally {
    arena.close();
  }
});

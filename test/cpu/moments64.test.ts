import { cumprod, logCumSumExp, norm, random, stack, tensor, type Tensor, variance } from 'tapegrad';

/*
 * Kernels of float64 that take several lines at a time: a line gives the same bits wherever it lies and whatever lies beside it, as a row, as a column and
 * among threads' shares, and is right where sums or squares leave the range.
 */

const LINES: readonly (readonly number[])[] = [
  [2 ** 52 + 1, 2 ** 52 + 2, 2 ** 52 + 3, 2 ** 52 + 4],
  [1e308, 1.5e308, 1e308, 1.5e308],
  [3e-310, 4e-310, 3e-310, 4e-310],
  [3e300, -4e300, 3e300, -4e300],
  [1, NaN, 2, 3],
  [Infinity, 1, 2, 3],
  [0.1, 0.1, 0.1, 0.1],
  [0, -0, 0, 0],
  [1e17, 1, -1e17, 1],
];
const VARIANCES = [1.25, Infinity, 0, Infinity, NaN, NaN, 0, 0, 5e33];
const NORMS = [
  2 * Math.sqrt(2 ** 104 + 5 * 2 ** 52 + 7.5),
  Infinity,
  Math.SQRT2 * 5e-310,
  Math.SQRT2 * 5e300,
  NaN,
  Infinity,
  0.2,
  0,
  Math.SQRT2 * 1e17,
];

const ops: Readonly<Record<string, (x: Tensor, axis: number) => Tensor>> = {
  variance,
  norm: (x, axis) => norm(x, axis),
  center: (x, axis) => x.sub(x.mean(axis, { keepDims: true })),
  cumprod,
  'cumprod, reversed': (x, axis) => cumprod(x, axis, { reverse: true }),
  logCumSumExp,
};

test.each(Object.entries(ops))('%s of a line is the same anywhere', (_name, op) => {
  const rng = random(5);
  const drawn = rng.normal([6, 4]).cast('float64').arraySync<number[][]>();
  const lines = [...LINES, ...drawn];
  const alone = lines.map((line) => op(tensor(line, { dtype: 'float64' }), 0).arraySync<number | number[]>());
  for (const count of [1, 2, 3, 4, 5, 7, lines.length]) {
    const rows = tensor(lines.slice(0, count), { dtype: 'float64' });
    expect(op(rows, 1).arraySync()).toEqual(alone.slice(0, count));
    const columns = op(rows.transpose(), 0);
    expect((columns.rank === 2 ? columns.transpose() : columns).arraySync()).toEqual(alone.slice(0, count));
    const planes = op(stack([rows.transpose(), rows.transpose()]), 1);
    expect((planes.rank === 3 ? planes.transpose(1, 2) : planes).arraySync()).toEqual([
      alone.slice(0, count),
      alone.slice(0, count),
    ]);
  }
});

test.each([
  ['variance', VARIANCES],
  ['norm', NORMS],
] as const)('%s is right where sums or squares leave the range', (name, wanted) => {
  const got = ops[name]!(tensor(LINES, { dtype: 'float64' }), 1).arraySync<number[]>();
  wanted.forEach((want, i) => {
    const near = Object.is(got[i], want) || Math.abs(got[i]! / want - 1) < 1e-14;
    expect({ line: LINES[i], got: got[i], near }).toMatchObject({ near: true });
  });
});

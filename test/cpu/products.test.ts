import { grad, gradCheck, tensor, type Tensor } from 'tapegrad';
import { FLOATS, make, lines, exactProduct } from './along-axis.js';

/* Products along an axis: at the ends of the range, and their derivatives. */

test('prod of numbers at the ends of the range', () => {
  const { MIN_VALUE, MAX_VALUE } = Number;
  const cases: [number[], number][] = [
    [[MIN_VALUE, 2 ** 1000, 2 ** 74], 1],
    [[2 ** 1000, MIN_VALUE, 2 ** 74, -3 * MIN_VALUE, 2 ** 1000, 2 ** 74], -3],
    [[MAX_VALUE, MAX_VALUE, 0.5, 1 / MAX_VALUE, 2], MAX_VALUE * (1 / MAX_VALUE) * MAX_VALUE],
    [[MIN_VALUE, 1.5], 2 * MIN_VALUE],
    [[2 ** -600, 2 ** -500], 0],
    [[2 ** -530, -(2 ** -530)], -(2 ** -1060)],
    [[2 ** 600, -(2 ** 600)], -Infinity],
    [[0, Infinity], NaN],
    [[0, -2], -0],
    [[-Infinity, MIN_VALUE], -Infinity],
    [[NaN, 0], NaN],
    [[1, NaN], NaN],
  ];
  for (const [factors, want] of cases) {
    for (const padding of [0, 3, 64, 509]) {
      const elements = [...factors, ...new Array<number>(padding).fill(1)];
      for (const width of [1, 2, 3, 130]) {
        for (const at of [0, width - 1]) {
          const values = elements.flatMap((x) => Array.from({ length: width }, (_, i) => (i === at ? x : 1)));
          const got = [...make('float64', [elements.length, width], values).prod(0).dataSync()];
          const near = Number.isFinite(want) && want !== 0 && Math.abs(got[at]! / want - 1) < 1e-14 ? want : got[at];
          expect([factors, padding, width, near]).toEqual([factors, padding, width, want]);
          expect(got.every((x, i) => i === at || x === 1)).toBe(true);
        }
      }
    }
  }
  const single = tensor([1e-45, 3e38, 1e-45, 3e38, 3e38, -1e-45, 2]);
  expect(Math.abs(single.prod().itemSync() / exactProduct([...single.dataSync()]) - 1)).toBeLessThan(2 ** -24);
});

test('derivatives of prod are products of the others, whatever is among them', () => {
  for (const dtype of FLOATS) {
    const x = make(dtype, [2, 5, 2], [1, 2, 3, 0, 5, 6, 7, 8, 9, 1, 0, 2, 3, 0, 5, 6, 0, 8, 9, 0]);
    const gradient = grad((t: Tensor) =>
      t
        .prod(1)
        .mul([
          [1, -2],
          [3, 4],
        ])
        .sum(),
    )(x);
    expect(gradient.dtype).toBe(dtype);
    const weights = [1, -2, 3, 4];
    const got = lines([...gradient.dataSync()], [2, 5, 2]);
    lines([...x.dataSync()], [2, 5, 2]).forEach((elements, i) => {
      const want = elements.map(
        (_, j) => weights[i]! * elements.reduce((product, y, k) => (k === j ? product : product * y), 1),
      );
      expect(got[i]!.map((value) => value + 0)).toEqual(want.map((value) => value + 0));
    });
    expect(grad((t: Tensor) => t.prod(0).sum())(make(dtype, [0, 3], [])).shape).toEqual([0, 3]);
    gradCheck(
      (t: Tensor) => t.prod([0, 2]).square().sum(),
      [
        make(
          'float64',
          [2, 3, 3],
          Array.from({ length: 18 }, (_, i) => (i === 4 ? 0 : Math.sin(i + 1))),
        ),
      ],
      { order: 2 },
    );
  }
});

/** What the samples of all reductions share: shapes and axes, and calls that they refuse. */
import { DTypeError, ShapeError, tensor, type Tensor, ValueError, zeros } from 'tapegrad';
import { reduced, spread } from '../reference.js';
import { type Refusal, type Sample } from './info.js';

export type Axes = number | readonly number[] | undefined;
const CASES: readonly (readonly [shape: readonly number[], axes: Axes, keepDims: boolean])[] = [
  [[], undefined, false],
  [[5], undefined, false],
  [[5], 0, true],
  [[2, 3], 0, false],
  [[2, 3], -1, true],
  [[2, 3, 4], 1, false],
  [[2, 3, 4], [0, 2], false],
  [[2, 3, 4], [2, 0], true],
  [[2, 3, 4], [0, 1], false],
  [[2, 3, 4], [], false],
  [[1, 4, 1], 1, false],
  [[2, 3, 4], undefined, true],
];
const LONG: typeof CASES = [
  [[1027], 0, false],
  [[3, 1025], 1, false],
  [[1025, 3], 0, false],
  [[7, 33, 5], 1, false],
  [[5, 2, 9, 3], [1, 3], false],
  [[17], undefined, false],
  [[0, 3], 1, false],
];

export const list = (axes: Axes): readonly number[] | undefined => (typeof axes === 'number' ? [axes] : axes);

export function reductionSamples(
  run: (x: Tensor, axes: Axes, options: { keepDims: boolean }) => Tensor,
  f: (elements: number[]) => number,
  [low, high]: readonly [number, number] = [-3, 3],
): Sample[] {
  const sample = ([shape, axes, keepDims]: (typeof CASES)[number], forwardOnly: boolean): Sample => ({
    name: `[${shape.join(',')}] over ${axes === undefined ? 'all' : JSON.stringify(axes)}${keepDims ? ', kept' : ''}`,
    inputs: [spread(shape, low, high)],
    run: (x) => run(x, axes, { keepDims }),
    want: (x) => reduced(x, list(axes), keepDims, f),
    forwardOnly,
  });
  return [...CASES.map((entry) => sample(entry, false)), ...LONG.map((entry) => sample(entry, true))];
}

/** Of those that have more than one. */
const OPTIONS: Readonly<Record<string, string>> = {
  variance: 'keepDims, correction',
  std: 'keepDims, correction',
  norm: 'keepDims, ord',
};

export const WRONG_OPTIONS = (
  name: string,
  run: (x: Tensor, axis?: number, options?: object) => unknown,
): Refusal[] => {
  const wrong = run as (x: unknown, axis?: unknown, options?: unknown) => unknown;
  const all = OPTIONS[name] ?? 'keepDims';
  const are = name in OPTIONS ? 'are' : 'is';
  return [
    {
      run: () => wrong(zeros([2, 3]), 0, true),
      error: ValueError,
      message: `[${name}] the options are true; they must be an object: { ${all} } (write { keepDims: true })`,
    },
    {
      run: () => wrong(zeros([2, 3]), 0, 1),
      error: ValueError,
      message: `[${name}] the options are 1; they must be an object: { ${all} } (several axes are a list: [0, 1])`,
    },
    {
      run: () => wrong(zeros([2, 3]), 0, { keepdim: true }),
      error: ValueError,
      message: `[${name}] there is no option 'keepdim'; there ${are} ${all}`,
    },
    {
      run: () => wrong(zeros([2, 3]), 0, { keepDims: 1 }),
      error: ValueError,
      message: `[${name}] keepDims is 1; it must be true or false`,
    },
    { run: () => wrong(zeros([2, 3]), { keepDims: true }), error: ShapeError, message: `[${name}] the ax` },
    {
      run: () => wrong([1, 2]),
      error: DTypeError,
      message: `[${name}] x is an array, not a tensor; write tensor(data)`,
    },
  ];
};

export const WRONG_AXES = (
  name: string,
  run: (x: Tensor, axes?: number | number[], options?: object) => unknown,
): Refusal[] => [
  ...WRONG_OPTIONS(name, run),
  { run: () => run(zeros([2, 3]), 2), error: ShapeError, message: `[${name}] axis 2 is outside [-2, 2)` },
  { run: () => run(zeros([2, 3]), -3), error: ShapeError, message: `[${name}] axis -3 is outside [-2, 2)` },
  { run: () => run(zeros([2, 3]), 0.5), error: ShapeError, message: `[${name}] axis 0.5 is outside [-2, 2)` },
  { run: () => run(zeros([2, 3]), [1, -1]), error: ShapeError, message: `[${name}] axis 1 is named twice` },
  { run: () => run(zeros([]), 0), error: ShapeError, message: `[${name}] axis 0 of a scalar: it has no axes` },
];
/** A tensor of one row. */
export const row =
  (...data: number[]): (() => Tensor) =>
  () =>
    tensor([data]);

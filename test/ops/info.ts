import { arange, type DType, type TapegradError, tensor, type Tensor } from 'tapegrad';
import { mapped, sizeOf, spread, type Values } from '../reference.js';

/** One application of an op: operands, attributes (inside `run`), and the same by plain loops in float64. */
export interface Sample {
  readonly name: string;
  readonly inputs: readonly Values[];
  readonly run: (...inputs: Tensor[]) => Tensor;
  readonly want: (...inputs: Values[]) => Values;
  /** Too large for central differences, or not smooth there. */
  readonly forwardOnly?: boolean;
}

/** Exact results on given element types. */
export interface Exact {
  readonly name: string;
  readonly run: () => Tensor;
  readonly dtype: DType;
  readonly shape: readonly number[];
  readonly values: readonly number[];
}

export const exact = (
  name: string,
  run: () => Tensor,
  dtype: DType,
  shape: readonly number[],
  numbers: readonly number[],
): Exact => ({ name, run, dtype, shape, values: numbers });

/** An int32 tensor. */
export const int = (data: readonly number[] | readonly (readonly number[])[], shape?: readonly number[]): Tensor =>
  tensor(data, { dtype: 'int32', ...(shape && { shape }) });

/** A bool tensor. */
export const bool = (...data: boolean[]): Tensor => tensor(data);

/** `exact` of a result with one axis. */
export const exactList = (name: string, run: () => Tensor, dtype: DType, numbers: readonly number[]): Exact =>
  exact(name, run, dtype, [numbers.length], numbers);

/** A sample with one operand. */
export const sampleOf = (
  shape: readonly number[],
  run: Sample['run'],
  want: (x: Values) => Values,
  name = text(shape),
  forwardOnly = false,
): Sample => ({
  name,
  inputs: [spread(shape, -3, 3)],
  run,
  want,
  forwardOnly,
});

/** 0, 1, 2 and so on, as int32. */
export const counting = (shape: readonly number[]): Tensor => arange(sizeOf(shape)).reshape(shape);

/** A call that must be refused before anything is computed. */
export interface Refusal {
  readonly run: () => unknown;
  readonly error: new (...args: never[]) => TapegradError;
  /** The whole text, or a part of it for long ones. */
  readonly message: string;
}

/** What the suites need to know of an op. */
export interface OpInfo {
  readonly samples: readonly Sample[];
  /** Allowed error of float32 results, in units in the last place. Default 0.5: rounded once. */
  readonly ulps?: number;
  /** The same for float64. Default 8. */
  readonly ulps64?: number;
  /** Added to what `ulps` allow, for results with cancellation. */
  readonly absolute?: number;
  /** The same for float64; 1e-8 of `absolute` when left out. */
  readonly absolute64?: number;
  /** Allowed difference between float32 and float64 gradients, relative to the larger of 1 and the gradient. Default 2e-6. */
  readonly gradientError?: number;
  /** False for ops whose result is a constant to every transform. */
  readonly differentiable?: boolean;
  /** The dtype of the result for float operands. The operands' own when left out. */
  readonly result?: 'bool' | 'int32';
  /** What the rounding of intermediate results to float16 or bfloat16 may add, in units of the largest result's last place. Default 0: one op. */
  readonly storage?: number;
  /** The op on the operands of `edges`; the first sample's `run` when left out. */
  readonly apply?: (...operands: Tensor[]) => Tensor;
  /** Operands with special values, one number each, and the result, or a function that gives it. */
  readonly edges?: readonly (readonly [
    operands: readonly number[],
    want: number | ((...operands: number[]) => number),
  ])[];
  readonly exact?: readonly Exact[];
  readonly errors?: readonly Refusal[];
}

export const NORMAL_SHAPES = [[], [0], [1], [5], [2, 3], [1, 3, 1]] as const;
/** Longer than SIMD vectors and their unrolled loops, and not a multiple of them. */
export const LONG_SHAPES = [[4], [16], [17], [1027], [3, 0, 2], [13, 5, 7]] as const;

export const PAIRS: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[], []],
  [[3], []],
  [[], [2, 2]],
  [[5], [5]],
  [[2, 3], [3]],
  [
    [2, 1],
    [1, 3],
  ],
  [
    [4, 1, 3],
    [2, 1],
  ],
  [[1], [1, 1]],
  [
    [0, 3],
    [1, 3],
  ],
];
export const LONG_PAIRS: readonly (readonly [readonly number[], readonly number[]])[] = [
  [[1027], [1027]],
  [[17, 19], [19]],
  [[19], [17, 19]],
  [
    [7, 1],
    [1, 33],
  ],
  [
    [3, 1, 5, 1, 2],
    [4, 1, 3, 1],
  ],
  [
    [6, 35],
    [6, 1],
  ],
  [[2, 0], [1]],
];

/** Shapes in a sample's name. */
export const text = (...shapes: (readonly number[])[]): string =>
  shapes.map((shape) => `[${shape.join(',')}]`).join(' and ');

interface Elementwise extends Omit<OpInfo, 'samples'> {
  readonly domain?: readonly [number, number];
  readonly domains?: readonly (readonly [number, number])[];
  /** Arguments at which the float function itself is the oracle for special values. */
  readonly special?: readonly number[];
}

const SPECIAL = [NaN, Infinity, -Infinity, 0, -0, 1e-40, -1e-40, 1.5e-38, 3e38, -3e38, 1e-300, 1, -1];

/** Samples of a function of one number; special values are answered by `f` itself unless `edges` says otherwise. */
export function unaryInfo(
  run: (x: Tensor) => Tensor,
  f: (x: number) => number,
  { domain = [-3, 3], special = SPECIAL, edges = [], ...rest }: Elementwise = {},
): OpInfo {
  const sample = (shape: readonly number[], forwardOnly: boolean): Sample => ({
    name: text(shape),
    inputs: [spread(shape, ...domain)],
    run,
    want: mapped(f),
    forwardOnly,
  });
  return {
    samples: [
      ...NORMAL_SHAPES.map((shape) => sample(shape, false)),
      ...LONG_SHAPES.map((shape) => sample(shape, true)),
      {
        name: 'permuted [3,4]',
        inputs: [spread([3, 4], ...domain)],
        run: (x) => run(x.permute([1, 0])),
        want: (x) =>
          mapped(f)({
            shape: [4, 3],
            data: Array.from({ length: 12 }, (_, i) => x.data[(i % 3) * 4 + Math.floor(i / 3)]!),
          }),
      },
    ],
    edges: [
      ...edges,
      ...special.filter((x) => !edges.some(([[known]]) => Object.is(known, x))).map((x) => [[x], f] as const),
    ],
    ...rest,
  };
}

/** Samples of a function of two numbers, broadcasting. */
export function binaryInfo(
  run: (a: Tensor, b: Tensor) => Tensor,
  f: (a: number, b: number) => number,
  { domain = [-3, 3], domains = [domain, domain], ...rest }: Elementwise = {},
): OpInfo {
  const sample = ([a, b]: (typeof PAIRS)[number], forwardOnly: boolean): Sample => ({
    name: text(a, b),
    inputs: [spread(a, ...domains[0]!), spread(b, ...domains[1]!, 1)],
    run,
    want: mapped(f),
    forwardOnly,
  });
  return {
    samples: [...PAIRS.map((pair) => sample(pair, false)), ...LONG_PAIRS.map((pair) => sample(pair, true))],
    ...rest,
  };
}

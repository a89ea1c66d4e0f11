/**
 * The oracles' side: plain numbers in a shape and loops over positions, written without the library so that they cannot share its mistakes.
 */
export interface Values {
  readonly shape: readonly number[];
  /** Row-major. */
  readonly data: readonly number[];
}

export const sizeOf = (shape: readonly number[]): number => shape.reduce((product, dim) => product * dim, 1);

export const values = (shape: readonly number[], data: readonly number[]): Values => ({ shape, data });

/** The sum, to the last digit: what each addition loses is added at the end (Knuth's two-sum). */
export function total(numbers: readonly number[]): number {
  let [sum, lost] = [0, 0];
  for (const x of numbers) {
    const next = sum + x;
    const part = next - sum;
    lost += sum - (next - part) + (x - part);
    sum = next;
  }
  return sum + lost;
}

export const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);

export const average = (numbers: readonly number[]): number => total(numbers) / numbers.length;

/** The mean squared distance from the mean, by n - correction. */
export const varianceOf = (numbers: readonly number[], correction = 0): number =>
  total(numbers.map((x) => (x - average(numbers)) ** 2)) / (numbers.length - correction);

/** log(sum(exp(x))) without overflow. */
export function logSumExpOf(numbers: readonly number[]): number {
  const top = Math.max(...numbers);
  return Number.isFinite(top) ? top + Math.log(total(numbers.map((x) => Math.exp(x - top)))) : top;
}

/** Every position of a shape, in row-major order. */
export function positions(shape: readonly number[]): number[][] {
  let found: number[][] = [[]];
  for (const dim of shape) found = found.flatMap((lead) => Array.from({ length: dim }, (_, i) => [...lead, i]));
  return found;
}

/** The element at a position. Axes of length 1 stretch, and missing leading axes are assumed, as in broadcasting. */
export function at(v: Values, position: readonly number[]): number {
  const own = position.slice(position.length - v.shape.length);
  return v.data[own.reduce((offset, index, axis) => offset * v.shape[axis]! + (v.shape[axis] === 1 ? 0 : index), 0)]!;
}

export const build = (shape: readonly number[], f: (position: number[]) => number): Values =>
  values(shape, positions(shape).map(f));

export function broadcastShape(...shapes: (readonly number[])[]): number[] {
  const rank = Math.max(...shapes.map((shape) => shape.length));
  return Array.from({ length: rank }, (_, i) => {
    const dims = shapes.map((shape) => shape[shape.length - rank + i] ?? 1);
    return dims.find((dim) => dim !== 1) ?? 1;
  });
}

/** A function of numbers, element by element, broadcasting. */
export const mapped =
  (f: (...numbers: number[]) => number) =>
  (...operands: Values[]): Values =>
    build(broadcastShape(...operands.map((v) => v.shape)), (position) => f(...operands.map((v) => at(v, position))));

/** A function of the elements along some axes (all when left out), in row-major order. */
export function reduced(
  v: Values,
  axes: readonly number[] | undefined,
  keepDims: boolean,
  f: (elements: number[]) => number,
): Values {
  const rank = v.shape.length;
  const gone = new Set((axes ?? v.shape.map((_, i) => i)).map((axis) => (axis < 0 ? axis + rank : axis)));
  const over = v.shape.map((dim, i) => (gone.has(i) ? dim : 1));
  const kept = v.shape.map((dim, i) => (gone.has(i) ? 1 : dim));
  const result = build(kept, (position) =>
    f(
      positions(over).map((offset) =>
        at(
          v,
          position.map((index, i) => index + offset[i]!),
        ),
      ),
    ),
  );
  return keepDims
    ? result
    : values(
        v.shape.filter((_, i) => !gone.has(i)),
        result.data,
      );
}

/** A function of the elements along one axis that gives as many. */
export function alongAxis(v: Values, axis: number, f: (elements: number[]) => number[]): Values {
  const own = axis < 0 ? axis + v.shape.length : axis;
  const move = (position: readonly number[], index: number): number[] =>
    position.map((old, i) => (i === own ? index : old));
  const lines = new Map<string, number[]>();
  return build(v.shape, (position) => {
    const line = move(position, 0).join();
    if (!lines.has(line)) lines.set(line, f(Array.from({ length: v.shape[own]! }, (_, j) => at(v, move(position, j)))));
    return lines.get(line)![position[own]!]!;
  });
}

/** erf by its Taylor series, erfc further out by the continued fraction of Abramowitz and Stegun 7.1.14. */
export function erf(x: number): number {
  if (Number.isNaN(x)) return NaN;
  if (x === 0) return x;
  if (Math.abs(x) > 1.5) return Math.sign(x) * (1 - erfc(Math.abs(x)));
  let term = x;
  let sum = x;
  for (let n = 1; n < 200; n++) {
    term *= -(x * x) / n;
    sum += term / (2 * n + 1);
  }
  return (sum * 2) / Math.sqrt(Math.PI);
}

export function erfc(x: number): number {
  if (!(x > 1)) return 1 - erf(x);
  if (x > 40) return 0;
  let fraction = 0;
  for (let n = 400; n >= 1; n--) fraction = n / 2 / (x + fraction);
  return Math.exp(-x * x) / Math.sqrt(Math.PI) / (x + fraction);
}

/** The distance between neighbouring floats of a precision (bits of mantissa) at x. */
export function ulp(x: number, bits: 10 | 7 | 23 | 52): number {
  const lowest = { 10: -14, 7: -126, 23: -126, 52: -1022 }[bits];
  const exponent = x === 0 ? lowest : Math.floor(Math.log2(Math.abs(x)));
  return 2 ** (Math.max(exponent, lowest) - bits);
}

/**
 * Sample numbers, all different and evenly spread over [low, high], in an order that looks random. `salt` shifts the grid, so that two operands
 * never hold equal numbers and none is 0 or a half: derivatives have their kinks there.
 */
export function spread(shape: readonly number[], low: number, high: number, salt = 0): Values {
  const size = sizeOf(shape);
  const offset = [0.37, 0.71, 0.13, 0.87][salt % 4]!;
  const data = Array.from({ length: size }, (_, i) => low + ((i + offset) * (high - low)) / size);
  let state = 12345 + 6789 * salt;
  for (let i = size - 1; i > 0; i--) {
    state = (Math.imul(state, 1103515245) + 12345) >>> 0;
    const j = Math.floor((state / 2 ** 32) * (i + 1));
    [data[i], data[j]] = [data[j]!, data[i]!];
  }
  return values(shape, data);
}

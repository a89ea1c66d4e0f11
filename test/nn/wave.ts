import { cast, type GradCheckOptions, gradCheck, mapTensors, type Tensor, tensor, tensorsOf } from 'tapegrad';

/** Numbers that the torch programs behind this folder's constants made the same way: sin(0.7 i + phase). */
export function wave(shape: readonly number[], phase: number, scale = 1): Tensor {
  const size = shape.reduce((a, b) => a * b, 1);
  return tensor(
    Float64Array.from({ length: size }, (_, i) => scale * Math.sin(0.7 * i + phase)),
    { shape },
  );
}

/** A parameter tree in float64, for comparisons to many digits. */
export const inFloat64 = <T>(tree: T): T => mapTensors((t) => cast(t, 'float64'), tree);

/** Compares all elements with a list of numbers. */
export function expectClose(actual: Tensor, expected: readonly number[], tolerance = 2e-8): void {
  const values = Array.from(actual.dataSync());
  expect(values.length).toBe(expected.length);
  values.forEach((value, i) => {
    if (!(Math.abs(value - expected[i]!) <= tolerance))
      throw new Error(`element ${i} is ${value}, expected ${expected[i]}`);
  });
}

/** `gradCheck` for a function of a parameter tree and an input. */
export function gradCheckTree<P>(
  fn: (params: P, x: Tensor) => Tensor,
  params: P,
  x: Tensor,
  options?: GradCheckOptions,
): void {
  const asTree = (leaves: readonly Tensor[]): P => {
    const rest = [...leaves];
    return mapTensors(() => rest.shift()!, params);
  };
  gradCheck((...inputs) => fn(asTree(inputs.slice(0, -1)), inputs.at(-1)!), [...tensorsOf(params), x], options);
}

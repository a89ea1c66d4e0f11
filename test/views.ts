import type { random } from 'tapegrad';

/** A random view of memory: permuted, flipped, stepped, with an offset, stretched. */
export function drawView(
  rng: ReturnType<typeof random>,
  shape: readonly number[],
  mayRepeat: boolean,
): { strides: number[]; offset: number; length: number } {
  const draw = (high: number): number => rng.integers([], 0, high).itemSync();
  const steps = shape.map(() => 1 + draw(3));
  const order = shape.map((_, i) => i);
  for (let i = order.length - 1; i > 0; i--) {
    const k = draw(i + 1);
    [order[i], order[k]] = [order[k]!, order[i]!];
  }
  const strides = shape.map(() => 0);
  let length = 1;
  for (const axis of order) {
    strides[axis] = length * steps[axis]!;
    length *= Math.max(shape[axis]!, 1) * steps[axis]!;
  }
  let offset = draw(5);
  shape.forEach((size, axis) => {
    if (mayRepeat && draw(5) === 0) strides[axis] = 0;
    else if (draw(4) === 0) {
      offset += strides[axis]! * Math.max(size - 1, 0);
      strides[axis] = -strides[axis]!;
    }
  });
  return { strides, offset, length: length + offset };
}

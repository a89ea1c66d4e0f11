import { DTypeError, ShapeError, ValueError } from '../../errors.js';
import { checkNumber, checkTensor } from '../../tensor/arguments.js';
import { formatShape } from '../../tensor/shape.js';
import type { Tensor } from '../../tensor/tensor.js';

/** Refuses what is no tensor of float32 or float64 with the axes that are written in `layout`, those of `[...]` apart. */
export function checkFloats(op: string, what: string, x: unknown, layout: string): asserts x is Tensor {
  checkTensor(op, what, x);
  if (x.dtype !== 'float32' && x.dtype !== 'float64')
    throw new DTypeError(op, `${what} is ${x.dtype}; it must be float32 or float64`);
  if (x.rank < layout.split(',').length - 1)
    throw new ShapeError(op, `${what} is ${formatShape(x.shape)}; it must be ${layout}`);
}

/** Refuses what is no number in [least, most], bounds included. */
export function checkRange(op: string, what: string, value: unknown, least: number, most: number): void {
  checkNumber(op, what, value);
  if (!(value >= least && value <= most))
    throw new ValueError(op, `${what} is ${value}; it must be in [${least}, ${most}]`);
}

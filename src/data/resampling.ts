import { ShapeError, ValueError } from '../errors.js';
import { add, mul } from '../ops/elementwise.js';
import { cast } from '../ops/cast.js';
import { take } from '../ops/gather.js';
import { pad, reshape } from '../ops/movement/index.js';
import { sum } from '../ops/broadcast.js';
import { checkArray, checkNumber, checkOptions, checkTensor, checkWhole, describe } from '../tensor/arguments.js';
import { fromTypedArray, lendTo } from '../tensor/create.js';
import { promote } from '../tensor/dtype.js';
import { checkRandom, type Random } from '../tensor/random.js';
import { scope } from '../tensor/scope.js';
import { formatShape } from '../tensor/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { LONGEST_SIDE } from './pixels.js';

/**
 * Images [height, width, channels] in other sizes and slants. All of it is made of ops: it has derivatives, and runs on every device.
 */

const METHODS = ['area', 'bilinear'] as const;

export interface ResizeOptions {
  /**
   * `'area'`: each new pixel is the mean of what it covers. `'bilinear'`: it lies between the two or four pixels around its centre. By default the
   * first where a side shrinks, so that no thin line is lost, and the second where it grows.
   */
  readonly method?: (typeof METHODS)[number] | undefined;
}

export interface ShearOptions {
  /** The value of what was outside of the image; 0 by default. */
  readonly fill?: number | undefined;
}

export interface NoiseOptions {
  /** Standard deviation; 0.05 by default. */
  readonly std?: number | undefined;
}

export interface AugmentOptions extends ShearOptions {
  /** Slants come from [-slant, slant], in columns a row; 0.2 by default. */
  readonly slant?: number | undefined;
  /** Widths are multiplied by a number from [1 - stretch, 1 + stretch]; 0.1 by default. */
  readonly stretch?: number | undefined;
  /** Deviations of noise come from [0, noise]; 0.05 by default. */
  readonly noise?: number | undefined;
}

/**
 * An image [height, width, channels] in another size, [height, width]. Pixels are areas: their corners, not their centres, stay where they are (as in
 * PyTorch's `align_corners=False`).
 * @throws {ShapeError | ValueError} for what is no image or no size.
 */
export function resize(x: Tensor, size: readonly [number, number], options: ResizeOptions = {}): Tensor {
  checkImage('resize', x);
  checkArray('resize', 'the size', size);
  if (size.length !== 2)
    throw new ValueError(
      'resize',
      `the size has ${(size as readonly number[]).length} numbers; it must be [height, width]`,
    );
  checkWhole('resize', 'the height', size[0], 1, LONGEST_SIDE);
  checkWhole('resize', 'the width', size[1], 1, LONGEST_SIDE);
  return resized(x, size, checkMethod('resize', options));
}

/**
 * An image [H, width, channels] with another height, and its width in proportion (at least 1): lines of text of any size as a network wants them.
 *
 * ```ts
 * const line = image.toHeight(image.fromPixels(png, { invert: true }), 32); // [32, width, 1]
 * ```
 * @throws {ShapeError | ValueError} for what is no image or no height.
 */
export function toHeight(x: Tensor, height: number, options: ResizeOptions = {}): Tensor {
  checkImage('toHeight', x);
  checkWhole('toHeight', 'the height', height, 1, LONGEST_SIDE);
  const method = checkMethod('toHeight', options);
  const width = Math.max(1, Math.round((x.shape[1]! * height) / x.shape[0]!));
  if (width > LONGEST_SIDE)
    throw new ValueError('toHeight', `the image would be ${width} columns wide; ${LONGEST_SIDE} is the most`);
  return resized(x, [height, width], method);
}

/**
 * An image [height, width, channels] with slanted columns: the rows are moved to the right, each row by `slant` columns more than the one below it (above
 * it, if `slant` is negative), between pixels by linear interpolation. Nothing is cut off: it is wider by ceil(|slant| * (height - 1)) columns.
 * @throws {ShapeError | ValueError} for what is no image or no slant.
 */
export function shear(x: Tensor, slant: number, options: ShearOptions = {}): Tensor {
  checkImage('shear', x);
  checkFinite('shear', 'slant', slant);
  checkOptions('shear', options, ['fill']);
  const { fill = 0 } = options;
  checkFinite('shear', 'fill', fill);
  return sheared('shear', x, slant, fill);
}

/**
 * An image with normally distributed noise added to every value. The same source of randomness gives the same noise.
 * @throws {ValueError} for a deviation that is negative or not finite.
 */
export function noise(x: Tensor, random: Random, options: NoiseOptions = {}): Tensor {
  checkImage('noise', x);
  checkRandom('noise', random);
  checkOptions('noise', options, ['std']);
  const { std = 0.05 } = options;
  checkFinite('noise', 'std', std, 0);
  return noisy(x, random, std);
}

/**
 * An image [height, width, channels] as another hand might have written it: slanted, stretched in width, and noisy, each by chance. Training on such
 * images sees more hands than there are. The height stays; the width does not. Three numbers are drawn, whatever the options, and then the noise.
 *
 * ```ts
 * const seen = image.augment(line, random(7), { slant: 0.3 });
 * ```
 * @throws {ShapeError | ValueError} for what is no image, and for options out of their range.
 */
export function augment(x: Tensor, random: Random, options: AugmentOptions = {}): Tensor {
  const op = 'augment';
  checkImage(op, x);
  checkRandom(op, random);
  checkOptions(op, options, ['slant', 'stretch', 'noise', 'fill']);
  const { slant = 0.2, stretch = 0.1, noise: most = 0.05, fill = 0 } = options;
  checkFinite(op, 'slant', slant, 0);
  checkFinite(op, 'stretch', stretch, 0);
  checkFinite(op, 'noise', most, 0);
  checkFinite(op, 'fill', fill);
  if (stretch >= 1) throw new ValueError(op, `stretch is ${stretch}; it must be below 1`);
  const own = slant * (2 * random.next() - 1);
  const factor = 1 + stretch * (2 * random.next() - 1);
  const std = most * random.next();
  return scope(() => {
    const [height, width] = x.shape as [number, number];
    const stretched = resized(x, [height, Math.max(1, Math.round(width * factor))], undefined);
    return noisy(sheared(op, stretched, own, fill), random, std);
  });
}

function checkImage(op: string, x: unknown): asserts x is Tensor {
  checkTensor(op, 'the image', x);
  if (x.rank !== 3 || x.size === 0)
    throw new ShapeError(
      op,
      `the image is ${formatShape(x.shape)}; it must be [height, width, channels], none of them 0`,
    );
}

function checkFinite(op: string, name: string, value: unknown, least = -Infinity): asserts value is number {
  checkNumber(op, name, value);
  if (!Number.isFinite(value) || value < least)
    throw new ValueError(op, `${name} is ${value}; it must be a finite number${least === 0 ? ', not negative' : ''}`);
}

function checkMethod(op: string, options: ResizeOptions): ResizeOptions['method'] {
  checkOptions(op, options, ['method']);
  const { method } = options;
  if (method !== undefined && !METHODS.includes(method))
    throw new ValueError(op, `there is no method ${describe(method)}; there are ${METHODS.join(', ')}`);
  return method;
}

/** What each new position along an axis is made of: `count` old positions, and how much of each. */
interface Taps {
  readonly positions: Int32Array;
  readonly weights: Float64Array;
  readonly count: number;
}

function resized(x: Tensor, size: readonly [number, number], method: ResizeOptions['method']): Tensor {
  return scope(() => resampled(resampled(floating(x), 0, size[0], method), 1, size[1], method));
}

function resampled(x: Tensor, axis: number, to: number, method: ResizeOptions['method']): Tensor {
  const from = x.shape[axis]!;
  if (from === to) return x;
  const { positions, weights, count } =
    (method ?? (to < from ? 'area' : 'bilinear')) === 'area' ? areaTaps(from, to) : bilinearTaps(from, to);
  const { shape } = x;
  const taken = reshape(take(x, beside(x, positions, [to * count], 'int32'), axis), [
    ...shape.slice(0, axis),
    to,
    count,
    ...shape.slice(axis + 1),
  ]);
  const share = [to, count, ...shape.slice(axis + 1).map(() => 1)];
  return sum(mul(taken, beside(x, weights, share, x.dtype)), axis + 1);
}

/**
 * Means over what a new pixel covers. In units of a 1 / (from * to) of the image, old pixel j covers [j * to, (j + 1) * to), new pixel i
 * [i * from, (i + 1) * from): whole numbers, so that the shares are exact.
 */
function areaTaps(from: number, to: number): Taps {
  const first = (i: number): number => Math.floor((i * from) / to);
  const count = Math.ceil(from / to) + 1;
  const positions = new Int32Array(to * count);
  const weights = new Float64Array(to * count);
  for (let i = 0; i < to; i++) {
    const last = Math.ceil(((i + 1) * from) / to) - 1;
    for (let k = 0; k < count; k++) {
      const j = Math.min(first(i) + k, last); // beyond the last one: that one again, with no weight
      positions[i * count + k] = j;
      if (first(i) + k <= last)
        weights[i * count + k] = (Math.min((j + 1) * to, (i + 1) * from) - Math.max(j * to, i * from)) / from;
    }
  }
  return { positions, weights, count };
}

/** Between the two pixels around a new pixel's centre; at the borders the outermost one. */
function bilinearTaps(from: number, to: number): Taps {
  const positions = new Int32Array(2 * to);
  const weights = new Float64Array(2 * to);
  for (let i = 0; i < to; i++) {
    const centre = Math.min(Math.max(((i + 0.5) * from) / to - 0.5, 0), from - 1);
    const left = Math.floor(centre);
    positions.set([left, Math.min(left + 1, from - 1)], 2 * i);
    weights.set([1 - (centre - left), centre - left], 2 * i);
  }
  return { positions, weights, count: 2 };
}

function sheared(op: string, image: Tensor, slant: number, fill: number): Tensor {
  const [height, width, channels] = image.shape as [number, number, number];
  const wider = Math.ceil(Math.abs(slant) * (height - 1));
  if (width + wider > LONGEST_SIDE)
    throw new ValueError(op, `slant ${slant} makes the image more than ${LONGEST_SIDE} columns wide`);
  return scope(() => {
    const x = floating(image);
    if (wider === 0) return x;
    const across = width + wider;
    // A column of the fill on both sides, for all that lies outside.
    const whole: [number, number] = [0, 0];
    const rows = reshape(pad(x, [whole, [1, 1], whole], { value: fill }), [height * (width + 2), channels]);
    const left = new Int32Array(height * across);
    const right = new Int32Array(height * across);
    const shares = new Float64Array(height);
    for (let y = 0; y < height; y++) {
      const moved = Math.abs(slant) * (slant > 0 ? height - 1 - y : y);
      const columns = Math.ceil(moved);
      shares[y] = columns - moved; // how much of the pixel to the right is seen
      const place = (column: number): number => y * (width + 2) + 1 + Math.min(Math.max(column, -1), width);
      for (let at = 0; at < across; at++) {
        left[y * across + at] = place(at - columns);
        right[y * across + at] = place(at - columns + 1);
      }
    }
    const seen = (places: Int32Array, share: Float64Array): Tensor =>
      mul(
        reshape(take(rows, beside(x, places, [places.length], 'int32')), [height, across, channels]),
        beside(x, share, [height, 1, 1], x.dtype),
      );
    return add(
      seen(
        left,
        shares.map((share) => 1 - share),
      ),
      seen(right, shares),
    );
  });
}

function noisy(x: Tensor, random: Random, std: number): Tensor {
  const dtype = floatOf(x);
  return scope(() => add(floating(x), random.normal(x.shape, { std, dtype, device: x.device })));
}

/** Images are computed in float32, unless they are float64. */
const floatOf = (x: Tensor): 'float32' | 'float64' => promote(x.dtype, 'float32') as 'float32' | 'float64';

const floating = (x: Tensor): Tensor => (x.dtype === floatOf(x) ? x : cast(x, floatOf(x)));

/** Positions or weights as a tensor where the image lies, for the time of the computation. */
function beside(
  x: Tensor,
  values: Int32Array | Float64Array,
  shape: readonly number[],
  dtype: Tensor['dtype'],
): Tensor {
  const data = dtype === 'float32' ? Float32Array.from(values) : values;
  return lendTo(fromTypedArray(data, [...shape], dtype), x);
}

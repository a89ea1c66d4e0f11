import { stopGradient } from '../autograd/transforms.js';
import { hostArray } from '../backends/host-array.js';
import { DTypeError, ShapeError, ValueError } from '../errors.js';
import { checkBoolean, checkOptions, checkTensor, checkWhole, describe, onBehalfOf } from '../tensor/arguments.js';
import { fromTypedArray, hostTensor, lendTo, settle, type TensorData } from '../tensor/create.js';
import { isFloat, toFloat } from '../tensor/dtype.js';
import { Random } from '../tensor/random.js';
import { checkShape, formatShape, normalizeAxis, sameShape, type Shape, sizeOf } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';
import { cast } from './cast.js';
import { add } from './elementwise.js';
import { take } from './gather.js';
import { permute } from './movement/index.js';
import { argmax, max } from './reduce.js';

/** What a source of random numbers draws from tensors: methods of `Random`, attached here because they are made of ops. */

export interface CategoricalOptions {
  /** Where the classes lie; the last axis by default. */
  readonly axis?: number;
  /** Shape of the result: logits' other axes by default, or more axes in front of them, for several draws from each. */
  readonly shape?: Shape;
}

export interface ChoiceOptions {
  /** Whether an element may be drawn again; true by default. */
  readonly replace?: boolean;
  /** How likely each element is to be drawn, up to a common factor; equally by default. */
  readonly weights?: TensorData | Tensor;
  /** Of a tensor: the axis whose parts are drawn from; 0 by default. */
  readonly axis?: number;
}

declare module '../tensor/random.js' {
  interface Random {
    /**
     * Classes, each with a probability proportional to exp(logit), as int32: the largest of logits plus Gumbel noise, found where the logits are. One draw for each row
     * of logits, or as many as `shape` says.
     *
     * ```ts
     * rng.categorical(logits); // [batch, classes] to [batch]
     * rng.categorical(logits, { shape: [100, 8] }); // a hundred draws from each of eight rows
     * ```
     * @throws {ShapeError} without classes, or for a shape that does not end in logits' other axes. @throws {ValueError} for a row with NaN or Infinity or of
     * nothing but -Infinity, where that can be seen without waiting for a device.
     */
    categorical(logits: Tensor, options?: CategoricalOptions): Tensor;
    /**
     * Elements drawn at random: whole numbers in [0, n), as int32, or parts of a tensor along an axis, with gradients.
     *
     * ```ts
     * rng.choice(10, [3], { replace: false }); // three different digits
     * rng.choice(rows, [256]); // [n, width] to [256, width]
     * ```
     * @param shape of what is drawn; it takes the axis' place. One element, of shape [], when left out.
     * @throws {ValueError} for more elements than there are (with weights: than have any) without replacement, and for weights that are negative or all 0.
     */
    choice(from: number | Tensor, shape?: Shape, options?: ChoiceOptions): Tensor;
    /** The parts of a tensor along an axis in random order, every order equally likely, with gradients; or the elements of a list, as a new list. */
    shuffle(x: Tensor, axis?: number): Tensor;
    shuffle<T>(list: readonly T[]): T[];
  }
}

function categorical(this: Random, logits: Tensor, options: CategoricalOptions = {}): Tensor {
  const op = 'categorical';
  checkTensor(op, 'logits', logits);
  checkOptions(op, options, ['axis', 'shape'], (given) =>
    typeof given === 'number' ? `write { axis: ${given} }` : null,
  );
  const { axis: given = -1 } = options;
  const axis = normalizeAxis(op, given, logits.rank);
  const classes = logits.shape[axis]!;
  const rest = logits.shape.filter((_, i) => i !== axis);
  const { shape = rest } = options;
  checkShape(op, shape);
  const lead = shape.length - rest.length;
  if (lead < 0 || !sameShape(shape.slice(lead), rest))
    throw new ShapeError(
      op,
      `shape ${formatShape(shape)} for logits ${formatShape(logits.shape)}; it must end in ${formatShape(rest)}`,
    );
  if (classes === 0) throw new ShapeError(op, `logits are ${formatShape(logits.shape)}: there are no classes`);
  const order = [...logits.shape.keys()].filter((i) => i !== axis);
  const scores = permute(cast(stopGradient(logits), toFloat(logits.dtype)), [...order, axis]);
  refuseImpossible(op, scores);
  const noise = hostArray('float32', sizeOf(shape) * classes);
  for (let i = 0; i < noise.length; i++) noise[i] = -Math.log(-Math.log(1 - this.next()));
  const gumbel = fromTypedArray(noise, [...shape, classes], 'float32', op);
  return argmax(add(scores, lendTo(gumbel, logits)), -1);
}

/** Rows without a distribution, where looking does not mean waiting. */
function refuseImpossible(op: string, scores: Tensor): void {
  if (scores.size === 0 || !scores.device.readSync) return;
  max(scores, -1)
    .dataSync()
    .forEach((most, i) => {
      if (!Number.isFinite(most))
        throw new ValueError(op, `row ${i} of the logits has ${most} as its largest; it must be a finite number`);
    });
}

function choice(this: Random, from: number | Tensor, shape: Shape = [], options: ChoiceOptions = {}): Tensor {
  const op = 'choice';
  if (from instanceof Tensor) checkTensor(op, 'what is drawn from', from);
  else checkWhole(op, 'what is drawn from', from, 0, 2 ** 31 - 1);
  checkShape(op, shape);
  checkOptions(op, options, ['replace', 'weights', 'axis']);
  const { replace = true, axis = 0, weights } = options;
  checkBoolean(op, 'replace', replace);
  const at = from instanceof Tensor ? normalizeAxis(op, axis, from.rank) : 0;
  const n = from instanceof Tensor ? from.shape[at]! : from;
  const count = sizeOf(shape);
  const likely = weights === undefined ? null : weightsOf(op, weights, n);
  const there = likely ? likely.filter((weight) => weight > 0).length : n;
  if (count > 0 && (there === 0 || (!replace && count > there)))
    throw new ValueError(
      op,
      `${count} of ${there} elements${likely ? ' with a weight' : ''}${replace ? '' : ' without replacement'}: there are too few`,
    );
  const drawn = hostArray('int32', count) as Int32Array;
  if (count > 0) draw(this, drawn, n, replace, likely);
  if (!(from instanceof Tensor)) return settle(op, drawn, shape, 'int32');
  return take(from, fromTypedArray(drawn, shape, 'int32', op), at);
}

function draw(random: Random, drawn: Int32Array, n: number, replace: boolean, weights: Float64Array | null): void {
  if (!weights) {
    if (replace) for (let i = 0; i < drawn.length; i++) drawn[i] = random.integer(0, n);
    else drawDifferent(random, drawn, n);
  } else if (replace) {
    const sums = new Float64Array(n);
    let total = 0;
    weights.forEach((weight, i) => (sums[i] = total += weight));
    for (let i = 0; i < drawn.length; i++) drawn[i] = firstAbove(sums, random.next() * total);
  } else {
    // The first of independent waiting times, whose rates are the weights: P. S. Efraimidis and P. G. Spirakis (2006).
    const waits = weights.map((weight) => (weight > 0 ? -Math.log(1 - random.next()) / weight : Infinity));
    const order = Array.from(waits.keys()).filter((i) => weights[i]! > 0);
    order.sort((a, b) => waits[a]! - waits[b]!);
    drawn.set(order.slice(0, drawn.length));
  }
}

/** The beginning of a random order of all numbers below n, of which only those that changed places are kept (Fisher and Yates). */
function drawDifferent(random: Random, drawn: Int32Array, n: number): void {
  const moved = new Map<number, number>();
  for (let i = 0; i < drawn.length; i++) {
    const j = random.integer(i, n);
    drawn[i] = moved.get(j) ?? j;
    moved.set(j, moved.get(i) ?? i);
  }
}

/** The first position whose running sum is above a number that is below the last sum. */
function firstAbove(sums: Float64Array, value: number): number {
  let [low, high] = [0, sums.length - 1];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (sums[middle]! > value) high = middle;
    else low = middle + 1;
  }
  // Rounding may have brought the number up to the last sum: back to an element with a weight.
  while (low > 0 && sums[low] === sums[low - 1]) low--;
  return low;
}

function weightsOf(op: string, given: TensorData | Tensor, n: number): Float64Array {
  const weights =
    given instanceof Tensor ? given : onBehalfOf(op, 'weights', () => hostTensor(given, { dtype: 'float64' }));
  if (given instanceof Tensor) checkTensor(op, 'weights', given);
  if (!sameShape(weights.shape, [n]))
    throw new ShapeError(op, `weights are ${formatShape(weights.shape)} for ${n} elements; they must be [${n}]`);
  if (!isFloat(weights.dtype) && weights.dtype !== 'int32')
    throw new DTypeError(op, `weights are ${weights.dtype}; they must be numbers`);
  const data = Float64Array.from(weights.dataSync());
  // As shares of the largest, so that their sum is in range.
  const most = data.reduce((top, weight) => Math.max(top, weight), 0);
  data.forEach((weight, i) => {
    if (!(weight >= 0 && weight < Infinity))
      throw new ValueError(op, `weight ${i} is ${weight}; it must be a finite number, not negative`);
  });
  return most > 0 ? data.map((weight) => weight / most) : data;
}

function shuffle<T>(this: Random, x: Tensor | readonly T[], axis = 0): Tensor | T[] {
  if (Array.isArray(x)) {
    const list = x as readonly T[];
    if (axis !== 0) throw new ShapeError('shuffle', `the axis is ${describe(axis)}; a list has none`);
    return Array.from(this.order(list.length), (i) => list[i]!);
  }
  checkTensor('shuffle', 'x', x);
  const at = normalizeAxis('shuffle', axis, x.rank);
  return take(x, fromTypedArray(this.order(x.shape[at]!), [x.shape[at]!], 'int32', 'shuffle'), at);
}

for (const [name, value] of Object.entries({ categorical, choice, shuffle }))
  Object.defineProperty(Random.prototype, name, { configurable: true, writable: true, value });

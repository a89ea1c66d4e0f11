import { DTypeError, ShapeError, ValueError } from '../errors.js';
import { checkBoolean, checkOptions, checkTensor, checkTogether, describe } from '../tensor/arguments.js';
import { fromTypedArray, lendTo } from '../tensor/create.js';
import { isStorage, promote, toFloat } from '../tensor/dtype.js';
import type { Random } from '../tensor/random.js';
import { broadcastShapes, formatShape, type Shape } from '../tensor/shape.js';
import { Tensor } from '../tensor/tensor.js';
import { broadcastTo, KEEP } from './broadcast.js';
import { cast } from './cast.js';
import { dropout as drop } from './dropout.js';
import { add, logicalAnd, logicalNot, logicalOr, mul, where } from './elementwise.js';
import { causalBits } from './masks.js';
import { matmul, timesTransposed } from './matmul.js';
import { transpose } from './movement/index.js';
import { any } from './reduce.js';
import { softmax } from './softmax.js';

export interface AttentionOptions {
  /** Which keys a query may look at: bool, of a shape that stretches to [..., T, S]. All of them when left out. */
  readonly mask?: Tensor | undefined;
  /** Whether a query sees no later key, as `causalMask` has it; both count if there is a mask as well. False by default. */
  readonly causal?: boolean | undefined;
  /** Added to the scaled scores, for relative positions: of a shape that stretches to [..., T, S]. */
  readonly bias?: Tensor | undefined;
  /** Of the products of queries and keys; 1 / sqrt(d) by default. */
  readonly scale?: number | undefined;
  /** The share of attention weights that are dropped, as `dropout` does; needs `random`. 0 by default. */
  readonly dropout?: number | undefined;
  readonly random?: Random | undefined;
}

/**
 * softmax(q k^T * scale + bias) v: for each query a mean of the values, weighted by how its key fits. Vaswani et al., arXiv:1706.03762. q is [..., T,
 * d], k [..., S, d], v [..., S, e], the result [..., T, e]; leading axes broadcast. For heads they are [N, heads, T, d].
 *
 * A query that may look at nothing gives 0, and has no derivative; a key that no query may look at, and its value, may hold anything, NaN included,
 * and so may a query that may look at nothing.
 *
 * ```ts
 * attention(q, k, v, { causal: true, mask: lengthMask(lengths, { frames }).reshape([-1, 1, 1, frames]) });
 * ```
 * @throws {ShapeError} where shapes do not fit, naming them. @throws {DTypeError} for a mask that is not bool: what is added is the bias.
 */
export function attention(q: Tensor, k: Tensor, v: Tensor, options: AttentionOptions = {}): Tensor {
  for (const [name, t] of Object.entries({ q, k, v })) checkTensor('attention', name, t);
  checkOptions('attention', options, ['mask', 'causal', 'bias', 'scale', 'dropout', 'random'], (given) =>
    given instanceof Tensor ? 'write { mask }' : null,
  );
  const { mask, causal = false, bias, dropout = 0, random } = options;
  checkTogether('attention', q, k);
  checkTogether('attention', q, v);
  checkBoolean('attention', 'causal', causal);
  const lead = leadingAxes(q, k, v);
  const [frames, keys, width] = [q.shape[q.rank - 2]!, k.shape[k.rank - 2]!, q.shape[q.rank - 1]!];
  const scores = [...lead, frames, keys];
  if (mask !== undefined) {
    checkStretches('mask', mask, scores);
    checkTogether('attention', q, mask);
    if (mask.dtype !== 'bool')
      throw new DTypeError(
        'attention',
        `the mask is ${mask.dtype}; it must be bool, true where one may look (what is added to scores is the bias)`,
      );
  }
  if (bias !== undefined) {
    checkStretches('bias', bias, scores);
    checkTogether('attention', q, bias);
  }
  const { scale = width > 0 ? 1 / Math.sqrt(width) : 1 } = options;
  if (!(typeof scale === 'number' && Number.isFinite(scale)))
    throw new ValueError('attention', `scale is ${describe(scale)}; it must be a finite number`);
  if (!(typeof dropout === 'number' && dropout >= 0 && dropout < 1))
    throw new ValueError('attention', `dropout is ${describe(dropout)}; it must be in [0, 1)`);
  if (dropout > 0 && random === undefined)
    throw new ValueError('attention', 'dropout needs a source of randomness: { dropout, random }');

  // float16 and bfloat16 are computed in float32 throughout, as in every op of several steps
  const dtype = toFloat([q, k, v, ...(bias ? [bias] : [])].map((t) => t.dtype).reduce(promote));
  const inner = isStorage(dtype) ? 'float32' : dtype;
  const allowed = allowedOf(mask, causal, frames, keys, q);
  const queries = mul(readable(cast(q, inner), allowed?.queries), scale);
  const result = weigh(queries, cast(k, inner), cast(v, inner), { lead, allowed, bias, dropout, random });
  return cast(result, dtype);
}

interface Allowed {
  /** [..., T, S] */
  readonly pairs: Tensor;
  /** [..., T, 1]: whether a query may look at something; null where all may. */
  readonly queries: Tensor | null;
  /** [..., S, 1]: whether some query may look at a key; null where that is so for all. */
  readonly keys: Tensor | null;
}

function allowedOf(
  mask: Tensor | undefined,
  causal: boolean,
  frames: number,
  keys: number,
  beside: Tensor,
): Allowed | null {
  const past = causal ? lendTo(fromTypedArray(causalBits(frames, keys), [frames, keys], 'bool'), beside) : null;
  const pairs = mask && past ? logicalAnd(mask, past) : (mask ?? past);
  if (!pairs || frames === 0 || keys === 0) return null; // with no frames or no keys nothing is looked at
  if (!mask && frames <= keys) return { pairs, queries: null, keys: null };
  const whole = pairs.rank < 2 ? broadcastTo(pairs, [frames, keys]) : pairs;
  return { pairs: whole, queries: any(whole, -1, KEEP), keys: transpose(any(whole, -2, KEEP), -1, -2) };
}

/** Rows that nobody may look at as zeros: NaN in them would reach the others through a product with 0. */
const readable = (t: Tensor, rows: Tensor | null | undefined): Tensor => (rows ? where(rows, t, 0) : t);

function weigh(
  queries: Tensor,
  k: Tensor,
  v: Tensor,
  {
    lead,
    allowed,
    bias,
    dropout,
    random,
  }: { lead: Shape; allowed: Allowed | null; bias: Tensor | undefined; dropout: number; random: Random | undefined },
): Tensor {
  const stretched = (t: Tensor): Tensor => broadcastTo(t, [...lead, ...t.shape.slice(-2)]);
  const products = timesTransposed(stretched(queries), stretched(readable(k, allowed?.keys)));
  const scores = bias ? add(products, cast(bias, products.dtype)) : products;
  const values = readable(v, allowed?.keys);
  if (products.shape[products.rank - 1] === 0) return matmul(products, values); // sums of nothing
  // A query that may look at nothing looks at everything here, so that its softmax is one; what it gets is left out.
  const seen = allowed?.queries ? logicalOr(allowed.pairs, logicalNot(allowed.queries)) : allowed?.pairs;
  const masked = seen ? where(seen, scores, -Infinity) : scores;
  const weights = softmax(masked);
  const kept = dropout > 0 ? drop(weights, dropout, random!) : weights;
  return readable(matmul(kept, values), allowed?.queries);
}

function leadingAxes(q: Tensor, k: Tensor, v: Tensor): Shape {
  const fits =
    q.rank >= 2 &&
    k.rank >= 2 &&
    v.rank >= 2 &&
    q.shape[q.rank - 1] === k.shape[k.rank - 1] &&
    k.shape[k.rank - 2] === v.shape[v.rank - 2];
  if (!fits)
    throw new ShapeError(
      'attention',
      `q ${formatShape(q.shape)}, k ${formatShape(k.shape)} and v ${formatShape(v.shape)}; they must be [..., T, d], [..., S, d] and [..., S, e]`,
    );
  const keyAxes = broadcastShapes('attention', k.shape.slice(0, -2), v.shape.slice(0, -2));
  return broadcastShapes('attention', q.shape.slice(0, -2), keyAxes);
}

function checkStretches(what: string, t: unknown, scores: Shape): asserts t is Tensor {
  checkTensor('attention', what, t);
  const lead = scores.length - t.rank;
  if (lead < 0 || t.shape.some((dim, i) => dim !== 1 && dim !== scores[lead + i]))
    throw new ShapeError(
      'attention',
      `the ${what} is ${formatShape(t.shape)}; it must stretch to ${formatShape(scores)}`,
    );
}
